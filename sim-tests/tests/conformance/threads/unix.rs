//! Unix sockets of threads: what only blocking calls can do, and the rest in short.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use wavetank_runtime::{
    BlockingLocalSockets, BlockingUnixListener, BlockingUnixStream, ListenOptions, SocketOptions,
    ThreadHandle,
};

use super::super::extensions::Place;
use super::super::world::{
    BROKEN, EAGAIN, RESET, SETTLE, STUCK, Seen, assert_bounded_locally, assert_pattern, assert_waited,
    pattern,
};
use super::{expect, join, read, send, spawn, write};

fn listen<T: BlockingLocalSockets>(place: &Place<T>, options: ListenOptions) -> T::UnixListener {
    place.host.listen_unix(&place.path("socket"), options).expect("a free path")
}

fn connect<T: BlockingLocalSockets>(place: &Place<T>) -> T::UnixStream {
    try_connect(place, None).expect("a listener accepts")
}

fn try_connect<T: BlockingLocalSockets>(
    place: &Place<T>,
    timeout: Option<Duration>,
) -> Result<T::UnixStream, ErrorKind> {
    let connected = place.host.connect_unix(&place.path("socket"), SocketOptions::new(), timeout);
    connected.map_err(|error| error.kind())
}

fn accept<L: BlockingUnixListener>(listener: &L) -> L::Stream {
    listener.accept().expect("a connection waits or will come")
}

/// Both ends of a connection: the client's, the server's.
fn pair<T: BlockingLocalSockets>(place: &Place<T>) -> (T::UnixStream, T::UnixStream) {
    pair_with(place, SocketOptions::new())
}

fn pair_with<T: BlockingLocalSockets>(
    place: &Place<T>,
    options: SocketOptions,
) -> (T::UnixStream, T::UnixStream) {
    let listener = listen(place, ListenOptions::new().accepted(options));
    let client = place.host.connect_unix(&place.path("socket"), options, None).expect("a listener accepts");
    (client, accept(&listener))
}

fn pause<T: BlockingLocalSockets>(place: &Place<T>) {
    place.host.sleep(SETTLE);
}

/// Writes [`pattern`] until the writer is stuck, and returns the number of bytes that were taken. The stream is left
/// without a write timeout.
fn fill<S: BlockingUnixStream>(stream: &mut S) -> usize {
    stream.set_write_timeout(Some(STUCK)).expect("a live stream");
    let mut accepted = 0;
    loop {
        match stream.write(&pattern(accepted, 1000)) {
            Ok(count) => accepted += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                stream.set_write_timeout(None).expect("a live stream");
                return accepted;
            }
        }
    }
}

/// A client that is stuck writing, and its server.
fn stuck<T: BlockingLocalSockets>(place: &Place<T>) -> (T::UnixStream, T::UnixStream) {
    let (mut client, server) = pair_with(place, SocketOptions::new().send_buffer_bytes(4096));
    fill(&mut client);
    (client, server)
}

pub(crate) fn messages_travel_both_ways_until_half_close<T: BlockingLocalSockets>(place: Place<T>) {
    let (mut client, mut server) = pair(&place);
    send(&mut client, "question");
    expect(&mut server, "question");
    client.shutdown(Shutdown::Write).expect("a live stream");
    assert_eq!([read(&mut server), read(&mut server)], [Seen::End; 2]);
    assert_eq!(write(&mut client), BROKEN);
    send(&mut server, "answer");
    drop(server);
    expect(&mut client, "answer");
    assert_eq!([read(&mut client), write(&mut client)], [Seen::End, BROKEN]);
    for how in [Shutdown::Write, Shutdown::Read, Shutdown::Both] {
        client.shutdown(how).expect("always fine");
    }
}

pub(crate) fn a_path_stays_until_it_is_unlinked<T: BlockingLocalSockets>(place: Place<T>) {
    let path = place.path("socket");
    assert_eq!(try_connect(&place, None).err(), Some(ErrorKind::NotFound));
    drop(listen(&place, ListenOptions::new()));
    assert_eq!(try_connect(&place, None).err(), Some(ErrorKind::ConnectionRefused));
    let again = place.host.listen_unix(&path, ListenOptions::new()).err();
    assert_eq!(again.map(|error| error.kind()), Some(ErrorKind::AddrInUse));
    place.host.unlink_unix(&path).expect("it is still there");
    let _listener = listen(&place, ListenOptions::new());
    connect(&place);
}

pub(crate) fn a_full_backlog_blocks_until_there_is_room<T: BlockingLocalSockets>(place: Place<T>) {
    let listener = listen(&place, ListenOptions::new().backlog(1));
    let _first = connect(&place);
    let _second = connect(&place);
    let late = place.clone();
    let third = spawn(&place.host, "third", move || connect(&late));
    pause(&place);
    assert!(!third.is_finished(), "there is no room");
    accept(&listener);
    let mut third = join(third);
    send(&mut third, "third");
    accept(&listener);
    expect(&mut accept(&listener), "third");
}

