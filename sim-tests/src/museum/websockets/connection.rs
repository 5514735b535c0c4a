//! The threaded connection, with its public methods. The original's `sync/connection.py` and `sync/client.py`.
//!
//! User threads reach the protocol through `send_context`. `recv_events` is the background thread. `shared` has what
//! both use: the socket, the mutex, and `close_socket()`, where the bugs are.
//!
//! # Invariants
//!
//! - Locks are taken in this order: `protocol_mutex`, then `attributes`. No thread blocks while it holds `attributes`.
//! - The writing handle of the socket is inside `protocol_mutex`, so every write holds the mutex.
//!
//! # Deviation
//!
//! `close_socket()` shuts the socket down as the original does. The descriptor is released only when the connection is
//! dropped: Rust cannot close a handle while a thread blocks in it.

mod recv_events;
mod send_context;
mod shared;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{BlockingStream as _, JoinError, Mutex, SocketOptions, ThreadHandle as _, Threads};

use super::Version;
use super::exceptions::{ConnectionClosed, OpenError, RecvError, Violation};
use super::messages::GetError;
use super::protocol::{Entropy, Protocol, State};
use super::threading::Deadline;
use send_context::ContextError;
use shared::Shared;

/// Settings of a connection.
///
/// # Defaults
///
/// Those of the original: 10 seconds for opening and 10 seconds for closing.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    version: Version,
    open_timeout: Duration,
    close_timeout: Duration,
}

impl Settings {
    /// The defaults, with the order of operations of `version`.
    #[must_use]
    pub const fn new(version: Version) -> Self {
        Self { version, open_timeout: Duration::from_secs(10), close_timeout: Duration::from_secs(10) }
    }

    /// Sets the timeout for connecting TCP and for the peer's answer to the opening handshake, together.
    #[must_use]
    pub const fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }

    /// Sets the timeout for the peer's half of the closing handshake.
    #[must_use]
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }
}

/// The client's end of a WebSocket connection, for any number of threads.
///
/// As in the original, dropping a connection without [`close`](Self::close) leaves its thread waiting for the peer.
pub struct Connection<R: Threads> {
    shared: Arc<Shared<R>>,
    /// Behind a lock only because handles need not be `Sync`.
    recv_events_thread: Mutex<R, R::ThreadHandle<()>>,
}

impl<R: Threads> Connection<R> {
    /// Connects to the server and performs the opening handshake.
    ///
    /// # Errors
    ///
    /// Every [`OpenError`]. No thread and no connection remains.
    pub fn connect(runtime: &R, server: SocketAddr, settings: Settings) -> Result<Self, OpenError> {
        let deadline = Deadline::after(runtime, settings.open_timeout);
        let socket = runtime.connect(server, SocketOptions::new(), Some(settings.open_timeout))?;
        socket.set_nodelay(true)?;
        let entropy: Entropy = {
            let runtime = runtime.clone();
            Box::new(move |buffer| runtime.fill_random(buffer))
        };
        let reader = socket.try_clone()?;
        let shared = Arc::new(Shared::new(runtime, socket, Protocol::client(entropy), settings)?);
        let recv_events_thread = {
            let shared = Arc::clone(&shared);
            runtime.spawn("recv_events", move || shared.recv_events(reader))?
        };
        let recv_events_thread = Mutex::new(runtime, "recv_events_thread", recv_events_thread);
        let connection = Self { shared, recv_events_thread };
        connection.handshake(server, deadline)?;
        Ok(connection)
    }

