//! A small engine written by hand, for simulations, tests and examples: no schema language, no validation beyond
//! names.
//!
//! It knows one field an operation:
//!
//! - `query`: `hello`; `slow(ms: Int)`; `boom`, which fails; `never`, which does not end; `crash`, which panics;
//!   `parts(count: Int, everyMs: Int) @defer`, several results in the form of incremental delivery;
//!   `token`, the `token` of the payload of `connection_init`.
//! - `mutation`: `publish(channel: String, text: String)`, how many subscribers it reached.
//! - `subscription`: `count(to: Int, everyMs: Int, pad: Int)`, from 1, without end if there is no `to`, and always
//!   ready if there is no `everyMs`; `one`; `channel(name: String)`; `silent`; `fails`, whose source cannot be
//!   made.
//!
//! Each field also takes `prepareMs: Int`, how long its preparation takes. A subscription takes `sourceMs: Int`, how
//! long making its source stream takes after that. Arguments may be variables.

mod blocking;
mod channels;
mod document;
mod streams;

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;
use wavetank_runtime::Runtime;

use crate::engine::{BoxStream, Engine, Operation, Request};
use crate::error::{GraphqlError, RequestErrors};
use crate::hooks::{Accepted, ConnectionInfo, Hooks, Rejection};

use channels::Channels;
use document::{Call, Kind};
use streams::{Count, Parts, Silent};

/// The engine. Clones are one: they share channels and counts.
pub struct Mock<W> {
    runtime: W,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    channels: Channels,
    counts: Arc<Counts>,
}

/// What the engine has done and is doing.
#[derive(Debug, Default)]
struct Counts {
    live: AtomicUsize,
    prepared: AtomicUsize,
    results: AtomicUsize,
}

/// One operation that is being prepared or executed.
#[derive(Debug)]
struct Live {
    counts: Arc<Counts>,
}

impl Live {
    fn new(counts: &Arc<Counts>) -> Self {
        counts.live.fetch_add(1, Ordering::AcqRel);
        Self { counts: Arc::clone(counts) }
    }

    /// A result was made.
    fn result(&self) {
        self.counts.results.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.counts.live.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<W> Mock<W> {
    /// Makes an engine whose timers are those of `runtime`.
    #[must_use]
    pub fn new(runtime: W) -> Self {
        Self { runtime, state: Arc::default() }
    }

    /// Returns how many operations are being prepared or executed: source streams and futures that were not dropped.
    #[must_use]
    pub fn live(&self) -> usize {
        self.state.counts.live.load(Ordering::Acquire)
    }

    /// Returns how many operations were prepared so far.
    #[must_use]
    pub fn prepared(&self) -> usize {
        self.state.counts.prepared.load(Ordering::Acquire)
    }

    /// Returns how many results were made so far.
    #[must_use]
    pub fn results(&self) -> usize {
        self.state.counts.results.load(Ordering::Acquire)
    }

    /// Publishes a text on a channel, and returns how many subscriptions it reached.
    pub fn publish(&self, channel: &str, text: &str) -> usize {
        self.state.channels.publish(channel, text)
    }
}

/// What operations of the mock know of their connection: the payload of `connection_init`.
#[derive(Clone, Debug, Default)]
pub struct Context {
    token: Option<String>,
}

impl Context {
    /// Makes a context with a token.
    #[must_use]
    pub fn new(token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned) }
    }

