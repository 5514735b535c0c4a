//! The one task of a connection: owns its state and its transport, and polls everything that it waits for.
//!
//! A round reads, handles what is due, polls the jobs that were woken and writes what they give, in this order: a
//! client's `complete` that is there counts before another result does, and a `connection_init` that is there before
//! its deadline. Operations take turns: each gives one result before the next is asked. A stream is asked only while
//! the transport has taken all results before. So what a stream could give does not delay what others have given. A
//! round is bounded, and spends tokio's cooperative budget.
//!
//! # Not here
//!
//! What messages mean (`connection`); what a hook or an operation leads to (`work`).

mod jobs;
mod ready;
mod work;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::coop;
use tracing::Span;
use wavetank_runtime::{Instant, Runtime, Sleep};

use crate::close::{CloseCode, CloseFrame, Ended};
use crate::connection::{Connection, Transmit};
use crate::engine::Engine;
use crate::hooks::{ConnectionInfo, Hooks};
use crate::registry::Membership;
use crate::transport::{Incoming, MessageTransport, TransportError};
use jobs::{Gives, Job, Jobs};
use ready::Ready;

use super::{Server, Upgrade};

/// Messages of the client that are handled in a round.
const MESSAGES_A_ROUND: usize = 16;

/// Jobs that are polled in a round.
const JOBS_A_ROUND: usize = 32;

/// Rounds in a poll, before other tasks get a turn.
const ROUNDS_A_POLL: usize = 4;

/// The connection as a future.
pub(super) struct Driver<R, E, H, T>
where
    R: Runtime,
    E: Engine,
{
    /// Shared with the hooks and preparations that run.
    server: Arc<Server<R, E, H>>,
    info: Arc<ConnectionInfo>,
    connection: Connection,
    /// `None` once nothing is sent or received any more.
    transport: Option<T>,
    ready: Arc<Ready>,
    /// The waker that `ready` has.
    task: Option<Waker>,
    jobs: Jobs<Job<E::Context, E::Payload>>,
    /// The job of each operation, by its slot. Those of operations that have ended are left behind.
    operations: Vec<u32>,
    /// Whose `on_complete` is to be called, once there is a round.
    context: Option<Arc<E::Context>>,
    timer: Option<Timer<R::Sleep>>,
    /// The transport may not have passed on all that it took.
    unflushed: bool,
    /// The transport takes no more in this round.
    full: bool,
    /// Nothing was read in this round, because too much waits to be sent or answered.
    paused: bool,
    /// The transport is closing, with this frame.
    closing: Option<CloseFrame>,
    /// `on_disconnect` was called.
    disconnecting: bool,
    membership: Option<Membership>,
    span: Span,
}

/// A timer that is set.
struct Timer<S> {
    sleep: Pin<Box<S>>,
    deadline: Instant,
}

/// What a round leads to.
enum Round {
    /// There may be more to do.
    Again,
    /// There is nothing to do until the task is woken.
    Wait,
    /// Everything has ended.
    Done(Ended),
}

