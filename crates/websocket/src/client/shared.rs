//! What the handles and the driver of one connection share, and the I/O that each of them does.
//!
//! # Invariants
//!
//! - The lock is held for the time of one look: never over an await, and never while a waker is woken or a stream is
//!   dropped ([`After`] does that when the lock is free).
//! - What follows from a change is worked out in one place, [`Shared::with`], under the same lock: a task that waits
//!   for it is woken after it can be seen.
//! - Whenever the lock is free and the connection wants to read, the stream knows the waker of [`Signals`], or the
//!   driver watches, or has been woken. While it watches, the stream may know the waker of the receiver's task
//!   instead, which spares each message the detour over [`Signals`].

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::task::coop;
use wavetank_runtime::{Instant, Runtime};

use super::signals::{Signals, read_waker, write_waker};
use super::wait::{Place, Waiters};
use crate::handshake::Opened;
use crate::protocol::{self, Connection, Transport};
use crate::session::Session;
use crate::{Closed, Error, Fragment};

/// How many reads one look does at most, before other tasks get their turn.
pub(super) const READS_A_LOOK: u32 = 32;

/// How many bytes one look inflates at most, before other tasks get their turn. Every read adds up to as much.
const INFLATED_A_LOOK: usize = 64 << 10;

/// A connection, as its handles and its driver see it.
pub(super) struct Shared<R, S> {
    pub(super) runtime: R,
    pub(super) signals: Arc<Signals>,
    pub(super) opened: Opened,
    state: Mutex<State<S>>,
}

/// The part of [`Shared`] that changes.
pub(super) struct State<S> {
    pub(super) session: Box<Session>,
    pub(super) line: Line<S>,
    /// A call of `recv` waits, woken or not, and is not being polled.
    pub(super) receiving: bool,
    /// The receiver that the stream wakes, or has woken. It is kept after its message, as the next call is usually
    /// from the same task.
    receiver: Option<Waker>,
    /// How often receivers have read for themselves. The driver leaves reading to them while this grows.
    pub(super) receiver_reads: u64,
    /// The tasks that want to send, in order.
    pub(super) senders: Waiters,
    /// The tasks that wait for the end, or for a pong.
    pub(super) watchers: Waiters,
    /// Every handle is gone: what is received is discarded.
    abandoned: bool,
    /// What the driver's timer is set to.
    pub(super) timer: Option<Instant>,
    /// When the driver looked at the clock last: the time for calls that do not depend on it.
    pub(super) latest: Instant,
    /// The driver looks after the stream soon without being woken.
    pub(super) watched: bool,
    /// The fast path may be taken: see [`is_calm`](State::is_calm). Worked out at the end of each [`Shared::change`];
    /// calls that only [`peek`](Shared::peek) clear it, or keep it true.
    pub(super) calm: bool,
    /// The end was announced to every task that waits.
    announced: bool,
}

/// The stream, and how far it is.
pub(super) struct Line<S> {
    pub(super) stream: Option<S>,
    read_waker: Waker,
    pub(super) write_waker: Waker,
    wakes: Wakes,
    /// Bytes were written since the last flush.
    pub(super) unflushed: bool,
    shut_down: bool,
}

/// What the stream wakes when there is something to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wakes {
    /// Nothing: it was not polled since it has brought something.
    Nothing,
    /// What [`Signals`] say.
    Signals,
    /// A receiver that waits, or did until it was dropped. Only while the driver watches.
    Receiver,
}

/// What one look at the stream led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Something came: bytes, the end, an error.
    Progress,
    /// There is nothing to read, or nothing wanted.
    Nothing,
}

/// What must be done when the lock is free.
pub(super) struct After<S> {
    receiver: Option<Waker>,
    driver: Option<Waker>,
    sender: Option<Waker>,
    others: Vec<Waker>,
    stream: Option<S>,
    /// A waker that is only dropped.
    forgotten: Option<Waker>,
}

