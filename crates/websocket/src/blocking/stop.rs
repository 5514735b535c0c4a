//! Stopping an opening, or a series of them, from another thread.
//!
//! # Invariants
//!
//! - A thread that waits here is woken by [`Stopper::stop`]. One that reads or writes has registered its stream before,
//!   and `stop` shuts that down.
//! - An opening has either succeeded or was stopped: [`Stop::release`] decides that, once.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;

use wavetank_runtime::{Condvar, Instant, Mutex, Threads};

use super::wire::BoxWire;

/// Stops openings from another thread. Clones stop the same ones.
///
/// Made by [`new`](Self::new) for [`Client::connect_stoppable`](super::Client::connect_stoppable) and
/// [`Client::connect_over_stoppable`](super::Client::connect_over_stoppable), or taken from a
/// [`Reconnect`](super::Reconnect::stopper).
pub struct Stopper<T: Threads> {
    stop: Arc<Stop<T>>,
}

/// What a [`Stopper`] and the openings that it stops share.
pub(super) struct Stop<T: Threads> {
    pub(super) threads: T,
    state: Mutex<T, State>,
    changed: Condvar<T>,
}

#[derive(Default)]
struct State {
    stopped: bool,
    last: u64,
    /// The streams of openings that are under way.
    wires: Vec<(Registered, BoxWire)>,
}

/// A stream that `stop` shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registered(u64);

/// An opening was stopped.
#[derive(Debug)]
pub(super) struct Stopped;

impl<T: Threads> Stopper<T> {
    /// Makes a stopper for openings on these threads.
    #[must_use]
    pub fn new(threads: T) -> Self {
        Self { stop: Arc::new(Stop::new(threads)) }
    }

    pub(super) fn of(stop: &Arc<Stop<T>>) -> Self {
        Self { stop: Arc::clone(stop) }
    }

    pub(super) fn shared(&self) -> &Arc<Stop<T>> {
        &self.stop
    }

    /// Ends every opening that is under way with this stopper, and every later one, with
    /// [`OpenError::Stopped`](crate::OpenError::Stopped). Of a [`Reconnect`](super::Reconnect) it ends the iterator: a
    /// delay or an attempt at once, and [`next`](Iterator::next) from then on.
    ///
    /// A connection that was returned is not closed, and `next` still waits for its end.
    pub fn stop(&self) {
        let mut state = self.stop.state.lock();
        state.stopped = true;
        for (_, wire) in &state.wires {
            // It fails only if the connection is gone, which its reader notices as well.
            let _gone = wire.shutdown(Shutdown::Both);
        }
        drop(state);
        self.stop.changed.notify_all();
    }
}

impl<T: Threads> Stop<T> {
    pub(super) fn new(threads: T) -> Self {
        Self {
            state: Mutex::new(&threads, "stopper", State::default()),
            changed: Condvar::new(&threads, "stopper"),
            threads,
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Waits until `due`; `true`: it was stopped.
    pub(super) fn wait_until(&self, due: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        while !state.stopped {
            let Some(due) = due else { break };
            let left = due - self.threads.now();
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).0;
        }
        state.stopped
    }

    /// Runs `work` on a thread of its own, and waits for it until `deadline`. Where this is stopped or the time is up,
    /// the thread ends by itself, and drops its result.
    pub(super) fn run<R: Send + 'static>(
        self: &Arc<Self>,
        deadline: Instant,
        work: impl FnOnce() -> io::Result<R> + Send + 'static,
    ) -> Result<io::Result<R>, Stopped> {
        let result = Arc::new(Mutex::new(&self.threads, "connecting", None));
        let (stop, place) = (Arc::clone(self), Arc::clone(&result));
        let started = self.threads.spawn("websocket connector", move || {
            let result = work();
            *place.lock() = Some(result);
            // With the lock: the waiting thread is before its look at the result, or in its wait.
            drop(stop.state.lock());
            stop.changed.notify_all();
        });
        if let Err(error) = started {
            return Ok(Err(error));
        }
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            if let Some(result) = result.lock().take() {
                return Ok(result);
            }
            let left = deadline - self.threads.now();
            if left.is_zero() {
                return Ok(Err(io::ErrorKind::TimedOut.into()));
            }
            state = self.changed.wait_timeout(state, left).0;
        }
    }

    /// Has [`Stopper::stop`] shut `wire` down, until it is [released](Self::release).
    pub(super) fn register(&self, wire: BoxWire) -> Result<Registered, Stopped> {
        let mut state = self.state.lock();
        if state.stopped {
            return Err(Stopped);
        }
        state.last += 1;
        let registered = Registered(state.last);
        state.wires.push((registered, wire));
        Ok(registered)
    }

    /// Forgets a stream. Fails if this was stopped before.
    pub(super) fn release(&self, registered: Registered) -> Result<(), Stopped> {
        let mut state = self.state.lock();
        state.wires.retain(|(present, _)| *present != registered);
        if state.stopped { Err(Stopped) } else { Ok(()) }
    }
}

impl<T: Threads> Clone for Stopper<T> {
    fn clone(&self) -> Self {
        Self::of(&self.stop)
    }
}

impl<T: Threads> fmt::Debug for Stopper<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").finish_non_exhaustive()
    }
}
