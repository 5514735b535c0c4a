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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use crate::registry::Notify;

/// The queue of one connection.
#[derive(Debug, Default)]
pub(super) struct Ready {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<u32>,
    /// The task of the connection.
    task: Option<Waker>,
    /// The task sleeps: a wake must wake it.
    asleep: bool,
    /// The task is to look around, whatever is in the queue.
    notified: bool,
}

impl Ready {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the task is being polled, with this waker.
    pub(super) fn begin(&self, waker: &Waker) {
        let mut state = self.state();
        state.asleep = false;
        state.notified = false;
        if !state.task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            state.task = Some(waker.clone());
        }
    }

    /// Moves the jobs that were woken to the end of `queue`.
    pub(super) fn take(&self, queue: &mut VecDeque<u32>) {
        let mut state = self.state();
        if queue.is_empty() {
            std::mem::swap(queue, &mut state.queue);
        } else {
            queue.append(&mut state.queue);
        }
    }

    /// Says that the task is about to sleep. Returns `false` if it must not, because something has come in between.
    #[must_use]
    pub(super) fn sleep(&self) -> bool {
        let mut state = self.state();
        state.asleep = true;
        state.queue.is_empty() && !state.notified
    }

    /// Wakes the task, to look around.
    pub(super) fn notify(&self) {
        let mut state = self.state();
        state.notified = true;
        Self::wake(state);
    }

    fn push(&self, job: u32) {
        let mut state = self.state();
        state.queue.push_back(job);
        Self::wake(state);
    }

    fn wake(mut state: MutexGuard<'_, State>) {
        let task = if std::mem::take(&mut state.asleep) { state.task.clone() } else { None };
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
        !self.queued.swap(true, Ordering::AcqRel)
    }

    /// Says that the job is out of its queue, and about to be polled.
    pub(super) fn dequeue(&self) {
        self.queued.store(false, Ordering::Release);
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
            self.0.fetch_add(1, Ordering::SeqCst);
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
        ready.begin(&Arc::clone(&count).into());
        assert!(ready.sleep());
        let (first, second) = (JobWaker::new(0, &ready), JobWaker::new(1, &ready));
        first.wake_by_ref();
        second.wake_by_ref();
        ready.notify();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_wake_during_a_poll_is_seen() {
        let ready = Arc::new(Ready::default());
        ready.begin(Waker::noop());
        JobWaker::new(0, &ready).wake();
        assert!(!ready.sleep());
        ready.take(&mut VecDeque::new());
        ready.begin(Waker::noop());
        ready.notify();
        assert!(!ready.sleep());
        ready.begin(Waker::noop());
        assert!(ready.sleep());
    }
}
