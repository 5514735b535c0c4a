//! Orderly ends: half-close, the end of a stream, clones that are dropped.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use wavetank_runtime::{BlockingStream, Threads};

use super::super::world::{BROKEN, Seen, assert_pattern, pattern};
use super::{World, expect, join, pair, read, send, settle, spawn, write};

/// Too long for one segment, and for the smaller buffers.
const LONG: usize = 100_000;

pub(crate) fn messages_travel_both_ways<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    let echo = spawn(&world.server, "echo", move || {
        let mut buffer = [0; 16];
        loop {
            let count = server.read(&mut buffer).expect("a live stream");
            if count == 0 {
                return;
            }
            server.write_all(&buffer[..count]).expect("a live stream");
        }
    });
    for message in ["hello", "a message that is longer than the buffer of the echo", "x"] {
        send(&mut client, message);
        expect(&mut client, message);
    }
    client.shutdown(Shutdown::Write).expect("a live stream");
    assert_eq!(read(&mut client), Seen::End);
    join(echo);
}

pub(crate) fn an_answer_arrives_whole_after_half_close<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    send(&mut client, "question");
    client.shutdown(Shutdown::Write).expect("a live stream");
    let answering = spawn(&world.server, "server", move || {
        let mut question = String::new();
        server.read_to_string(&mut question).expect("a question");
        assert_eq!(question, "question");
        server.write_all(&pattern(0, LONG)).expect("the client still reads");
    });
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("an orderly end");
    assert_pattern(&answer, LONG);
    join(answering);
}

pub(crate) fn a_client_may_send_after_the_servers_fin<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    server.shutdown(Shutdown::Write).expect("a live stream");
    assert_eq!(read(&mut client), Seen::End);
    let sending = spawn(&world.client, "client", move || {
        client.write_all(&pattern(0, LONG)).expect("the server still reads");
    });
    let mut message = Vec::new();
    server.read_to_end(&mut message).expect("an orderly end");
    assert_pattern(&message, LONG);
    join(sending);
}

pub(crate) fn the_end_is_read_again_and_again<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    send(&mut server, "bye");
    server.shutdown(Shutdown::Write).expect("a live stream");
    expect(&mut client, "bye");
    assert_eq!([read(&mut client), read(&mut client), read(&mut client)], [Seen::End; 3]);
}

pub(crate) fn an_end_within_a_message_is_unexpected<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    send(&mut server, "half");
    drop(server);
    let error = client.read_exact(&mut [0; 8]).err();
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::UnexpectedEof));
}

pub(crate) fn writing_after_half_close_is_a_broken_pipe<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    client.shutdown(Shutdown::Write).expect("a live stream");
    assert_eq!([write(&mut client), write(&mut client)], [BROKEN; 2]);
    client.shutdown(Shutdown::Write).expect("closing what is closed is fine while the peer has not");
    send(&mut server, "still here");
    expect(&mut client, "still here");
}

pub(crate) fn a_connection_ends_after_two_half_closes<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    let address = client.local_addr().expect("a live stream");
    client.shutdown(Shutdown::Write).expect("a live stream");
    settle(&world);
    assert_eq!(server.peer_addr().expect("half of it lives"), address);
    server.shutdown(Shutdown::Write).expect("a live stream");
    settle(&world);
    for stream in [&mut client, &mut server] {
        assert_eq!(stream.peer_addr().map_err(|error| error.kind()), Err(ErrorKind::NotConnected));
        assert_eq!([read(stream), write(stream), read(stream)], [Seen::End, BROKEN, Seen::End]);
        for how in [Shutdown::Write, Shutdown::Read, Shutdown::Both] {
            assert_eq!(stream.shutdown(how).map_err(|error| error.kind()), Err(ErrorKind::NotConnected));
        }
    }
    assert_eq!(client.local_addr().expect("its own address stays"), address);
}

pub(crate) fn dropping_the_last_clone_closes<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    let clone = client.try_clone().expect("a descriptor is free");
    assert_eq!(clone.local_addr().ok(), client.local_addr().ok());
    drop(clone);
    send(&mut client, "alive");
    expect(&mut server, "alive");
    let mut clone = client.try_clone().expect("a descriptor is free");
    drop(client);
    send(&mut clone, "bye");
    drop(clone);
    expect(&mut server, "bye");
    assert_eq!(read(&mut server), Seen::End);
}