impl<R, E, H, T> Driver<R, E, H, T>
where
    R: Runtime,
    E: Engine,
    H: Hooks<Context = E::Context>,
    T: MessageTransport,
{
    pub(super) fn new(server: Server<R, E, H>, transport: T, upgrade: Upgrade) -> Self {
        let now = server.runtime.now();
        let mut seed = [0; 8];
        server.runtime.fill_random(&mut seed);
        let subprotocol = transport.subprotocol();
        let mut connection =
            Connection::new(Arc::clone(&server.config), subprotocol, u64::from_le_bytes(seed), now);
        let info = ConnectionInfo {
            headers: upgrade.headers,
            peer: upgrade.peer,
            protocol: connection.is_open().then(|| connection.protocol()),
        };
        if !server.config.origins.allow(&info.headers) {
            connection.close(CloseFrame::new(CloseCode::FORBIDDEN, "Forbidden: the origin"), now);
        }
        let ready = Arc::new(Ready::default());
        let notify: Arc<Ready> = Arc::clone(&ready);
        let membership = server.registry.enter(server.config.connections_max, notify);
        if membership.is_none() {
            let frame = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "Too many connections");
            connection.close(frame, now);
        }
        let span = tracing::info_span!("graphql_connection", peer = ?info.peer);
        Self {
            info: Arc::new(info),
            connection,
            transport: Some(transport),
            jobs: Jobs::new(&ready),
            ready,
            task: None,
            operations: Vec::new(),
            context: None,
            timer: None,
            unflushed: false,
            full: false,
            paused: false,
            closing: None,
            disconnecting: false,
            membership,
            span,
            server: Arc::new(server),
        }
    }

    fn round(&mut self, context: &mut Context<'_>) -> Round {
        let now = self.server.runtime.now();
        if let Some(shutdown) = self.server.registry.shutdown() {
            self.connection.drain(shutdown.frame, shutdown.drain_timeout, now);
        }
        self.handle_events(now);
        let mut again = self.receive(context, now);
        self.handle_timeouts(now);
        again |= self.poll_jobs(context, now);
        again |= self.transmit(context, now);
        if self.connection.ended().is_some() {
            // Dropping a transport that is not closed ends it.
            self.transport = None;
            if self.jobs.is_empty() {
                if self.disconnecting {
                    let ended = self.connection.ended().cloned();
                    return ended.map_or(Round::Again, Round::Done);
                }
                self.disconnect();
                return Round::Again;
            }
        }
        if again { Round::Again } else { Round::Wait }
    }

    /// Receives and handles messages. Returns `true` if there may be more.
    fn receive(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        for _ in 0..MESSAGES_A_ROUND {
            self.paused = !self.connection.may_read();
            if self.closing.is_some() || self.paused {
                return false;
            }
            let Some(transport) = &mut self.transport else { return false };
            let Poll::Ready(spent) = coop::poll_proceed(context) else { return false };
            let Poll::Ready(received) = transport.poll_recv(context) else { return false };
            spent.made_progress();
            match received {
                Ok(Incoming::Text(text)) => self.connection.handle_text(text.as_ref(), now),
                Ok(Incoming::Binary) => self.connection.handle_binary(now),
                Ok(Incoming::Control) => self.connection.handle_control(),
                Ok(Incoming::Closed(code)) => self.connection.handle_closed(code, now),
                Err(error) => self.connection.handle_failure(error, now),
            }
            self.handle_events(now);
        }
        true
    }

    fn handle_timeouts(&mut self, now: Instant) {
        if self.connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
            let progress = self.transport.as_ref().map(T::progress).unwrap_or_default();
            self.connection.handle_timeout(progress, now);
            self.handle_events(now);
        }
    }

    /// Polls the jobs that were woken, each once, and writes what each gives. Returns `true` if there may be more.
    fn poll_jobs(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        // What has waited goes out before more is made.
        self.full = false;
        if !self.write(context, now) {
            return true;
        }
        self.jobs.take_woken();
        for _ in 0..JOBS_A_ROUND {
            let Some(number) = self.jobs.next(self.connection.wants_streams()) else { return false };
            let Some(job) = self.jobs.get(number) else {
                self.jobs.skip(number);
                continue;
            };
            let may_give = match job.gives() {
                Gives::Nothing => true,
                Gives::Result => self.connection.wants_results(),
                Gives::Results => self.connection.wants_streams(),
            };
            if !may_give {
                self.jobs.stall(number);
                continue;
            }
            let Poll::Ready(spent) = coop::poll_proceed(context) else {
                self.jobs.put_back(number);
                return false;
            };
            spent.made_progress();
            self.poll_job(number, now);
            self.handle_events(now);
            if !self.write(context, now) {
                return true;
            }
        }
        self.jobs.has_ready() || self.may_unstall()
    }

    /// Returns `true` if jobs have waited for the room that there is.
    fn may_unstall(&self) -> bool {
        self.jobs.has_stalled() && self.connection.wants_streams()
    }

    /// Writes as much as the transport takes. Returns `true` if there is room by now for what has waited for it.
    fn transmit(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        if !self.write(context, now) || !self.flush(context, now) {
            return true;
        }
        if let (Some(frame), Some(transport)) = (&self.closing, &mut self.transport)
            && transport.poll_close(context, frame).is_ready()
        {
            self.connection.handle_close_done();
            self.handle_events(now);
            return true;
        }
        (self.paused && self.connection.may_read()) || self.may_unstall()
    }

    /// Passes to the transport what is to be sent, while it takes it. Returns `false` if that has failed.
    fn write(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        if self.full || self.closing.is_some() || !self.connection.has_output() {
            return true;
        }
        let Some(transport) = &mut self.transport else { return true };
        let written = write(transport, &mut self.connection, context, now);
        match written {
            Ok(Written::All) => {}
            Ok(Written::Full) => self.full = true,
            Ok(Written::Close(frame)) => self.closing = Some(frame),
            Err(error) => {
                self.connection.handle_failure(error, now);
                self.handle_events(now);
                return false;
            }
        }
        self.unflushed = true;
        true
    }

    /// Has the transport pass on what it took. Returns `false` if that has failed.
    fn flush(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        if !self.unflushed || self.closing.is_some() {
            return true;
        }
        let Some(transport) = &mut self.transport else { return true };
        match transport.poll_flush(context) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                self.unflushed = false;
                self.connection.flushed();
            }
            Poll::Ready(Err(error)) => {
                self.connection.handle_failure(error, now);
                self.handle_events(now);
                return false;
            }
        }
        true
    }

    /// Waits for the next deadline.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.connection.poll_timeout() else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| {
            let sleep = Box::pin(self.server.runtime.sleep_until(deadline));
            Timer { sleep, deadline }
        });
        if timer.deadline > deadline {
            timer.reset(deadline);
        }
        // A timer that fires early is set anew then: cheaper than to set it for every message.
        while timer.sleep.as_mut().poll(context).is_ready() {
            if timer.deadline >= deadline {
                // It is not polled again before it is set again.
                self.timer = None;
                return Poll::Ready(());
            }
            timer.reset(deadline);
        }
        Poll::Pending
    }
}

