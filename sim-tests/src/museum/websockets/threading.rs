//! The parts of Python's `threading` that the original uses, and its `Deadline`.

use std::io;
use std::time::Duration;

use wavetank_runtime::{Condvar, Instant, Mutex, Threads};

/// A flag that threads can wait for, like `threading.Event`.
pub(super) struct Event<R: Threads> {
    runtime: R,
    flag: Mutex<R, bool>,
    set: Condvar<R>,
}

impl<R: Threads> Event<R> {
    pub(super) fn new(runtime: &R, name: &'static str) -> Self {
        Self {
            runtime: runtime.clone(),
            flag: Mutex::new(runtime, name, false),
            set: Condvar::new(runtime, name),
        }
    }

    pub(super) fn set(&self) {
        *self.flag.lock() = true;
        self.set.notify_all();
    }

    pub(super) fn clear(&self) {
        *self.flag.lock() = false;
    }

    /// Waits for the flag. Returns `true` if it was set within `timeout`.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> bool {
        let deadline = timeout.map(|timeout| Deadline::after(&self.runtime, timeout));
        let mut flag = self.flag.lock();
        while !*flag {
            flag = match deadline {
                None => self.set.wait(flag),
                Some(deadline) => {
                    let left = deadline.left(&self.runtime);
                    if left.is_zero() {
                        return false;
                    }
                    self.set.wait_timeout(flag, left).0
                }
            };
        }
        true
    }
}

/// Sets an event when dropped: Python's `finally: event.set()`.
pub(super) struct SetAtEnd<'a, R: Threads>(pub(super) &'a Event<R>);

impl<R: Threads> Drop for SetAtEnd<'_, R> {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// A point in time by which several steps must be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after<R: Threads>(runtime: &R, timeout: Duration) -> Self {
        Self(runtime.now() + timeout)
    }

    /// Returns the time left, or zero.
    pub(super) fn left<R: Threads>(self, runtime: &R) -> Duration {
        self.0 - runtime.now()
    }

    /// Returns the time left, which is more than zero, or the error `TimedOut`.
    pub(super) fn timeout<R: Threads>(self, runtime: &R) -> io::Result<Duration> {
        let left = self.left(runtime);
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}