    /// Returns the token.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

fn data(field: &str, value: impl fmt::Display) -> String {
    format!("{{\"data\":{{\"{field}\":{value}}}}}")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn failed(field: &str) -> String {
    format!("{{\"data\":{{\"{field}\":null}},\"errors\":[{{\"message\":\"boom\",\"path\":[\"{field}\"]}}]}}")
}

impl<R: Runtime> Engine for Mock<R> {
    type Context = Context;
    type Payload = String;

    async fn prepare(
        &self,
        request: Request,
        context: Arc<Context>,
    ) -> Result<Operation<String>, RequestErrors> {
        let live = Live::new(&self.state.counts);
        self.state.counts.prepared.fetch_add(1, Ordering::AcqRel);
        let call = Call::parse(&request)?;
        if let Some(ms) = call.number("prepareMs")? {
            self.runtime.sleep(Duration::from_millis(ms)).await;
        }
        match call.kind {
            Kind::Query if call.is_deferred => self.parts(&call, live),
            Kind::Query => self.query(&call, context, live),
            Kind::Mutation => self.mutation(&call, live),
            Kind::Subscription => match call.number("sourceMs")? {
                None => Ok(Operation::Subscription(self.subscription(&call, live)?)),
                Some(ms) => {
                    let (mock, pause) = (self.clone(), self.runtime.sleep(Duration::from_millis(ms)));
                    Ok(Operation::Subscribing(Box::pin(async move {
                        pause.await;
                        mock.subscription(&call, live)
                    })))
                }
            },
        }
    }
}

impl<R: Runtime> Mock<R> {
    fn every(&self, call: &Call) -> Result<Option<Duration>, RequestErrors> {
        Ok(call.number("everyMs")?.map(Duration::from_millis))
    }

    fn parts(&self, call: &Call, live: Live) -> Result<Operation<String>, RequestErrors> {
        match call.field.as_str() {
            "parts" => {
                let count = call.number("count")?.unwrap_or(2);
                let parts = Parts::new(self.runtime.clone(), count, self.every(call)?, live);
                Ok(Operation::Incremental(Box::pin(parts)))
            }
            _ => Err(call.unknown_field()),
        }
    }

    fn query(
        &self,
        call: &Call,
        context: Arc<Context>,
        live: Live,
    ) -> Result<Operation<String>, RequestErrors> {
        let field = call.field.clone();
        let single = |result: String, live: Live| {
            Operation::Single(Box::pin(async move {
                live.result();
                result
            }))
        };
        Ok(match field.as_str() {
            "hello" => {
                live.result();
                Operation::Done(data("hello", "\"Hello, world!\""))
            }
            "boom" => single(failed("boom"), live),
            "token" => {
                let token = context.token.as_deref().map_or_else(|| "null".to_owned(), quoted);
                single(data("token", token), live)
            }
            "slow" => {
                let sleep = self.runtime.sleep(Duration::from_millis(call.number("ms")?.unwrap_or(0)));
                Operation::Single(Box::pin(async move {
                    sleep.await;
                    live.result();
                    data("slow", "\"done\"")
                }))
            }
            "never" => Operation::Single(Box::pin(async move {
                let _live = live;
                pending().await
            })),
            "crash" => Operation::Single(Box::pin(async move {
                let _live = live;
                panic!("the resolver of `crash` panics")
            })),
            _ => return Err(call.unknown_field()),
        })
    }

    fn mutation(&self, call: &Call, live: Live) -> Result<Operation<String>, RequestErrors> {
        if call.field != "publish" {
            return Err(call.unknown_field());
        }
        let (channel, text) = (call.text("channel")?, call.text("text")?);
        let state = Arc::clone(&self.state);
        Ok(Operation::Single(Box::pin(async move {
            live.result();
            data("publish", state.channels.publish(&channel, &text))
        })))
    }

    fn subscription(&self, call: &Call, live: Live) -> Result<BoxStream<String>, RequestErrors> {
        let runtime = self.runtime.clone();
        Ok(match call.field.as_str() {
            "count" => {
                let (to, pad) = (call.number("to")?, call.number("pad")?.unwrap_or(0));
                Box::pin(Count::new(runtime, "count", to, self.every(call)?, pad, live))
            }
            "one" => Box::pin(Count::new(runtime, "one", Some(1), None, 0, live)),
            "channel" => Box::pin(self.state.channels.subscribe(&call.text("name")?, live)),
            "silent" => Box::pin(Silent::new(live)),
            "fails" => return Err(GraphqlError::new("The source of `fails` cannot be made.").into()),
            _ => return Err(call.unknown_field()),
        })
    }
}

impl<W: Clone> Clone for Mock<W> {
    fn clone(&self) -> Self {
        Self { runtime: self.runtime.clone(), state: Arc::clone(&self.state) }
    }
}

impl<W> fmt::Debug for Mock<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock").field("live", &self.live()).finish_non_exhaustive()
    }
}

/// Hooks for the mock: every client is accepted but one whose payload has `"token":"wrong"`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenHooks;

impl TokenHooks {
    fn decide(payload: Option<&RawValue>) -> Result<Accepted<Context>, Rejection> {
        let payload = payload.and_then(|raw| serde_json::from_str::<serde_json::Value>(raw.get()).ok());
        let token = payload.as_ref().and_then(|payload| payload.get("token")?.as_str());
        if token == Some("wrong") {
            return Err(Rejection::default());
        }
        Ok(Accepted::new(Context::new(token)))
    }
}

impl Hooks for TokenHooks {
    type Context = Context;

    async fn on_connect(
        &self,
        _connection: &ConnectionInfo,
        payload: Option<&RawValue>,
    ) -> Result<Accepted<Context>, Rejection> {
        Self::decide(payload)
    }
}
