//! Receiving, and what arrives while nothing is received.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_poll::poll_once;
use tokio::io::DuplexStream;
use wavetank_runtime::{Runtime as _, TaskHandle as _, Tokio};
use wavetank_websocket::client::WebSocket;
use wavetank_websocket::{CloseCode, Error, Kind, Message};

use crate::raw_peer::{BINARY, PING, PONG, RawPeer, TEXT, frame, pair, plain};

/// Polls a future one time.
mod futures_poll {
    use std::future::{Future, poll_fn};
    use std::pin::Pin;
    use std::task::Poll;

    pub(super) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}

/// A task that is only woken.
#[derive(Default)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Task {
    fn was_woken(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Polls a future as this task.
    fn poll<F: Future>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }
}

/// Receives a message, and lets the driver see it. For a while the driver leaves the stream to receivers, and the
/// stream wakes them.
async fn receive_first(socket: &WebSocket<Tokio, DuplexStream>, peer: &mut RawPeer<DuplexStream>) {
    peer.send(&frame(TEXT, b"first")).await;
    assert_eq!(socket.recv().await.expect("a message").as_text(), Some("first"));
    Tokio.sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_without_any_call() {
    let (_socket, mut peer) = pair(plain(), 1024).await;
    peer.send(&frame(PING, b"there?")).await;
    let start = Tokio.now();
    peer.expect(PONG, b"there?").await;
    assert_eq!(Tokio.now(), start);
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_though_a_receiver_stays_away() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let mut receiving = pin!(socket.recv());
    assert!(poll_once(receiving.as_mut()).await.is_none());
    let start = Tokio.now();
    for round in 0..3 {
        peer.send(&frame(PING, &[round])).await;
        peer.expect(PONG, &[round]).await;
    }
    assert!(Tokio.now() - start <= Duration::from_millis(30));
    peer.send(&frame(TEXT, b"hello")).await;
    assert_eq!(receiving.await.expect("a message").as_text(), Some("hello"));
}

#[tokio::test(start_paused = true)]
async fn a_ping_behind_a_message_is_answered_soon() {
    let (socket, mut peer) = pair(plain(), 1 << 16).await;
    let receiving = Tokio.spawn("test", async move {
        let message = socket.recv().await;
        (socket, message)
    });
    tokio::task::yield_now().await;
    peer.send(&frame(TEXT, b"hello")).await;
    let (_socket, message) = receiving.await.expect("no panic");
    assert_eq!(message.expect("a message").as_text(), Some("hello"));
    peer.send(&frame(PING, b"?")).await;
    peer.expect(PONG, b"?").await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_dropped_at_any_byte_loses_nothing() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let bytes = [frame(TEXT, b"first"), frame(PING, b"between"), frame(BINARY, b"second")].concat();
    let mut messages = Vec::new();
    for byte in bytes {
        if let Some(message) = poll_once(pin!(socket.recv())).await {
            messages.push(message.expect("is open"));
        }
        peer.send(&[byte]).await;
    }
    while messages.len() < 2 {
        messages.push(socket.recv().await.expect("is open"));
    }
    assert_eq!(messages, [Message::text("first"), Message::binary(&b"second"[..])]);
    peer.expect(PONG, b"between").await;
}

#[tokio::test(start_paused = true)]
async fn a_second_receiver_leaves_the_first_alone() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let mut first = pin!(socket.recv());
    assert!(poll_once(first.as_mut()).await.is_none());
    assert_eq!(socket.recv().await, Err(Error::ConcurrentRecv));
    assert_eq!(socket.recv_fragment().await, Err(Error::ConcurrentRecv));
    peer.send(&frame(TEXT, b"for the first")).await;
    assert_eq!(first.await.expect("a message").as_text(), Some("for the first"));
    peer.send(&frame(TEXT, b"for the next")).await;
    assert_eq!(socket.recv().await.expect("a message").as_text(), Some("for the next"));
}

