//! The handle to an open connection.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop;
use wavetank_runtime::{Instant, Runtime};

use super::driver::Driver;
use super::messages::Messages;
use super::quick::{Quick, Take};
use super::sending::{MessageWriter, Turn, Writing};
use super::shared::{After, READS_A_LOOK, Read, Shared, State, Watching};
use crate::deflate::Parameters;
use crate::handshake::{Opened, Request, Response, Upgraded};
use crate::protocol::Statistics;
use crate::session::Session;
use crate::{Cause, CloseCode, Closed, Error, Fragment, Kind, Message};

pub use crate::outgoing::Outgoing;
pub use crate::protocol::State as ConnectionState;

/// An open connection of tasks, in either role. Clones are handles to the same connection.
///
/// Every method takes `&self`, so one task can receive while others send, ping and close. A task of the runtime's
/// drives the connection: pings are answered, a Close frame is answered, keepalive pings are sent and deadlines kept
/// while no method is called. A peer that does not read never blocks receiving, pinging or closing.
///
/// Every connection ends in exactly one way, [`Closed`], which every call reports alike.
///
/// Dropping the last handle closes the connection with code 1001 ("going away") in the background, within the close
/// timeout; what is received in the meantime is discarded. What was sent before is still written, as far as the peer
/// takes it in that time. [`close`](Self::close) first where the outcome matters.
///
/// # Cancel safety
///
/// Every method is cancel-safe: a future that is dropped before it completes has not taken a message, and has sent a
/// whole message or nothing.
pub struct WebSocket<R, S = <R as Runtime>::Stream>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    handle: Arc<Handle<R, S>>,
}

/// The part that clones share. Dropped with the last of them.
struct Handle<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    shared: Arc<Shared<R, S>>,
}

