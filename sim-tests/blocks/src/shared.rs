//! What tasks and threads of the simulations share: ordinary synchronous code, written with std alone.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number behind a lock of std.
#[derive(Debug, Default)]
pub struct Counter {
    count: Mutex<u32>,
}

impl Counter {
    /// Adds one. The lock is released in between: the one of another caller may be lost.
    pub fn add(&self) {
        let count = self.get();
        *lock(&self.count) = count + 1;
    }

    /// Adds one under the lock.
    pub fn add_at_once(&self) {
        *lock(&self.count) += 1;
    }

    /// Returns the number.
    pub fn get(&self) -> u32 {
        *lock(&self.count)
    }
}

/// Lets the first that comes through.
#[derive(Debug, Default)]
pub struct Gate {
    is_taken: AtomicBool,
}

impl Gate {
    /// Returns `true` for the first caller, and for those that ask before the first has written.
    pub fn pass(&self) -> bool {
        if self.is_taken.load(Ordering::SeqCst) {
            return false;
        }
        self.is_taken.store(true, Ordering::SeqCst);
        true
    }

    /// Returns `true` for the first caller.
    pub fn pass_at_once(&self) -> bool {
        !self.is_taken.swap(true, Ordering::SeqCst)
    }
}

/// A flag, and the task that waits for it.
#[derive(Debug, Default)]
pub struct Signal {
    is_set: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Signal {
    /// Sets the flag and wakes the task.
    pub fn set(&self) {
        self.is_set.store(true, Ordering::SeqCst);
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Returns `true` if the flag is set. Otherwise it notes the task, which is too late if the flag was set meanwhile.
    pub fn poll(&self, waker: &Waker) -> bool {
        if self.is_set.load(Ordering::SeqCst) {
            return true;
        }
        *lock(&self.waker) = Some(waker.clone());
        false
    }

    /// Notes the task, and returns `true` if the flag is set.
    pub fn poll_after_noting(&self, waker: &Waker) -> bool {
        *lock(&self.waker) = Some(waker.clone());
        self.is_set.load(Ordering::SeqCst)
    }
}

/// Two flags by which a thread says that it waits, and another that it need not.
#[derive(Debug, Default)]
pub struct Notice {
    is_set: AtomicBool,
    is_awaited: AtomicBool,
}

impl Notice {
    /// Returns `true` if the caller has to wait. Another that sets the notice in between does not see
    /// that it is awaited.
    pub fn must_wait(&self) -> bool {
        if self.is_set.load(Ordering::SeqCst) {
            return false;
        }
        self.is_awaited.store(true, Ordering::SeqCst);
        true
    }

    /// As [`must_wait`](Self::must_wait), and looks after it has said so.
    pub fn must_wait_after_saying_so(&self) -> bool {
        self.is_awaited.store(true, Ordering::SeqCst);
        !self.is_set.load(Ordering::SeqCst)
    }

    /// Sets the notice. Returns `true` if a thread waits and must be woken.
    pub fn set(&self) -> bool {
        self.is_set.store(true, Ordering::SeqCst);
        self.is_awaited.load(Ordering::SeqCst)
    }
}

/// A lock that is waited for in a loop, without an operation.
#[derive(Debug, Default)]
pub struct SpinLock {
    is_held: AtomicBool,
    inside: AtomicU32,
}

impl SpinLock {
    /// Calls `f` with the lock, which two may take that see it free.
    pub fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        while self.is_held.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        self.is_held.store(true, Ordering::Relaxed);
        self.hold(f)
    }

    /// Calls `f` with the lock.
    pub fn with_exclusively<T>(&self, f: impl FnOnce() -> T) -> T {
        while self.is_held.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        self.hold(f)
    }

    fn hold<T>(&self, f: impl FnOnce() -> T) -> T {
        assert_eq!(self.inside.fetch_add(1, Ordering::Relaxed), 0, "two hold the lock");
        let value = f();
        self.inside.fetch_sub(1, Ordering::Relaxed);
        self.is_held.store(false, Ordering::Release);
        value
    }
}
