//! The handle to an open connection: receiving, pings, closing.
//!
//! # Not here
//!
//! Sending (`send`).

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use wavetank_runtime::{BlockingStream, BlockingUnixStream, Instant, Threads};

use super::open::seed;
use super::reading::{ReadPermit, look, patience};
use super::shared::{self, Guard, Shared};
use super::wire::{BoxWire, Local, Tcp};
use super::{reader, writer};
use crate::deflate::Parameters;
use crate::handshake::{Opened, Request, Response, Upgraded};
use crate::protocol::{Connection, State, Statistics};
use crate::session::Session;
use crate::{Cause, CloseCode, Closed, Error, Fragment, Message, OpenError};

/// An open connection. Clones are handles to the same one.
///
/// See the [module](super) for its threads, for what blocks, and for what dropping the last handle does.
pub struct WebSocket<T: Threads> {
    pub(super) handle: Arc<Handle<T>>,
}

/// What the clones share. Dropped with the last of them.
pub(super) struct Handle<T: Threads> {
    pub(super) shared: Arc<Shared<T>>,
    opened: Opened,
}

impl<T: Threads> WebSocket<T> {
    /// Starts the threads of a connection whose opening is done.
    pub(super) fn start(
        threads: &T,
        session: Session,
        wire: BoxWire,
        close_timeout: Duration,
        opened: Opened,
    ) -> Result<Self, OpenError> {
        Self::try_start(threads, session, wire, close_timeout, opened).map_err(|error| {
            OpenError::Setup(format!("the threads of the connection cannot be started: {error}"))
        })
    }

