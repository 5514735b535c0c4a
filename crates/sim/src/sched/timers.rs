//! The clock of a run, and the timers of its tasks.
//!
//! # Invariants
//!
//! - Time does not run backwards; what drives the scheduler moves it.
//! - Timers fire in the order of (deadline, arming).
//! - Wakers are cloned, dropped and woken without a borrow: they may be code under test, and call back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::task::Waker;

use super::{Scheduler, lifecycle};
use crate::interpose;
use crate::time::Nanos;
use crate::wait::{HostIndex, TaskId};

/// The key of a timer: deadline and order of arming.
pub(crate) type TimerKey = (Nanos, u64);

struct Timer {
    effect: Effect,
    host: HostIndex,
}

/// What a timer does.
enum Effect {
    Wakes(Waker),
    EndsDelay(TaskId),
}

/// The armed timers of a run; inside of turmoil, of a host.
#[derive(Default)]
pub(super) struct Timers {
    armed: RefCell<BTreeMap<TimerKey, Timer>>,
}

impl Timers {
    fn insert(&self, key: TimerKey, timer: Timer) {
        self.armed.borrow_mut().insert(key, timer);
    }

    fn remove(&self, key: TimerKey) -> Option<Timer> {
        self.armed.borrow_mut().remove(&key)
    }

    /// Takes the first timer that is due at `now`.
    fn take_due(&self, now: Nanos) -> Option<Timer> {
        let mut armed = self.armed.borrow_mut();
        armed.first_entry().filter(|first| first.key().0 <= now).map(|first| first.remove())
    }

    fn next(&self) -> Option<Nanos> {
        self.armed.borrow().first_key_value().map(|(key, _)| key.0)
    }

    fn counts(&self) -> BTreeMap<HostIndex, usize> {
        let mut counts = BTreeMap::new();
        self.armed.borrow().values().for_each(|timer| *counts.entry(timer.host).or_default() += 1);
        counts
    }

    /// Sets the waker of a timer. Returns `false` if it is not armed.
    fn set_waker(&self, key: TimerKey, waker: &Waker) -> bool {
        let is_same = |timer: &Timer| matches!(&timer.effect, Effect::Wakes(known) if known.will_wake(waker));
        let Some(is_same) = self.armed.borrow().get(&key).map(is_same) else {
            return false;
        };
        if !is_same {
            let mut effect = Effect::Wakes(waker.clone());
            if let Some(timer) = self.armed.borrow_mut().get_mut(&key) {
                std::mem::swap(&mut timer.effect, &mut effect);
            }
        }
        true
    }

    /// Disarms all timers.
    pub(super) fn clear(&self) {
        let disarmed = self.armed.take();
        drop(disarmed);
    }
}

impl Scheduler {
    pub(crate) fn now(&self) -> Nanos {
        self.processor().clock.get()
    }

    /// Moves the clock. What drives the scheduler does this, and only forwards.
    pub(crate) fn set_now(&self, now: Nanos) {
        assert!(now >= self.now(), "time does not run backwards");
        self.processor().clock.set(now);
        interpose::set_clock(now);
    }

    /// Arms a timer. One that is due already fires when time next passes, at the time it is now.
    pub(crate) fn arm(&self, deadline: Nanos, host: HostIndex, waker: Waker) -> TimerKey {
        self.arm_timer(deadline, Timer { effect: Effect::Wakes(waker), host })
    }

    /// Arms the timer that ends the delay of `task`.
    pub(super) fn arm_end_of_delay(&self, deadline: Nanos, host: HostIndex, task: TaskId) -> TimerKey {
        self.arm_timer(deadline, Timer { effect: Effect::EndsDelay(task), host })
    }

    fn arm_timer(&self, deadline: Nanos, timer: Timer) -> TimerKey {
        let key = (deadline.max(self.now()), self.timers_armed.get());
        self.timers_armed.set(key.1 + 1);
        self.processor().timers.insert(key, timer);
        key
    }

    pub(crate) fn rearm(&self, key: TimerKey, waker: &Waker) -> bool {
        self.processor().timers.set_waker(key, waker)
    }

    /// Sets an armed timer to another time. `None` if it is not armed.
    pub(crate) fn move_timer(&self, key: TimerKey, deadline: Nanos) -> Option<TimerKey> {
        let timer = self.processor().timers.remove(key);
        timer.map(|timer| self.arm_timer(deadline, timer))
    }

    pub(crate) fn disarm(&self, key: TimerKey) {
        let disarmed = self.processor().timers.remove(key);
        drop(disarmed);
    }

    pub(crate) fn next_timer(&self) -> Option<Nanos> {
        self.processor().timers.next()
    }

    /// Wakes what waits for timers that are due.
    #[inline]
    pub(crate) fn fire_timers(&self) {
        while let Some(due) = self.processor().timers.take_due(self.now()) {
            match due.effect {
                Effect::Wakes(waker) => self.wake_up(waker),
                Effect::EndsDelay(task) => self.end_delay(task),
            }
        }
    }

    /// Wakes `waker`. If it panics, that fails the run: there may be no code under test around it.
    pub(crate) fn wake_up(&self, waker: Waker) {
        if let Err(panic) = lifecycle::caught(|| waker.wake()) {
            self.fail_by_panic("a waker", panic.message());
        }
    }

    /// Counts the timers that are armed, by host.
    pub(crate) fn timers_of_hosts(&self) -> BTreeMap<HostIndex, usize> {
        self.processor().timers.counts()
    }
}
