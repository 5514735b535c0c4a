//! What hooks and operations lead to: starting them, polling them, and what their answers mean to the connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::value::RawValue;
use tracing::Span;
use wavetank_runtime::{Instant, Runtime};

use super::super::Server;
use super::Driver;
use super::jobs::{Decision, Job, Running, Stage};
use crate::close::{CloseCode, CloseFrame};
use crate::connection::{Event, OperationKey};
use crate::contained::{contained, internal_error};
use crate::engine::{BoxFuture, Engine, Operation, Request};
use crate::error::{GraphqlError, RequestErrors};
use crate::hooks::{Accepted, Completion, Hooks, OperationInfo, is_persisted};
use crate::transport::MessageTransport;

/// Awaits a hook, at most for `timeout`. No timer is made for one that does not wait.
async fn within<R: Runtime, F: Future>(runtime: &R, timeout: Duration, hook: F) -> Option<F::Output> {
    let mut hook = pin!(hook);
    let mut timer = None;
    poll_fn(|context| {
        if let Poll::Ready(answer) = hook.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        let timer = timer.get_or_insert_with(|| Box::pin(runtime.sleep(timeout)));
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}

fn hook_timed_out() -> RequestErrors {
    GraphqlError::new("The server took too long.").code("TIMEOUT").into()
}

/// What polling an operation led to.
enum Step {
    Wait,
    /// It is to be polled again, after the others.
    Again,
    Over(Completion),
}

impl<R, E, H, T> Driver<R, E, H, T>
where
    R: Runtime,
    E: Engine,
    H: Hooks<Context = E::Context>,
    T: MessageTransport,
{
    /// Does what the connection asks for.
    #[inline]
    pub(super) fn handle_events(&mut self, now: Instant) {
        if self.connection.has_events() {
            self.handle_all_events(now);
        }
    }

    fn handle_all_events(&mut self, now: Instant) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Init(payload) => self.connect(payload),
                Event::Ping(payload) => self.ping(payload),
                Event::Start { key, info, request } => self.start(key, info, *request, now),
                Event::Cancel(key) => self.cancel(key),
                Event::End => self.drop_everything(),
            }
        }
    }

    fn connect(&mut self, payload: Option<Box<RawValue>>) {
        let (server, info) = (Arc::clone(&self.server), Arc::clone(&self.info));
        let deciding: BoxFuture<Option<Decision<E::Context>>> = Box::pin(async move {
            let hook = server.hooks.on_connect(&info, payload.as_deref());
            within(&server.runtime, server.config.hook_timeout, hook).await
        });
        self.jobs.add(Job::Connect(deciding));
    }

    fn ping(&mut self, payload: Option<Box<RawValue>>) {
        let (server, context) = (Arc::clone(&self.server), self.context.clone());
        self.jobs.add(Job::Ping(Box::pin(async move {
            let hook = server.hooks.on_ping(context.as_deref(), payload);
            within(&server.runtime, server.config.hook_timeout, hook).await
        })));
    }

    fn start(&mut self, key: OperationKey, info: OperationInfo, request: Request, now: Instant) {
        let Some(context) = &self.context else { return };
        let Some(permit) = self.server.registry.start_operation(self.server.config.operations_overall_max)
        else {
            let error = GraphqlError::new("The server runs too many operations.").code("OVERLOADED");
            return self.fail(key, error.into(), now);
        };
        let span = tracing::debug_span!("graphql_operation", id = info.id(), name = info.name());
        let span = (!span.is_disabled()).then(|| Box::new(span));
        let preparing = prepare(Arc::clone(&self.server), Arc::clone(context), info.clone(), request);
        let stage = Stage::Preparing(Box::pin(preparing));
        let running = Running { key, info, started: false, stage, span, permit };
        let number = self.jobs.add(Job::Operation(running));
        if self.operations.len() <= key.slot() {
            self.operations.resize(key.slot() + 1, u32::MAX);
        }
        self.operations[key.slot()] = number;
    }

    /// Answers with `error`, as the application words it.
    fn fail(&mut self, key: OperationKey, errors: RequestErrors, now: Instant) {
        let errors = match &self.context {
            None => errors,
            Some(context) => {
                let plain = errors.clone();
                let format = || errors.map(|error| self.server.hooks.format_error(context, error));
                contained(format).unwrap_or(plain)
            }
        };
        self.connection.error(key, &errors, now);
    }

    /// Drops an operation, at once.
    fn cancel(&mut self, key: OperationKey) {
        let Some(&number) = self.operations.get(key.slot()) else { return };
        let is_its_own = |job: &&_| matches!(job, Job::Operation(running) if running.key == key);
        if self.jobs.get(number).filter(is_its_own).is_some()
            && let Some(Job::Operation(running)) = self.jobs.remove(number)
        {
            self.completed(running, Completion::Cancelled);
        }
    }

    /// Drops everything that the connection waited for, at once.
    fn drop_everything(&mut self) {
        self.operations = Vec::new();
        for job in self.jobs.remove_all(|job| !job.outlives_the_connection()) {
            match job {
                Job::Operation(running) => self.completed(running, Completion::Disconnected),
                // A panic of a hook's destructor is the hook's own.
                hook => drop(contained(|| drop(hook))),
            }
        }
    }

    /// The operation has ended: drops it, and calls `on_complete` if `on_operation` was called.
    fn completed(&mut self, running: Running<E::Payload>, completion: Completion) {
        let Running { info, started, stage, permit, .. } = running;
        // A panic of its destructor is the operation's own.
        let _ = contained(|| drop(stage));
        drop(permit);
        let Some(context) = self.context.clone().filter(|_| started) else { return };
        let server = Arc::clone(&self.server);
        self.connection.completion_begins();
        self.jobs.add(Job::Complete(Box::pin(async move {
            let hook = server.hooks.on_complete(&context, &info, completion);
            within(&server.runtime, server.config.hook_timeout, hook).await;
        })));
    }

    /// Calls `on_disconnect`.
    pub(super) fn disconnect(&mut self) {
        self.disconnecting = true;
        let Some(ended) = self.connection.ended().cloned() else { return };
        let (server, info, context) = (Arc::clone(&self.server), Arc::clone(&self.info), self.context.take());
        self.jobs.add(Job::Disconnect(Box::pin(async move {
            let hook = server.hooks.on_disconnect(&info, context.as_deref(), &ended);
            within(&server.runtime, server.config.hook_timeout, hook).await;
        })));
    }

    /// Polls a job once.
    pub(super) fn poll_job(&mut self, number: u32, now: Instant) {
        let Some((job, waker)) = self.jobs.poll(number) else { return };
        let context = &mut Context::from_waker(waker);
        match job {
            Job::Connect(hook) => {
                if let Some(decision) = poll_hook(hook, context) {
                    self.jobs.remove(number);
                    self.connected(decision, now);
                }
            }
            Job::Ping(hook) => {
                if let Some(pong) = poll_hook(hook, context) {
                    self.jobs.remove(number);
                    match pong {
                        Ok(Some(payload)) => self.connection.pong(payload.as_deref(), now),
                        Ok(None) | Err(_) => self.connection.no_pong(),
                    }
                }
            }
            Job::Complete(hook) => {
                if poll_hook(hook, context).is_some() {
                    self.jobs.remove(number);
                    self.connection.completion_ends();
                }
            }
            Job::Disconnect(hook) => {
                if poll_hook(hook, context).is_some() {
                    self.jobs.remove(number);
                }
            }
            Job::Operation(_) => self.poll_operation(number, now),
        }
    }

    fn connected(&mut self, decision: Result<Option<Decision<E::Context>>, String>, now: Instant) {
        match decision {
            Ok(Some(Ok(Accepted { context, payload }))) => {
                self.context = Some(Arc::new(context));
                self.connection.accept(payload.as_deref(), now);
            }
            Ok(Some(Err(rejection))) => self.connection.reject(&rejection.reason, now),
            Ok(None) => {
                let frame = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "on_connect took too long");
                self.connection.close(frame, now);
            }
            Err(_) => {
                let frame = CloseFrame::new(CloseCode::INTERNAL_ERROR, "Internal server error");
                self.connection.close(frame, now);
            }
        }
    }

    fn poll_operation(&mut self, number: u32, now: Instant) {
        let connection = &mut self.connection;
        let Some((Job::Operation(running), waker)) = self.jobs.poll(number) else { return };
        running.started = true;
        let key = running.key;
        let _entered = running.span.as_ref().map(|span| Span::clone(span).entered());
        let context = &mut Context::from_waker(waker);
        // A result is appended where it is made: it may be large to move.
        let polled = contained(|| running.poll(context, |payload| connection.next(key, &payload, now)));
        let step = match polled {
            Ok(Polled::Pending) => Step::Wait,
            Ok(Polled::Prepared { subscription }) => {
                if subscription {
                    self.connection.is_subscription(key, now);
                }
                Step::Again
            }
            Ok(Polled::Subscribed) => Step::Again,
            Ok(Polled::Refused(errors)) => {
                self.fail(key, errors, now);
                Step::Over(Completion::Failed)
            }
            Ok(Polled::Next { appended: true }) => Step::Again,
            Ok(Polled::Last { appended: true }) => {
                self.connection.complete(key, now);
                Step::Over(Completion::Finished)
            }
            // It was no result, and the operation has failed.
            Ok(Polled::Next { appended: false } | Polled::Last { appended: false }) => {
                Step::Over(Completion::Failed)
            }
            Ok(Polled::End) => {
                self.connection.complete(key, now);
                Step::Over(Completion::Finished)
            }
            Err(panic) => {
                tracing::error!(panic, "an operation panicked");
                self.fail(key, internal_error(), now);
                Step::Over(Completion::Failed)
            }
        };
        match step {
            Step::Wait => {}
            Step::Again => self.jobs.again(number),
            Step::Over(completion) => {
                if let Some(Job::Operation(running)) = self.jobs.remove(number) {
                    self.completed(running, completion);
                }
            }
        }
    }
}

