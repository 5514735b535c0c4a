//! How connections end.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use wavetank_runtime::{Runtime as _, Tokio};
use wavetank_websocket::client::{Client, ConnectionState};
use wavetank_websocket::{Cause, CloseCode, CloseFrame, Error, Fault};

use crate::raw_peer::{CLOSE, PING, RawPeer, TEXT, close_frame, frame, pair, plain};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_close_timeout_gives_all_callers_one_outcome() {
    let mut config = plain();
    config.close_timeout(3 * SECOND);
    let (socket, _peer) = pair(config, 1024).await;
    let start = Tokio.now();
    let (received, first, second, sent, pinged) = tokio::join!(
        socket.recv(),
        socket.close(CloseCode::NORMAL, "enough"),
        socket.close(CloseCode::GOING_AWAY, "me too"),
        socket.send("too late"),
        socket.ping(),
    );
    let took = Tokio.now() - start;
    assert!(took >= 3 * SECOND && took < 4 * SECOND, "{took:?}");
    assert!(matches!(first.cause, Cause::CloseTimeout { .. }), "{first}");
    assert_eq!(first.sent.as_ref().and_then(|frame| frame.code), Some(CloseCode::NORMAL));
    let error = Error::Closed(first.clone());
    assert_eq!(
        (received.err(), second, sent, pinged),
        (Some(error.clone()), first.clone(), Err(error.clone()), Err(error))
    );
    assert_eq!(socket.state(), ConnectionState::Closed);
    assert_eq!(socket.closed().await, first);
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_is_answered_without_a_call() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    peer.send(&close_frame(4321)).await;
    peer.expect(CLOSE, &4321_u16.to_be_bytes()).await;
    // RFC 6455, section 7.1.1: the server ends TCP first.
    peer.stream.shutdown().await.expect("an open pipe");
    peer.expect_end().await;
    let closed = socket.closed().await;
    assert!(closed.is_clean(), "{closed}");
    assert_eq!((closed.code(), closed.cause.clone()), (4321, Cause::Peer));
    assert_eq!(socket.send("late").await, Err(Error::Closed(closed)));
}