    /// Goes on with a stream whose opening handshake another HTTP stack has carried: `upgraded` says what it has
    /// agreed on.
    ///
    /// # Errors
    ///
    /// The system's, where the stream cannot be duplicated, or the connection's threads cannot be started.
    ///
    /// # Determinism
    ///
    /// Draws 32 bytes of the runtime's entropy, from which masks and pings are derived.
    ///
    /// # Example: a connection in frames alone
    ///
    /// ```
    /// use wavetank_runtime::{BlockingListener, ListenOptions, SocketOptions, Std, Threads};
    /// use wavetank_websocket::blocking::WebSocket;
    /// use wavetank_websocket::handshake::Upgraded;
    /// use wavetank_websocket::protocol::Role;
    ///
    /// let listener = Std.listen("127.0.0.1:0".parse()?, ListenOptions::new())?;
    /// let ours = Std.connect(listener.local_addr()?, SocketOptions::new(), None)?;
    /// let (theirs, _) = listener.accept()?;
    /// let client = WebSocket::from_upgraded(Std, ours, Upgraded::new(Role::Client))?;
    /// let server = WebSocket::from_upgraded(Std, theirs, Upgraded::new(Role::Server))?;
    /// client.send("hello")?;
    /// assert_eq!(server.recv()?.as_text(), Some("hello"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_upgraded<S: BlockingStream>(threads: T, stream: S, upgraded: Upgraded) -> io::Result<Self> {
        // Messages are written whole: there is nothing to wait for. A stream that is gone already shows it soon.
        let _gone = stream.set_nodelay(true);
        Self::upgraded(&threads, Box::new(Tcp(stream)), upgraded)
    }

    /// The same over a Unix stream.
    ///
    /// # Errors
    ///
    /// Those of [`from_upgraded`](Self::from_upgraded).
    pub fn from_upgraded_unix<S: BlockingUnixStream>(
        threads: T,
        stream: S,
        upgraded: Upgraded,
    ) -> io::Result<Self> {
        Self::upgraded(&threads, Box::new(Local(stream)), upgraded)
    }

    fn upgraded(threads: &T, wire: BoxWire, upgraded: Upgraded) -> io::Result<Self> {
        let close_timeout = upgraded.config.close_timeout;
        let (session, opened) = upgraded.begin(seed(threads), threads.now());
        Self::try_start(threads, session, wire, close_timeout, opened)
    }

    fn try_start(
        threads: &T,
        session: Session,
        wire: BoxWire,
        close_timeout: Duration,
        opened: Opened,
    ) -> io::Result<Self> {
        wire.set_read_timeout(None)?;
        wire.set_write_timeout(None)?;
        let (writing, control) = (wire.duplicate()?, wire.duplicate()?);
        let reading = ReadPermit::new(wire, session.connection().read_bytes(), threads.now());
        let shared = Arc::new(Shared::new(threads.clone(), session, writing, control, close_timeout));
        // From here on dropping the handle ends the threads that have started.
        let socket = Self { handle: Arc::new(Handle { shared: Arc::clone(&shared), opened }) };
        let writing = Arc::clone(&shared);
        // They are not joined: they end with the connection, and hold nothing that outlives it.
        drop(threads.spawn("websocket writer", move || writer::run(&writing))?);
        drop(threads.spawn("websocket reader", move || reader::run(&shared, reading))?);
        Ok(socket)
    }

    /// Receives the next message.
    ///
    /// Messages that came before the end of the connection are returned before the end is reported.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once the connection is over; [`Error::ConcurrentRecv`] while another thread receives.
    pub fn recv(&self) -> Result<Message, Error> {
        self.receive(None, Connection::recv_message)
    }

    /// Receives the next message, waiting for `timeout` at most. Zero takes a message that is there already.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv), and [`Error::TimedOut`]: nothing is lost, not even in the middle of a message
    /// that comes in fragments, and the call may be repeated. So it may while the connection is closing: messages can
    /// come until the outcome is there.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, Error> {
        self.receive(Some(timeout), Connection::recv_message)
    }

    /// Receives the next piece of a message, as its frames come in: for messages that are long, or slow to end.
    ///
    /// Once a message has been begun so, [`recv`](Self::recv) waits until its last piece is taken.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn recv_fragment(&self) -> Result<Fragment, Error> {
        self.receive(None, Connection::recv_fragment)
    }

    /// Receives the next piece of a message, waiting for `timeout` at most.
    ///
    /// # Errors
    ///
    /// Those of [`recv_timeout`](Self::recv_timeout).
    pub fn recv_fragment_timeout(&self, timeout: Duration) -> Result<Fragment, Error> {
        self.receive(Some(timeout), Connection::recv_fragment)
    }

    /// Takes what `take` finds, as soon as it finds something.
    fn receive<M>(
        &self,
        timeout: Option<Duration>,
        take: fn(&mut Connection) -> Option<M>,
    ) -> Result<M, Error> {
        let shared = self.shared();
        let deadline = self.deadline_after(timeout);
        let mut guard = shared.lock();
        if guard.receiving {
            return Err(Error::ConcurrentRecv);
        }
        guard.receiving = true;
        // A caller whose read has timed out reads no more: the rest of its time is kept exactly.
        let mut reads = true;
        let received = loop {
            if let Some(taken) = take(guard.session.connection_mut()) {
                guard.catch_up(|| shared.threads.now());
                break Ok(taken);
            }
            if let Some(closed) = guard.closed() {
                break Err(Error::Closed(closed.clone()));
            }
            let left = deadline.map(|deadline| deadline - shared.threads.now());
            if left.is_some_and(|left| left.is_zero()) {
                break Err(Error::TimedOut);
            }
            guard = if guard.has_input_left() {
                shared.go_on(guard)
            } else {
                wait_for_arrival(shared, guard, deadline, left, &mut reads)
            };
        };
        guard.receiving = false;
        // There is room in the queue again, so that the reader may go on.
        shared.settle(&mut guard);
        received
    }

    /// Sends a ping, waits for its pong, and returns the time between.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once the connection is over. If the peer may be gone, have a [keepalive](crate::Keepalive),
    /// or use [`ping_timeout`](Self::ping_timeout).
    pub fn ping(&self) -> Result<Duration, Error> {
        self.ping_until(None, None)
    }

    /// Sends a ping with a payload of the caller's, at most 125 bytes, as [`ping`](Self::ping). Give each ping its own
    /// payload: a pong answers the earliest ping with its payload, and all before that. A peer can foresee the payload,
    /// and so answer before it has received the ping; `ping` draws one that it cannot.
    ///
    /// # Errors
    ///
    /// Those of [`ping`](Self::ping), and [`Error::ControlTooLong`].
    pub fn ping_with(&self, payload: &[u8]) -> Result<Duration, Error> {
        self.ping_until(Some(payload), None)
    }

    /// Sends a ping and waits for its pong, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// Those of [`ping`](Self::ping), and [`Error::TimedOut`]: a pong that comes later does no harm, and the call may
    /// be repeated. [`Error::Closing`] if the connection is closing by then, and how it ends is not known yet: no
    /// further ping will go out.
    pub fn ping_timeout(&self, timeout: Duration) -> Result<Duration, Error> {
        self.ping_until(None, self.deadline_after(Some(timeout)))
    }

    fn ping_until(&self, payload: Option<&[u8]>, deadline: Option<Instant>) -> Result<Duration, Error> {
        let shared = self.shared();
        let mut guard = shared.lock();
        while guard.must_wait_for_room() {
            if deadline.is_some_and(|deadline| deadline <= shared.threads.now()) {
                return Err(Error::TimedOut);
            }
            guard.pings_waiting_for_room += 1;
            guard = shared.wait(&shared.room, guard, deadline);
            guard.pings_waiting_for_room -= 1;
        }
        if !guard.is_open() {
            return Err(closed_or(shared.wait_closed(guard, deadline)));
        }
        let (connection, now) = (guard.session.connection_mut(), shared.threads.now());
        let ping = match payload {
            Some(payload) => connection.ping_with(payload, now)?,
            None => connection.ping(now)?,
        };
        shared.settle(&mut guard);
        loop {
            if let Some(latency) = guard.session.connection_mut().latency_of(ping) {
                return Ok(latency);
            }
            if let Some(closed) = guard.closed() {
                return Err(Error::Closed(closed.clone()));
            }
            if deadline.is_some_and(|deadline| deadline <= shared.threads.now()) {
                return Err(if guard.is_open() { Error::TimedOut } else { Error::Closing });
            }
            guard = shared.wait_for_progress(guard, deadline);
        }
    }

    /// Closes the connection and waits for its outcome: for the answer of the peer, at most for the close timeout. The
    /// end of the stream follows in the background, within that time.
    ///
    /// Messages that were sent are sent before the Close frame, and those that come before the peer's can still be
    /// received. If the connection is closing already, or over, this only waits; every caller gets the same outcome.
    ///
    /// A `reason` of more than 123 bytes is cut (RFC 6455, section 5.5: a Close frame has room for no more).
    ///
    /// With the code `None` the Close frame has neither code nor reason.
    pub fn close(&self, code: impl Into<Option<CloseCode>>, reason: &str) -> Closed {
        let (shared, code) = (self.shared(), code.into());
        let mut guard = shared.lock();
        guard.session.connection_mut().close(code, reason, shared.threads.now());
        shared.settle(&mut guard);
        match shared.wait_closed(guard, None) {
            Ok(closed) => closed,
            Err(_) => unreachable!("a wait without a deadline of its own ends with the connection"),
        }
    }

    /// Ends the connection now, without a closing handshake: the stream is shut down, and what is not yet written is
    /// lost. Every call ends with [`Cause::Aborted`], unless the outcome is known already.
    pub fn abort(&self) {
        let shared = self.shared();
        let mut guard = shared.lock();
        guard.session.connection_mut().abort(Cause::Aborted);
        shared.settle(&mut guard);
    }

    /// Sends a pong that no ping has asked for: a sign of life that wants no answer (RFC 6455, section 5.5.3).
    ///
    /// Waits for nothing: where the write buffer is full, other traffic shows that this side lives, and the pong is
    /// left out.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] after the end, [`Error::Closing`] once it has begun, [`Error::ControlTooLong`] if `payload`
    /// has more than 125 bytes.
    pub fn pong(&self, payload: &[u8]) -> Result<(), Error> {
        let shared = self.shared();
        let mut guard = shared.lock();
        let sent = guard.session.connection_mut().pong(payload);
        shared.settle(&mut guard);
        sent
    }

    /// Waits for the outcome of the connection. Does not begin to close it. In tasks it is called `closed`.
    pub fn wait_closed(&self) -> Closed {
        match self.shared().wait_closed(self.shared().lock(), None) {
            Ok(closed) => closed,
            Err(_) => unreachable!("a wait without a deadline of its own ends with the connection"),
        }
    }

    /// Returns the outcome of the connection, once it is over.
    #[must_use]
    pub fn outcome(&self) -> Option<Closed> {
        self.shared().lock().closed().cloned()
    }

    /// Returns how far the connection is.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared().lock().session.connection().state()
    }

    /// Returns the counts of the connection so far, and the latest latency.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared().lock().session.connection().statistics().clone()
    }

    /// Returns what was said at the opening: the server's answer on a client, the client's request on a server.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.handle.opened
    }

    /// Returns the server's answer to the opening, on a client.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        self.opened().response()
    }

    /// Returns the client's request, on a server.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.opened().request()
    }

    /// Returns the peer's headers at the opening: of the server's answer on a client, of the request on a server.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.opened().headers()
    }

    /// Returns the subprotocol that the server chose, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.opened().subprotocol()
    }

    /// Returns the compression that was agreed on, if any.
    #[must_use]
    pub fn compression(&self) -> Option<Parameters> {
        self.opened().compression()
    }

    pub(super) fn shared(&self) -> &Shared<T> {
        &self.handle.shared
    }

    pub(super) fn deadline_after(&self, timeout: Option<Duration>) -> Option<Instant> {
        timeout.map(|timeout| self.shared().threads.now() + timeout)
    }
}

