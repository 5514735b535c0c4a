//! Messages and connections as streams.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use wavetank_runtime::{ListenOptions, LocalSockets as _, Runtime as _, Tokio, UnixListener as _};
use wavetank_websocket::client::{Client, WebSocket};
use wavetank_websocket::handshake::ClientRequest;
use wavetank_websocket::server::Server;
use wavetank_websocket::{BackoffPolicy, Cause, CloseCode, Error, Message};

use crate::raw_peer::{CLOSE, RawPeer, TEXT, close_frame, frame, pair, plain, read_head};

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

/// What the stream has now.
async fn poll<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *stream).poll_next(context))).await
}

fn quickly() -> BackoffPolicy {
    let millisecond = Duration::from_millis(1);
    BackoffPolicy {
        first_delay_max: millisecond,
        delay_base: millisecond,
        delay_max: 2 * millisecond,
        ..BackoffPolicy::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_stream_ends_after_a_clean_close() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let mut messages = socket.messages();
    assert!(poll(&mut messages).await.is_pending());
    peer.send(&[frame(TEXT, b"one"), frame(TEXT, b"two"), close_frame(1000)].concat()).await;
    assert_eq!(next(&mut messages).await, Some(Ok(Message::from("one"))));
    assert_eq!(next(&mut messages).await, Some(Ok(Message::from("two"))));
    peer.expect(CLOSE, &1000_u16.to_be_bytes()).await;
    drop(peer);
    assert_eq!(next(&mut messages).await, None);
    assert_eq!(next(&mut messages).await, None);
    assert!(socket.outcome().is_some_and(|closed| closed.is_clean()));
}

#[tokio::test(start_paused = true)]
async fn an_unclean_end_is_the_last_item() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let mut messages = socket.messages();
    peer.send(&frame(TEXT, b"one")).await;
    drop(peer);
    assert_eq!(next(&mut messages).await, Some(Ok(Message::from("one"))));
    let Some(Err(Error::Closed(closed))) = next(&mut messages).await else { panic!("not clean") };
    assert!(matches!(closed.cause, Cause::EndOfInput { .. }), "{closed}");
    assert_eq!(next(&mut messages).await, None);
    assert_eq!(socket.outcome(), Some(closed));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_stream_is_the_only_receiver() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let mut messages = socket.messages();
    // A stream that was never polled hinders no other.
    peer.send(&frame(TEXT, b"zero")).await;
    assert_eq!(socket.recv().await, Ok(Message::from("zero")));
    assert!(poll(&mut messages).await.is_pending());
    assert_eq!(socket.recv().await, Err(Error::ConcurrentRecv));
    // Another stream is told the same, and gets its turn later.
    let mut other = socket.messages();
    assert_eq!(next(&mut other).await, Some(Err(Error::ConcurrentRecv)));
    peer.send(&frame(TEXT, b"one")).await;
    assert_eq!(next(&mut messages).await, Some(Ok(Message::from("one"))));
    assert!(poll(&mut other).await.is_pending());
    drop(other);
    assert!(poll(&mut messages).await.is_pending());
    peer.send(&frame(TEXT, b"two")).await;
    drop(messages);
    assert_eq!(socket.recv().await, Ok(Message::from("two")));
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_messages_keeps_its_connection_open() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let mut messages = socket.messages();
    drop(socket);
    peer.send(&frame(TEXT, b"one")).await;
    assert_eq!(next(&mut messages).await, Some(Ok(Message::from("one"))));
    drop(messages);
    peer.expect(CLOSE, &1001_u16.to_be_bytes()).await;
}

