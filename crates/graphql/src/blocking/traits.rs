//! What a server on threads is given: an engine, hooks, transports.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use wavetank_runtime::Threads;

use super::Cancel;
use crate::close::{CloseCode, CloseFrame, Ended};
use crate::engine::{Payload, Request};
use crate::error::{GraphqlError, RequestErrors};
use crate::hooks::{AcceptAll, Accepted, Completion, ConnectionInfo, OperationInfo, Rejection};
use crate::transport::{Incoming, Progress, TransportError};

/// What a prepared request does on its thread.
pub enum BlockingOperation<P> {
    /// A query or a mutation: one result.
    Single(Box<dyn FnOnce() -> P + Send>),
    /// A query or a mutation with `@defer` or `@stream`: several results.
    Incremental(Box<dyn Iterator<Item = P> + Send>),
    /// A subscription. A graceful shutdown does not wait for it.
    Subscription(Box<dyn Iterator<Item = P> + Send>),
}

impl<P> fmt::Debug for BlockingOperation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Single",
            Self::Incremental(_) => "Incremental",
            Self::Subscription(_) => "Subscription",
        })
    }
}

/// A GraphQL engine on threads: [`Engine`](crate::Engine) for code that blocks.
pub trait BlockingEngine<W: Threads>: Send + Sync + 'static {
    /// What operations know of their connection.
    type Context: Send + Sync + 'static;
    /// What results are.
    type Payload: Payload;

    /// Parses, validates and starts a request, on a thread of the pool. Wait with `cancel` only, here and in the
    /// results: then an operation that is cancelled ends at once. Its results are dropped.
    ///
    /// # Errors
    ///
    /// [`RequestErrors`] for a request that is not executed: the client gets `error`.
    fn prepare(
        &self,
        request: Request,
        context: Arc<Self::Context>,
        cancel: &Cancel<W>,
    ) -> Result<BlockingOperation<Self::Payload>, RequestErrors>;
}

/// What an application decides and observes, on threads. The rules are those of [`Hooks`](crate::Hooks), and each
/// method says on which thread it is called.
pub trait BlockingHooks: Send + Sync + 'static {
    /// What operations know of their connection.
    type Context: Send + Sync + 'static;

    /// Accepts or rejects a connection. On the pool.
    ///
    /// # Errors
    ///
    /// [`Rejection`]: the connection is closed with 4403.
    fn on_connect(
        &self,
        connection: &ConnectionInfo,
        payload: Option<&RawValue>,
    ) -> Result<Accepted<Self::Context>, Rejection>;

    /// Answers a `ping`. On the thread that reads: it must not wait. Default: the payload of the ping.
    fn on_ping(
        &self,
        context: Option<&Self::Context>,
        payload: Option<Box<RawValue>>,
    ) -> Option<Box<RawValue>> {
        let _ = context;
        payload
    }

    /// Allows or refuses an operation. On the operation's thread. Default: allows.
    ///
    /// # Errors
    ///
    /// [`RequestErrors`]: sent to the client with `error`.
    fn on_operation(
        &self,
        context: &Self::Context,
        operation: &OperationInfo,
        request: &Request,
    ) -> Result<(), RequestErrors> {
        let _ = (context, operation, request);
        Ok(())
    }

    /// Replaces a persisted query, as [`Hooks::persisted_query`](crate::Hooks::persisted_query). On the operation's
    /// thread.
    ///
    /// # Errors
    ///
    /// [`RequestErrors`]: sent to the client with `error`.
    fn persisted_query(&self, context: &Self::Context, request: Request) -> Result<Request, RequestErrors> {
        let _ = context;
        crate::hooks::no_persisted_query(request)
    }

    /// Observes the end of an operation. On the operation's thread. Default: does nothing.
    fn on_complete(&self, context: &Self::Context, operation: &OperationInfo, completion: Completion) {
        let _ = (context, operation, completion);
    }

    /// Observes the end of a connection. On the thread that served it. Default: does nothing.
    fn on_disconnect(&self, connection: &ConnectionInfo, context: Option<&Self::Context>, ended: &Ended) {
        let _ = (connection, context, ended);
    }

    /// Changes an error before it is sent in an `error` message. Default: nothing.
    fn format_error(&self, context: &Self::Context, error: GraphqlError) -> GraphqlError {
        let _ = context;
        error
    }
}

impl<C: Default + Send + Sync + 'static> BlockingHooks for AcceptAll<C> {
    type Context = C;

    fn on_connect(
        &self,
        _connection: &ConnectionInfo,
        _payload: Option<&RawValue>,
    ) -> Result<Accepted<C>, Rejection> {
        Ok(Accepted::new(C::default()))
    }
}

/// One accepted WebSocket for threads: one thread receives while another sends and closes.
pub trait BlockingTransport: Send + Sync + 'static {
    /// A text that was received.
    type Text: AsRef<str>;

    /// Returns the subprotocol that was agreed on.
    fn subprotocol(&self) -> Option<&str>;

    /// Blocks until the next message has come. Returns an error when the connection has ended, also if
    /// [`close`](Self::close) or [`abort`](Self::abort) has ended it.
    ///
    /// # Errors
    ///
    /// [`TransportError`]: nothing more comes.
    fn recv(&self) -> Result<Incoming<Self::Text>, TransportError>;

    /// Sends a text. Returns `false` if nothing of any message was passed on for `timeout`: then this one was not sent.
    /// `timeout` is at most 250 ms, because the handler looks between the calls whether it has to close. It sends the
    /// same text again.
    ///
    /// # Errors
    ///
    /// [`TransportError`]: nothing can be sent any more.
    fn send(&self, text: &str, timeout: Duration) -> Result<bool, TransportError>;

    /// Sends a Close frame and does the rest of the closing handshake, within a timeout of the transport's own. The
    /// connection has ended when this returns, whether or not that succeeded. The handler waits for this beyond its
    /// [`Config::close_timeout`](crate::Config::close_timeout), so that of the transport should be as short.
    fn close(&self, frame: &CloseFrame);

    /// Ends the connection without a closing handshake: the client has taken nothing for too long. Should not
    /// wait. Default: [`close`](Self::close) with 1001.
    fn abort(&self) {
        self.close(&CloseFrame::new(CloseCode::GOING_AWAY, ""));
    }

    /// Returns how much was moved so far.
    fn progress(&self) -> Progress {
        Progress::default()
    }
}
