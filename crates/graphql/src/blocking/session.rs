//! One connection on threads: one that reads, one that writes and keeps the time, and those of the pool.
//!
//! # Invariants
//!
//! - The state machine is behind one lock. No foreign code (hooks, engine, pool, transport) is called with it held.
//! - What a state says when the lock is released is done by the thread that released it ([`Action`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;
use wavetank_runtime::{Condvar, Instant, Mutex, ThreadHandle as _, Threads};

use super::traits::{BlockingEngine, BlockingHooks, BlockingOperation, BlockingTransport};
use super::{Cancel, Overloaded, Pool, Server};
use crate::close::{CloseCode, CloseFrame, Ended};
use crate::connection::{Connection, Event, OperationKey, Transmit};
use crate::contained::{contained, internal_error};
use crate::engine::Request;
use crate::error::{GraphqlError, RequestErrors};
use crate::hooks::{Accepted, Completion, ConnectionInfo, OperationInfo, is_persisted};
use crate::registry::{Notify, OperationPermit};
use crate::server::Upgrade;
use crate::transport::Incoming;

/// The shortest time for which the writer tries to send.
const SEND_MIN: Duration = Duration::from_millis(1);

/// The longest time for which the writer tries to send without looking: a shutdown and a close do not wake it there.
const SEND_MAX: Duration = Duration::from_millis(250);

/// The longest time for which the writer sleeps without looking.
const SLEEP_MAX: Duration = Duration::from_secs(60 * 60);

struct State<W: Threads, C> {
    connection: Connection,
    operations: BTreeMap<OperationKey, Cancel<W>>,
    context: Option<Arc<C>>,
    /// Jobs that the pool has and that have not ended.
    jobs: usize,
}

pub(super) struct Session<W: Threads, E: BlockingEngine<W>, H, P, T> {
    server: Server<W, E, H, P>,
    transport: T,
    info: ConnectionInfo,
    state: Mutex<W, State<W, E::Context>>,
    changed: Condvar<W>,
}

/// What is to be done once the lock is free.
enum Action<W: Threads> {
    Connect(Option<Box<RawValue>>),
    Ping(Option<Box<RawValue>>),
    Start { key: OperationKey, info: OperationInfo, request: Box<Request>, cancel: Cancel<W> },
    Cancel(Cancel<W>),
}

/// What a job does.
enum Work<W: Threads> {
    Connect(Option<Box<RawValue>>),
    Run {
        key: OperationKey,
        info: OperationInfo,
        request: Request,
        cancel: Cancel<W>,
        permit: OperationPermit,
    },
}

/// How far a job has been given to the pool.
enum Handover<W: Threads> {
    /// The pool is being called. A job that it drops is not answered in the destructor, which may run in a panic of
    /// the pool's: it must not wait for locks then. The caller answers it.
    Calling,
    /// The pool has dropped the job in the call.
    Dropped(Work<W>),
    /// The call has returned.
    Called,
}

/// A job that was given to the pool. If it is dropped before it ran, the pool has no thread for it, or has lost it:
/// then it is answered nevertheless.
struct Job<W, E, H, P, T>
where
    W: Threads,
    E: BlockingEngine<W>,
    H: BlockingHooks<Context = E::Context>,
    P: Pool,
    T: BlockingTransport,
{
    session: Arc<Session<W, E, H, P, T>>,
    /// `None` once it has begun.
    work: Option<Work<W>>,
    handover: Arc<StdMutex<Handover<W>>>,
}

impl<W, E, H, P, T> Job<W, E, H, P, T>
where
    W: Threads,
    E: BlockingEngine<W>,
    H: BlockingHooks<Context = E::Context>,
    P: Pool,
    T: BlockingTransport,
{
    fn run(mut self) {
        match self.work.take() {
            Some(Work::Connect(payload)) => self.session.connect(payload.as_deref()),
            Some(Work::Run { key, info, request, cancel, permit }) => {
                self.session.run(key, &info, request, &cancel, permit);
            }
            None => {}
        }
    }
}

impl<W, E, H, P, T> Drop for Job<W, E, H, P, T>
where
    W: Threads,
    E: BlockingEngine<W>,
    H: BlockingHooks<Context = E::Context>,
    P: Pool,
    T: BlockingTransport,
{
    fn drop(&mut self) {
        let Some(work) = self.work.take() else {
            return self.session.change(|state, _| state.jobs -= 1);
        };
        let mut handover = self.handover.lock().unwrap_or_else(PoisonError::into_inner);
        if let Handover::Calling = *handover {
            *handover = Handover::Dropped(work);
            return;
        }
        drop(handover);
        self.session.lose(work);
    }
}

