//! Telling a thread that its operation is no longer wanted.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_core::Stream;
use wavetank_runtime::{Condvar, Mutex, Threads};

struct State {
    cancelled: bool,
    /// What [`Cancel::block_on`] waits for was woken.
    woken: bool,
}

struct Shared<W: Threads> {
    threads: W,
    state: Mutex<W, State>,
    changed: Condvar<W>,
}

impl<W: Threads> Wake for Shared<W> {
    fn wake(self: Arc<Self>) {
        self.state.lock().woken = true;
        self.changed.notify_all();
    }
}

/// Tells an operation on a thread that it is no longer wanted: the client has completed it, or the connection has
/// ended. Clones are the same.
///
/// An operation that waits with these methods alone ends at once when it is cancelled.
pub struct Cancel<W: Threads> {
    shared: Arc<Shared<W>>,
}

impl<W: Threads> Cancel<W> {
    pub(super) fn new(threads: &W) -> Self {
        Self {
            shared: Arc::new(Shared {
                threads: threads.clone(),
                state: Mutex::new(threads, "graphql cancel", State { cancelled: false, woken: false }),
                changed: Condvar::new(threads, "graphql cancelled"),
            }),
        }
    }

    pub(super) fn cancel(&self) {
        self.shared.state.lock().cancelled = true;
        self.shared.changed.notify_all();
    }

    /// Returns `true` once the operation is no longer wanted.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.state.lock().cancelled
    }

    /// Blocks for `duration`, or until the operation is no longer wanted. Returns `false` in that case.
    #[must_use]
    pub fn sleep(&self, duration: Duration) -> bool {
        let deadline = self.shared.threads.now() + duration;
        let mut state = self.shared.state.lock();
        while !state.cancelled {
            let left = deadline - self.shared.threads.now();
            if left.is_zero() {
                return true;
            }
            state = self.shared.changed.wait_timeout(state, left).0;
        }
        false
    }

    /// Blocks until a future is ready, and returns its result; `None` if the operation is no longer wanted before.
    ///
    /// The future must not need a runtime: nothing drives its timers and sockets.
    pub fn block_on<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        self.poll_until(|context| future.as_mut().poll(context))
    }

    /// Returns the items of a stream as an iterator that blocks, and that ends when the operation is no longer
    /// wanted. The stream must not need a runtime.
    pub fn iterate<S>(&self, stream: S) -> impl Iterator<Item = S::Item> + Send + use<S, W>
    where
        S: Stream + Send + Unpin,
    {
        let (cancel, mut stream) = (self.clone(), stream);
        std::iter::from_fn(move || {
            cancel.poll_until(|context| Pin::new(&mut stream).poll_next(context)).flatten()
        })
    }

    fn poll_until<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
        let waker = Waker::from(Arc::clone(&self.shared));
        let context = &mut Context::from_waker(&waker);
        loop {
            if self.is_cancelled() {
                return None;
            }
            if let Poll::Ready(value) = poll(context) {
                return Some(value);
            }
            let mut state = self.shared.state.lock();
            while !state.cancelled && !state.woken {
                state = self.shared.changed.wait(state);
            }
            state.woken = false;
        }
    }
}

impl<W: Threads> Clone for Cancel<W> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<W: Threads> fmt::Debug for Cancel<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").finish_non_exhaustive()
    }
}
