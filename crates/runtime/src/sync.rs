//! Locks of blocking code: `std::sync` in production, aware of the scheduler in a simulation.
//!
//! The wrappers are thin and cost nothing. Locks are not poisoned: if the holder panics, the next thread gets the lock
//! as usual. In the simulator a panic already fails the whole run. In production, keep the invariants of the value
//! whenever code may panic.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::raw_locks::WaitOutcome;
use crate::threads::Threads;

/// A lock around a value, like `std::sync::Mutex`.
///
/// # Example: a flag that one thread waits for
///
/// ```
/// use wavetank_runtime::{Condvar, Mutex, Std, Threads};
///
/// fn wait_for<R: Threads>(ready: &Mutex<R, bool>, changed: &Condvar<R>) {
///     let mut ready = ready.lock();
///     while !*ready {
///         ready = changed.wait(ready);
///     }
/// }
///
/// let (ready, changed) = (Mutex::new(&Std, "ready", true), Condvar::new(&Std, "changed"));
/// wait_for(&ready, &changed);
/// ```
pub struct Mutex<R: Threads, T: Send> {
    raw: R::RawMutex<T>,
}

impl<R: Threads, T: Send> Mutex<R, T> {
    /// Makes a lock. `name` appears in traces and deadlock reports.
    pub fn new(runtime: &R, name: &'static str, value: T) -> Self {
        Self { raw: runtime.raw_mutex(name, value) }
    }

    /// Waits until the lock is free, takes it, and holds it until the guard is dropped.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, R, T> {
        MutexGuard { raw: R::raw_lock(&self.raw) }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, R, T>> {
        Some(MutexGuard { raw: R::raw_try_lock(&self.raw)? })
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        R::raw_into_inner(self.raw)
    }
}

impl<R: Threads, T: Send> fmt::Debug for Mutex<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

/// Holds a [`Mutex`] until it is dropped.
#[must_use = "a lock whose guard is not kept is released at once"]
pub struct MutexGuard<'a, R: Threads, T: Send + 'a> {
    raw: R::RawGuard<'a, T>,
}

impl<R: Threads, T: Send> Deref for MutexGuard<'_, R, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.raw
    }
}

impl<R: Threads, T: Send> DerefMut for MutexGuard<'_, R, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.raw
    }
}

impl<R: Threads, T: Send + fmt::Debug> fmt::Debug for MutexGuard<'_, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A condition variable, like `std::sync::Condvar`.
///
/// A wait may end without a notification. Always wait in a loop that checks the state.
pub struct Condvar<R: Threads> {
    raw: R::RawCondvar,
}

impl<R: Threads> Condvar<R> {
    /// Makes a condition variable. `name` appears in traces and deadlock reports.
    pub fn new(runtime: &R, name: &'static str) -> Self {
        Self { raw: runtime.raw_condvar(name) }
    }

    /// Releases the lock, waits for a notification, and takes the lock again.
    pub fn wait<'a, T: Send>(&self, guard: MutexGuard<'a, R, T>) -> MutexGuard<'a, R, T> {
        MutexGuard { raw: R::raw_wait(&self.raw, guard.raw) }
    }

    /// Waits as [`wait`](Self::wait) does, at most for `timeout`, and returns how the wait ended.
    pub fn wait_timeout<'a, T: Send>(
        &self,
        guard: MutexGuard<'a, R, T>,
        timeout: Duration,
    ) -> (MutexGuard<'a, R, T>, WaitOutcome) {
        let (raw, outcome) = R::raw_wait_timeout(&self.raw, guard.raw, timeout);
        (MutexGuard { raw }, outcome)
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        R::raw_notify_one(&self.raw);
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        R::raw_notify_all(&self.raw);
    }
}

impl<R: Threads> fmt::Debug for Condvar<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