impl<S> After<S> {
    fn new() -> Self {
        Self { receiver: None, driver: None, sender: None, others: Vec::new(), stream: None, forgotten: None }
    }

    /// Wakes the driver when the lock is free.
    pub(super) fn wake_driver(&mut self, signals: &Signals) {
        self.driver = self.driver.take().or_else(|| signals.take_driver());
    }

    fn run(self) {
        // Nearly always there is nothing to do, and this is done for every short message.
        drop((self.stream, self.forgotten));
        if let Some(receiver) = self.receiver {
            receiver.wake();
        }
        if let Some(sender) = self.sender {
            sender.wake();
        }
        if let Some(driver) = self.driver {
            driver.wake();
        }
        if !self.others.is_empty() {
            self.others.into_iter().for_each(Waker::wake);
        }
    }
}

impl<R, S> Shared<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(runtime: R, stream: S, session: Box<Session>, opened: Opened) -> Self {
        let signals = Arc::new(Signals::default());
        let line = Line {
            stream: Some(stream),
            read_waker: read_waker(&signals),
            write_waker: write_waker(&signals),
            wakes: Wakes::Nothing,
            unflushed: false,
            shut_down: false,
        };
        let state = State {
            session,
            line,
            receiving: false,
            receiver: None,
            receiver_reads: 0,
            senders: Waiters::default(),
            watchers: Waiters::default(),
            abandoned: false,
            timer: None,
            latest: runtime.now(),
            watched: false,
            calm: false,
            announced: false,
        };
        Self { runtime, signals, opened, state: Mutex::new(state) }
    }

    /// Looks at the connection without changing it.
    pub(super) fn peek(&self) -> MutexGuard<'_, State<S>> {
        // A stream of the application's may panic when it is polled; what it leaves behind can still be ended.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the connection, and then wakes the tasks that wait for what changed.
    #[inline]
    pub(super) fn with<T>(&self, body: impl FnOnce(&mut State<S>, &mut After<S>) -> T) -> T {
        self.change(self.peek(), body)
    }

    /// Changes a connection whose lock is held already, as [`with`](Self::with).
    pub(super) fn change<T>(
        &self,
        mut state: MutexGuard<'_, State<S>>,
        body: impl FnOnce(&mut State<S>, &mut After<S>) -> T,
    ) -> T {
        let mut after = After::new();
        let result = body(&mut state, &mut after);
        self.settle(&mut state, &mut after);
        state.calm = state.is_calm();
        drop(state);
        after.run();
        result
    }

    /// Waits for the outcome.
    pub(super) async fn closed(&self) -> Closed {
        let mut watching = Watching { shared: self, place: None };
        poll_fn(|context| {
            self.with(|state, _| match state.closed() {
                Some(closed) => Poll::Ready(closed),
                None => {
                    state.watchers.wait(&mut watching.place, context.waker());
                    Poll::Pending
                }
            })
        })
        .await
    }

    #[inline]
    fn settle(&self, state: &mut State<S>, after: &mut After<S>) {
        if state.session.connection().closed().is_some() {
            return self.announce(state, after);
        }
        let connection = state.session.connection();
        if connection.state() == protocol::State::Open && !connection.write_buffer_is_full() {
            after.sender = state.senders.wake_first();
        }
        if state.has_sooner_deadline() || (!state.watched && state.is_unattended(&self.signals)) {
            after.wake_driver(&self.signals);
        }
    }

    #[cold]
    fn announce(&self, state: &mut State<S>, after: &mut After<S>) {
        if !state.announced {
            state.announced = true;
            state.wake_receiver(&self.signals, after);
            state.forget_receiver(after);
            after.wake_driver(&self.signals);
            after.others.extend(state.senders.wake_all());
            after.others.extend(state.watchers.wake_all());
        }
    }
}

