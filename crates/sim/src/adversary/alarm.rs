//! Timers of adversaries, which belong to no host.

use std::task::{Poll, Waker};

use crate::sched::{NO_HOST, TimerKey};
use crate::time::Nanos;
use crate::world::{Run, context};

/// A timer that is disarmed when it is dropped.
#[derive(Debug)]
pub(super) struct Alarm {
    run: u64,
    key: TimerKey,
}

impl Alarm {
    /// Wakes `waker` after `nanos`.
    pub(super) fn set(run: &Run, nanos: Nanos, waker: &Waker) -> Self {
        Self { run: run.number, key: run.scheduler.arm(run.scheduler.now() + nanos, NO_HOST, waker.clone()) }
    }

    /// Is ready if the time has come, and otherwise wakes `waker` then.
    pub(super) fn poll(&self, run: &Run, waker: &Waker) -> Poll<()> {
        if run.scheduler.now() >= self.key.0 {
            return Poll::Ready(());
        }
        run.scheduler.rearm(self.key, waker);
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        context::with_run(self.run, |run| run.scheduler.disarm(self.key));
    }
}
