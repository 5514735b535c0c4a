//! [`Session`]: opens and accepts streams.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{Instant, Threads};

use super::shared::{Guard, Shared};
use super::stream::Stream;
use super::transport::Transport;
use super::{reader, writer};
use crate::closed::Closed;
use crate::config::Config;
use crate::error::{OpenError, PingError};
use crate::protocol::{Connection, Role, State, Statistics};

/// A session: many streams over one transport. Clones are handles to the same session.
///
/// # Dropping
///
/// When the last handle is dropped, streams that wait to be accepted are reset, those that are held go on, and the
/// session closes after the last of them.
pub struct Session<T: Threads> {
    shared: Arc<Shared<T>>,
    open_timeout: Option<Duration>,
    ping_timeout: Duration,
}

impl<T: Threads> Session<T> {
    /// Starts the client side of a session over `transport`.
    ///
    /// # Errors
    ///
    /// The system's, where no descriptor is free or no more threads can be had.
    pub fn client<S: Transport>(threads: T, transport: S, config: Config) -> io::Result<Self> {
        Self::start(threads, transport, config, Role::Client)
    }

    /// Starts the server side of a session over `transport`. Both sides can open streams.
    ///
    /// # Errors
    ///
    /// As for [`client`](Self::client).
    pub fn server<S: Transport>(threads: T, transport: S, config: Config) -> io::Result<Self> {
        Self::start(threads, transport, config, Role::Server)
    }

    fn start<S: Transport>(threads: T, transport: S, config: Config, role: Role) -> io::Result<Self> {
        let mut seed = [0; 8];
        threads.fill_random(&mut seed);
        let open_timeout = config.timeouts.open;
        let ping_timeout = config.keepalive.timeout;
        let read_bytes = config.limits.read_buffer_bytes;
        let (writing, control) = (transport.try_clone()?, transport.try_clone()?);
        let connection = Connection::new(role, config, u64::from_le_bytes(seed), threads.now());
        let shared = Arc::new(Shared::new(threads.clone(), connection, Box::new(control)));
        let session = Self { shared: Arc::clone(&shared), open_timeout, ping_timeout };
        let for_writer = Arc::clone(&shared);
        threads.spawn("multiplexer writer", move || writer::run(&for_writer, writing))?;
        let for_reader = Arc::clone(&shared);
        let reader =
            threads.spawn("multiplexer reader", move || reader::run(&for_reader, transport, read_bytes));
        if let Err(error) = reader {
            shared.with(|state| state.connection.driver_dropped());
            return Err(error);
        }
        Ok(session)
    }

    /// Opens a stream. It can be written to at once: no round trip is waited for, and a refusal shows as
    /// [`ReadError::Refused`](crate::ReadError::Refused) or [`WriteError::Refused`](crate::WriteError::Refused).
    ///
    /// Blocks while [`Limits::unacknowledged_opens`](crate::Limits::unacknowledged_opens) streams are not
    /// acknowledged, for [`Timeouts::open`](crate::Timeouts::open) at most.
    ///
    /// # Errors
    ///
    /// As [`OpenError`] says. None of them disturbs the session.
    pub fn open(&self) -> Result<Stream<T>, OpenError> {
        let mut deadline = None;
        let mut guard = self.shared.lock();
        loop {
            let now = self.shared.threads.now();
            if let std::task::Poll::Ready(opened) = guard.connection.open(now) {
                let stream = opened.map(|key| {
                    let waits = self.shared.add_stream(&mut guard, key);
                    Stream::new(Arc::clone(&self.shared), key, waits)
                });
                self.shared.settle(&mut guard);
                return stream;
            }
            let until = self.open_timeout.map(|timeout| *deadline.get_or_insert(now + timeout));
            if until.is_some_and(|until| until <= now) {
                return Err(OpenError::TimedOut);
            }
            guard.opening += 1;
            guard = self.shared.wait(&self.shared.openers, guard, until);
            guard.opening -= 1;
        }
    }

    /// Waits for the next stream that the peer opens.
    ///
    /// # Errors
    ///
    /// The outcome of the session, once it is over and no stream waits any more.
    pub fn accept(&self) -> Result<Stream<T>, Closed> {
        loop {
            if let Some(stream) = self.accept_until(None)? {
                return Ok(stream);
            }
        }
    }