impl<S: Sleep> Timer<S> {
    fn reset(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.deadline = deadline;
    }
}

/// How far writing came.
enum Written {
    /// Nothing is left.
    All,
    /// The transport takes no more.
    Full,
    /// The close frame is next, and the last.
    Close(CloseFrame),
}

/// Writes what is to be sent, while the transport takes it.
fn write<T: MessageTransport>(
    transport: &mut T,
    connection: &mut Connection,
    context: &mut Context<'_>,
    now: Instant,
) -> Result<Written, TransportError> {
    while connection.has_output() {
        let Poll::Ready(ready) = transport.poll_ready(context) else { return Ok(Written::Full) };
        ready?;
        match connection.poll_transmit(now) {
            Some(Transmit::Text(text)) => transport.start_send(text)?,
            Some(Transmit::Ping) => {
                if !transport.start_ping()? {
                    connection.ping_unsupported(now);
                    continue;
                }
            }
            Some(Transmit::Close(frame)) => return Ok(Written::Close(frame)),
            None => break,
        }
        connection.sent(now);
    }
    Ok(Written::All)
}

/// Nothing in it is pinned but what it has boxed.
impl<R: Runtime, E: Engine, H, T> Unpin for Driver<R, E, H, T> {}

impl<R, E, H, T> Future for Driver<R, E, H, T>
where
    R: Runtime,
    E: Engine,
    H: Hooks<Context = E::Context>,
    T: MessageTransport,
{
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let this = self.get_mut();
        let span = this.span.clone();
        let _entered = span.enter();
        if !this.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            this.ready.set_task(context.waker().clone());
            this.task = Some(context.waker().clone());
        }
        this.ready.begin();
        for _ in 0..ROUNDS_A_POLL {
            match this.round(context) {
                Round::Done(ended) => {
                    tracing::debug!(%ended, "the connection has ended");
                    this.membership = None;
                    return Poll::Ready(ended);
                }
                Round::Again => continue,
                Round::Wait => {}
            }
            if this.poll_timer(context).is_ready() {
                continue;
            }
            if this.ready.sleep() {
                return Poll::Pending;
            }
            this.ready.begin();
        }
        let _ = this.ready.sleep();
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