fn overloaded() -> RequestErrors {
    GraphqlError::new("The server runs too many operations.").code("OVERLOADED").into()
}

impl<W, E, H, P, T> Notify for Session<W, E, H, P, T>
where
    W: Threads,
    E: BlockingEngine<W>,
    H: Send + Sync,
    P: Send + Sync,
    T: BlockingTransport,
{
    fn notify(&self) {
        // With the lock, so that it does not come between a look and the sleep behind it.
        let state = self.state.lock();
        self.changed.notify_all();
        drop(state);
    }
}

impl<W, E, H, P, T> Session<W, E, H, P, T>
where
    W: Threads,
    E: BlockingEngine<W>,
    H: BlockingHooks<Context = E::Context>,
    P: Pool,
    T: BlockingTransport,
{
    pub(super) fn serve(server: Server<W, E, H, P>, transport: T, upgrade: Upgrade) -> Ended {
        let threads = server.threads.clone();
        let now = threads.now();
        let mut seed = [0; 8];
        threads.fill_random(&mut seed);
        let config = Arc::clone(&server.config);
        let mut connection = Connection::new(config, transport.subprotocol(), u64::from_le_bytes(seed), now);
        let info = ConnectionInfo {
            headers: upgrade.headers,
            peer: upgrade.peer,
            protocol: connection.is_open().then(|| connection.protocol()),
        };
        if !server.config.origins.allow(&info.headers) {
            connection.close(CloseFrame::new(CloseCode::FORBIDDEN, "Forbidden: the origin"), now);
        }
        let state = State { connection, operations: BTreeMap::new(), context: None, jobs: 0 };
        let session = Arc::new(Self {
            transport,
            info,
            state: Mutex::new(&threads, "graphql connection", state),
            changed: Condvar::new(&threads, "graphql connection changed"),
            server,
        });
        let notify: Arc<Self> = Arc::clone(&session);
        let membership = session.server.registry.enter(session.server.config.connections_max, notify);
        if membership.is_none() {
            let frame = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "Too many connections");
            session.change(|state, now| state.connection.close(frame, now));
        }
        let writer = Arc::clone(&session);
        match threads.spawn("graphql writer", move || writer.write()) {
            Ok(writer) => {
                session.read();
                // A panic of it is one of the transport's.
                let _ = writer.join();
            }
            Err(_) => session.transport.close(&CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "No thread")),
        }
        session.disconnect()
    }

    /// Changes the state, and does what comes of it.
    fn change<R>(self: &Arc<Self>, change: impl FnOnce(&mut State<W, E::Context>, Instant) -> R) -> R {
        let mut state = self.state.lock();
        let now = self.server.threads.now();
        let result = change(&mut state, now);
        let actions = Self::actions(&self.server.threads, &mut state);
        drop(state);
        self.changed.notify_all();
        for action in actions {
            self.act(action);
        }
        result
    }

    fn actions(threads: &W, state: &mut State<W, E::Context>) -> Vec<Action<W>> {
        let mut actions = Vec::new();
        while let Some(event) = state.connection.poll_event() {
            match event {
                Event::Init(payload) => {
                    state.jobs += 1;
                    actions.push(Action::Connect(payload));
                }
                Event::Ping(payload) => actions.push(Action::Ping(payload)),
                Event::Start { key, info, request } => {
                    state.jobs += 1;
                    let cancel = Cancel::new(threads);
                    state.operations.insert(key, cancel.clone());
                    actions.push(Action::Start { key, info, request, cancel });
                }
                Event::Cancel(key) => actions.extend(state.operations.remove(&key).map(Action::Cancel)),
                Event::End => {
                    let operations = std::mem::take(&mut state.operations);
                    actions.extend(operations.into_values().map(Action::Cancel));
                }
            }
        }
        actions
    }

    fn act(self: &Arc<Self>, action: Action<W>) {
        match action {
            Action::Cancel(cancel) => cancel.cancel(),
            Action::Ping(payload) => {
                let context = self.state.lock().context.clone();
                let pong = contained(|| self.server.hooks.on_ping(context.as_deref(), payload));
                self.change(|state, now| match pong {
                    Ok(payload) => state.connection.pong(payload.as_deref(), now),
                    Err(_) => state.connection.no_pong(),
                });
            }
            Action::Connect(payload) => self.give(Work::Connect(payload)),
            Action::Start { key, info, request, cancel } => {
                let most = self.server.config.operations_overall_max;
                match self.server.registry.start_operation(most) {
                    Some(permit) => self.give(Work::Run { key, info, request: *request, cancel, permit }),
                    None => {
                        self.change(|state, _| state.jobs -= 1);
                        self.fail(key, overloaded());
                    }
                }
            }
        }
    }

    /// Gives work to the pool, and answers if the pool does not take it.
    fn give(self: &Arc<Self>, work: Work<W>) {
        let handover = Arc::new(StdMutex::new(Handover::Calling));
        let job = Job { session: Arc::clone(self), work: Some(work), handover: Arc::clone(&handover) };
        match contained(|| self.server.pool.execute(Box::new(move || job.run()))) {
            Ok(Ok(())) => {}
            Ok(Err(Overloaded)) => tracing::debug!("no thread is free"),
            Err(panic) => tracing::error!(panic, "the pool panicked"),
        }
        let mut handover = handover.lock().unwrap_or_else(PoisonError::into_inner);
        if let Handover::Dropped(work) = std::mem::replace(&mut *handover, Handover::Called) {
            drop(handover);
            self.lose(work);
        }
    }

    /// Answers for a job that does not run.
    fn lose(self: &Arc<Self>, work: Work<W>) {
        match work {
            Work::Connect(_) => {
                let frame = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "No thread is free");
                self.change(|state, now| state.connection.close(frame, now));
            }
            Work::Run { key, permit, .. } => {
                drop(permit);
                self.fail(key, overloaded());
            }
        }
        self.change(|state, _| state.jobs -= 1);
    }

    fn connect(self: &Arc<Self>, payload: Option<&RawValue>) {
        let decision = contained(|| self.server.hooks.on_connect(&self.info, payload));
        self.change(|state, now| match decision {
            Ok(Ok(Accepted { context, payload })) => {
                state.context = Some(Arc::new(context));
                state.connection.accept(payload.as_deref(), now);
            }
            Ok(Err(rejection)) => state.connection.reject(&rejection.reason, now),
            Err(_) => {
                let frame = CloseFrame::new(CloseCode::INTERNAL_ERROR, "Internal server error");
                state.connection.close(frame, now);
            }
        });
    }

    /// Answers with `error`, as the application words it.
    fn fail(self: &Arc<Self>, key: OperationKey, errors: RequestErrors) {
        let context = self.state.lock().context.clone();
        let errors = match context {
            None => errors,
            Some(context) => {
                let plain = errors.clone();
                let format = || errors.map(|error| self.server.hooks.format_error(&context, error));
                contained(format).unwrap_or(plain)
            }
        };
        self.change(|state, now| {
            state.operations.remove(&key);
            state.connection.error(key, &errors, now);
        });
    }

    /// Runs an operation, on its thread.
    fn run(
        self: &Arc<Self>,
        key: OperationKey,
        info: &OperationInfo,
        request: Request,
        cancel: &Cancel<W>,
        permit: OperationPermit,
    ) {
        let context = self.state.lock().context.clone();
        if let Some(context) = context.filter(|_| !cancel.is_cancelled()) {
            let completion = match contained(|| self.execute(key, info, request, &context, cancel)) {
                Ok(Ok(())) => self.change(|state, now| {
                    state.operations.remove(&key);
                    let finished = state.connection.is_active(key);
                    state.connection.complete(key, now);
                    finished.then_some(Completion::Finished)
                }),
                Ok(Err(errors)) => {
                    self.fail(key, errors);
                    Some(Completion::Failed)
                }
                Err(panic) => {
                    tracing::error!(panic, "an operation panicked");
                    self.fail(key, internal_error());
                    Some(Completion::Failed)
                }
            };
            let open = self.state.lock().connection.is_open();
            let cancelled = if open { Completion::Cancelled } else { Completion::Disconnected };
            let completion = if cancel.is_cancelled() { cancelled } else { completion.unwrap_or(cancelled) };
            let _ = contained(|| self.server.hooks.on_complete(&context, info, completion));
        }
        drop(permit);
    }

    fn execute(
        self: &Arc<Self>,
        key: OperationKey,
        info: &OperationInfo,
        request: Request,
        context: &Arc<E::Context>,
        cancel: &Cancel<W>,
    ) -> Result<(), RequestErrors> {
        let hooks = &self.server.hooks;
        hooks.on_operation(context, info, &request)?;
        let request = if is_persisted(&request) { hooks.persisted_query(context, request)? } else { request };
        let mut results = match self.server.engine.prepare(request, Arc::clone(context), cancel)? {
            BlockingOperation::Single(result) => Box::new(std::iter::once_with(result)),
            BlockingOperation::Incremental(results) => results,
            BlockingOperation::Subscription(results) => {
                self.change(|state, now| state.connection.is_subscription(key, now));
                results
            }
        };
        while self.wait_for_room(key) {
            let Some(result) = results.next() else { break };
            let queue = |state: &mut State<W, E::Context>, now| state.connection.next(key, &result, now);
            if !self.change(queue) {
                break;
            }
        }
        Ok(())
    }

    /// Waits until a result of an operation can be queued. Returns `false` if none is wanted any more.
    fn wait_for_room(&self, key: OperationKey) -> bool {
        let mut state = self.state.lock();
        while state.connection.is_active(key) && !state.connection.wants_results() {
            state = self.changed.wait(state);
        }
        state.connection.is_active(key)
    }

    /// Receives until the connection is over.
    fn read(self: &Arc<Self>) {
        loop {
            let mut state = self.state.lock();
            while state.connection.is_open() && !state.connection.may_read() {
                state = self.changed.wait(state);
            }
            drop(state);
            let received = self.transport.recv();
            let ends = matches!(received, Ok(Incoming::Closed(_)) | Err(_));
            self.change(|state, now| match received {
                Ok(Incoming::Text(text)) => state.connection.handle_text(text.as_ref(), now),
                Ok(Incoming::Binary) => state.connection.handle_binary(now),
                Ok(Incoming::Control) => state.connection.handle_control(),
                Ok(Incoming::Closed(code)) => state.connection.handle_closed(code, now),
                Err(error) => state.connection.handle_failure(error, now),
            });
            if ends {
                return;
            }
        }
    }

    /// Sends, and does what is due, until the connection is over.
    fn write(self: &Arc<Self>) {
        loop {
            let shuts_down = self.keep_time();
            let mut state = self.state.lock();
            let now = self.server.threads.now();
            if let Some(ended) = state.connection.ended().cloned() {
                drop(state);
                // The reader returns once the transport has ended. A transport that failed ends by itself, and may
                // still have to tell the client why.
                if let Ended::Lost(_) = ended {
                    return self.transport.close(&CloseFrame::new(CloseCode::GOING_AWAY, ""));
                }
                return self.transport.abort();
            }
            match state.connection.poll_transmit(now) {
                Some(Transmit::Text(text)) => {
                    drop(state);
                    self.send(&text);
                }
                Some(Transmit::Ping) => state.connection.ping_unsupported(now),
                Some(Transmit::Close(frame)) => {
                    drop(state);
                    self.transport.close(&frame);
                    return self.change(|state, _| state.connection.handle_close_done());
                }
                None => {
                    state.connection.flushed();
                    let left = state.connection.poll_timeout().map_or(SLEEP_MAX, |deadline| deadline - now);
                    // A shutdown is told with the lock: it has come before, or wakes this.
                    let told = self.server.registry.shutdown().is_some() && !shuts_down;
                    if !left.is_zero() && !told {
                        drop(self.changed.wait_timeout(state, left.min(SLEEP_MAX)));
                    }
                }
            }
        }
    }

    /// Begins to drain once the server shuts down, and does what is due. Returns `true` if the server shuts down.
    fn keep_time(self: &Arc<Self>) -> bool {
        let (progress, shutdown) = (self.transport.progress(), self.server.registry.shutdown());
        let shuts_down = shutdown.is_some();
        self.change(|state, now| {
            if let Some(shutdown) = shutdown {
                state.connection.drain(shutdown.frame, shutdown.drain_timeout, now);
            }
            if state.connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
                state.connection.handle_timeout(progress, now);
            }
        });
        shuts_down
    }

    /// Sends a text, and does meanwhile what is due.
    fn send(self: &Arc<Self>, text: &str) {
        loop {
            let state = self.state.lock();
            if state.connection.ended().is_some() {
                return;
            }
            let now = self.server.threads.now();
            let left = state.connection.poll_timeout().map_or(SEND_MAX, |deadline| deadline - now);
            drop(state);
            match self.transport.send(text, left.clamp(SEND_MIN, SEND_MAX)) {
                Ok(true) => return self.change(|state, now| state.connection.sent(now)),
                Ok(false) => {
                    self.keep_time();
                }
                Err(error) => return self.change(|state, now| state.connection.handle_failure(error, now)),
            }
        }
    }

    /// Waits until every job has ended, and calls `on_disconnect`.
    fn disconnect(self: &Arc<Self>) -> Ended {
        let mut state = self.state.lock();
        while state.jobs > 0 {
            state = self.changed.wait(state);
        }
        let ended = state.connection.ended().cloned();
        let context = state.context.take();
        drop(state);
        let ended =
            ended.unwrap_or_else(|| Ended::Closed(CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "No thread")));
        let hook = || self.server.hooks.on_disconnect(&self.info, context.as_deref(), &ended);
        let _ = contained(hook);
        ended
    }
}