    /// Waits for the next stream that the peer opens, for `timeout` at most. `None`: none has come.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub fn accept_timeout(&self, timeout: Duration) -> Result<Option<Stream<T>>, Closed> {
        self.accept_until(Some(self.shared.threads.now() + timeout))
    }

    fn accept_until(&self, deadline: Option<Instant>) -> Result<Option<Stream<T>>, Closed> {
        let mut guard = self.shared.lock();
        loop {
            if let Some(key) = guard.connection.accept() {
                let waits = self.shared.add_stream(&mut guard, key);
                self.shared.settle(&mut guard);
                return Ok(Some(Stream::new(Arc::clone(&self.shared), key, waits)));
            }
            if let Some(closed) = guard.connection.accept_end() {
                return Err(closed.clone());
            }
            if deadline.is_some_and(|deadline| deadline <= self.shared.threads.now()) {
                return Ok(None);
            }
            guard.accepting += 1;
            guard = self.shared.wait(&self.shared.acceptors, guard, deadline);
            guard.accepting -= 1;
        }
    }

    /// Sends a ping and returns the round-trip time. Calls that come before it is sent share one ping.
    ///
    /// # Errors
    ///
    /// [`PingError::TimedOut`] after [`Keepalive::timeout`](crate::Keepalive::timeout); the session lives on.
    pub fn ping(&self) -> Result<Duration, PingError> {
        let deadline = self.shared.threads.now() + self.ping_timeout;
        let mut guard = self.shared.lock();
        let mut ping = None;
        loop {
            if let Some(closed) = guard.connection.closed() {
                return Err(PingError::Closed(closed.clone()));
            }
            let ping = *ping.get_or_insert_with(|| guard.connection.ping());
            if let Some(latency) = guard.connection.latency_of(ping) {
                return Ok(latency);
            }
            if deadline <= self.shared.threads.now() {
                return Err(PingError::TimedOut);
            }
            guard = self.watch(guard, Some(deadline));
        }
    }

    /// Tells the peer, with GoAway(0), that no more of its streams are accepted, and opens none any more. Streams
    /// that are open go on; when the last one has ended, the session closes.
    ///
    /// go-yamux, rust yamux and tokio-yamux close the session when they receive it. [`shutdown`](Self::shutdown)
    /// spares them.
    pub fn go_away(&self) {
        self.shared.with(|state| state.connection.go_away(self.shared.threads.now()));
    }

    /// Ends the session gracefully: no streams are opened or accepted any more; when the last one has ended, or
    /// `patience` is over, the session closes. Returns its outcome.
    ///
    /// A peer of this crate gets GoAway at once. Other peers get it when the session is idle, because most close the
    /// session and its streams when they receive it. Until then, what they open is refused.
    pub fn shutdown(&self, patience: Duration) -> Closed {
        let now = self.shared.threads.now();
        self.shared.with(|state| state.connection.drain(now));
        self.wait_closed_until(Some(now + patience)).unwrap_or_else(|| self.close())
    }

    /// Closes the session: what was written goes out, GoAway(0) behind it, then the transport is ended. Streams that
    /// are open fail on both sides. Returns the outcome, after [`Timeouts::close`](crate::Timeouts::close) at most.
    ///
    /// What the peer has not taken by then is lost, and the outcome is the same. An application that must know has the
    /// peer answer.
    pub fn close(&self) -> Closed {
        self.shared.with(|state| state.connection.close(self.shared.threads.now()));
        self.wait_closed()
    }

    /// Waits until the session is over, and returns its outcome.
    pub fn wait_closed(&self) -> Closed {
        loop {
            if let Some(closed) = self.wait_closed_until(None) {
                return closed;
            }
        }
    }

    fn wait_closed_until(&self, deadline: Option<Instant>) -> Option<Closed> {
        let mut guard = self.shared.lock();
        loop {
            if guard.connection.state() == State::Closed {
                return guard.connection.closed().cloned();
            }
            if deadline.is_some_and(|deadline| deadline <= self.shared.threads.now()) {
                return None;
            }
            guard = self.watch(guard, deadline);
        }
    }

    fn watch<'a>(&'a self, mut guard: Guard<'a, T>, deadline: Option<Instant>) -> Guard<'a, T> {
        guard.watching += 1;
        guard = self.shared.wait(&self.shared.watchers, guard, deadline);
        guard.watching -= 1;
        guard
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

impl<T: Threads> Clone for Session<T> {
    fn clone(&self) -> Self {
        self.shared.lock().handles += 1;
        Self {
            shared: Arc::clone(&self.shared),
            open_timeout: self.open_timeout,
            ping_timeout: self.ping_timeout,
        }
    }
}

impl<T: Threads> Drop for Session<T> {
    fn drop(&mut self) {
        self.shared.with(|state| {
            state.handles -= 1;
            if state.handles == 0 {
                state.connection.refuse_all(self.shared.threads.now());
            }
        });
    }
}

impl<T: Threads> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("state", &self.state()).finish_non_exhaustive()
    }
}