/// `on_operation`, then the persisted query, then the engine.
async fn prepare<R, E, H>(
    server: Arc<Server<R, E, H>>,
    context: Arc<E::Context>,
    info: OperationInfo,
    request: Request,
) -> Result<Operation<E::Payload>, RequestErrors>
where
    R: Runtime,
    E: Engine,
    H: Hooks<Context = E::Context>,
{
    let (hooks, timeout) = (&server.hooks, server.config.hook_timeout);
    let allowed = hooks.on_operation(&context, &info, &request);
    within(&server.runtime, timeout, allowed).await.ok_or_else(hook_timed_out)??;
    let request = if is_persisted(&request) {
        let found = hooks.persisted_query(&context, request);
        within(&server.runtime, timeout, found).await.ok_or_else(hook_timed_out)??
    } else {
        request
    };
    server.engine.prepare(request, Arc::clone(&context)).await
}

/// What polling an operation gave.
enum Polled {
    Pending,
    Prepared {
        subscription: bool,
    },
    /// The source stream of a subscription is there.
    Subscribed,
    Refused(RequestErrors),
    /// A result was made, and appended if it was one.
    Next {
        appended: bool,
    },
    /// The same of the only result.
    Last {
        appended: bool,
    },
    End,
}

impl<P> Running<P> {
    /// Polls it, and gives a result to `append`.
    fn poll(&mut self, context: &mut Context<'_>, append: impl FnOnce(P) -> bool) -> Polled {
        match &mut self.stage {
            Stage::Preparing(preparing) => match preparing.as_mut().poll(context) {
                Poll::Pending => Polled::Pending,
                Poll::Ready(Err(errors)) => Polled::Refused(errors),
                Poll::Ready(Ok(operation)) => {
                    let (stage, subscription) = match operation {
                        Operation::Done(result) => return Polled::Last { appended: append(result) },
                        Operation::Single(result) => (Stage::Single(result), false),
                        Operation::Incremental(results) => (Stage::Stream(results), false),
                        Operation::Subscription(results) => (Stage::Stream(results), true),
                        Operation::Subscribing(source) => (Stage::Subscribing(source), true),
                    };
                    self.stage = stage;
                    Polled::Prepared { subscription }
                }
            },
            Stage::Subscribing(source) => match source.as_mut().poll(context) {
                Poll::Pending => Polled::Pending,
                Poll::Ready(Err(errors)) => Polled::Refused(errors),
                Poll::Ready(Ok(results)) => {
                    self.stage = Stage::Stream(results);
                    Polled::Subscribed
                }
            },
            Stage::Single(result) => match result.as_mut().poll(context) {
                Poll::Pending => Polled::Pending,
                Poll::Ready(result) => Polled::Last { appended: append(result) },
            },
            Stage::Stream(results) => match results.as_mut().poll_next(context) {
                Poll::Pending => Polled::Pending,
                Poll::Ready(None) => Polled::End,
                Poll::Ready(Some(result)) => Polled::Next { appended: append(result) },
            },
        }
    }
}

/// Polls a hook. `Some` once it has answered, or panicked.
fn poll_hook<A>(hook: &mut BoxFuture<A>, context: &mut Context<'_>) -> Option<Result<A, String>> {
    match contained(|| hook.as_mut().poll(context)) {
        Ok(Poll::Pending) => None,
        Ok(Poll::Ready(answer)) => Some(Ok(answer)),
        Err(panic) => {
            tracing::error!(panic, "a hook panicked");
            Some(Err(panic))
        }
    }
}
