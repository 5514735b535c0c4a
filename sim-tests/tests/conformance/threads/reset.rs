//! Disorderly ends: what a reset does to bytes, to readers, to writers.
//!
//! Linux keeps one pending error a socket. Whichever call comes first takes it; after that the stream has ended for
//! readers, and is a broken pipe for writers.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use wavetank_runtime::{BlockingStream, SocketOptions, Threads};

use super::super::world::{BROKEN, RESET, Seen, pattern};
use super::{World, expect, fill, join, pair, pair_with, read, send, settle, spawn, write};

pub(crate) fn abort_resets_the_connection<T: Threads>(world: World<T>) {
    let (mut client, server) = pair(&world);
    server.abort();
    settle(&world);
    assert_eq!(
        [read(&mut client), read(&mut client), write(&mut client), write(&mut client)],
        [RESET, Seen::End, BROKEN, BROKEN]
    );
}

pub(crate) fn a_reset_is_reported_once<T: Threads>(world: World<T>) {
    let (mut client, server) = pair(&world);
    server.abort();
    settle(&world);
    assert_eq!(
        [write(&mut client), write(&mut client), read(&mut client), read(&mut client)],
        [RESET, BROKEN, Seen::End, Seen::End]
    );
}

pub(crate) fn bytes_before_a_reset_are_read_first<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    send(&mut server, "hello");
    settle(&world);
    server.abort();
    settle(&world);
    assert_eq!(read(&mut client), Seen::Byte(b'h'));
    expect(&mut client, "ello");
    assert_eq!([read(&mut client), read(&mut client), write(&mut client)], [RESET, Seen::End, BROKEN]);
}

pub(crate) fn bytes_before_a_reset_survive_a_failed_write<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    send(&mut server, "hello");
    settle(&world);
    server.abort();
    settle(&world);
    assert_eq!([write(&mut client), write(&mut client)], [RESET, BROKEN]);
    expect(&mut client, "hello");
    assert_eq!(read(&mut client), Seen::End);
}

pub(crate) fn closing_with_unread_bytes_resets_the_peer<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    send(&mut client, "unread");
    send(&mut server, "hello");
    settle(&world);
    drop(server);
    settle(&world);
    expect(&mut client, "hello");
    assert_eq!([read(&mut client), read(&mut client), write(&mut client)], [RESET, Seen::End, BROKEN]);
}

pub(crate) fn a_writer_sees_the_reset_of_unread_bytes<T: Threads>(world: World<T>) {
    let (mut client, server) = pair(&world);
    send(&mut client, "unread");
    settle(&world);
    drop(server);
    settle(&world);
    assert_eq!([write(&mut client), write(&mut client), read(&mut client)], [RESET, BROKEN, Seen::End]);
}

pub(crate) fn the_second_write_to_a_closed_reader_fails<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    send(&mut server, "hello");
    drop(server);
    settle(&world);
    // The end has come, but the client does not know that the server reads no more: only the answer to the first byte
    // says so.
    assert_eq!(write(&mut client), Seen::Written);
    settle(&world);
    assert_eq!([write(&mut client), write(&mut client)], [BROKEN; 2]);
    // The end had come before the reset, so for readers it stays an orderly end.
    expect(&mut client, "hello");
    assert_eq!([read(&mut client), read(&mut client)], [Seen::End; 2]);
}

pub(crate) fn a_reset_after_the_end_stays_unseen<T: Threads>(world: World<T>) {
    let (mut client, server) = pair(&world);
    drop(server);
    assert_eq!([read(&mut client), write(&mut client)], [Seen::End, Seen::Written]);
    settle(&world);
    assert_eq!([read(&mut client), write(&mut client), read(&mut client)], [Seen::End, BROKEN, Seen::End]);
}

pub(crate) fn a_reader_at_the_end_never_sees_resets<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    send(&mut server, "hello");
    server.shutdown(Shutdown::Write).expect("a live stream");
    settle(&world);
    server.abort();
    settle(&world);
    expect(&mut client, "hello");
    assert_eq!(
        [read(&mut client), read(&mut client), write(&mut client), write(&mut client)],
        [Seen::End, Seen::End, BROKEN, BROKEN]
    );
}

pub(crate) fn a_half_closed_client_still_sees_a_reset<T: Threads>(world: World<T>) {
    let (mut client, server) = pair(&world);
    client.shutdown(Shutdown::Write).expect("a live stream");
    settle(&world);
    server.abort();
    settle(&world);
    assert_eq!([read(&mut client), read(&mut client), write(&mut client)], [RESET, Seen::End, BROKEN]);
}

pub(crate) fn after_a_reset_the_peer_is_unknown<T: Threads>(world: World<T>) {
    let (mut client, server) = pair(&world);
    let address = client.local_addr().expect("a live stream");
    server.abort();
    settle(&world);
    assert_eq!(client.peer_addr().map_err(|error| error.kind()), Err(ErrorKind::NotConnected));
    assert_eq!(client.local_addr().expect("its own address stays"), address);
    for how in [Shutdown::Write, Shutdown::Read, Shutdown::Both] {
        assert_eq!(client.shutdown(how).map_err(|error| error.kind()), Err(ErrorKind::NotConnected));
    }
    // None of this took the error.
    assert_eq!(read(&mut client), RESET);
}

pub(crate) fn a_reader_that_waits_meets_the_reset<T: Threads>(world: World<T>) {
    let (mut client, server) = pair(&world);
    let reader =
        spawn(&world.client, "reader", move || [read(&mut client), read(&mut client), write(&mut client)]);
    settle(&world);
    server.abort();
    assert_eq!(join(reader), [RESET, Seen::End, BROKEN]);
}

pub(crate) fn a_writer_that_waits_meets_the_reset<T: Threads>(world: World<T>) {
    let small = SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096);
    let (mut client, server) = pair_with(&world, small);
    fill(&mut client);
    let writer = spawn(&world.client, "writer", move || {
        let error = client.write_all(&pattern(0, 100_000)).err().map(|error| error.kind());
        (error, [write(&mut client), read(&mut client)])
    });
    settle(&world);
    // With unread bytes, so this is a reset.
    drop(server);
    assert_eq!(join(writer), (Some(ErrorKind::ConnectionReset), [BROKEN, Seen::End]));
}

pub(crate) fn one_of_two_clones_meets_the_reset<T: Threads>(world: World<T>) {
    let (mut client, server) = pair(&world);
    let mut clone = client.try_clone().expect("a descriptor is free");
    server.abort();
    settle(&world);
    assert_eq!([write(&mut client), read(&mut clone)], [RESET, Seen::End]);
}

pub(crate) fn an_aborted_clone_resets_after_the_last_drop<T: Threads>(world: World<T>) {
    let (mut client, server) = pair(&world);
    let mut clone = server.try_clone().expect("a descriptor is free");
    server.abort();
    settle(&world);
    send(&mut clone, "alive");
    expect(&mut client, "alive");
    drop(clone);
    settle(&world);
    assert_eq!([read(&mut client), read(&mut client), write(&mut client)], [RESET, Seen::End, BROKEN]);
}
