//! Adversaries: what the world may do to a future or a stream, done on purpose around code under test.
//!
//! [`Adversary`] wraps a future or a stream and is as awkward as their contracts allow. [`cancellable`] drops a future
//! at one of its awaits. [`pausable`] keeps one and does not poll it for a while. All draw from the run's seed, shrink,
//! and show in the trace as `~`. Outside of a simulated run they do nothing.
//!
//! # Not here
//!
//! What a run does to every task: preemption, late and spurious wake-ups (`sched`).

mod alarm;
mod awaits;
mod cancel;
mod pause;
mod stream;
#[cfg(test)]
mod tests;
mod tricks;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

pub use cancel::{Cancellable, cancellable};
pub use pause::{Pausable, pausable};
use tricks::Tricks;

pin_project! {
    /// Wraps a future or a stream (`AsyncRead`, `AsyncWrite`) and is as awkward as their contracts allow.
    ///
    /// A run draws for each wrapper which of these it does, and then at each operation whether it happens:
    ///
    /// - It returns `Pending` although the operation could continue. The wake-up comes at once or later (reads, writes,
    ///   flushes, shutdowns, polls of a future).
    /// - It reads and writes less than it could, down to 1 byte.
    /// - It first polls with a waker that wakes no task. If that returns `Pending`, it polls again with the caller's
    ///   waker. The wrapped value must use the last waker.
    ///
    /// To test code that drives a stream, wrap the stream: `Adversary::new("socket", tcp)`. To test a stream or future
    /// of your own, wrap that.
    ///
    /// # Outside of a simulated run
    ///
    /// It passes everything through.
    ///
    /// # Determinism
    ///
    /// Draws in the lane `adversary`, under the name, numbered (`socket#2`) if several have the same name. The default
    /// answers pass everything through. [`Sim::perturb`](crate::Sim::perturb) does not affect it, because the test
    /// asked for it.
    ///
    /// # Example: a message that comes in pieces
    ///
    /// ```
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use wavetank::Adversary;
    ///
    /// # wavetank::Sweep::new("doc", "").seeds(4).run(|sim| {
    /// sim.client("client", async |_| {
    ///     let (mut near, far) = tokio::io::duplex(64);
    ///     let mut far = Adversary::new("far end", far);
    ///     near.write_all(b"hello").await.unwrap();
    ///     let mut message = [0; 5];
    ///     // `read` alone could return a single byte here.
    ///     far.read_exact(&mut message).await.unwrap();
    ///     assert_eq!(&message, b"hello");
    /// });
    /// # });
    /// ```
    #[derive(Debug)]
    pub struct Adversary<T> {
        #[pin]
        inner: T,
        tricks: Option<Tricks>,
    }
}

impl<T> Adversary<T> {
    /// Wraps a future or a stream. `name` is its name in traces and recordings. Draws what it will do in this run.
    pub fn new(name: &str, inner: T) -> Self {
        Self { inner, tricks: Tricks::draw(name) }
    }

    /// Returns the wrapped value.
    pub const fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns the wrapped value, to use it directly.
    pub const fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Unwraps.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<F: Future> Future for Adversary<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        ready!(tricks::let_go_on(this.tricks, context, "poll"));
        tricks::with_decoy(this.tricks, context, "poll", |context| this.inner.as_mut().poll(context))
    }
}
