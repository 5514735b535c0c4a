//! async-lock 3.5.0: two readers that wait for a `RwLock` wake each other in a loop.
//!
//! No runtime and no timing: a list of ready futures, each polled when it was woken. Fails if the bug does not show.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use async_lock::RwLock;

/// Says whether its task was woken.
#[derive(Default)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn poll<F: Future>(future: Pin<&mut F>, task: &Arc<Task>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(task))))
}

/// More rounds than any waiter needs.
const ROUNDS: u32 = 1_000;

fn main() {
    let lock = RwLock::new(());
    let first_writer = lock.try_write().expect("nothing has the lock");

    let tasks = [Arc::new(Task::default()), Arc::new(Task::default())];
    let (mut one, mut two) = (pin!(lock.read()), pin!(lock.read()));
    assert!(poll(one.as_mut(), &tasks[0]).is_pending(), "a writer has the lock");
    assert!(poll(two.as_mut(), &tasks[1]).is_pending(), "a writer has the lock");

    // One writer is done, and the next takes the lock before the reader that was woken runs.
    drop(first_writer);
    let second_writer = lock.try_write().expect("no reader has run yet");

    // The second writer keeps the lock, so that no reader can get in. Both should wait, without being woken.
    let mut polls = 0;
    for _ in 0..ROUNDS {
        if tasks[0].0.swap(false, Ordering::SeqCst) {
            assert!(poll(one.as_mut(), &tasks[0]).is_pending(), "a writer has the lock");
            polls += 1;
        }
        if tasks[1].0.swap(false, Ordering::SeqCst) {
            assert!(poll(two.as_mut(), &tasks[1]).is_pending(), "a writer has the lock");
            polls += 1;
        }
    }
    assert!(polls >= ROUNDS, "not reproduced: {polls} polls in {ROUNDS} rounds");
    println!(
        "reproduced: in {ROUNDS} rounds the two readers were woken {polls} times, and a writer had the lock"
    );
    drop(second_writer);
}
