//! The async runtime trait: clock, timers, tasks, sockets, names and entropy for async code.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Instant, JoinError, ListenOptions, SocketOptions};

/// An async runtime: clock, timers, tasks, sockets, names and entropy.
///
/// Handles are cheap to clone. Implementations: [`Tokio`](crate::Tokio) in production, the host of a simulation in
/// tests.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A TCP stream.
    type Stream: Stream;
    /// A TCP listener.
    type Listener: Listener<Stream = Self::Stream>;
    /// A timer.
    type Sleep: Sleep;
    /// A handle to a spawned task.
    type TaskHandle<T: Send + 'static>: TaskHandle<T>;

    /// Reads the clock.
    fn now(&self) -> Instant;

    /// Makes a timer that completes once the clock has reached `deadline`.
    fn sleep_until(&self, deadline: Instant) -> Self::Sleep;

    /// Makes a timer that completes after `duration`.
    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.sleep_until(self.now() + duration)
    }

    /// Starts a task. `name` appears in traces and panics. It should be constant (`"reader"`) and need not be unique.
    ///
    /// Dropping the handle detaches the task, so it need not be bound:
    ///
    /// ```
    /// #![deny(unused_must_use)]
    /// fn start_in_the_background<R: wavetank_runtime::Runtime>(runtime: &R) {
    ///     runtime.spawn("background", async {});
    /// }
    /// ```
    fn spawn<F>(&self, name: &str, future: F) -> Self::TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Resolves `host`, a name or the text of an address, to addresses with `port`. Never returns an empty list.
    ///
    /// # Errors
    ///
    /// `NotFound`, or the resolver's own error, if the name is unknown.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Opens a TCP connection.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if there is no listener. `TimedOut` after the system's SYN retries (about two minutes).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the connection; the peer may see it open and close.
    fn connect(
        &self,
        address: SocketAddr,
        options: SocketOptions,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Listens for TCP connections. Port 0 asks for a free port. Connections of an earlier listener may still use the
    /// address (`SO_REUSEADDR`); another listener may not.
    ///
    /// # Errors
    ///
    /// `AddrInUse`. `AddrNotAvailable` if the address is not this host's.
    fn listen(
        &self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Fills `buffer` with entropy fit for keys.
    ///
    /// # Panics
    ///
    /// If the system has no entropy.
    fn fill_random(&self, buffer: &mut [u8]);
}

/// A timer that can be stored, polled and reset.
pub trait Sleep: Future<Output = ()> + Send + 'static {
    /// Returns when the timer completes.
    fn deadline(&self) -> Instant;

    /// Sets a new deadline, also after the timer has completed.
    fn reset(self: std::pin::Pin<&mut Self>, deadline: Instant);
}

/// A handle to a task: `.await` it for the task's result, or drop it, and the task goes on.
///
/// It is no `Future` itself, because the compiler warns of futures that are dropped unused.
pub trait TaskHandle<T>:
    IntoFuture<Output = Result<T, JoinError>, IntoFuture: Send + Unpin + 'static> + Send + Unpin + 'static
{
    /// Drops the task's future at its next suspension. The handle then yields [`JoinError::Cancelled`]. Does nothing if
    /// the task has ended.
    fn abort(&self);

    /// Returns `true` if the task has ended.
    fn is_finished(&self) -> bool;
}

/// A TCP stream. `AsyncWrite::poll_shutdown` half-closes it (FIN). Dropping it closes both directions.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {
    /// The reading half. Dropping only this half sends nothing.
    type ReadHalf: AsyncRead + Unpin + Send + Sync + 'static;
    /// The writing half. Dropping it half-closes the stream (FIN).
    type WriteHalf: AsyncWrite + Unpin + Send + Sync + 'static;

    /// Splits the stream into halves that different tasks may own.
    fn into_split(self) -> (Self::ReadHalf, Self::WriteHalf);

    /// Turns Nagle's algorithm off (`true`) or on.
    ///
    /// # Errors
    ///
    /// The system's, if the socket is no longer usable.
    fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;

    /// Closes the stream at once with RST and discards unsent bytes (linger 0).
    fn abort(self);

    /// Returns this end's address.
    ///
    /// # Errors
    ///
    /// The system's, if the socket is no longer usable.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is gone.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}

/// A TCP listener. Dropping it resets the connections that were not accepted.
pub trait Listener: Send + Sync + 'static {
    /// The accepted streams.
    type Stream: Stream;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// The system's, such as `ConnectionAborted` or no free descriptors. The listener stays usable.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost if the future is dropped.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Returns the address it listens on, with the port the system chose.
    ///
    /// # Errors
    ///
    /// The system's, if the socket is no longer usable.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}
