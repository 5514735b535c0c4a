//! What an application may decide and observe: one trait, every method with a default.

use std::future::{Future, ready};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use serde_json::value::RawValue;

use crate::close::Ended;
use crate::engine::Request;
use crate::error::{GraphqlError, RequestErrors};
use crate::message::Protocol;

/// What is known of a connection from its upgrade.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    pub(crate) headers: HeaderMap,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) protocol: Option<Protocol>,
}

impl ConnectionInfo {
    /// Returns the headers of the upgrade request.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the client's address, if the host knows it.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Returns the subprotocol that was agreed on; `None` on a connection that is closed for it.
    #[must_use]
    pub const fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }
}

/// What is known of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationInfo {
    pub(crate) id: Arc<str>,
    pub(crate) name: Option<Arc<str>>,
}

impl OperationInfo {
    /// Returns the id that the client chose. It may be that of an earlier operation which has ended.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the `operationName`, if the client gave one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Completion {
    /// It gave all its results.
    Finished,
    /// It was not executed, or could not go on: the client got `error`.
    Failed,
    /// The client completed it.
    Cancelled,
    /// The connection ended.
    Disconnected,
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted<C> {
    pub(crate) context: C,
    pub(crate) payload: Option<Box<RawValue>>,
}

impl<C> Accepted<C> {
    /// Accepts with a context, which every operation of the connection is given.
    #[must_use]
    pub const fn new(context: C) -> Self {
        Self { context, payload: None }
    }

    /// Sets the payload of `connection_ack`, a JSON object. Anything else is left out.
    #[must_use]
    pub fn payload(mut self, payload: Box<RawValue>) -> Self {
        self.payload = payload.get().starts_with('{').then_some(payload);
        self
    }
}

/// A connection that is not accepted. It is closed with 4403. In the legacy protocol the client gets
/// `connection_error`, and the connection is closed with 1011.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub(crate) reason: String,
}

impl Rejection {
    /// Rejects for a reason. The client gets at most its first 123 bytes.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl Default for Rejection {
    /// `Forbidden`, as the protocol says.
    fn default() -> Self {
        Self::new("Forbidden")
    }
}

/// What an application decides and observes.
///
/// # Rules
///
/// - `on_connect` is called once for each connection whose client sends `connection_init`.
/// - `on_ping` is called once for each `ping` message.
/// - `on_operation` is called once for each operation that is started, and `on_complete` once for each operation
///   whose `on_operation` was called, after it.
/// - `on_disconnect` is called once for each connection that was served, after everything else of it has ended.
/// - A hook that waits delays only what needs its answer. A hook that takes longer than
///   [`Config::hook_timeout`](crate::Config::hook_timeout) is dropped. So is a hook whose answer is no longer needed.
/// - A hook that panics fails what it was asked for, and nothing else.
/// - Dropping the future of [`Server::serve`](crate::Server::serve) drops the connection without calling a hook. Put
///   what must always happen into `Drop` of the context.
pub trait Hooks: Send + Sync + 'static {
    /// What operations know of their connection. It must be what the engine takes.
    type Context: Send + Sync + 'static;

    /// Accepts or rejects a connection whose `connection_init` has come. Makes its context of the upgrade and of the
    /// payload.
    ///
    /// # Errors
    ///
    /// [`Rejection`]: the connection is closed with 4403.
    fn on_connect(
        &self,
        connection: &ConnectionInfo,
        payload: Option<&RawValue>,
    ) -> impl Future<Output = Result<Accepted<Self::Context>, Rejection>> + Send;

    /// Answers a `ping` message with the payload of its `pong`. The context is there after the acknowledgement.
    /// Default: the payload of the ping.
    fn on_ping(
        &self,
        context: Option<&Self::Context>,
        payload: Option<Box<RawValue>>,
    ) -> impl Future<Output = Option<Box<RawValue>>> + Send {
        let _ = context;
        ready(payload)
    }

    /// Allows or refuses an operation, before the engine sees it. Default: allows.
    ///
    /// # Errors
    ///
    /// [`RequestErrors`]: sent to the client with `error`.
    fn on_operation(
        &self,
        context: &Self::Context,
        operation: &OperationInfo,
        request: &Request,
    ) -> impl Future<Output = Result<(), RequestErrors>> + Send {
        let _ = (context, operation, request);
        ready(Ok(()))
    }

    /// Returns the request to execute, for a request with an empty document or with `persistedQuery` among its
    /// extensions. Called after `on_operation`. Default: returns a request that has a document, and refuses others.
    ///
    /// # Errors
    ///
    /// [`RequestErrors`]: sent to the client with `error`.
    fn persisted_query(
        &self,
        context: &Self::Context,
        request: Request,
    ) -> impl Future<Output = Result<Request, RequestErrors>> + Send {
        let _ = context;
        ready(no_persisted_query(request))
    }

    /// Observes the end of an operation. Default: does nothing.
    fn on_complete(
        &self,
        context: &Self::Context,
        operation: &OperationInfo,
        completion: Completion,
    ) -> impl Future<Output = ()> + Send {
        let _ = (context, operation, completion);
        ready(())
    }

    /// Observes the end of a connection. The context is there if it was acknowledged. Default: does nothing.
    fn on_disconnect(
        &self,
        connection: &ConnectionInfo,
        context: Option<&Self::Context>,
        ended: &Ended,
    ) -> impl Future<Output = ()> + Send {
        let _ = (connection, context, ended);
        ready(())
    }

    /// Changes an error before it is sent in an `error` message. Errors of execution are the engine's. Default:
    /// nothing.
    fn format_error(&self, context: &Self::Context, error: GraphqlError) -> GraphqlError {
        let _ = context;
        error
    }
}

/// Whether the request is one for [`Hooks::persisted_query`].
pub(crate) fn is_persisted(request: &Request) -> bool {
    request.query.is_empty() || names_hash(request)
}

fn names_hash(request: &Request) -> bool {
    request.extensions.as_deref().is_some_and(|extensions| extensions.get().contains("\"persistedQuery\""))
}

/// What a server without persisted queries does: executes a document that is there.
pub(crate) fn no_persisted_query(request: Request) -> Result<Request, RequestErrors> {
    if !request.query.is_empty() {
        return Ok(request);
    }
    let error = if names_hash(&request) {
        GraphqlError::new("PersistedQueryNotSupported").code("PERSISTED_QUERY_NOT_SUPPORTED")
    } else {
        GraphqlError::new("the query is empty")
    };
    Err(error.into())
}

/// Hooks that accept every connection, with a default context.
#[derive(Debug)]
pub struct AcceptAll<C> {
    context: PhantomData<fn() -> C>,
}

impl<C> Default for AcceptAll<C> {
    fn default() -> Self {
        Self { context: PhantomData }
    }
}

impl<C: Default + Send + Sync + 'static> Hooks for AcceptAll<C> {
    type Context = C;

    fn on_connect(
        &self,
        _connection: &ConnectionInfo,
        _payload: Option<&RawValue>,
    ) -> impl Future<Output = Result<Accepted<C>, Rejection>> + Send {
        ready(Ok(Accepted::new(C::default())))
    }
}
