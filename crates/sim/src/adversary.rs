//! Adversaries that a test puts around code under test: what the world may do to a future or a stream, done on purpose.
//!
//! [`Adversary`] wraps a future or a stream and is as awkward as their contracts allow; [`cancellable`] drops a
//! future at one of its awaits. Both draw from the run's seed, shrink, and show in the trace as `~`. Outside of a
//! simulated run they do nothing.
//!
//! # Not here
//!
//! What a run does to every task without being asked (`sched`): preemption, late and spurious wake-ups.

mod cancel;
mod stream;
#[cfg(test)]
mod tests;
mod tricks;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

pub use cancel::{Cancellable, cancellable};
use tricks::Tricks;

pin_project! {
    /// Wraps a future or a stream (`AsyncRead`, `AsyncWrite`) and is as awkward as their contracts allow.
    ///
    /// A run draws for each wrapper which of these it has, and then at each operation whether it happens:
    ///
    /// - `Pending` where the wrapped operation could go on, with the wake-up at once or later (reads, writes, flushes,
    ///   shutdowns, polls of a future);
    /// - short reads and writes, down to 1 byte;
    /// - another waker first: the wrapped operation is polled with a waker that wakes no task, and if that returns
    ///   `Pending`, with the caller's. So does a poll whose task has changed since: only the last waker counts.
    ///
    /// Put it *around* a stream that your code drives (`Adversary::new("socket", tcp)`) to test the code; put it
    /// around a future or stream that your code *is* to test how it treats wakers.
    ///
    /// # Outside of a simulated run
    ///
    /// Passes everything through.
    ///
    /// # Determinism
    ///
    /// Asks in the lane `adversary`, under the name, numbered (`socket#2`) where several have the same; the default
    /// answers pass everything through. It is independent of [`Sim::perturb`](crate::Sim::perturb): the test has
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
    /// Wraps a future or a stream, called `name` in traces and recordings. Draws what it will do in this run.
    pub fn new(name: &str, inner: T) -> Self {
        Self { inner, tricks: Tricks::draw(name) }
    }

    /// Returns what is wrapped.
    pub const fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns what is wrapped, to be used directly.
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
