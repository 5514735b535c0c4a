//! Unix sockets of tasks: paths, orderly and disorderly ends, backpressure.
//!
//! The differences from TCP are the point: a peer that has closed breaks the pipe at once, and a pending reset is
//! left to the reader.

use std::io::{ErrorKind, IoSlice};
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wavetank_runtime::{ListenOptions, LocalSockets, Runtime, SocketOptions, UnixListener, UnixStream};

use super::super::extensions::Place;
use super::super::world::{
    BROKEN, RESET, SETTLE, STUCK, Seen, assert_bounded_locally, assert_pattern, pattern,
};
use super::{expect, read, send, write};

async fn listen<R: LocalSockets>(place: &Place<R>, options: ListenOptions) -> R::UnixListener {
    place.host.listen_unix(&place.path("socket"), options).await.expect("a free path")
}

async fn connect<R: LocalSockets>(place: &Place<R>) -> R::UnixStream {
    try_connect(place).await.expect("a listener accepts")
}

async fn try_connect<R: LocalSockets>(place: &Place<R>) -> Result<R::UnixStream, ErrorKind> {
    let connected = place.host.connect_unix(&place.path("socket"), SocketOptions::new()).await;
    connected.map_err(|error| error.kind())
}

async fn accept<L: UnixListener>(listener: &L) -> L::Stream {
    listener.accept().await.expect("a connection waits or will come")
}

/// Both ends of a connection: the client's, the server's.
async fn pair<R: LocalSockets>(place: &Place<R>) -> (R::UnixStream, R::UnixStream) {
    pair_with(place, SocketOptions::new()).await
}

async fn pair_with<R: LocalSockets>(
    place: &Place<R>,
    options: SocketOptions,
) -> (R::UnixStream, R::UnixStream) {
    let listener = listen(place, ListenOptions::new().accepted(options)).await;
    let client = place.host.connect_unix(&place.path("socket"), options).await.expect("a listener accepts");
    (client, accept(&listener).await)
}

async fn pause<R: LocalSockets>(place: &Place<R>) {
    place.host.sleep(SETTLE).await;
}

/// Writes [`pattern`] until the writer is stuck, and returns the number of bytes that were taken.
async fn fill<R: Runtime>(runtime: &R, stream: &mut (impl AsyncWrite + Unpin)) -> usize {
    let mut accepted = 0;
    loop {
        let chunk = pattern(accepted, 1000);
        tokio::select! {
            biased;
            written = stream.write(&chunk) => accepted += written.expect("a live stream"),
            () = runtime.sleep(STUCK) => return accepted,
        }
    }
}

pub(crate) async fn a_missing_path_is_not_found<R: LocalSockets>(place: Place<R>) {
    assert_eq!(try_connect(&place).await.err(), Some(ErrorKind::NotFound));
    let unlinked = place.host.unlink_unix(&place.path("socket"));
    assert_eq!(unlinked.map_err(|error| error.kind()), Err(ErrorKind::NotFound));
}

pub(crate) async fn a_listening_path_is_in_use<R: LocalSockets>(place: Place<R>) {
    let _listener = listen(&place, ListenOptions::new()).await;
    let again = place.host.listen_unix(&place.path("socket"), ListenOptions::new()).await;
    assert_eq!(again.err().map(|error| error.kind()), Some(ErrorKind::AddrInUse));
    place.host.listen_unix(&place.path("another"), ListenOptions::new()).await.expect("a free path");
}

pub(crate) async fn a_path_stays_until_it_is_unlinked<R: LocalSockets>(place: Place<R>) {
    let path = place.path("socket");
    drop(listen(&place, ListenOptions::new()).await);
    assert_eq!(try_connect(&place).await.err(), Some(ErrorKind::ConnectionRefused));
    let again = place.host.listen_unix(&path, ListenOptions::new()).await;
    assert_eq!(again.err().map(|error| error.kind()), Some(ErrorKind::AddrInUse));
    place.host.unlink_unix(&path).expect("it is still there");
    assert_eq!(try_connect(&place).await.err(), Some(ErrorKind::NotFound));
    let listener = listen(&place, ListenOptions::new()).await;
    let _client = connect(&place).await;
    accept(&listener).await;
}

pub(crate) async fn unlinking_a_path_leaves_the_connections_that_wait<R: LocalSockets>(place: Place<R>) {
    let old = listen(&place, ListenOptions::new()).await;
    let mut old_client = connect(&place).await;
    place.host.unlink_unix(&place.path("socket")).expect("it is there");
    let new = listen(&place, ListenOptions::new()).await;
    let mut new_client = connect(&place).await;
    send(&mut old_client, "old").await;
    send(&mut new_client, "new").await;
    expect(&mut accept(&new).await, "new").await;
    expect(&mut accept(&old).await, "old").await;
}

