//! Sessions for tasks: [`Session`] opens and accepts [`Stream`]s over one transport.
//!
//! A task that the session spawns moves the bytes; handles only talk to it. So nothing of a session has to be polled
//! for the rest of it to go on.

mod driver;
mod shared;
mod stream;
mod wait;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::Runtime;

use crate::closed::Closed;
use crate::config::Config;
use crate::error::{OpenError, PingError};
use crate::protocol::{Connection, Role, State, Statistics};
use driver::Driver;
use shared::Shared;

pub use stream::{ReadHalf, Stream, WriteHalf};

/// A session: many streams over one transport. Clones are handles to the same session.
///
/// # Dropping
///
/// When the last handle is dropped, streams that wait to be accepted are reset, those that are held go on, and the
/// session closes after the last of them.
pub struct Session<R: Runtime> {
    shared: Arc<Shared<R>>,
    open_timeout: Option<Duration>,
    ping_timeout: Duration,
}

impl<R: Runtime> Session<R> {
    /// Starts the client side of a session over `transport`, which may be any stream: TCP, TLS, a WebSocket.
    ///
    /// Returns at once. That a peer speaks another protocol shows when it answers.
    pub fn client<S>(runtime: R, transport: S, config: Config) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::start(runtime, transport, config, Role::Client)
    }

    /// Starts the server side of a session over `transport`. Both sides can open streams.
    pub fn server<S>(runtime: R, transport: S, config: Config) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::start(runtime, transport, config, Role::Server)
    }

    fn start<S>(runtime: R, transport: S, config: Config, role: Role) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut seed = [0; 8];
        runtime.fill_random(&mut seed);
        let open_timeout = config.timeouts.open;
        let ping_timeout = config.keepalive.timeout;
        let read_bytes = config.limits.read_buffer_bytes;
        let connection = Connection::new(role, config, u64::from_le_bytes(seed), runtime.now());
        let shared = Arc::new(Shared::new(runtime.clone(), connection));
        let _detached = runtime.spawn("multiplexer", Driver::new(Arc::clone(&shared), transport, read_bytes));
        Self { shared, open_timeout, ping_timeout }
    }

    /// Opens a stream. It can be written to at once, without a round trip. A refusal shows as
    /// [`ReadError::Refused`](crate::ReadError::Refused) or [`WriteError::Refused`](crate::WriteError::Refused).
    ///
    /// Waits while [`Limits::unacknowledged_opens`](crate::Limits::unacknowledged_opens) streams are not
    /// acknowledged, for [`Timeouts::open`](crate::Timeouts::open) at most.
    ///
    /// # Errors
    ///
    /// As [`OpenError`] says. None of them disturbs the session.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has opened no stream.
    pub async fn open(&self) -> Result<Stream<R>, OpenError> {
        let opened = self.shared.wait_for(
            |state| &mut state.openers,
            |state, first| {
                if !first && state.connection.closed().is_none() {
                    return Poll::Pending;
                }
                state.connection.open(self.shared.runtime.now()).map_ok(|key| {
                    state.add_stream(key);
                    Stream::new(Arc::clone(&self.shared), key)
                })
            },
        );
        match self.open_timeout {
            None => opened.await,
            Some(timeout) => self.timeout(opened, timeout).await.unwrap_or(Err(OpenError::TimedOut)),
        }
    }

    /// Waits for `future`, for this long at most.
    async fn timeout<T>(&self, future: impl Future<Output = T>, timeout: Duration) -> Option<T> {
        let mut future = pin!(future);
        let mut timer: Option<Pin<Box<R::Sleep>>> = None;
        poll_fn(|context| {
            if let Poll::Ready(result) = future.as_mut().poll(context) {
                return Poll::Ready(Some(result));
            }
            // Mostly there is nothing to wait for, and no timer needed.
            let timer = timer.get_or_insert_with(|| Box::pin(self.shared.runtime.sleep(timeout)));
            timer.as_mut().poll(context).map(|()| None)
        })
        .await
    }

    /// Waits for the next stream that the peer opens.
    ///
    /// # Errors
    ///
    /// The outcome of the session, once it is over and no stream waits any more.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has accepted no stream.
    pub async fn accept(&self) -> Result<Stream<R>, Closed> {
        self.shared
            .wait_for(
                |state| &mut state.acceptors,
                |state, first| {
                    let accepted = if first { state.connection.accept() } else { None };
                    if let Some(key) = accepted {
                        state.add_stream(key);
                        return Poll::Ready(Ok(Stream::new(Arc::clone(&self.shared), key)));
                    }
                    match state.connection.accept_end() {
                        Some(closed) => Poll::Ready(Err(closed.clone())),
                        None => Poll::Pending,
                    }
                },
            )
            .await
    }

    /// Sends a ping and returns the round-trip time. Calls that come before it is sent share one ping.
    ///
    /// # Errors
    ///
    /// [`PingError::TimedOut`] after [`Keepalive::timeout`](crate::Keepalive::timeout); the session lives on.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the ping may have been sent.
    pub async fn ping(&self) -> Result<Duration, PingError> {
        let mut ping = None;
        let answered = self.shared.wait_for(
            |state| &mut state.watchers,
            move |state, _| {
                if let Some(closed) = state.connection.closed() {
                    return Poll::Ready(Err(PingError::Closed(closed.clone())));
                }
                let ping = *ping.get_or_insert_with(|| state.connection.ping());
                state.connection.latency_of(ping).map_or(Poll::Pending, |latency| Poll::Ready(Ok(latency)))
            },
        );
        self.timeout(answered, self.ping_timeout).await.unwrap_or(Err(PingError::TimedOut))
    }

    /// Tells the peer, with GoAway(0), that no more of its streams are accepted, and opens none any more. Streams
    /// that are open go on; when the last one has ended, the session closes.
    ///
    /// go-yamux, rust yamux and tokio-yamux close the session when they receive it. [`shutdown`](Self::shutdown)
    /// spares them.
    pub fn go_away(&self) {
        self.shared.with(|state| state.connection.go_away(self.shared.runtime.now()));
    }

    /// Ends the session gracefully: no streams are opened or accepted any more; when the last one has ended, or
    /// `patience` is over, the session closes. Returns its outcome.
    ///
    /// A peer of this crate gets GoAway at once. Other peers get it when the session is idle, because most close the
    /// session and its streams when they receive it. Until then, what they open is refused.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the session goes on ending, without the bound of `patience`.
    pub async fn shutdown(&self, patience: Duration) -> Closed {
        self.shared.with(|state| state.connection.drain(self.shared.runtime.now()));
        match self.timeout(self.closed(), patience).await {
            Some(closed) => closed,
            None => self.close().await,
        }
    }

    /// Closes the session: what was written goes out, GoAway(0) behind it, then the transport is ended. Streams that
    /// are open fail on both sides. Returns the outcome, after [`Timeouts::close`](crate::Timeouts::close) at most.
    ///
    /// What the peer has not taken by then is lost, and the outcome is the same. An application that must know has the
    /// peer answer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the session goes on closing.
    pub async fn close(&self) -> Closed {
        self.shared.with(|state| state.connection.close(self.shared.runtime.now()));
        self.closed().await
    }

    /// Waits until the session is over, and returns its outcome.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn closed(&self) -> Closed {
        self.shared
            .wait_for(
                |state| &mut state.watchers,
                |state, _| match state.connection.closed() {
                    Some(closed) if state.connection.state() == State::Closed => Poll::Ready(closed.clone()),
                    _ => Poll::Pending,
                },
            )
            .await
    }

    /// Returns how far the session is.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.lock().connection.state()
    }

    /// Returns the counts of the session.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared.lock().connection.statistics()
    }
}

impl<R: Runtime> Clone for Session<R> {
    fn clone(&self) -> Self {
        self.shared.lock().handles += 1;
        Self {
            shared: Arc::clone(&self.shared),
            open_timeout: self.open_timeout,
            ping_timeout: self.ping_timeout,
        }
    }
}

impl<R: Runtime> Drop for Session<R> {
    fn drop(&mut self) {
        self.shared.with(|state| {
            state.handles -= 1;
            if state.handles == 0 {
                state.connection.refuse_all(self.shared.runtime.now());
            }
        });
    }
}

impl<R: Runtime> fmt::Debug for Session<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("state", &self.state()).finish_non_exhaustive()
    }
}
