//! Which jobs of a connection are to be polled, in the order in which they were woken.
//!
//! A job is polled when its own waker was called and at no other time, so an event costs the same beside any number
//! of jobs that wait.
//!
//! # Invariants
//!
//! - A job is in the queue at most once.
//! - A wake that comes while the task of the connection is being polled is seen before the task sleeps.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Release, SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use crate::registry::Notify;

/// The queue of one connection.
///
/// Its task looks at flags, and takes the lock only if a job was woken. The flags are `SeqCst`: the task first says
/// that it sleeps and then looks for wakes. A wake is first noted and then looks for a sleeping task. One of them sees
/// the other.
#[derive(Debug, Default)]
pub(super) struct Ready {
    state: Mutex<State>,
    /// There are jobs in the queue.
    woken: AtomicBool,
    /// The task is to look around, whatever is in the queue.
    notified: AtomicBool,
    /// The task sleeps: a wake must wake it.
    asleep: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<u32>,
    /// The task of the connection.
    task: Option<Waker>,
}

impl Ready {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the waker of the task.
    pub(super) fn set_task(&self, task: Waker) {
        self.state().task = Some(task);
    }

    /// Says that the task is being polled.
    pub(super) fn begin(&self) {
        self.asleep.store(false, SeqCst);
        if self.notified.load(SeqCst) {
            self.notified.store(false, SeqCst);
        }
    }

    /// Moves the jobs that were woken to the end of `queue`.
    pub(super) fn take(&self, queue: &mut VecDeque<u32>) {
        if !self.woken.load(SeqCst) {
            return;
        }
        let mut state = self.state();
        self.woken.store(false, SeqCst);
        if queue.is_empty() {
            std::mem::swap(queue, &mut state.queue);
        } else {
            queue.append(&mut state.queue);
        }
    }

    /// Says that the task is about to sleep. Returns `false` if it must not, because something has come in between.
    #[must_use]
    pub(super) fn sleep(&self) -> bool {
        self.asleep.store(true, SeqCst);
        !self.woken.load(SeqCst) && !self.notified.load(SeqCst)
    }

    /// Wakes the task, to look around.
    pub(super) fn notify(&self) {
        self.notified.store(true, SeqCst);
        self.wake(self.state());
    }

    fn push(&self, job: u32) {
        let mut state = self.state();
        state.queue.push_back(job);
        self.woken.store(true, SeqCst);
        self.wake(state);
    }

    fn wake(&self, state: MutexGuard<'_, State>) {
        let task = if self.asleep.swap(false, SeqCst) { state.task.clone() } else { None };
        // A waker is foreign code: it is called without the lock.
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Notify for Ready {
    fn notify(&self) {
        Self::notify(self);
    }
}

/// The waker of one place for jobs. A late wake of a job that is gone polls its successor once for nothing.
#[derive(Debug)]
pub(super) struct JobWaker {
    job: u32,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl JobWaker {
    pub(super) fn new(job: u32, ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self { job, queued: AtomicBool::new(false), ready: Arc::clone(ready) })
    }

    /// Returns `true` if the caller is to put the job into a queue: it was in none.
    pub(super) fn enqueue(&self) -> bool {
        !self.queued.swap(true, AcqRel)
    }

    /// Says that the job is out of its queue, and about to be polled.
    pub(super) fn dequeue(&self) {
        self.queued.store(false, Release);
    }
}

impl Wake for JobWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.enqueue() {
            self.ready.push(self.job);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn jobs_come_in_the_order_of_wakes() {
        let ready = Arc::new(Ready::default());
        let wakers: Vec<Waker> = (0..3).map(|job| JobWaker::new(job, &ready).into()).collect();
        for job in [2, 0, 2, 1, 0] {
            wakers[job].wake_by_ref();
        }
        let mut queue = VecDeque::new();
        ready.take(&mut queue);
        assert_eq!(queue, [2, 0, 1]);
    }

    #[test]
    fn a_sleeping_task_is_woken_once() {
        let ready = Arc::new(Ready::default());
        let count = Arc::new(Count::default());
        ready.set_task(Arc::clone(&count).into());
        ready.begin();
        assert!(ready.sleep());
        let (first, second) = (JobWaker::new(0, &ready), JobWaker::new(1, &ready));
        first.wake_by_ref();
        second.wake_by_ref();
        ready.notify();
        assert_eq!(count.0.load(SeqCst), 1);
    }

    #[test]
    fn a_wake_during_a_poll_is_seen() {
        let ready = Arc::new(Ready::default());
        ready.begin();
        JobWaker::new(0, &ready).wake();
        assert!(!ready.sleep());
        ready.take(&mut VecDeque::new());
        ready.begin();
        ready.notify();
        assert!(!ready.sleep());
        ready.begin();
        assert!(ready.sleep());
    }
}
