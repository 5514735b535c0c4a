//! The clock of a run, and the timers of its tasks.
//!
//! # Invariants
//!
//! - Time does not run backwards; whoever drives the scheduler moves it.
//! - Timers fire in the order of (deadline, arming).
//! - Wakers are cloned, dropped and woken without a borrow: they may be anybody's code, and call back.

use std::task::Waker;

use super::{HostIndex, Scheduler, lifecycle};
use crate::interpose;
use crate::time::Nanos;

/// The key of a timer: deadline and order of arming.
pub(crate) type TimerKey = (Nanos, u64);

pub(super) struct Timer {
    waker: Waker,
    host: HostIndex,
}

impl Scheduler {
    pub(crate) fn now(&self) -> Nanos {
        self.clock.get()
    }

    /// Moves the clock. Whoever drives the scheduler does this, and only forwards.
    pub(crate) fn set_now(&self, now: Nanos) {
        assert!(now >= self.clock.get(), "time does not run backwards");
        self.clock.set(now);
        interpose::set_clock(now);
    }

    /// Arms a timer. One that is due already fires when time next passes, at the time it is now.
    pub(crate) fn arm(&self, deadline: Nanos, host: HostIndex, waker: Waker) -> TimerKey {
        let deadline = deadline.max(self.now());
        let order = self.timers_armed.get();
        self.timers_armed.set(order + 1);
        self.timers.borrow_mut().insert((deadline, order), Timer { waker, host });
        (deadline, order)
    }

    pub(crate) fn rearm(&self, key: TimerKey, waker: &Waker) -> bool {
        let Some(is_same) = self.timers.borrow().get(&key).map(|timer| timer.waker.will_wake(waker)) else {
            return false;
        };
        if !is_same {
            let mut waker = waker.clone();
            if let Some(timer) = self.timers.borrow_mut().get_mut(&key) {
                std::mem::swap(&mut timer.waker, &mut waker);
            }
        }
        true
    }

    /// Sets an armed timer to another time. `None` if it is not armed.
    pub(crate) fn move_timer(&self, key: TimerKey, deadline: Nanos) -> Option<TimerKey> {
        let timer = self.timers.borrow_mut().remove(&key);
        timer.map(|timer| self.arm(deadline, timer.host, timer.waker))
    }

    pub(crate) fn disarm(&self, key: TimerKey) {
        let disarmed = self.timers.borrow_mut().remove(&key);
        drop(disarmed);
    }

    pub(crate) fn next_timer(&self) -> Option<Nanos> {
        self.timers.borrow().first_key_value().map(|(key, _)| key.0)
    }

    /// Wakes what waits for timers that are due.
    pub(crate) fn fire_timers(&self) {
        loop {
            let due = {
                let mut timers = self.timers.borrow_mut();
                match timers.first_entry() {
                    Some(first) if first.key().0 <= self.now() => first.remove(),
                    _ => return,
                }
            };
            self.wake_up(due.waker);
        }
    }

    /// Wakes `waker`. If it panics, that fails the run and nobody else: there may be no code under test around it.
    pub(crate) fn wake_up(&self, waker: Waker) {
        if let Err(panic) = lifecycle::caught(|| waker.wake()) {
            self.fail_by_panic("a waker", panic.message());
        }
    }

    /// Counts the timers of `host` that are armed.
    pub(crate) fn timers_of(&self, host: HostIndex) -> usize {
        self.timers.borrow().values().filter(|timer| timer.host == host).count()
    }
}
