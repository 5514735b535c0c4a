//! What implements the locks of blocking code.

use std::ops::DerefMut;
use std::time::Duration;

/// The locks behind [`Mutex`](crate::Mutex) and [`Condvar`](crate::Condvar), which code uses instead.
pub trait RawLocks: Clone + Send + Sync + 'static {
    /// The lock behind [`Mutex`](crate::Mutex).
    type RawMutex<T: Send>: Send + Sync;
    /// The guard behind [`MutexGuard`](crate::MutexGuard).
    type RawGuard<'a, T: Send + 'a>: DerefMut<Target = T>;
    /// The condition variable behind [`Condvar`](crate::Condvar).
    type RawCondvar: Send + Sync;

    /// Makes the lock behind [`Mutex::new`](crate::Mutex::new).
    fn raw_mutex<T: Send>(&self, name: &'static str, value: T) -> Self::RawMutex<T>;

    /// Locks; see [`Mutex::lock`](crate::Mutex::lock).
    fn raw_lock<T: Send>(mutex: &Self::RawMutex<T>) -> Self::RawGuard<'_, T>;

    /// Locks if the lock is free; see [`Mutex::try_lock`](crate::Mutex::try_lock).
    fn raw_try_lock<T: Send>(mutex: &Self::RawMutex<T>) -> Option<Self::RawGuard<'_, T>>;

    /// Takes the value out of the lock.
    fn raw_into_inner<T: Send>(mutex: Self::RawMutex<T>) -> T;

    /// Makes the condition variable behind [`Condvar::new`](crate::Condvar::new).
    fn raw_condvar(&self, name: &'static str) -> Self::RawCondvar;

    /// Waits; see [`Condvar::wait`](crate::Condvar::wait).
    fn raw_wait<'a, T: Send + 'a>(
        condvar: &Self::RawCondvar,
        guard: Self::RawGuard<'a, T>,
    ) -> Self::RawGuard<'a, T>;

    /// Waits with a bound; see [`Condvar::wait_timeout`](crate::Condvar::wait_timeout).
    fn raw_wait_timeout<'a, T: Send + 'a>(
        condvar: &Self::RawCondvar,
        guard: Self::RawGuard<'a, T>,
        timeout: Duration,
    ) -> (Self::RawGuard<'a, T>, WaitOutcome);

    /// Wakes one waiter.
    fn raw_notify_one(condvar: &Self::RawCondvar);

    /// Wakes all waiters.
    fn raw_notify_all(condvar: &Self::RawCondvar);
}

/// How a wait with a bound ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// A notification came, or the wait ended without cause: look at the state.
    Notified,
    /// The time has passed.
    TimedOut,
}