impl<S> State<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn connection(&mut self) -> &mut Connection {
        self.session.connection_mut()
    }

    /// Whether a conversation of short messages concerns no other task: the connection is at rest in plain text, no
    /// sender and no watcher waits, everything is flushed, and the driver watches.
    fn is_calm(&self) -> bool {
        self.watched
            && self.senders.is_empty()
            && self.watchers.is_empty()
            && !self.line.unflushed
            && self.line.stream.is_some()
            && self.session.is_plain()
            && self.session.connection().is_at_rest()
    }

    /// Returns `true` if a task that has just come may send at once.
    pub(super) fn may_send(&self) -> bool {
        let connection = self.session.connection();
        connection.state() == protocol::State::Open
            && self.senders.is_first(None)
            && !connection.write_buffer_is_full()
    }

    /// The outcome, once there is one.
    #[inline]
    pub(super) fn closed(&self) -> Option<Closed> {
        self.session.connection().closed().cloned()
    }

    /// The outcome as an error, once there is one.
    #[inline]
    pub(super) fn over(&self) -> Option<Error> {
        self.closed().map(Error::Closed)
    }

    /// Returns `true` if there may be something to read and no task is sure to do it.
    pub(super) fn is_unattended(&self, signals: &Signals) -> bool {
        let may_read =
            (self.line.wakes != Wakes::Signals || signals.is_readable()) && self.session.wants_read();
        self.line.stream.is_some() && (may_read || self.session.connection().has_input_left())
    }

    /// Whether there is a deadline before the driver's timer.
    #[inline]
    pub(super) fn has_sooner_deadline(&self) -> bool {
        match (self.session.deadline(), self.timer) {
            (Some(deadline), Some(timer)) => deadline < timer,
            (deadline, None) => deadline.is_some(),
            (None, Some(_)) => false,
        }
    }

    /// Whether the stream is gone.
    pub(super) fn is_hung_up(&self) -> bool {
        self.line.stream.is_none()
    }

    /// Reads until there is nothing more to read (or nothing more is wanted), and writes the answers.
    /// Returns false if others should get their turn before the rest.
    pub(super) fn exchange(
        &mut self,
        signals: &Signals,
        now: impl Fn() -> Instant + Copy,
        after: &mut After<S>,
    ) -> bool {
        let mut inflated = 0;
        for _ in 0..READS_A_LOOK {
            self.write(now, after);
            if self.read(signals, now, after) == Read::Nothing {
                return true;
            }
            // A receiver has no part in this work.
            inflated += self.connection().take_inflated();
            if inflated >= INFLATED_A_LOOK {
                break;
            }
        }
        self.write(now, after);
        false
    }

    /// Goes on with input that was left, or reads once, and wakes the tasks that may wait for what came.
    pub(super) fn read(
        &mut self,
        signals: &Signals,
        now: impl Fn() -> Instant + Copy,
        after: &mut After<S>,
    ) -> Read {
        let read = if self.session.connection().has_input_left() {
            self.session.process_with(&now);
            Read::Progress
        } else {
            self.read_stream(signals, now)
        };
        if read == Read::Progress {
            if self.abandoned {
                self.discard();
            }
            self.wake_receiver(signals, after);
            if !self.watchers.is_empty() {
                after.others.extend(self.watchers.wake_all());
            }
        }
        read
    }

    /// Goes on with input that was left while the queue was full, if there is room again, and wakes the tasks that
    /// may wait for what it holds. The caller must write the answers.
    #[inline]
    pub(super) fn catch_up(&mut self, now: impl Fn() -> Instant, after: &mut After<S>) {
        if self.session.connection().has_input_left() {
            self.process_what_is_left(now, after);
        }
    }

    #[cold]
    fn process_what_is_left(&mut self, now: impl Fn() -> Instant, after: &mut After<S>) {
        self.session.process_with(&now);
        after.others.extend(self.watchers.wake_all());
    }

    /// Reads once; if there is nothing yet, the stream wakes what [`Signals`] say.
    #[inline]
    pub(super) fn read_stream(&mut self, signals: &Signals, now: impl Fn() -> Instant + Copy) -> Read {
        if !self.session.wants_read() {
            return Read::Nothing;
        }
        if self.line.wakes == Wakes::Receiver
            && self.receiving
            && let Some(receiver) = self.receiver.take()
        {
            // The stream is about to forget it. Whether to look at once does not matter: that is done here.
            let _first_look = signals.register_receiver(&receiver);
        }
        let Some(stream) = self.line.stream.as_mut() else { return Read::Nothing };
        signals.begin_read();
        let mut context = Context::from_waker(&self.line.read_waker);
        let read = read_in(stream, &mut self.session, &mut context, now);
        self.line.wakes = if read == Read::Nothing { Wakes::Signals } else { Wakes::Nothing };
        read
    }

    /// Reads once; if there is nothing yet, the stream wakes the receiver without a detour. For a receiver, while the
    /// driver watches: it alone sees to it that the stream is read if the receiver does not come.
    #[inline]
    pub(super) fn read_for_receiver(
        &mut self,
        context: &mut Context<'_>,
        now: impl Fn() -> Instant + Copy,
    ) -> Read {
        debug_assert!(self.watched, "the driver looks after the stream");
        let Some(stream) = self.line.stream.as_mut() else { return Read::Nothing };
        let read = read_in(stream, &mut self.session, context, now);
        if read == Read::Progress {
            self.line.wakes = Wakes::Nothing;
        } else {
            self.wait_for_stream(context);
        }
        read
    }

    /// The stream wakes the task of `context`, a receiver's, from now on.
    #[inline]
    fn wait_for_stream(&mut self, context: &Context<'_>) {
        self.line.wakes = Wakes::Receiver;
        let waker = context.waker();
        if !self.receiver.as_ref().is_some_and(|present| present.will_wake(waker)) {
            self.receiver = Some(waker.clone());
        }
    }

    /// Reads once while the connection is [calm](Self::is_calm), and takes a message if it is all that came. Anything
    /// else is processed, and ends the calm.
    #[inline]
    pub(super) fn read_calmly(
        &mut self,
        context: &mut Context<'_>,
        now: impl Fn() -> Instant + Copy,
    ) -> Poll<Option<Fragment>> {
        debug_assert!(self.is_calm(), "calls that only peek have cleared it");
        let Some(stream) = self.line.stream.as_mut() else { return Poll::Ready(None) };
        let read = AsyncReadExt::read_buf(stream, self.session.input());
        let read = match Future::poll(pin!(read), context) {
            Poll::Pending => {
                self.wait_for_stream(context);
                return Poll::Pending;
            }
            Poll::Ready(read) => read,
        };
        self.line.wakes = Wakes::Nothing;
        if let Ok(1..) = read
            && let Some(message) = self.session.connection_mut().take_only()
        {
            return Poll::Ready(Some(message));
        }
        self.calm = false;
        take_in(&mut self.session, read, now);
        Poll::Ready(None)
    }

    /// Wakes the receiver that waits, if it was not woken already.
    fn wake_receiver(&mut self, signals: &Signals, after: &mut After<S>) {
        if self.receiving && after.receiver.is_none() {
            let direct = if self.line.wakes == Wakes::Receiver { self.receiver.take() } else { None };
            after.receiver = direct.or_else(|| signals.take_receiver());
        }
    }

    /// Lets go of the waker of a receiver that does not wait: its task may have ended.
    pub(super) fn forget_receiver(&mut self, after: &mut After<S>) {
        if !self.receiving {
            after.forgotten = self.receiver.take();
        }
    }

    /// Writes what the stream takes, and ends the stream if that is due.
    #[inline]
    pub(super) fn write(&mut self, now: impl Fn() -> Instant, after: &mut After<S>) {
        let idle = self.session.output().is_empty() && !self.line.unflushed;
        if !idle || self.session.transport() != Transport::Open {
            self.write_now(now, after);
        }
    }

    fn write_now(&mut self, now: impl Fn() -> Instant, after: &mut After<S>) {
        let Some(stream) = self.line.stream.as_mut() else { return };
        let was_full = self.session.connection().write_buffer_is_full();
        let mut context = Context::from_waker(&self.line.write_waker);
        match write_out(stream, &mut self.session, &mut self.line.unflushed, &mut context, &now) {
            Poll::Ready(Ok(()))
                if self.session.transport() == Transport::ShutDown && !self.line.shut_down =>
            {
                match Pin::new(stream).poll_shutdown(&mut context) {
                    Poll::Ready(Ok(())) => self.line.shut_down = true,
                    Poll::Ready(Err(error)) => self.session.write_failed(&error, now()),
                    Poll::Pending => {}
                }
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
            // What the peer sent before it went away still counts, above all its Close frame: reading goes on.
            Poll::Ready(Err(error)) => self.session.write_failed(&error, now()),
        }
        if was_full && !self.session.connection().write_buffer_is_full() {
            // Pings wait for room as well.
            after.others.extend(self.watchers.wake_all());
        }
        if self.session.transport() == Transport::Drop {
            after.stream = self.line.stream.take().or_else(|| after.stream.take());
        }
    }

    /// Discards what is received from now on, because every handle is gone.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
        self.discard();
    }

    fn discard(&mut self) {
        while self.connection().recv_fragment().is_some() {}
    }

    /// Ends the connection without a driver: no task is left to do its I/O.
    pub(super) fn hang_up(&mut self, after: &mut After<S>) {
        after.stream = self.line.stream.take();
    }
}

