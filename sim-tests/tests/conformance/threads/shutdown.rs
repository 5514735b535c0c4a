//! What only blocking streams can do: shut down reading, and wake a thread that is blocked.

use std::io::Write;
use std::net::Shutdown;

use wavetank_runtime::{BlockingStream, SocketOptions, ThreadHandle, Threads};

use super::super::world::{BROKEN, RESET, SETTLE, Seen, pattern};
use super::{World, expect, fill, join, pair, pair_with, read, send, settle, spawn, write};

pub(crate) fn shutting_down_reading_wakes_a_reader<T: Threads>(world: World<T>) {
    wakes_a_reader(&world, Shutdown::Read);
}

pub(crate) fn shutting_down_both_ways_wakes_a_reader<T: Threads>(world: World<T>) {
    wakes_a_reader(&world, Shutdown::Both);
}

fn wakes_a_reader<T: Threads>(world: &World<T>, how: Shutdown) {
    let (mut client, _server) = pair(world);
    let clone = client.try_clone().expect("a descriptor is free");
    let reader = spawn(&world.client, "reader", move || read(&mut client));
    settle(world);
    assert!(!reader.is_finished(), "nothing was sent");
    clone.shutdown(how).expect("a live stream");
    assert_eq!(join(reader), Seen::End);
}

pub(crate) fn shutting_down_writing_leaves_a_reader_waiting<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    let clone = client.try_clone().expect("a descriptor is free");
    let reader = spawn(&world.client, "reader", move || read(&mut client));
    settle(&world);
    clone.shutdown(Shutdown::Write).expect("a live stream");
    assert_eq!(read(&mut server), Seen::End);
    settle(&world);
    assert!(!reader.is_finished(), "nothing was sent");
    assert_eq!(write(&mut server), Seen::Written);
    assert_eq!(join(reader), Seen::Byte(b'w'));
}

pub(crate) fn shutting_down_writing_wakes_a_writer<T: Threads>(world: World<T>) {
    let small = SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096);
    let (mut client, _server) = pair_with(&world, small);
    fill(&mut client);
    let clone = client.try_clone().expect("a descriptor is free");
    let writer = spawn(&world.client, "writer", move || {
        let error = client.write_all(&pattern(0, 100_000)).err();
        error.map(|error| Seen::Failed(error.kind()))
    });
    settle(&world);
    assert!(!writer.is_finished(), "there is no reader");
    clone.shutdown(Shutdown::Write).expect("a live stream");
    assert_eq!(join(writer), Some(BROKEN));
}

pub(crate) fn the_peer_does_not_notice_shut_down_reading<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    client.shutdown(Shutdown::Read).expect("a live stream");
    settle(&world);
    for _ in 0..2 {
        assert_eq!(write(&mut server), Seen::Written);
        settle(&world);
    }
    send(&mut client, "still here");
    expect(&mut server, "still here");
}

pub(crate) fn bytes_are_readable_although_reading_was_shut_down<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    send(&mut server, "before");
    settle(&world);
    client.shutdown(Shutdown::Read).expect("a live stream");
    expect(&mut client, "before");
    assert_eq!(read(&mut client), Seen::End);
    send(&mut server, "after");
    settle(&world);
    expect(&mut client, "after");
    assert_eq!([read(&mut client), read(&mut client)], [Seen::End; 2]);
}

pub(crate) fn closing_with_unread_bytes_resets_despite_shutdown<T: Threads>(world: World<T>) {
    let (client, mut server) = pair(&world);
    client.shutdown(Shutdown::Read).expect("a live stream");
    send(&mut server, "unread");
    settle(&world);
    drop(client);
    settle(&world);
    assert_eq!([read(&mut server), read(&mut server), write(&mut server)], [RESET, Seen::End, BROKEN]);
}

pub(crate) fn bytes_after_shutting_down_both_reset_both_ends<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    client.shutdown(Shutdown::Both).expect("a live stream");
    assert_eq!([read(&mut client), write(&mut client)], [Seen::End, BROKEN]);
    assert_eq!([read(&mut server), write(&mut server)], [Seen::End, Seen::Written]);
    settle(&world);
    assert_eq!([read(&mut client), read(&mut client)], [RESET, Seen::End]);
    assert_eq!([write(&mut server), write(&mut server), read(&mut server)], [BROKEN, BROKEN, Seen::End]);
}

pub(crate) fn a_second_shutdown_succeeds_while_the_peer_lives<T: Threads>(world: World<T>) {
    let (client, _server) = pair(&world);
    for how in [Shutdown::Write, Shutdown::Write, Shutdown::Both, Shutdown::Read] {
        client.shutdown(how).expect("the peer has not closed");
        world.client.sleep(SETTLE);
    }
}