#[tokio::test(start_paused = true)]
async fn only_the_last_poller_of_a_receiver_wakes() {
    for waited in [0, 3, 7, 12, 30].map(Duration::from_millis) {
        let (socket, mut peer) = pair(plain(), 1024).await;
        receive_first(&socket, &mut peer).await;
        let tasks = [Arc::<Task>::default(), Arc::default()];
        let mut receiving = pin!(socket.recv());
        for task in &tasks {
            assert!(task.poll(receiving.as_mut()).is_pending());
        }
        Tokio.sleep(waited).await;
        peer.send(&frame(TEXT, b"second")).await;
        Tokio.sleep(Duration::from_millis(30)).await;
        assert!(tasks[1].was_woken(), "after {waited:?}");
        let message = poll_once(receiving).await.expect("is there").expect("is open");
        assert_eq!(message.as_text(), Some("second"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_between_driver_polls_sees_the_end() {
    let config = plain().close_timeout(Duration::from_millis(2)).clone();
    let (socket, mut peer) = pair(config, 1024).await;
    receive_first(&socket, &mut peer).await;
    let task = Arc::<Task>::default();
    let mut receiving = pin!(socket.recv());
    assert!(task.poll(receiving.as_mut()).is_pending());
    let closed = socket.close(CloseCode::NORMAL, "").await;
    assert!(task.was_woken(), "the peer has not answered in time");
    assert_eq!(poll_once(receiving).await, Some(Err(Error::Closed(closed))));
}

#[tokio::test(start_paused = true)]
async fn a_receive_keeps_no_waker_of_its_task() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    receive_first(&socket, &mut peer).await;
    let task = Arc::<Task>::default();
    {
        let mut receiving = pin!(socket.recv());
        assert!(task.poll(receiving.as_mut()).is_pending());
        peer.send(&frame(TEXT, b"second")).await;
        assert!(task.poll(receiving.as_mut()).is_ready());
    }
    Tokio.sleep(Duration::from_millis(30)).await;
    assert_eq!(Arc::strong_count(&task), 1);
}

#[tokio::test(start_paused = true)]
async fn fragments_are_received_before_their_message_is_complete() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    peer.send(&[0x01, 3, b'o', b'n', b'e']).await;
    let first = socket.recv_fragment().await.expect("a fragment");
    assert_eq!(
        (first.kind, &first.data[..], first.first, first.last),
        (Kind::Text, &b"one"[..], true, false)
    );
    peer.send(&[0x80, 3, b't', b'w', b'o']).await;
    let last = socket.recv_fragment().await.expect("a fragment");
    assert_eq!((last.kind, &last.data[..], last.first, last.last), (Kind::Text, &b"two"[..], false, true));
    peer.send(&frame(TEXT, b"whole")).await;
    assert_eq!(socket.recv().await.expect("a message").as_text(), Some("whole"));
}

#[tokio::test(start_paused = true)]
async fn taking_messages_resumes_a_slowed_peer() {
    let mut config = plain();
    config.limits().receive_queue_messages(4);
    config.limits().read_buffer(64);
    let (socket, mut peer) = pair(config, 256).await;
    let sending = Tokio.spawn("test", async move {
        for count in 0..1000_u32 {
            peer.send(&frame(BINARY, &count.to_be_bytes())).await;
        }
        peer.send(&frame(PING, b"end")).await;
        peer.expect(PONG, b"end").await;
    });
    Tokio.sleep(Duration::from_secs(1)).await;
    assert!(!sending.is_finished());
    for count in 0..1000_u32 {
        assert_eq!(socket.recv().await, Ok(Message::binary(count.to_be_bytes().to_vec())));
    }
    sending.await.expect("the ping behind the messages was answered without a call");
}

#[tokio::test(start_paused = true)]
async fn a_ping_resolves_with_its_round_trip_time() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let (latency, ()) = tokio::join!(socket.ping(), async {
        let ping = peer.frame().await.expect("a ping");
        assert_eq!(ping.opcode, PING);
        Tokio.sleep(Duration::from_millis(30)).await;
        peer.send(&frame(PONG, &ping.payload)).await;
    });
    let latency = latency.expect("a pong");
    assert!(latency >= Duration::from_millis(30) && latency < Duration::from_millis(40), "{latency:?}");
    assert_eq!(socket.statistics().latency, Some(latency));
}

#[tokio::test(start_paused = true)]
async fn a_ping_may_carry_its_own_payload() {
    let (socket, mut peer) = pair(plain(), 1024).await;
    let (latency, ()) = tokio::join!(socket.ping_with(b"are you there?"), async {
        peer.expect(PING, b"are you there?").await;
        Tokio.sleep(Duration::from_millis(30)).await;
        peer.send(&frame(PONG, b"are you there?")).await;
    });
    assert!(latency.expect("a pong") >= Duration::from_millis(30));
    assert_eq!(socket.ping_with(&[0; 126]).await, Err(Error::ControlTooLong { bytes: 126 }));
}

#[tokio::test(start_paused = true)]
async fn frames_beyond_a_full_queue_are_processed() {
    let mut config = plain();
    config.limits().receive_queue_messages(1);
    let (socket, mut peer) = pair(config, 1024).await;
    let pinger = socket.clone();
    let pinging = Tokio.spawn("test", async move { pinger.ping().await });
    let ours = peer.frame().await.expect("a ping").payload;
    let frames =
        [(TEXT, &b"1"[..]), (TEXT, b"2"), (PING, b"behind 2"), (TEXT, b"3"), (PONG, &ours), (TEXT, b"4")];
    let bytes: Vec<u8> = frames.iter().flat_map(|(opcode, payload)| frame(*opcode, payload)).collect();
    peer.send(&bytes).await;
    // Whether the driver has read them, or the receiver does: nothing but the calls of `recv` makes room.
    assert_eq!(socket.recv().await, Ok(Message::text("1")));
    peer.expect(PONG, b"behind 2").await;
    // The task that waits for the pong waits again after what was read has woken it.
    Tokio.sleep(Duration::from_millis(1)).await;
    assert_eq!(socket.recv().await, Ok(Message::text("2")));
    pinging.await.expect("no panic").expect("the pong was read long ago");
    for text in ["3", "4"] {
        assert_eq!(socket.recv().await, Ok(Message::text(text)));
    }
    peer.send(&frame(TEXT, b"5")).await;
    assert_eq!(socket.recv().await, Ok(Message::text("5")), "reading goes on");
}

#[tokio::test(start_paused = true)]
async fn draining_a_full_queue_answers_pings() {
    const MESSAGES: u32 = 5000;
    let (socket, mut peer) = pair(plain(), 1 << 20).await;
    // The short way as well: while the driver leaves the stream to receivers.
    receive_first(&socket, &mut peer).await;
    let mut bytes: Vec<u8> = (0..MESSAGES).flat_map(|number| frame(BINARY, &number.to_be_bytes())).collect();
    bytes.extend(frame(PING, b"?"));
    peer.send(&bytes).await;
    for number in 0..MESSAGES {
        let message = socket.recv().await.expect("is open");
        assert_eq!(message.as_bytes(), number.to_be_bytes());
    }
    peer.expect(PONG, b"?").await;
}

#[tokio::test(start_paused = true)]
async fn the_latest_pong_answers_all_earlier_pings() {
    const PINGS: usize = 1500;
    let (socket, mut peer) = pair(plain(), 1 << 20).await;
    let pinging: Vec<_> = (0..PINGS)
        .map(|_| {
            let pinger = socket.clone();
            Tokio.spawn("test", async move { pinger.ping().await })
        })
        .collect();
    let mut latest = Vec::new();
    for _ in 0..PINGS {
        latest = peer.frame().await.expect("a ping").payload;
    }
    peer.send(&frame(PONG, &latest)).await;
    for pinging in pinging {
        pinging.await.expect("no panic").expect("this or a later ping was answered");
    }
}