/// Reads once. The clock is only looked at if something came that depends on it: that costs as much as a short message.
#[inline]
fn read_in<S: AsyncRead + Unpin>(
    stream: &mut S,
    session: &mut Session,
    context: &mut Context<'_>,
    now: impl Fn() -> Instant,
) -> Read {
    let read = AsyncReadExt::read_buf(stream, session.input());
    match Future::poll(pin!(read), context) {
        Poll::Pending => Read::Nothing,
        Poll::Ready(read) => {
            take_in(session, read, now);
            Read::Progress
        }
    }
}

/// Tells the session what a read of the stream brought.
#[inline]
fn take_in(session: &mut Session, read: io::Result<usize>, now: impl Fn() -> Instant) {
    match read {
        Ok(0) => session.end_of_input(now()),
        Ok(_) => session.process_with(&now),
        Err(error) => session.transport_failed(&error, now()),
    }
}

pub(super) fn write_out<S: AsyncWrite + Unpin>(
    stream: &mut S,
    session: &mut Session,
    unflushed: &mut bool,
    context: &mut Context<'_>,
    now: impl Fn() -> Instant,
) -> Poll<io::Result<()>> {
    while !session.output().is_empty() {
        match Pin::new(&mut *stream).poll_write(context, session.output()) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => {
                session.output_written(count, &now);
                *unflushed = true;
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                // Without budget, a stream that has room is pending as well.
                if coop::has_budget_remaining() {
                    session.output_refused(now());
                }
                return Poll::Pending;
            }
        }
    }
    if *unflushed {
        match Pin::new(stream).poll_flush(context) {
            Poll::Ready(Ok(())) => *unflushed = false,
            other => return other,
        }
    }
    Poll::Ready(Ok(()))
}

/// A task that waits for the end or a pong, and gives up its place when dropped.
pub(super) struct Watching<'a, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) shared: &'a Shared<R, S>,
    pub(super) place: Option<Place>,
}

impl<R, S> Drop for Watching<'_, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.shared.peek().watchers.leave(place);
        }
    }
}