pub(crate) fn closing_the_listener_refuses_a_waiting_client<T: BlockingLocalSockets>(place: Place<T>) {
    let listener = listen(&place, ListenOptions::new().backlog(0));
    let _first = connect(&place);
    let late = place.clone();
    let second = spawn(&place.host, "second", move || try_connect(&late, None).err());
    pause(&place);
    assert!(!second.is_finished(), "there is no room");
    drop(listener);
    assert_eq!(join(second), Some(ErrorKind::ConnectionRefused));
}

pub(crate) fn a_connect_without_room_for_it_times_out<T: BlockingLocalSockets>(place: Place<T>) {
    let _listener = listen(&place, ListenOptions::new().backlog(0));
    let _first = connect(&place);
    let began = place.host.now();
    assert_eq!(try_connect(&place, Some(SETTLE)).err(), Some(ErrorKind::TimedOut));
    assert_waited(place.host.now() - began, SETTLE);
}

pub(crate) fn a_timeout_of_zero_is_invalid<T: BlockingLocalSockets>(place: Place<T>) {
    let (client, _server) = pair(&place);
    let zero = Some(Duration::ZERO);
    for result in [client.set_read_timeout(zero), client.set_write_timeout(zero)] {
        assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));
    }
    assert_eq!(try_connect(&place, zero).err(), Some(ErrorKind::InvalidInput));
}

pub(crate) fn shutting_down_reading_breaks_the_peers_pipe<T: BlockingLocalSockets>(place: Place<T>) {
    let (mut client, mut server) = pair(&place);
    client.shutdown(Shutdown::Read).expect("a live stream");
    assert_eq!([write(&mut server), read(&mut client)], [BROKEN, Seen::End]);
    send(&mut client, "still here");
    expect(&mut server, "still here");
}

pub(crate) fn shutting_down_reading_wakes_the_peers_writers<T: BlockingLocalSockets>(place: Place<T>) {
    let (mut client, mut server) = stuck(&place);
    let clone = server.try_clone().expect("a descriptor is free");
    let writer = spawn(&place.host, "writer", move || write(&mut client));
    let mut reader_end = clone.try_clone().expect("a descriptor is free");
    let mut rest = Vec::new();
    pause(&place);
    assert!(!writer.is_finished(), "there is no reader");
    clone.shutdown(Shutdown::Read).expect("a live stream");
    assert_eq!(join(writer), BROKEN);
    reader_end.read_to_end(&mut rest).expect("what was written before is there");
    assert_pattern(&rest, rest.len());

    place.host.unlink_unix(&place.path("socket")).expect("it is there");
    let (_client, mut waiting) = pair(&place);
    let clone = waiting.try_clone().expect("a descriptor is free");
    let reader = spawn(&place.host, "reader", move || read(&mut waiting));
    pause(&place);
    assert!(!reader.is_finished(), "nothing was sent");
    clone.shutdown(Shutdown::Read).expect("a live stream");
    assert_eq!(join(reader), Seen::End);
    assert_eq!(read(&mut server), Seen::End);
}

pub(crate) fn bytes_are_readable_although_reading_was_shut_down<T: BlockingLocalSockets>(place: Place<T>) {
    let (mut client, mut server) = pair(&place);
    send(&mut server, "before");
    client.shutdown(Shutdown::Read).expect("a live stream");
    expect(&mut client, "before");
    assert_eq!(read(&mut client), Seen::End);
}

pub(crate) fn closing_with_unread_bytes_resets_the_peer<T: BlockingLocalSockets>(place: Place<T>) {
    let (mut client, mut server) = pair(&place);
    send(&mut client, "unread");
    send(&mut server, "hello");
    drop(server);
    expect(&mut client, "hello");
    assert_eq!([write(&mut client), read(&mut client), read(&mut client)], [BROKEN, RESET, Seen::End]);
}

pub(crate) fn a_writer_that_waits_meets_the_reset<T: BlockingLocalSockets>(place: Place<T>) {
    let (mut client, server) = stuck(&place);
    let writer =
        spawn(&place.host, "writer", move || [write(&mut client), write(&mut client), read(&mut client)]);
    pause(&place);
    assert!(!writer.is_finished(), "there is no reader");
    // With unread bytes, so this is a reset.
    drop(server);
    assert_eq!(join(writer), [RESET, BROKEN, Seen::End]);
}