impl<R, S> WebSocket<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Starts to drive a connection whose opening is done.
    pub(crate) fn start(runtime: R, stream: S, session: Box<Session>, opened: Opened) -> Self {
        let shared = Arc::new(Shared::new(runtime, stream, session, opened));
        let driver = Driver::new(Arc::clone(&shared));
        drop(shared.runtime.spawn("websocket", driver));
        Self { handle: Arc::new(Handle { shared }) }
    }

    /// Goes on with a stream whose opening handshake another HTTP stack has carried: `upgraded` says what it has
    /// agreed on. The connection is driven by a task of `runtime`.
    ///
    /// With the features `hyper` and `axum`, the modules of these names do this for their servers.
    ///
    /// # Determinism
    ///
    /// Draws 32 bytes of the runtime's entropy, from which masks and pings are derived.
    #[must_use]
    pub fn from_upgraded(runtime: R, stream: S, upgraded: Upgraded) -> Self {
        let mut seed = [0; 32];
        runtime.fill_random(&mut seed);
        let (session, opened) = upgraded.begin(seed, runtime.now());
        Self::start(runtime, stream, Box::new(session), opened)
    }

    /// The connection without a handle to it: does not keep it open.
    pub(super) fn share(&self) -> Arc<Shared<R, S>> {
        Arc::clone(&self.handle.shared)
    }

    pub(super) fn shared(&self) -> &Shared<R, S> {
        &self.handle.shared
    }

    /// Waits for the next message.
    ///
    /// Messages that were received before the connection ended come out before its end is reported.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] with the outcome once the connection is over, to every call from then on.
    /// [`Error::ConcurrentRecv`] while another call of `recv` or [`recv_fragment`](Self::recv_fragment) waits; that one
    /// is not disturbed.
    ///
    /// # Cancel safety
    ///
    /// No message is lost if the future is dropped.
    pub async fn recv(&self) -> Result<Message, Error> {
        self.receive().await
    }

    /// Waits for the next piece of a message, without waiting for the rest of it: for messages that are better not held
    /// in memory as a whole. Text may be cut inside a character; that it is UTF-8 as a whole is checked.
    ///
    /// After the first piece of a message, [`recv`](Self::recv) waits until its last piece is taken.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// No piece is lost if the future is dropped.
    pub async fn recv_fragment(&self) -> Result<Fragment, Error> {
        self.receive().await
    }

    /// Returns the messages as a `Stream`, which is a handle to the connection of its own.
    #[must_use]
    pub fn messages(&self) -> Messages<R, S> {
        Messages::new(self.clone())
    }

    async fn receive<T: Take>(&self) -> Result<T, Error> {
        let mut receiving = Receiving::new(self.shared(), false);
        poll_fn(|context| receiving.poll(context)).await
    }

    /// Sends a whole message: a `&str`, a `&[u8]`, or a [`Message`].
    ///
    /// Completes when the message is in the write buffer, and writes as much of it as the stream takes at once. Waits
    /// while the write buffer is full (`Limits`), in the order of the calls.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] with the outcome, also where a Close frame was sent or received before it was this call's
    /// turn: then it waits for the outcome first, at most the close timeout. The message was not sent.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, nothing was sent.
    pub async fn send<'a>(&self, message: impl Into<Outgoing<'a>>) -> Result<(), Error> {
        self.put(message.into(), Writing::AtOnce).await
    }

    /// Sends a whole message as [`send`](Self::send), but leaves it in the write buffer until that is full, or until
    /// the next call of [`flush`](Self::flush) or of any other method that sends, receives or closes: many short
    /// messages cost one write.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, nothing was sent.
    pub async fn feed<'a>(&self, message: impl Into<Outgoing<'a>>) -> Result<(), Error> {
        self.put(message.into(), Writing::Later).await
    }

    /// Writes what [`feed`](Self::feed) has left in the write buffer, as much as the stream takes at once; the rest
    /// follows in the background, as after [`send`](Self::send).
    ///
    /// Waits for nothing, and returns nothing: any other call reports the end of the connection. On threads
    /// [`flush`](crate::blocking::WebSocket::flush) writes all before it returns, and can fail.
    pub fn flush(&self) {
        let shared = self.shared();
        let now = || shared.runtime.now();
        let mut state = shared.peek();
        if !state.may_send() || !state.write_quickly(now) {
            shared.change(state, |state, after| state.write(now, after));
        }
    }

    async fn put(&self, message: Outgoing<'_>, writing: Writing) -> Result<(), Error> {
        let mut turn = Turn::new(self.shared());
        poll_fn(|context| turn.poll(context, writing, Some(message.whole()))).await
    }

    /// Waits until it is this call's turn to send, and begins a message whose pieces are sent as they come, each in a
    /// frame of its own. Other senders wait until it is finished.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, nothing was sent.
    pub async fn send_stream(&self, kind: Kind) -> Result<MessageWriter<'_, R, S>, Error> {
        MessageWriter::begin(self.shared(), kind).await
    }

    /// Sends a ping and waits for its pong, or for that of a later ping. Returns the time between.
    ///
    /// The ping follows what was sent before it; it waits while the write buffer is full, as a message does.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] with the outcome where the connection ended before the pong came.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the ping may have been sent; its pong is then counted in the statistics alone.
    pub async fn ping(&self) -> Result<Duration, Error> {
        self.ping_as(None).await
    }

    /// Sends a ping with a payload of the caller's, at most 125 bytes, as [`ping`](Self::ping). Give each ping its own
    /// payload: a pong answers the earliest ping with its payload, and all before that. A peer can foresee the payload,
    /// and so answer before it has received the ping; `ping` draws one that it cannot.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping), and [`Error::ControlTooLong`].
    ///
    /// # Cancel safety
    ///
    /// As [`ping`](Self::ping).
    pub async fn ping_with(&self, payload: &[u8]) -> Result<Duration, Error> {
        self.ping_as(Some(payload)).await
    }

    async fn ping_as(&self, payload: Option<&[u8]>) -> Result<Duration, Error> {
        let shared = self.shared();
        let mut watching = Watching { shared, place: None };
        let mut ping = None;
        poll_fn(|context| {
            shared.with(|state, after| {
                if let Some(latency) = ping.and_then(|ping| state.connection().latency_of(ping)) {
                    return Poll::Ready(Ok(latency));
                }
                if let Some(over) = state.over() {
                    return Poll::Ready(Err(over));
                }
                let open = state.session.connection().state() == ConnectionState::Open;
                if open && ping.is_none() && !state.session.connection().write_buffer_is_full() {
                    let now = shared.runtime.now();
                    let connection = state.connection();
                    let sent = match payload {
                        Some(payload) => connection.ping_with(payload, now),
                        None => connection.ping(now),
                    };
                    match sent {
                        Ok(sent) => ping = Some(sent),
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                    state.write(|| now, after);
                    if let Some(over) = state.over() {
                        return Poll::Ready(Err(over));
                    }
                }
                state.watchers.wait(&mut watching.place, context.waker());
                Poll::Pending
            })
        })
        .await
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
        shared.with(|state, after| {
            let sent = state.connection().pong(payload);
            state.write(|| shared.runtime.now(), after);
            sent
        })
    }

    /// Closes the connection and waits for its outcome, at most the close timeout (`Config`).
    ///
    /// Sends a Close frame behind what was sent before, unless closing has begun already; then waits for the peer's.
    /// The end of the transport follows in the background, within the close timeout. Messages that arrive in the
    /// meantime, and those that arrived before, can still be received, before and after this returns.
    ///
    /// # Cancel safety
    ///
    /// The connection is closing from the first poll on, whether or not the future is kept.
    ///
    /// With the code `None` the Close frame has neither code nor reason.
    pub async fn close(&self, code: impl Into<Option<CloseCode>>, reason: &str) -> Closed {
        let (shared, code) = (self.shared(), code.into());
        shared.with(|state, after| {
            let now = shared.runtime.now();
            state.connection().close(code, reason, now);
            state.write(|| now, after);
        });
        self.closed().await
    }

    /// Ends the connection now, without a closing handshake: the stream is dropped, and what is not yet written is
    /// lost. Every call ends with [`Cause::Aborted`], unless the outcome is known already.
    pub fn abort(&self) {
        self.shared().with(|state, after| {
            state.connection().abort(Cause::Aborted);
            state.hang_up(after);
            // After a complete close the driver is the one that waits for the end of the transport.
            after.wake_driver(&self.shared().signals);
        });
    }

    /// Waits for the outcome of the connection. Does not begin to close it. On threads it is called `wait_closed`.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn closed(&self) -> Closed {
        self.shared().closed().await
    }

    /// Returns the outcome of the connection, once it is over.
    #[must_use]
    pub fn outcome(&self) -> Option<Closed> {
        self.shared().peek().closed()
    }

    /// Returns how far the connection is.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.shared().peek().session.connection().state()
    }

    /// Returns the counts of the connection so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared().peek().session.connection().statistics().clone()
    }

    /// Returns what was said at the opening: the server's answer on a client, the client's request on a server.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.shared().opened
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
}