pub(crate) async fn impossible_paths_are_invalid<R: LocalSockets>(place: Place<R>) {
    let long = "x".repeat(108);
    for path in ["", "\0abstract", &long] {
        let path = Path::new(path);
        let connected = place.host.connect_unix(path, SocketOptions::new()).await.err();
        assert_eq!(connected.map(|error| error.kind()), Some(ErrorKind::InvalidInput));
        let listened = place.host.listen_unix(path, ListenOptions::new()).await.err();
        assert_eq!(listened.map(|error| error.kind()), Some(ErrorKind::InvalidInput));
    }
}

pub(crate) async fn messages_travel_both_ways_until_half_close<R: LocalSockets>(place: Place<R>) {
    let (mut client, mut server) = pair(&place).await;
    send(&mut client, "question").await;
    expect(&mut server, "question").await;
    client.shutdown().await.expect("a live stream");
    assert_eq!([read(&mut server).await, read(&mut server).await], [Seen::End; 2]);
    assert_eq!(write(&mut client).await, BROKEN);
    send(&mut server, "answer").await;
    drop(server);
    expect(&mut client, "answer").await;
    assert_eq!([read(&mut client).await, read(&mut client).await], [Seen::End; 2]);
}

pub(crate) async fn a_client_may_write_and_close_before_acceptance<R: LocalSockets>(place: Place<R>) {
    let listener = listen(&place, ListenOptions::new()).await;
    let mut client = connect(&place).await;
    send(&mut client, "early").await;
    drop(client);
    let mut later = connect(&place).await;
    send(&mut later, "later").await;
    let mut server = accept(&listener).await;
    expect(&mut server, "early").await;
    assert_eq!([read(&mut server).await, write(&mut server).await], [Seen::End, BROKEN]);
    expect(&mut accept(&listener).await, "later").await;
}

pub(crate) async fn a_full_backlog_would_block<R: LocalSockets>(place: Place<R>) {
    let listener = listen(&place, ListenOptions::new().backlog(1)).await;
    let _first = connect(&place).await;
    let _second = connect(&place).await;
    assert_eq!(try_connect(&place).await.err(), Some(ErrorKind::WouldBlock));
    accept(&listener).await;
    let _third = connect(&place).await;
}

pub(crate) async fn closing_a_listener_resets_connections_not_accepted<R: LocalSockets>(place: Place<R>) {
    let listener = listen(&place, ListenOptions::new()).await;
    let mut accepted = connect(&place).await;
    let mut server = accept(&listener).await;
    let mut silent = connect(&place).await;
    let mut eager = connect(&place).await;
    send(&mut eager, "early").await;
    drop(listener);
    for client in [&mut silent, &mut eager] {
        assert_eq!([write(client).await, read(client).await, read(client).await], [BROKEN, RESET, Seen::End]);
    }
    send(&mut server, "alive").await;
    expect(&mut accepted, "alive").await;
}

pub(crate) async fn writing_to_a_closed_peer_fails_at_once<R: LocalSockets>(place: Place<R>) {
    let (mut client, server) = pair(&place).await;
    drop(server);
    let seen = [write(&mut client).await, read(&mut client).await, write(&mut client).await];
    assert_eq!(seen, [BROKEN, Seen::End, BROKEN]);
}

pub(crate) async fn closing_with_unread_bytes_resets_the_peer<R: LocalSockets>(place: Place<R>) {
    let (mut client, mut server) = pair(&place).await;
    send(&mut client, "unread").await;
    send(&mut server, "hello").await;
    drop(server);
    expect(&mut client, "hello").await;
    let seen = [read(&mut client).await, read(&mut client).await, write(&mut client).await];
    assert_eq!(seen, [RESET, Seen::End, BROKEN]);
}

pub(crate) async fn a_writer_leaves_the_reset_to_the_reader<R: LocalSockets>(place: Place<R>) {
    let (mut client, server) = pair(&place).await;
    send(&mut client, "unread").await;
    drop(server);
    let seen = [write(&mut client).await, write(&mut client).await, read(&mut client).await];
    assert_eq!(seen, [BROKEN, BROKEN, RESET]);
    assert_eq!(read(&mut client).await, Seen::End);
}

pub(crate) async fn a_reader_that_waits_meets_the_reset<R: LocalSockets>(place: Place<R>) {
    let (mut client, server) = pair(&place).await;
    send(&mut client, "unread").await;
    let reader =
        place.host.spawn("reader", async move { [read(&mut client).await, read(&mut client).await] });
    pause(&place).await;
    drop(server);
    assert_eq!(reader.await, Ok([RESET, Seen::End]));
}

pub(crate) async fn a_writer_that_waits_meets_the_broken_pipe<R: LocalSockets>(place: Place<R>) {
    let small = SocketOptions::new().send_buffer_bytes(4096);
    let (mut client, server) = pair_with(&place, small).await;
    fill(&place.host, &mut client).await;
    let writer = place.host.spawn("writer", async move {
        let error = client.write_all(&pattern(0, 100_000)).await.err().map(|error| error.kind());
        (error, [read(&mut client).await, read(&mut client).await])
    });
    pause(&place).await;
    drop(server);
    // A task never waits inside the system, so it finds what a call that comes later finds.
    assert_eq!(writer.await, Ok((Some(ErrorKind::BrokenPipe), [RESET, Seen::End])));
}