pub(crate) fn an_orderly_close_breaks_a_waiting_writers_pipe<T: BlockingLocalSockets>(place: Place<T>) {
    let (mut client, _server) = stuck(&place);
    let clone = client.try_clone().expect("a descriptor is free");
    let writer = spawn(&place.host, "writer", move || write(&mut client));
    pause(&place);
    assert!(!writer.is_finished(), "there is no reader");
    clone.shutdown(Shutdown::Write).expect("a live stream");
    assert_eq!(join(writer), BROKEN);
}

pub(crate) fn a_partial_write_comes_before_the_broken_pipe<T: BlockingLocalSockets>(place: Place<T>) {
    let (mut client, server) = pair_with(&place, SocketOptions::new().send_buffer_bytes(4096));
    let writer = spawn(&place.host, "writer", move || {
        let count = client.write(&pattern(0, 100_000)).expect("some of it is taken");
        (count, [write(&mut client), read(&mut client)])
    });
    pause(&place);
    assert!(!writer.is_finished(), "there is no reader");
    drop(server);
    let (count, then) = join(writer);
    assert!((1..100_000).contains(&count), "{count}");
    // The reset was for the write, which had better news.
    assert_eq!(then, [BROKEN, Seen::End]);
}

pub(crate) fn dropping_the_last_clone_closes<T: BlockingLocalSockets>(place: Place<T>) {
    let (client, mut server) = pair(&place);
    let mut clone = client.try_clone().expect("a descriptor is free");
    drop(client);
    send(&mut clone, "alive");
    expect(&mut server, "alive");
    drop(clone);
    assert_eq!([read(&mut server), write(&mut server)], [Seen::End, BROKEN]);
}

pub(crate) fn the_send_buffer_bounds_a_writer<T: BlockingLocalSockets>(place: Place<T>) {
    const TOTAL: usize = 100_000;
    let options = SocketOptions::new().send_buffer_bytes(4096);
    let (mut client, mut server) = pair_with(&place, options);
    let accepted = fill(&mut client);
    assert_bounded_locally(accepted, 4096);
    let rest = pattern(accepted, TOTAL - accepted);
    let writer = spawn(&place.host, "writer", move || client.write_all(&rest).is_ok());
    let mut received = Vec::new();
    server.read_to_end(&mut received).expect("a live stream");
    assert!(join(writer));
    assert_pattern(&received, TOTAL);
}

pub(crate) fn timeouts_leave_the_stream_usable<T: BlockingLocalSockets>(place: Place<T>) {
    // Filling ends with a write timeout.
    let (mut client, mut server) = stuck(&place);
    client.set_read_timeout(Some(SETTLE)).expect("a live stream");
    let began = place.host.now();
    assert_eq!(read(&mut client), Seen::Failed(ErrorKind::WouldBlock));
    assert_waited(place.host.now() - began, SETTLE);
    send(&mut server, "late");
    expect(&mut client, "late");
    let mut received = vec![0; 2000];
    server.read_exact(&mut received).expect("a live stream");
    assert_pattern(&received, 2000);
    send(&mut client, "more");
}

/// Writes messages of `bytes` until the writer is stuck, and returns their number. The write timeout stays.
fn count_messages<S: BlockingUnixStream>(stream: &mut S, bytes: usize) -> usize {
    stream.set_write_timeout(Some(STUCK)).expect("a live stream");
    let message = vec![0; bytes];
    let mut count = 0;
    loop {
        match stream.write(&message) {
            Ok(written) => assert_eq!(written, bytes),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(EAGAIN));
                return count;
            }
        }
        count += 1;
    }
}

pub(crate) fn a_message_counts_until_it_is_read<T: BlockingLocalSockets>(place: Place<T>) {
    let (mut client, mut server) = pair_with(&place, SocketOptions::new().send_buffer_bytes(4096));
    assert_eq!(count_messages(&mut client, 1000), 4);
    let mut received = [0; 1000];
    server.read_exact(&mut received[..999]).expect("a live stream");
    let full = client.write(b"x").expect_err("the message is not read whole");
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    server.read_exact(&mut received[999..]).expect("a live stream");
    assert_eq!(client.write(b"x").expect("a live stream"), 1);
}

pub(crate) fn an_empty_read_times_out<T: BlockingLocalSockets>(place: Place<T>) {
    let (mut client, _server) = pair(&place);
    client.set_read_timeout(Some(SETTLE)).expect("a live stream");
    let error = client.read(&mut []).expect_err("nothing was sent");
    assert_eq!(error.raw_os_error(), Some(EAGAIN));
}

pub(crate) fn a_missing_directory_is_not_found<T: BlockingLocalSockets>(place: Place<T>) {
    let path = place.path("missing").join("socket");
    let listened = place.host.listen_unix(&path, ListenOptions::new());
    assert_eq!(listened.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    let connected = place.host.connect_unix(&path, SocketOptions::new(), None);
    assert_eq!(connected.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
}
