//! Backpressure and timeouts.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::time::Duration;

use wavetank_runtime::{BlockingStream, SocketOptions, Threads};

use super::super::world::{EAGAIN, SETTLE, Seen, assert_bounded, assert_pattern, assert_waited, pattern};
use super::{World, expect, fill, join, pair, pair_with, read, send, settle, spawn};

pub(crate) fn buffers_of_4_kib_bound_a_writer<T: Threads>(world: World<T>) {
    a_writer_is_bounded(&world, 4 * 1024, 100_000);
}

pub(crate) fn buffers_of_64_kib_bound_a_writer<T: Threads>(world: World<T>) {
    a_writer_is_bounded(&world, 64 * 1024, 1_000_000);
}

fn a_writer_is_bounded<T: Threads>(world: &World<T>, buffer_bytes: u32, total: usize) {
    let options = SocketOptions::new().send_buffer_bytes(buffer_bytes).receive_buffer_bytes(buffer_bytes);
    let (mut client, mut server) = pair_with(world, options);
    let accepted = fill(&mut client);
    assert_bounded(accepted, buffer_bytes);

    let rest = pattern(accepted, total - accepted);
    let writer = spawn(&world.client, "writer", move || client.write_all(&rest).is_ok());
    let (mut received, mut sip) = (Vec::new(), [0; 700]);
    loop {
        let count = server.read(&mut sip).expect("a live stream");
        if count == 0 {
            break;
        }
        received.extend_from_slice(&sip[..count]);
    }
    assert!(join(writer));
    assert_pattern(&received, total);
}

pub(crate) fn a_read_timeout_leaves_the_stream_usable<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    client.set_read_timeout(Some(SETTLE)).expect("a live stream");
    let began = world.client.now();
    assert_eq!(read(&mut client), Seen::Failed(ErrorKind::WouldBlock));
    assert_waited(world.client.now() - began, SETTLE);
    send(&mut server, "late");
    client.set_read_timeout(None).expect("a live stream");
    expect(&mut client, "late");
    send(&mut client, "thanks");
    expect(&mut server, "thanks");
}

pub(crate) fn a_write_timeout_leaves_the_stream_usable<T: Threads>(world: World<T>) {
    let small = SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096);
    let (mut client, mut server) = pair_with(&world, small);
    // Ends with a timeout.
    let accepted = fill(&mut client);
    let mut received = vec![0; accepted];
    server.read_exact(&mut received).expect("a live stream");
    assert_pattern(&received, accepted);
    send(&mut client, "more");
    expect(&mut server, "more");
}

pub(crate) fn a_timeout_is_shared_by_all_clones<T: Threads>(world: World<T>) {
    let (mut client, _server) = pair(&world);
    let mut clone = client.try_clone().expect("a descriptor is free");
    clone.set_read_timeout(Some(SETTLE)).expect("a live stream");
    let would_block = Seen::Failed(ErrorKind::WouldBlock);
    assert_eq!([read(&mut client), read(&mut clone)], [would_block; 2]);
}

pub(crate) fn a_timeout_of_zero_is_invalid<T: Threads>(world: World<T>) {
    let (client, _server) = pair(&world);
    for result in
        [client.set_read_timeout(Some(Duration::ZERO)), client.set_write_timeout(Some(Duration::ZERO))]
    {
        assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));
    }
}

pub(crate) fn a_timeout_does_not_hide_the_end<T: Threads>(world: World<T>) {
    let (mut client, server) = pair(&world);
    client.set_read_timeout(Some(100 * SETTLE)).expect("a live stream");
    drop(server);
    assert_eq!(read(&mut client), Seen::End);
}

pub(crate) fn timeouts_report_eagain<T: Threads>(world: World<T>) {
    let small = SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096);
    let (mut client, _server) = pair_with(&world, small);
    fill(&mut client);
    client.set_write_timeout(Some(SETTLE)).expect("a live stream");
    client.set_read_timeout(Some(SETTLE)).expect("a live stream");
    let written = client.write(b"x").expect_err("there is no room");
    assert_eq!(written.raw_os_error(), Some(EAGAIN));
    let read = client.read(&mut [0]).expect_err("nothing was sent");
    assert_eq!(read.raw_os_error(), Some(EAGAIN));
}

pub(crate) fn an_empty_read_times_out_with_nothing<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    client.set_read_timeout(Some(SETTLE)).expect("a live stream");
    let began = world.client.now();
    assert_eq!(client.read(&mut []).expect("a live stream"), 0);
    assert_waited(world.client.now() - began, SETTLE);
    send(&mut server, "!");
    settle(&world);
    assert_eq!(client.read(&mut []).expect("a live stream"), 0);
    expect(&mut client, "!");
}

pub(crate) fn vectored_writes_are_taken_whole<T: Threads>(world: World<T>) {
    let (mut client, mut server) = pair(&world);
    let slices = [IoSlice::new(b"head"), IoSlice::new(b""), IoSlice::new(b" and body")];
    assert_eq!(client.write_vectored(&slices).expect("a live stream"), 13);
    expect(&mut server, "head and body");
}