impl<R, S> Clone for WebSocket<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle) }
    }
}

impl<R, S> fmt::Debug for WebSocket<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl<R, S> WebSocket<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Closes the connection in the background, although handles exist.
    pub(super) fn begin_close(&self) {
        let shared = self.shared();
        let now = shared.runtime.now();
        shared.with(|state, after| {
            state.connection().close(CloseCode::GOING_AWAY, "", now);
            after.wake_driver(&shared.signals);
        });
    }
}

impl<R, S> Drop for Handle<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        let shared = &self.shared;
        let now = shared.runtime.now();
        shared.with(|state, after| {
            state.connection().close(CloseCode::GOING_AWAY, "", now);
            state.abandon();
            after.wake_driver(&shared.signals);
        });
    }
}

/// How many bytes are inflated for one unit of a task's budget.
const INFLATED_A_UNIT: usize = 8 << 10;

/// Spends units of the task's budget, as many as are left at most.
#[cold]
pub(super) fn spend(context: &mut Context<'_>, units: usize) {
    for _ in 0..units {
        if !coop::has_budget_remaining() {
            return;
        }
        if let Poll::Ready(unit) = coop::poll_proceed(context) {
            unit.made_progress();
        }
    }
}

/// A call of `recv`, which gives up its place when it is dropped.
pub(super) struct Receiving<'a, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    shared: &'a Shared<R, S>,
    pub(super) waits: bool,
    /// What this call has inflated, in bytes.
    inflated: usize,
}

