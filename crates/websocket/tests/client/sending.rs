//! Sending: whole messages or nothing, one after another.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use wavetank_runtime::{Runtime as _, TaskHandle as _, Tokio};
use wavetank_websocket::{Cause, CloseCode, Error, Kind, Message};

use crate::raw_peer::{BINARY, CLOSE, Frame, TEXT, close_frame, frame, pair, plain};

#[tokio::test(start_paused = true)]
async fn sending_writes_at_once_without_another_task() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    socket.send("hello").await.expect("is open");
    socket.send(b"bytes").await.expect("is open");
    // Nothing else has run meanwhile: the bytes are in the pipe.
    peer.expect(TEXT, b"hello").await;
    peer.expect(BINARY, b"bytes").await;
}

#[tokio::test(start_paused = true)]
async fn fed_messages_wait_for_a_flush_or_send() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    socket.feed("one").await.expect("is open");
    socket.feed("two").await.expect("is open");
    // No other task has run meanwhile.
    let early = pin!(peer.frame()).poll(&mut Context::from_waker(Waker::noop()));
    assert!(early.is_pending(), "what is fed is not written: {early:?}");
    socket.flush();
    peer.expect(TEXT, b"one").await;
    peer.expect(TEXT, b"two").await;
    socket.flush();
    socket.feed("three").await.expect("is open");
    socket.send("four").await.expect("is open");
    peer.expect(TEXT, b"three").await;
    peer.expect(TEXT, b"four").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_fed_goes_out_with_other_calls() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    socket.feed("question").await.expect("is open");
    let receiver = socket.clone();
    let receiving = Tokio.spawn("test", async move { receiver.recv().await });
    peer.expect(TEXT, b"question").await;
    peer.send(&frame(TEXT, b"answer")).await;
    assert_eq!(receiving.await.expect("no panic"), Ok(Message::text("answer")));
    socket.feed("last").await.expect("is open");
    let closing = Tokio.spawn("test", async move { socket.close(CloseCode::NORMAL, "").await });
    peer.expect(TEXT, b"last").await;
    peer.expect(CLOSE, &1000_u16.to_be_bytes()).await;
    drop(peer);
    closing.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn feeding_beyond_the_write_buffer_waits_in_order() {
    let mut config = plain();
    config.limits().write_buffer(1024);
    let (socket, mut peer) = pair(config, 256).await;
    let feeder = socket.clone();
    let feeding = Tokio.spawn("test", async move {
        for number in 0..1000_u32 {
            feeder.feed(&number.to_be_bytes()).await.expect("is open");
        }
        feeder.flush();
    });
    Tokio.sleep(Duration::from_secs(1)).await;
    assert!(!feeding.is_finished(), "there is no room for 10 KB");
    for number in 0..1000_u32 {
        peer.expect(BINARY, &number.to_be_bytes()).await;
    }
    feeding.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_blocked_sender_has_sent_nothing() {
    let mut config = plain();
    config.limits().write_buffer(1024);
    let (socket, mut peer) = pair(config, 256).await;
    socket.send(&vec![1; 5000]).await.expect("is open");
    let waits = |text: &'static str| {
        let socket = socket.clone();
        Tokio.spawn("test", async move { socket.send(text).await })
    };
    let (cancelled, kept, last) = (waits("cancelled"), waits("kept"), waits("last"));
    Tokio.sleep(Duration::from_secs(1)).await;
    assert!(!cancelled.is_finished() && !kept.is_finished());
    cancelled.abort();
    assert!(cancelled.await.is_err());
    peer.expect(BINARY, &vec![1; 5000]).await;
    peer.expect(TEXT, b"kept").await;
    peer.expect(TEXT, b"last").await;
    assert_eq!((kept.await.expect("no panic"), last.await.expect("no panic")), (Ok(()), Ok(())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_senders_send_whole_messages_in_order() {
    let mut config = plain();
    config.limits().write_buffer(4096);
    let (socket, mut peer) = pair(config, 512).await;
    let senders: Vec<_> = (0..8_u8)
        .map(|sender| {
            let socket = socket.clone();
            Tokio.spawn("test", async move {
                for count in 0..200_u8 {
                    socket.send(&vec![sender, count]).await.expect("is open");
                    socket.send(&vec![sender; 300 + usize::from(count)]).await.expect("is open");
                }
            })
        })
        .collect();
    let mut seen = [0_u8; 8];
    let mut long = [0_usize; 8];
    for _ in 0..8 * 400 {
        let Frame { fin, opcode, payload } = peer.frame().await.expect("a frame");
        assert_eq!((fin, opcode), (true, BINARY));
        let sender = usize::from(payload[0]);
        if payload.len() == 2 {
            assert_eq!(payload[1], seen[sender]);
            seen[sender] += 1;
        } else {
            assert_eq!(payload, vec![payload[0]; 300 + long[sender]]);
            long[sender] += 1;
        }
    }
    for sender in senders {
        sender.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn other_senders_wait_for_a_message_in_pieces() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let mut writer = socket.send_stream(Kind::Text).await.expect("is open");
    writer.write(b"one ").await.expect("is open");
    let other = socket.clone();
    let waiting = Tokio.spawn("test", async move { other.send("other").await });
    Tokio.sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    writer.finish(b"two").await.expect("is open");
    waiting.await.expect("no panic").expect("is open");
    let frames = [peer.frame().await, peer.frame().await].map(|frame| frame.expect("a frame"));
    assert_eq!(frames[0], Frame { fin: false, opcode: TEXT, payload: b"one ".to_vec() });
    assert_eq!(frames[1], Frame { fin: true, opcode: 0, payload: b"two".to_vec() });
    peer.expect(TEXT, b"other").await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_dropped_before_writing_leaves_no_trace() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    drop(socket.send_stream(Kind::Binary).await.expect("is open"));
    socket.send("next").await.expect("is open");
    peer.expect(TEXT, b"next").await;
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_message_closes_the_connection() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let mut writer = socket.send_stream(Kind::Binary).await.expect("is open");
    writer.write(b"half").await.expect("is open");
    drop(writer);
    assert_eq!(peer.frame().await, Some(Frame { fin: false, opcode: BINARY, payload: b"half".to_vec() }));
    let close = peer.frame().await.expect("a Close frame");
    assert_eq!((close.opcode, &close.payload[..2]), (CLOSE, &1011_u16.to_be_bytes()[..]));
    peer.send(&close_frame(1011)).await;
    drop(peer);
    let closed = socket.closed().await;
    assert_eq!(closed.cause, Cause::Local);
    assert_eq!(closed.sent.and_then(|frame| frame.code), Some(CloseCode::INTERNAL_ERROR));
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_a_blocked_send() {
    let mut config = plain();
    config.limits().write_buffer(1024);
    let (socket, mut peer) = pair(config, 256).await;
    socket.send(&vec![1; 5000]).await.expect("is open");
    let sender = socket.clone();
    let blocked = Tokio.spawn("test", async move { sender.send("blocked").await });
    Tokio.sleep(Duration::from_secs(1)).await;
    peer.send(&close_frame(1000)).await;
    Tokio.sleep(Duration::from_secs(1)).await;
    peer.expect(BINARY, &vec![1; 5000]).await;
    peer.expect(CLOSE, &1000_u16.to_be_bytes()).await;
    drop(peer);
    let closed = socket.closed().await;
    assert!(closed.is_clean(), "{closed}");
    assert_eq!(blocked.await.expect("no panic"), Err(Error::Closed(closed)));
}
