//! A closed loop of short messages, which has a short way of its own: whatever comes between them is not passed over.

use std::time::Duration;

use tokio::io::DuplexStream;
use wavetank_runtime::{Runtime as _, Tokio};
use wavetank_websocket::client::WebSocket;
use wavetank_websocket::{Error, Message};

use crate::raw_peer::{BINARY, CLOSE, PING, PONG, RawPeer, TEXT, close_frame, frame, pair, plain};

type Socket = WebSocket<Tokio, DuplexStream>;

/// Has client and peer exchange messages, long enough that the short way is taken.
async fn converse(socket: &Socket, peer: &mut RawPeer<DuplexStream>) {
    for number in 0..20_u8 {
        let (client, server) = tokio::join!(
            async {
                socket.send(&[number]).await?;
                socket.recv().await
            },
            async {
                peer.expect(BINARY, &[number]).await;
                peer.send(&frame(BINARY, &[number, 1])).await;
            }
        );
        assert_eq!((client, server), (Ok(Message::binary(vec![number, 1])), ()));
    }
}

/// Receives while the peer sends `bytes` once the client waits.
async fn receive(socket: &Socket, peer: &mut RawPeer<DuplexStream>, bytes: &[u8]) -> Result<Message, Error> {
    tokio::join!(socket.recv(), peer.send(bytes)).0
}

#[tokio::test(start_paused = true)]
async fn pings_behind_a_message_are_answered_at_once() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    converse(&socket, &mut peer).await;
    let start = Tokio.now();
    for pings_first in [true, false] {
        let (ping, text) = (frame(PING, b"now"), frame(TEXT, b"hello"));
        let bytes = if pings_first { [ping, text] } else { [text, ping] }.concat();
        assert_eq!(receive(&socket, &mut peer, &bytes).await, Ok(Message::text("hello")));
        peer.expect(PONG, b"now").await;
    }
    assert_eq!(Tokio.now(), start);
}

#[tokio::test(start_paused = true)]
async fn a_close_behind_a_message_ends_all_calls() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    converse(&socket, &mut peer).await;
    let watcher = socket.clone();
    let watching = Tokio.spawn("test", async move { watcher.closed().await });
    let bytes = [frame(TEXT, b"last"), close_frame(1000)].concat();
    assert_eq!(receive(&socket, &mut peer, &bytes).await, Ok(Message::text("last")));
    peer.expect(CLOSE, &1000_u16.to_be_bytes()).await;
    drop(peer);
    let closed = watching.await.expect("no panic");
    assert!(closed.is_clean(), "{closed}");
    assert_eq!(socket.recv().await, Err(Error::Closed(closed.clone())));
    assert_eq!(socket.send("more").await, Err(Error::Closed(closed)));
}

#[tokio::test(start_paused = true)]
async fn the_streams_end_reaches_receivers_and_senders() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    converse(&socket, &mut peer).await;
    let receiver = socket.clone();
    let receiving = Tokio.spawn("test", async move { receiver.recv().await });
    tokio::task::yield_now().await;
    drop(peer);
    let Err(Error::Closed(closed)) = receiving.await.expect("no panic") else { panic!("no end") };
    assert!(!closed.is_clean(), "{closed}");
    assert_eq!(socket.send("more").await, Err(Error::Closed(closed)));
}

#[tokio::test(start_paused = true)]
async fn a_violation_is_answered_with_its_reason() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    converse(&socket, &mut peer).await;
    // A masked frame, behind a message.
    let bytes = [frame(TEXT, b"last"), vec![0x81, 0x80, 0, 0, 0, 0]].concat();
    assert_eq!(receive(&socket, &mut peer, &bytes).await, Ok(Message::text("last")));
    let (end, close) = tokio::join!(socket.recv(), async {
        let close = peer.frame().await.expect("a Close frame");
        drop(peer);
        close
    });
    assert_eq!((close.opcode, &close.payload[..2]), (CLOSE, &1002_u16.to_be_bytes()[..]));
    assert!(matches!(end, Err(Error::Closed(closed)) if !closed.is_clean()));
}

#[tokio::test(start_paused = true)]
async fn messages_are_received_one_by_one() {
    let (socket, mut peer) = pair(plain(), 1 << 16).await;
    converse(&socket, &mut peer).await;
    let long = "x".repeat(5000);
    let bytes = [frame(TEXT, b"one"), frame(TEXT, long.as_bytes()), frame(TEXT, b"three")].concat();
    let sending = Tokio.spawn("test", async move {
        for part in bytes.chunks(700) {
            peer.send(part).await;
            Tokio.sleep(Duration::from_millis(1)).await;
        }
        peer
    });
    for expected in ["one", &long, "three"] {
        assert_eq!(socket.recv().await, Ok(Message::text(expected)));
    }
    let mut peer = sending.await.expect("no panic");
    converse(&socket, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_pong_beside_a_message_reaches_its_ping() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    converse(&socket, &mut peer).await;
    let pinger = socket.clone();
    let pinging = Tokio.spawn("test", async move { pinger.ping().await });
    let ping = peer.frame().await.expect("a ping");
    assert_eq!(ping.opcode, PING);
    let bytes = [frame(PONG, &ping.payload), frame(TEXT, b"hello")].concat();
    assert_eq!(receive(&socket, &mut peer, &bytes).await, Ok(Message::text("hello")));
    assert!(pinging.await.expect("no panic").is_ok());
}

#[tokio::test(start_paused = true)]
async fn automatic_pings_stay_due_during_a_conversation() {
    let mut config = plain();
    config.keepalive().interval(Some(Duration::from_millis(7)));
    config.keepalive().timeout(Some(Duration::from_secs(10)));
    let (socket, mut peer) = pair(config, 1024).await;
    let mut last = None;
    for _ in 0..5 {
        let ping = peer.frame().await.expect("a ping");
        let now = Tokio.now();
        if let Some(last) = last {
            // Timers of Tokio are up to a millisecond late.
            assert!((Duration::from_millis(7)..=Duration::from_millis(9)).contains(&(now - last)));
        }
        last = Some(now);
        let bytes = [frame(PONG, &ping.payload), frame(TEXT, b"hello")].concat();
        assert_eq!(receive(&socket, &mut peer, &bytes).await, Ok(Message::text("hello")));
    }
}

#[tokio::test(start_paused = true)]
async fn receiving_writes_what_a_full_stream_left() {
    let (socket, mut peer) = pair(plain(), 256).await;
    converse(&socket, &mut peer).await;
    socket.send(&vec![7; 5000]).await.expect("there is room in the write buffer");
    let (received, ()) = tokio::join!(socket.recv(), async {
        peer.expect(BINARY, &vec![7; 5000]).await;
        peer.send(&frame(TEXT, b"all of it")).await;
    });
    assert_eq!(received, Ok(Message::text("all of it")));
    converse(&socket, &mut peer).await;
}