/// Reads, if no other thread does and the time allows it, or waits for what another thread reads.
fn wait_for_arrival<'a, T: Threads>(
    shared: &'a Shared<T>,
    mut guard: Guard<'a, T>,
    deadline: Option<Instant>,
    left: Option<Duration>,
    reads: &mut bool,
) -> Guard<'a, T> {
    let patience = left.map(patience);
    // Once the connection is closing, its outcome may come without another read, which would last until the end of the
    // stream: reading is left to the reader thread.
    *reads &= patience != Some(None) && guard.is_open();
    let permit = if *reads && guard.can_read() { guard.read_permit.take() } else { None };
    guard.awaits_arrival = permit.is_none();
    // What `feed` left may be what the peer waits for; and if nothing is left to be taken before a failure, that is
    // must be sent to the peer.
    shared.settle(&mut guard);
    match permit {
        Some(permit) => {
            guard.left_to_callers = true;
            let (guard, found_nothing) = look(shared, guard, permit, patience.flatten());
            *reads = !found_nothing || deadline.is_none();
            guard
        }
        None => {
            guard = shared.wait(&shared.arrivals, guard, deadline);
            guard.awaits_arrival = false;
            guard
        }
    }
}

/// The error of an operation that found the connection closing, and waited for its end.
pub(super) fn closed_or(waited: Result<Closed, Error>) -> Error {
    match waited {
        Ok(closed) => Error::Closed(closed),
        // The time of the call is up before the outcome is there. Nothing can be sent any more, so repeating is of no
        // use.
        Err(_) => Error::Closing,
    }
}

impl<T: Threads> Clone for WebSocket<T> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle) }
    }
}

impl<T: Threads> fmt::Debug for WebSocket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl<T: Threads> Drop for Handle<T> {
    fn drop(&mut self) {
        self.close_and(shared::State::abandon);
    }
}

impl<T: Threads> Handle<T> {
    /// Closes the connection in the background.
    pub(super) fn begin_close(&self) {
        self.close_and(|_state| {});
    }

    fn close_and(&self, then: impl FnOnce(&mut shared::State)) {
        let now = self.shared.threads.now();
        let mut guard = self.shared.lock();
        guard.session.connection_mut().close(CloseCode::GOING_AWAY, "", now);
        then(&mut guard);
        self.shared.settle(&mut guard);
    }
}