impl<'a, R, S> Receiving<'a, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(shared: &'a Shared<R, S>, waits: bool) -> Self {
        Self { shared, waits, inflated: 0 }
    }

    #[inline]
    pub(super) fn poll<T: Take>(&mut self, context: &mut Context<'_>) -> Poll<Result<T, Error>> {
        // A task that never waits, as its peer sends more than it takes, lets others run, too.
        let Poll::Ready(budget) = coop::poll_proceed(context) else { return self.poll_later() };
        let received = self.poll_now(context);
        if received.is_ready() {
            budget.made_progress();
            if self.inflated > 0 {
                spend(context, self.inflated / INFLATED_A_UNIT);
            }
        }
        received
    }

    /// The task has to let others run, which wakes it afterwards. A refusal does not wait for that.
    #[cold]
    fn poll_later<T>(&self) -> Poll<Result<T, Error>> {
        let refused = !self.waits && self.shared.peek().receiving;
        if refused { Poll::Ready(Err(Error::ConcurrentRecv)) } else { Poll::Pending }
    }

    #[inline]
    fn poll_now<T: Take>(&mut self, context: &mut Context<'_>) -> Poll<Result<T, Error>> {
        let shared = self.shared;
        let mut state = shared.peek();
        let now = || shared.runtime.now();
        if self.waits || !state.receiving {
            match state.receive_quickly(context, now) {
                Quick::Taken(taken) => {
                    self.cease(&mut state);
                    if state.session.connection().has_input_left() {
                        self.inflated = self.catch_up(state);
                    } else {
                        self.inflated = state.connection().take_inflated();
                    }
                    return Poll::Ready(Ok(taken));
                }
                Quick::Nothing => {
                    self.waits = true;
                    state.receiving = true;
                    return Poll::Pending;
                }
                Quick::Left => {}
            }
        }
        shared.change(state, |state, after| {
            if state.receiving && !self.waits {
                return Poll::Ready(Err(Error::ConcurrentRecv));
            }
            // What is read now it finds without being woken.
            state.receiving = false;
            if let Some(result) = Self::received(state, after, now) {
                // A pong that came with it does not wait for the next call.
                state.write(now, after);
                self.inflated = state.connection().take_inflated();
                self.cease(state);
                return Poll::Ready(result);
            }
            state.receiver_reads += 1;
            // One read brings a message, or a part of one: what is larger than this many reads lets others go first.
            for _ in 0..READS_A_LOOK {
                state.write(now, after);
                let read = state.read(&shared.signals, now, after);
                if let Some(result) = Self::received(state, after, now) {
                    // Pongs do not wait for the next call.
                    state.write(now, after);
                    self.inflated = state.connection().take_inflated();
                    self.cease(state);
                    return Poll::Ready(result);
                }
                if state.session.connection().has_input_left() {
                    // Enough was inflated for this turn.
                    state.connection().take_inflated();
                    break;
                }
                if read == Read::Nothing {
                    self.wait(state, context);
                    return Poll::Pending;
                }
            }
            self.waits = true;
            state.receiving = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[inline]
    fn received<T: Take>(
        state: &mut State<S>,
        after: &mut After<S>,
        now: impl Fn() -> Instant,
    ) -> Option<Result<T, Error>> {
        match T::take(state.connection()) {
            Some(message) => {
                state.catch_up(now, after);
                Some(Ok(message))
            }
            None => state.over().map(Err),
        }
    }

    /// Continues with input for which there is room again. Returns what this call has inflated. Not inlined, as it is
    /// rare.
    #[cold]
    fn catch_up(&self, state: MutexGuard<'_, State<S>>) -> usize {
        let now = || self.shared.runtime.now();
        self.shared.change(state, |state, after| {
            state.catch_up(now, after);
            state.write(now, after);
            state.connection().take_inflated()
        })
    }

    /// Waits for the stream.
    fn wait(&mut self, state: &mut State<S>, context: &Context<'_>) {
        self.waits = true;
        state.receiving = true;
        let looks_again = !self.shared.signals.register_receiver(context.waker());
        // At the end of the stream nothing is read any more, and a stray wake is never taken back.
        if looks_again && state.session.wants_read() {
            context.waker().wake_by_ref();
        }
    }

    fn cease(&mut self, state: &mut State<S>) {
        if self.waits {
            self.waits = false;
            state.receiving = false;
            drop(self.shared.signals.take_receiver());
        }
    }
}

impl<R, S> Drop for Receiving<'_, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn drop(&mut self) {
        if self.waits {
            // If the stream woke this receiver meanwhile, `with` sees that no task attends to it, and wakes the driver.
            self.shared.with(|state, _| self.cease(state));
        }
    }
}