#[tokio::test]
async fn the_stream_yields_connections_and_keeps_attempts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = Tokio.spawn("test", async move {
        for number in 0..3 {
            let (mut stream, _) = listener.accept().await.expect("a client");
            if number == 1 {
                read_head(&mut stream).await;
                stream
                    .write_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                    .await
                    .expect("the client reads");
            } else {
                RawPeer::open(stream, b"").await.expect(TEXT, b"hello").await;
            }
        }
    });
    let reconnect = Client::new(Tokio).config(plain()).reconnect(url.parse().expect("an address"));
    let reconnect = reconnect.backoff(quickly());
    let mut connections = reconnect
        .on_connect(|socket: WebSocket<Tokio>| async move { Ok(socket.send("hello").await?) })
        .into_stream();
    // The attempt goes on, though no task waits for it all the time.
    assert!(poll(&mut connections).await.is_pending());
    let first = next(&mut connections).await.expect("endless").expect("a connection");
    assert!(poll(&mut connections).await.is_pending(), "the first connection stands");
    assert!(!first.closed().await.is_clean());
    let failure = next(&mut connections).await.expect("endless").expect_err("is refused");
    assert!(failure.to_string().contains("404"), "{failure}");
    let _second = next(&mut connections).await.expect("endless").expect("a connection");
    server.await.expect("no panic");
}

#[tokio::test]
async fn connections_over_a_unix_socket_follow_each_other() {
    let path = std::env::temp_dir().join(format!("wavetank-reconnect-async-{}.socket", std::process::id()));
    let _old = Tokio.unlink_unix(&path);
    let listener = Tokio.listen_unix(&path, ListenOptions::new()).await.expect("a free path");
    let server = Tokio.spawn("test", async move {
        for number in 0..3_u8 {
            let stream = listener.accept().await.expect("a client");
            let socket = Server::new(Tokio).accept_over(stream).await.expect("a client");
            socket.send(&[number]).await.expect("is open");
            socket.close(CloseCode::SERVICE_RESTART, "").await;
        }
    });
    let request = ClientRequest::new("ws://local/").expect("a URL").unix_path(&path);
    let greeted = Arc::new(Mutex::new(0));
    let greet = Arc::clone(&greeted);
    let mut connections = Client::new(Tokio).reconnect_unix(request).backoff(quickly()).on_connect(
        move |_socket: WebSocket<_, _>| {
            *greet.lock().expect("no panic") += 1;
            std::future::ready(Ok(()))
        },
    );
    for number in 0..3_u8 {
        let socket = connections.next().await.expect("a connection");
        assert_eq!(socket.recv().await, Ok(Message::from(&[number][..])));
        assert_eq!(socket.closed().await.code(), 1012);
    }
    server.await.expect("no panic");
    assert_eq!(*greeted.lock().expect("no panic"), 3);
    Tokio.unlink_unix(&path).expect("the socket is there");
}

#[tokio::test(start_paused = true)]
async fn stream_halves_are_used_at_once() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let (mut sink, mut stream) = socket.messages().split();
    for text in ["one", "two"] {
        sink.send(Message::from(text)).await.expect("is open");
        peer.expect(TEXT, text.as_bytes()).await;
    }
    sink.feed(Message::from("three")).await.expect("is open");
    peer.send(&frame(TEXT, b"answer")).await;
    assert_eq!(stream.next().await, Some(Ok(Message::from("answer"))));
    sink.flush().await.expect("is open");
    peer.expect(TEXT, b"three").await;
    let closing = Tokio.spawn("closing", async move { sink.close().await });
    peer.expect(CLOSE, &1000_u16.to_be_bytes()).await;
    peer.send(&close_frame(1000)).await;
    closing.await.expect("no panic").expect("closes");
    assert_eq!(stream.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_connection_ends_at_once() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let receiver = socket.clone();
    let receiving = Tokio.spawn("receiving", async move { receiver.recv().await });
    tokio::task::yield_now().await;
    socket.abort();
    let closed = socket.outcome().expect("is over");
    assert_eq!((&closed.cause, &closed.sent), (&Cause::Aborted, &None));
    assert_eq!(receiving.await.expect("no panic"), Err(Error::Closed(closed)));
    peer.expect_end().await;
}