#[tokio::test(start_paused = true)]
async fn messages_in_flight_are_received_after_our_close() {
    let (socket, mut peer) = pair(plain(), 1 << 20).await;
    for count in 0..5000_u32 {
        peer.send(&frame(TEXT, count.to_string().as_bytes())).await;
    }
    let (closed, ()) = tokio::join!(socket.close(CloseCode::NORMAL, ""), async {
        peer.expect(CLOSE, &1000_u16.to_be_bytes()).await;
        peer.send(&close_frame(1000)).await;
        peer.stream.shutdown().await.expect("an open pipe");
    });
    assert!(closed.is_clean(), "{closed}");
    for count in 0..5000_u32 {
        let message = socket.recv().await.expect("was received before the end");
        assert_eq!(message.as_text(), Some(count.to_string().as_str()));
    }
    assert_eq!(socket.recv().await, Err(Error::Closed(closed)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_delays_no_close() {
    let mut config = plain();
    config.close_timeout(2 * SECOND);
    let (socket, _peer) = pair(config, 1024).await;
    socket.send(&vec![7; 100_000]).await.expect("the buffer takes a whole message");
    let sender = socket.clone();
    let blocked = Tokio.spawn("test", async move { sender.send("waits").await });
    let start = Tokio.now();
    let closed = socket.close(CloseCode::NORMAL, "").await;
    assert!(Tokio.now() - start < 3 * SECOND);
    assert_eq!(closed.sent, None, "the Close frame never reached the wire");
    assert_eq!(blocked.await.expect("no panic"), Err(Error::Closed(closed)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_delays_no_keepalive() {
    let mut config = plain();
    config.keepalive().interval(Some(SECOND));
    config.keepalive().timeout(Some(SECOND));
    config.close_timeout(SECOND);
    let (socket, _peer) = pair(config, 1024).await;
    socket.send(&vec![7; 100_000]).await.expect("the buffer takes a whole message");
    let start = Tokio.now();
    let closed = socket.closed().await;
    assert!(Tokio.now() - start < 4 * SECOND);
    assert!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "{closed}");
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_close_frame_is_unclean() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    peer.send(&frame(TEXT, b"last words")).await;
    drop(peer);
    assert_eq!(socket.recv().await.expect("was received").as_text(), Some("last words"));
    let Err(Error::Closed(closed)) = socket.recv().await else { panic!("the connection is over") };
    assert!(!closed.is_clean());
    assert_eq!(closed.code(), 1006);
    assert_eq!(closed.cause, Cause::EndOfInput { inside_message: false });
}

#[tokio::test(start_paused = true)]
async fn dropping_every_handle_closes_the_stream() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let other = socket.clone();
    drop(socket);
    other.send("still here").await.expect("a handle is left");
    peer.expect(TEXT, b"still here").await;
    drop(other);
    peer.expect(CLOSE, &1001_u16.to_be_bytes()).await;
    peer.send(&frame(TEXT, b"not heard")).await;
    peer.send(&close_frame(1001)).await;
    peer.stream.shutdown().await.expect("an open pipe");
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn dropped_handles_wait_at_most_the_close_timeout() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let start = Tokio.now();
    drop(socket);
    peer.expect(CLOSE, &1001_u16.to_be_bytes()).await;
    peer.expect_end().await;
    assert!(Tokio.now() - start <= 11 * SECOND);
}

#[test]
fn a_runtime_that_goes_away_ends_its_connections() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (socket, peer) = runtime.block_on(pair(plain(), 1024));
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let closed = other.block_on(socket.closed());
    assert_eq!((&closed.cause, closed.fault()), (&Cause::Dropped, Some(Fault::Caller)), "{closed}");
    assert_eq!(other.block_on(socket.send("late")), Err(Error::Closed(closed)));
    drop(peer);
}

#[tokio::test]
async fn a_reset_is_reported_after_received_messages() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = Tokio.spawn("test", async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut peer = RawPeer::open(stream, b"").await;
        peer.send(&frame(TEXT, b"before")).await;
        peer.expect(TEXT, b"go").await;
        peer.stream.set_zero_linger().expect("an open socket");
    });
    let client = Client::new(Tokio).config(plain());
    let socket = client.connect(url.parse().expect("an address")).await.expect("a connection");
    assert_eq!(socket.recv().await.expect("a message").as_text(), Some("before"));
    socket.send("go").await.expect("is open");
    server.await.expect("no panic");
    let Err(Error::Closed(closed)) = socket.recv().await else { panic!("the connection is over") };
    let Cause::Io { kind, .. } = &closed.cause else { panic!("{closed}") };
    assert_eq!(*kind, std::io::ErrorKind::ConnectionReset);
    assert_eq!(socket.closed().await, closed);
}

#[tokio::test(start_paused = true)]
async fn keepalive_finds_a_lost_peer_for_all_callers() {
    let (socket, mut peer) = pair(
        {
            let mut config = plain();
            config.keepalive().interval(Some(20 * SECOND));
            config.keepalive().timeout(Some(20 * SECOND));
            config
        },
        1024,
    )
    .await;
    let start = Tokio.now();
    let ping = peer.frame().await.expect("an automatic ping");
    assert_eq!(ping.opcode, PING);
    assert!(Tokio.now() - start >= 20 * SECOND);
    let received = socket.recv().await;
    let Err(Error::Closed(closed)) = received else { panic!("{received:?}") };
    assert!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "{closed}");
}

#[tokio::test(start_paused = true)]
async fn a_message_before_a_violation_can_be_answered() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    // A text, and behind it a frame whose reserved bits mean nothing.
    peer.send(&[frame(TEXT, b"hello"), vec![0xf1, 0], frame(TEXT, b"not heard")].concat()).await;
    let message = socket.recv().await.expect("was received before the violation");
    socket.send(&message).await.expect("is open still");
    let closed = Tokio.spawn("test", async move { socket.recv().await });
    peer.expect(TEXT, b"hello").await;
    let start = Tokio.now();
    let close = peer.frame().await.expect("a Close frame");
    assert_eq!((close.opcode, &close.payload[..2]), (CLOSE, &1002_u16.to_be_bytes()[..]));
    assert!(Tokio.now() - start <= SECOND);
    drop(peer);
    let Err(Error::Closed(closed)) = closed.await.expect("no panic") else {
        panic!("the connection is over")
    };
    assert!(matches!(closed.cause, Cause::Violation { .. }), "{closed}");
}

#[tokio::test(start_paused = true)]
async fn a_close_may_have_no_code() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let (closed, ()) = tokio::join!(socket.close(None, "not sent without a code"), async {
        peer.expect(CLOSE, b"").await;
        peer.send(&frame(CLOSE, b"")).await;
    });
    assert!(closed.is_clean(), "{closed}");
    let empty = Some(CloseFrame { code: None, reason: String::new() });
    assert_eq!((&closed.sent, &closed.received), (&empty, &empty));
}