    /// Performs the opening handshake. Closes the socket if it fails.
    fn handshake(&self, server: SocketAddr, deadline: Deadline) -> Result<(), OpenError> {
        let shared = &self.shared;
        let asked = shared.send_context(State::Connecting, |protocol| {
            protocol.send_request(&server.to_string());
            Ok(())
        });
        if asked.is_err() {
            return Err(OpenError::Closed);
        }
        if !shared.response_rcvd.wait(Some(deadline.left(&shared.runtime))) {
            shared.close_socket();
            shared.recv_events_finished.wait(None);
            return Err(OpenError::TimedOut);
        }
        let (response, state) = {
            let attributes = shared.attributes.lock();
            (attributes.response, attributes.protocol.state())
        };
        if !response {
            shared.close_socket();
            shared.recv_events_finished.wait(None);
            return Err(OpenError::Closed);
        }
        if state != State::Open {
            shared.recv_events_finished.wait(Some(shared.settings.close_timeout));
            shared.close_socket();
            shared.recv_events_finished.wait(None);
        }
        let refused = shared.attributes.lock().protocol.handshake_error().cloned();
        refused.map_or(Ok(()), |error| Err(OpenError::Handshake(error)))
    }

    /// Waits for a message, at most for `timeout` if there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`] after either end or the network has closed the connection.
    ///
    /// # Panics
    ///
    /// With [`Version::V13_0_1`], if the connection "isn't closed yet": the first bug.
    pub fn recv(&self, timeout: Option<Duration>) -> Result<String, RecvError> {
        tracing::info!(target: "websockets", "recv: waiting for a message");
        match self.shared.recv_messages.get(timeout) {
            Ok(message) => Ok(message),
            Err(GetError::TimedOut) => Err(RecvError::TimedOut),
            Err(GetError::Concurrency) => Err(RecvError::Concurrency),
            Err(GetError::Eof) => {
                match self.shared.settings.version {
                    Version::V13_0_1 => {}
                    // Wait for the state to be CLOSED before accessing close_exc.
                    Version::V13_1 | Version::V14_2 => {
                        self.shared.recv_events_finished.wait(None);
                    }
                }
                Err(RecvError::Closed(self.closed_exc()))
            }
        }
    }

    /// `raise self.protocol.close_exc from self.recv_exc`, without the mutex, as in the original.
    fn closed_exc(&self) -> ConnectionClosed {
        let attributes = self.shared.attributes.lock();
        let state = attributes.protocol.state();
        tracing::info!(target: "websockets", "recv: reading close_exc, state is {state}");
        let mut closed = attributes.protocol.close_exc();
        closed.cause = attributes.recv_exc.clone().or(closed.cause);
        closed
    }

    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// [`ConnectionClosed`]. If a closing handshake is in progress, waits for its end first.
    pub fn send(&self, text: &str) -> Result<(), ConnectionClosed> {
        let sent = self.shared.send_context(State::Open, |protocol| protocol.send_text(text.into()));
        match sent {
            Ok(()) => Ok(()),
            Err(ContextError::Closed(closed)) => Err(closed),
            Err(ContextError::Misuse(violation)) => unreachable!("any text can be sent: {violation}"),
        }
    }

    /// Closes the connection: sends a close frame and waits until the peer answers or `close_timeout` passes. If a
    /// close is in progress, only waits.
    ///
    /// # Errors
    ///
    /// [`Violation`] if RFC 6455 does not allow the code or reason in a frame. Nothing was sent.
    ///
    /// # Panics
    ///
    /// With [`Version::V13_1`], if another thread is inside `receive_eof()`: the second bug. The panic may also be
    /// the background thread's.
    pub fn close(&self, code: u16, reason: &str) -> Result<(), Violation> {
        match self.shared.send_context(State::Open, |protocol| protocol.send_close(code, reason)) {
            // The connection is closed, as requested.
            Ok(()) | Err(ContextError::Closed(_)) => Ok(()),
            Err(ContextError::Misuse(violation)) => Err(violation),
        }
    }

    /// Waits until the background thread has ended and returns how it ended. Does not close the connection.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] if the second bug occurred there.
    pub fn join(self) -> Result<(), JoinError> {
        self.recv_events_thread.into_inner().join()
    }
}

impl<R: Threads> fmt::Debug for Connection<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
