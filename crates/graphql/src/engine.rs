//! What executes operations: a GraphQL engine behind one trait.
//!
//! An engine is given a [`Request`] and prepares it: parses, validates, and finds out what it is. Either the
//! request is wrong, and [`RequestErrors`] say why, or there is an [`Operation`]: one result, or a stream of them.
//! Results are JSON that the engine writes itself, straight into the frame that is sent ([`Payload`]).

#[cfg(feature = "async-graphql")]
pub mod async_graphql;
#[cfg(feature = "juniper")]
pub mod juniper;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use serde_json::value::RawValue;

use crate::error::RequestErrors;

/// What a client asks for: the payload of `subscribe`.
#[derive(Clone, Debug)]
pub struct Request {
    /// The document. Empty if the client sent none, which it may where it sends `extensions` (a persisted query).
    pub query: String,
    /// Which operation of the document.
    pub operation_name: Option<String>,
    /// A JSON object, nested at most as deeply as [`Config::nesting_max`](crate::Config::nesting_max) says.
    pub variables: Option<Box<RawValue>>,
    /// A JSON object, likewise.
    pub extensions: Option<Box<RawValue>>,
}

impl Request {
    /// Makes a request of a document alone.
    #[must_use]
    pub fn new(query: impl Into<String>) -> Self {
        Self { query: query.into(), operation_name: None, variables: None, extensions: None }
    }
}

/// One result of an operation: an object with `data`, `errors`, or both, or part of an incremental delivery.
pub trait Payload: Send + 'static {
    /// Appends the result as JSON in UTF-8. Bytes that are not UTF-8 fail the operation.
    fn append_to(&self, frame: &mut Vec<u8>);

    /// Returns about how many bytes that will be. A good estimate saves reallocations. Default: 128.
    fn bytes_hint(&self) -> usize {
        128
    }
}

/// JSON that is serialised already.
impl Payload for String {
    fn append_to(&self, frame: &mut Vec<u8>) {
        frame.extend_from_slice(self.as_bytes());
    }

    fn bytes_hint(&self) -> usize {
        self.len()
    }
}

/// JSON that is serialised already, and shared: many subscriptions may yield the same text.
impl Payload for Arc<str> {
    fn append_to(&self, frame: &mut Vec<u8>) {
        frame.extend_from_slice(self.as_bytes());
    }

    fn bytes_hint(&self) -> usize {
        self.len()
    }
}

/// A future that can be stored.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A stream that can be stored.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// What a prepared request does when it is polled. Dropping it cancels it.
pub enum Operation<P> {
    /// A query or a mutation that was executed while it was prepared: its result, sent as one `next` and `complete`.
    Done(P),
    /// A query or a mutation: one result, sent as one `next` and `complete`.
    Single(BoxFuture<P>),
    /// A query or a mutation with `@defer` or `@stream`: several results, passed on as they are. A graceful
    /// shutdown waits for it, as for a single result.
    Incremental(BoxStream<P>),
    /// A subscription. A graceful shutdown does not wait for it.
    Subscription(BoxStream<P>),
    /// A subscription whose source stream is being made. If that fails, the client gets `error`. A graceful shutdown
    /// does not wait for it.
    Subscribing(BoxFuture<Result<BoxStream<P>, RequestErrors>>),
}

impl<P> std::fmt::Debug for Operation<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Done(_) => "Done",
            Self::Single(_) => "Single",
            Self::Incremental(_) => "Incremental",
            Self::Subscription(_) => "Subscription",
            Self::Subscribing(_) => "Subscribing",
        })
    }
}

/// A GraphQL engine.
///
/// The task of the connection polls it. Move long computations to a task or thread of their own. A panic ends the
/// operation with an error, and nothing else.
pub trait Engine: Send + Sync + 'static {
    /// What operations know of their connection: made by [`Hooks::on_connect`](crate::Hooks::on_connect).
    type Context: Send + Sync + 'static;
    /// What results are.
    type Payload: Payload;

    /// Parses and validates a request, and starts it.
    ///
    /// A subscription whose source stream takes time to make is best returned as [`Operation::Subscribing`]. Until
    /// this future is ready, a graceful shutdown waits for it, because it may be a query.
    ///
    /// # Errors
    ///
    /// [`RequestErrors`] for a request that is not executed: a syntax error, a failed validation, an unknown
    /// operation name, a source stream that cannot be made. The client gets `error`. Errors of execution are part of
    /// a result instead.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the client cancels the operation or the connection ends. Everything that it has
    /// made must end with it.
    fn prepare(
        &self,
        request: Request,
        context: Arc<Self::Context>,
    ) -> impl Future<Output = Result<Operation<Self::Payload>, RequestErrors>> + Send;
}
