//! What one connection does in one turn of its task is bounded, whatever its peer sends: messages that are sent and
//! taken, and bytes that are inflated and deflated.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use tokio::io::DuplexStream;
use wavetank_runtime::{Runtime as _, Tokio};
use wavetank_websocket::client::WebSocket;
use wavetank_websocket::deflate::Parameters;
use wavetank_websocket::handshake::Upgraded;
use wavetank_websocket::protocol::Role;

use crate::raw_peer::plain;

type Socket = WebSocket<Tokio, DuplexStream>;

/// One end of a connection with compression, whose queue holds so many bytes.
fn end(role: Role, stream: DuplexStream, queue_bytes: usize) -> Socket {
    let mut config = plain();
    config.limits().receive_queue_bytes(queue_bytes);
    WebSocket::from_upgraded(
        Tokio,
        stream,
        Upgraded::new(role).config(config).compression(Parameters::default()),
    )
}

/// Sends messages into a pipe that holds them all. Returns the sender and the other end of the pipe, from which nothing
/// was read.
async fn sent(count: usize, length: usize) -> (Socket, DuplexStream) {
    let (near, far) = tokio::io::duplex(16 << 20);
    let sender = end(Role::Client, near, 1 << 20);
    let zeros = vec![0; length];
    for _ in 0..count {
        sender.send(&zeros).await.expect("is open");
    }
    (sender, far)
}

/// Waits for the next turn of its task. `yield_now` would wait until tokio has looked for I/O, many turns later.
async fn next_turn() {
    let mut is_next = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_next, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Counts the turns of a task that always wants the next one, as long as the count is held.
fn count_turns() -> Arc<AtomicU64> {
    let turns = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&turns);
    drop(Tokio.spawn("neighbour", async move {
        while Arc::strong_count(&counted) > 1 {
            counted.fetch_add(1, Ordering::Relaxed);
            next_turn().await;
        }
    }));
    turns
}

/// Measures the most that a task does between two turns of another one.
struct Stretch {
    turns: Arc<AtomicU64>,
    last: u64,
    length: usize,
    longest: usize,
}

impl Stretch {
    async fn begin() -> Self {
        let turns = count_turns();
        next_turn().await;
        Self { last: turns.load(Ordering::Relaxed), turns, length: 0, longest: 0 }
    }

    /// Notes that the task has done this much.
    fn note(&mut self, amount: usize) {
        let turns = self.turns.load(Ordering::Relaxed);
        self.length = if turns == self.last { self.length + amount } else { 0 };
        self.last = turns;
        self.longest = self.longest.max(self.length);
    }
}

#[tokio::test]
async fn inflating_lets_other_tasks_run() {
    for (count, length) in [(3, 8 << 20), (20, 1 << 20), (300, 60 << 10), (600, 20 << 10), (4000, 3000)] {
        let (_sender, far) = sent(count, length).await;
        let mut stretch = Stretch::begin().await;
        let receiver = end(Role::Server, far, 1 << 20);
        for _ in 0..count {
            assert_eq!(receiver.recv().await.expect("is open").as_bytes().len(), length);
            stretch.note(length);
        }
        let bytes = stretch.longest;
        assert!(bytes <= 2 << 20, "{bytes} bytes of {count} messages of {length} bytes while a task waits");
    }
}

/// How many messages a task sends or takes in one turn at most: what tokio allows a task.
const TURN: usize = 128;

#[tokio::test]
async fn taking_short_messages_lets_other_tasks_run() {
    for (role, queued) in
        [Role::Client, Role::Server].into_iter().flat_map(|role| [(role, false), (role, true)])
    {
        let (near, far) = tokio::io::duplex(1 << 20);
        let other = if role == Role::Client { Role::Server } else { Role::Client };
        let (sender, receiver) = (end(other, near, 1 << 20), end(role, far, 1 << 20));
        for _ in 0..1000 {
            sender.feed(b"x").await.expect("is open");
        }
        sender.flush();
        if queued {
            // Whatever answers it has read all messages before.
            sender.ping().await.expect("the ping is answered");
        }
        let mut stretch = Stretch::begin().await;
        for _ in 0..1000 {
            receiver.recv().await.expect("is open");
            stretch.note(1);
        }
        let taken = stretch.longest;
        assert!(taken <= TURN, "{role:?} takes {taken} messages while a task waits, queued: {queued}");
    }
}

#[tokio::test]
async fn sending_short_messages_lets_other_tasks_run() {
    for role in [Role::Client, Role::Server] {
        for fed in [false, true] {
            let (near, _far) = tokio::io::duplex(1 << 20);
            let sender = end(role, near, 1 << 20);
            let mut stretch = Stretch::begin().await;
            for _ in 0..1000 {
                let sent = if fed { sender.feed(b"x").await } else { sender.send(b"x").await };
                sent.expect("is open");
                stretch.note(1);
            }
            let sent = stretch.longest;
            assert!(sent <= TURN, "{role:?} sends {sent} messages while a task waits, fed: {fed}");
        }
    }
}

#[tokio::test]
async fn pings_between_bombs_are_answered_beside_other_tasks() {
    let (sender, far) = sent(3, 8 << 20).await;
    let turns = count_turns();
    next_turn().await;
    let before = turns.load(Ordering::Relaxed);
    // No call of `recv` reads: the task that drives the connection does it all, into a queue that has room.
    let receiver = end(Role::Server, far, 64 << 20);
    sender.ping().await.expect("the ping is answered");
    let turns = turns.load(Ordering::Relaxed) - before;
    assert!(turns >= 24 << 3, "{turns} turns while 24 MiB were inflated");
    drop(receiver);
}

#[tokio::test]
async fn deflating_short_messages_lets_other_tasks_run() {
    let (near, far) = tokio::io::duplex(16 << 20);
    let (sender, _receiver) = (end(Role::Client, near, 1 << 20), end(Role::Server, far, 64 << 20));
    for length in [4000, 30_000] {
        let message: Vec<u8> = (0..length).map(|index: usize| ((index * index) >> 7) as u8).collect();
        let turns = count_turns();
        next_turn().await;
        let (before, count) = (turns.load(Ordering::Relaxed), (1 << 20) / length);
        for _ in 0..count {
            sender.send(&message).await.expect("is open");
        }
        let turns = turns.load(Ordering::Relaxed) - before;
        assert!(turns >= 5, "{turns} turns while 1 MiB was deflated in messages of {length} bytes");
    }
}