pub(crate) async fn shutting_down_is_always_fine<R: LocalSockets>(place: Place<R>) {
    let (mut client, server) = pair(&place).await;
    for _ in 0..2 {
        client.shutdown().await.expect("a live stream");
    }
    drop(server);
    client.shutdown().await.expect("closing what is closed is fine");
}

pub(crate) async fn dropping_the_writing_half_half_closes<R: LocalSockets>(place: Place<R>) {
    let (client, mut server) = pair(&place).await;
    let (mut reader, mut writer) = client.into_split();
    send(&mut writer, "bye").await;
    drop(writer);
    expect(&mut server, "bye").await;
    assert_eq!(read(&mut server).await, Seen::End);
    send(&mut server, "an answer").await;
    expect(&mut reader, "an answer").await;
}

pub(crate) async fn dropping_the_reading_half_does_nothing<R: LocalSockets>(place: Place<R>) {
    let (client, mut server) = pair(&place).await;
    let (reader, mut writer) = client.into_split();
    drop(reader);
    assert_eq!([write(&mut server).await, write(&mut writer).await], [Seen::Written; 2]);
    assert_eq!(read(&mut server).await, Seen::Byte(b'w'));
    drop(writer);
    assert_eq!([read(&mut server).await, write(&mut server).await], [RESET, BROKEN]);
}

pub(crate) async fn the_send_buffer_bounds_a_writer<R: LocalSockets>(place: Place<R>) {
    const TOTAL: usize = 300_000;
    for buffer_bytes in [4 * 1024, 64 * 1024] {
        let options = SocketOptions::new().send_buffer_bytes(buffer_bytes);
        let (mut client, mut server) = pair_with(&place, options).await;
        let accepted = fill(&place.host, &mut client).await;
        assert_bounded_locally(accepted, buffer_bytes);
        let rest = pattern(accepted, TOTAL - accepted);
        let writer = place.host.spawn("writer", async move { client.write_all(&rest).await.is_ok() });
        let mut received = Vec::new();
        server.read_to_end(&mut received).await.expect("a live stream");
        assert_eq!(writer.await, Ok(true));
        assert_pattern(&received, TOTAL);
        place.host.unlink_unix(&place.path("socket")).expect("it is there");
    }
}

pub(crate) async fn an_abandoned_read_loses_nothing<R: LocalSockets>(place: Place<R>) {
    let (mut client, mut server) = pair(&place).await;
    tokio::select! {
        biased;
        seen = read(&mut client) => panic!("nothing was sent, and yet {seen:?}"),
        () = place.host.sleep(SETTLE) => {}
    }
    send(&mut server, "!").await;
    assert_eq!(read(&mut client).await, Seen::Byte(b'!'));
}

/// Writes messages of `bytes` until the writer is stuck, and returns their number.
async fn count_messages<R: Runtime>(
    runtime: &R,
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: usize,
) -> usize {
    let message = vec![0; bytes];
    let mut count = 0;
    loop {
        tokio::select! {
            biased;
            written = stream.write(&message) => assert_eq!(written.expect("a live stream"), bytes),
            () = runtime.sleep(STUCK) => return count,
        }
        count += 1;
    }
}

pub(crate) async fn small_messages_fill_buffers_by_number<R: LocalSockets>(place: Place<R>) {
    let expected = [(None, 1, 278), (None, 500, 167), (Some(64 * 1024), 1, 171), (Some(4096), 1, 11)];
    for (send_buffer_bytes, bytes, messages) in expected {
        let mut options = SocketOptions::new();
        options.send_buffer_bytes = send_buffer_bytes;
        let (mut client, _server) = pair_with(&place, options).await;
        let counted = count_messages(&place.host, &mut client, bytes).await;
        assert_eq!(counted, messages, "{bytes} B with a send buffer of {send_buffer_bytes:?}");
        place.host.unlink_unix(&place.path("socket")).expect("it is there");
    }
}

pub(crate) async fn vectored_writes_are_taken_whole<R: LocalSockets>(place: Place<R>) {
    let (mut client, mut server) = pair(&place).await;
    assert!(client.is_write_vectored());
    let slices = [IoSlice::new(b"head"), IoSlice::new(b" and body")];
    assert_eq!(client.write_vectored(&slices).await.expect("a live stream"), 13);
    expect(&mut server, "head and body").await;
}

pub(crate) async fn a_missing_directory_is_not_found<R: LocalSockets>(place: Place<R>) {
    let path = place.path("missing").join("socket");
    let listened = place.host.listen_unix(&path, ListenOptions::new()).await;
    assert_eq!(listened.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    let connected = place.host.connect_unix(&path, SocketOptions::new()).await;
    assert_eq!(connected.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    let _listener = listen(&place, ListenOptions::new()).await;
    let below = place.path("socket").join("below");
    let listened = place.host.listen_unix(&below, ListenOptions::new()).await;
    assert_eq!(listened.err().map(|error| error.kind()), Some(ErrorKind::NotADirectory));
}
