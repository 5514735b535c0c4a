//! kanal 0.1.1: a `send` that is polled with a new waker still wakes the old one.
//!
//! No runtime: the future is polled by hand, first with one waker, then with another. Fails if the bug does not show.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts its wake-ups.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Task {
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn main() {
    let (sender, receiver) = kanal::bounded_async(1);
    assert_eq!(sender.try_send("first"), Ok(true), "the channel has room for one");

    let (before, now) = (Arc::new(Task::default()), Arc::new(Task::default()));
    let mut send = pin!(sender.send("second"));
    let poll = send.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&before))));
    assert!(poll.is_pending(), "the channel is full");
    // As after a move into another task, or into `FuturesUnordered`: from now on, only this waker counts.
    let poll = send.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&now))));
    assert!(poll.is_pending(), "the channel is still full");

    assert_eq!(receiver.try_recv(), Ok(Some("first")));
    assert_eq!((before.woken(), now.woken()), (1, 0), "not reproduced: the last waker is woken");
    let poll = send.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(poll, Poll::Ready(Ok(())), "the send is complete, and its task does not know");
    println!("reproduced: the send is complete, and the waker of its last poll is not woken");
}
