//! thingbuf 0.1.6: a `send` that is dropped after its wake-up keeps it, and the next sender waits without end.
//!
//! No runtime and no timing: every future is polled by hand. Fails if the bug does not show.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

/// Counts wake-ups.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting() -> (Arc<Woken>, Waker) {
    let woken = Arc::new(Woken::default());
    (Arc::clone(&woken), woken.into())
}

fn main() {
    let (sender, receiver) = thingbuf::mpsc::channel::<u32>(1);
    sender.try_send(0).expect("the queue is empty");
    // The queue is full, so two senders wait.
    let ((first_woken, first_waker), (second_woken, second_waker)) = (counting(), counting());
    let mut first = Box::pin(sender.send(1));
    let mut second = pin!(sender.send(2));
    assert!(first.as_mut().poll(&mut Context::from_waker(&first_waker)).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(&second_waker)).is_pending());
    // Receiving makes room and wakes the first.
    assert_eq!(receiver.try_recv().expect("there is a value"), 0);
    assert_eq!(first_woken.0.load(Ordering::SeqCst), 1);
    // The first is cancelled, as by a timeout.
    drop(first);
    let mut receive = pin!(receiver.recv());
    assert!(receive.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let woken = second_woken.0.load(Ordering::SeqCst);
    assert_eq!(woken, 0, "not reproduced: the second sender is woken");
    println!("reproduced: the queue is empty, the receiver waits, and the second sender is not woken");
}
