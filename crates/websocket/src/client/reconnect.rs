//! Connections one after another: when one is lost, the next is opened after a delay.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::{Instant, LocalSockets, Runtime};

use super::connections::Connections;
use super::shared::Shared;
use super::{Client, WebSocket};
use crate::OpenError;
use crate::handshake::ClientRequest;
use crate::reconnect::{Backoff, BackoffPolicy, Failure, HookError, Reason, Retry};

/// What is done on each new connection before it is handed out: authenticate, subscribe again, ask for what was missed.
///
/// Functions `FnMut(WebSocket<R, S>) -> impl Future<Output = Result<(), HookError>>` are hooks. `?` makes a
/// [`HookError`] of any error: [`Error`](crate::Error), one of the application's, or a text.
pub trait Resume<R, S = <R as Runtime>::Stream>: Send
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Prepares `socket`. An error, like a connection that could not be opened, counts as a failed attempt: the
    /// connection is closed, and the next one is opened after a while, unless [`Reconnect::retry_if`] decides
    /// otherwise.
    fn resume(&mut self, socket: WebSocket<R, S>) -> impl Future<Output = Result<(), HookError>> + Send;
}

impl<R, S, F, P> Resume<R, S> for F
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: FnMut(WebSocket<R, S>) -> P + Send,
    P: Future<Output = Result<(), HookError>> + Send,
{
    fn resume(&mut self, socket: WebSocket<R, S>) -> impl Future<Output = Result<(), HookError>> + Send {
        self(socket)
    }
}

/// No hook: new connections are handed out as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsItIs;

impl<R, S> Resume<R, S> for AsItIs
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    async fn resume(&mut self, _socket: WebSocket<R, S>) -> Result<(), HookError> {
        Ok(())
    }
}

/// Connections to one server, one after another: made by [`Client::reconnect`] and [`Client::reconnect_unix`].
///
/// [`next`](Self::next) opens the first connection at once. Each further call waits until the connection it gave before
/// is over, and for a delay: random up to 5 s the first time, then growing while attempts fail (RFC 6455, section
/// 7.2.3; see [`BackoffPolicy`]). [`into_stream`](Self::into_stream) makes it a `Stream`.
///
/// # Determinism
///
/// The delays are drawn from the runtime's entropy, eight bytes each.
pub struct Reconnect<R, H = AsItIs, S = <R as Runtime>::Stream>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    client: Client<R>,
    request: ClientRequest,
    connect: Connect<R, S>,
    hook: H,
    backoff: Backoff,
    watch: Watch,
    /// The connection handed out last, and when that was.
    previous: Option<Previous<R, S>>,
    /// When the next attempt is due, if one is.
    due: Option<Instant>,
    failure: Option<Failure>,
}

/// Opens a connection over one kind of stream.
type Connect<R, S> =
    fn(Client<R>, ClientRequest) -> Pin<Box<dyn Future<Output = Result<WebSocket<R, S>, OpenError>> + Send>>;

/// Called before each further attempt.
type Tell = Box<dyn FnMut(&Retry<'_>) + Send>;

/// The application's decisions on failures, and its hook for retries.
struct Watch {
    retries: Box<dyn Fn(&Failure) -> bool + Send + Sync>,
    on_retry: Option<Tell>,
}

struct Previous<R, S> {
    shared: Arc<Shared<R, S>>,
    since: Instant,
}

impl<R: Runtime> Reconnect<R> {
    pub(super) fn over_tcp(client: Client<R>, request: ClientRequest) -> Self {
        Self::new(client, request, |client, request| Box::pin(async move { client.connect(request).await }))
    }
}

impl<R: LocalSockets> Reconnect<R, AsItIs, R::UnixStream> {
    pub(super) fn over_unix(client: Client<R>, request: ClientRequest) -> Self {
        Self::new(client, request, |client, request| {
            Box::pin(async move { client.connect_unix(request).await })
        })
    }
}

impl<R, S> Reconnect<R, AsItIs, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn new(client: Client<R>, request: ClientRequest, connect: Connect<R, S>) -> Self {
        Self {
            client,
            request,
            connect,
            hook: AsItIs,
            backoff: Backoff::new(BackoffPolicy::default()),
            watch: Watch { retries: Box::new(Failure::is_transient), on_retry: None },
            previous: None,
            due: None,
            failure: None,
        }
    }
}

impl<R, H, S> Reconnect<R, H, S>
where
    R: Runtime,
    H: Resume<R, S>,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Sets what is done on each new connection before it is handed out. Nothing by default.
    #[must_use]
    pub fn on_connect<G: Resume<R, S>>(self, hook: G) -> Reconnect<R, G, S> {
        let Self { client, request, connect, hook: _, backoff, watch, previous, due, failure } = self;
        Reconnect { client, request, connect, hook, backoff, watch, previous, due, failure }
    }

    /// Sets the delays.
    #[must_use]
    pub fn backoff(mut self, policy: BackoffPolicy) -> Self {
        self.backoff = Backoff::new(policy);
        self
    }

    /// Sets which failures, of openings and of the hook, are worth another attempt; the others are
    /// [`next`](Self::next)'s errors. [`Failure::is_transient`] by default. An error of a hook is recognised by its
    /// type:
    /// `error.downcast_ref::<MyError>()`.
    #[must_use]
    pub fn retry_if(mut self, retries: impl Fn(&Failure) -> bool + Send + Sync + 'static) -> Self {
        self.watch.retries = Box::new(retries);
        self
    }

    /// Sets what is called before each further attempt, with its reason and delay: for a log, or to show that the
    /// other side is unreachable. It is not called for failures that [`next`](Self::next) returns. Default: nothing.
    #[must_use]
    pub fn on_retry(mut self, tell: impl FnMut(&Retry<'_>) + Send + 'static) -> Self {
        self.watch.on_retry = Some(Box::new(tell));
        self
    }

    /// Returns why the latest attempt failed, if it did and another follows: `None` once a connection or an error has
    /// been handed out.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Returns when the next attempt is due, while [`next`](Self::next) waits for it (or did, when its future was
    /// dropped).
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns how many attempts and short-lived connections have failed since the last lasting connection.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// Makes a `Stream` of it, whose items are the results of [`next`](Self::next). It never ends by itself.
    #[must_use]
    pub fn into_stream(self) -> Connections<R, H, S>
    where
        H: 'static,
    {
        Connections::new(self)
    }

    /// Waits until the connection it gave before is over, then for the next one.
    ///
    /// A handle to the connection before may be kept, or dropped, which closes it.
    ///
    /// # Errors
    ///
    /// What another attempt would not fix ([`retry_if`](Self::retry_if)): the request was refused, the server is not
    /// the one it should be. It can be called again, and then tries again after a delay.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while it waits, the next call goes on waiting for the same time. If it is dropped
    /// during an attempt, that attempt is given up and counts as failed: the next one comes after its delay.
    pub async fn next(&mut self) -> Result<WebSocket<R, S>, Failure> {
        self.previous_is_over().await;
        loop {
            if let Some(due) = self.due {
                self.client.runtime().sleep_until(due).await;
            }
            // A caller that drops this future in the middle of an attempt has made one, and waits before the next.
            let before = self.backoff.clone();
            let delay = self.wait_before_next();
            let failure = match self.attempt().await {
                Ok(socket) => {
                    self.failure = None;
                    self.backoff = before;
                    self.due = None;
                    let since = self.client.runtime().now();
                    self.previous = Some(Previous { shared: socket.share(), since });
                    return Ok(socket);
                }
                Err(failure) => failure,
            };
            self.due = Some(self.client.runtime().now() + delay);
            if !(self.watch.retries)(&failure) {
                self.failure = None;
                return Err(failure);
            }
            self.watch.tell(Reason::Failed(&failure), delay, &self.backoff);
            self.failure = Some(failure);
        }
    }

    async fn attempt(&mut self) -> Result<WebSocket<R, S>, Failure> {
        let socket = (self.connect)(self.client.clone(), self.request.clone()).await?;
        if let Err(error) = self.hook.resume(socket.clone()).await {
            // The hook may have kept a handle.
            socket.begin_close();
            return Err(Failure::Resume { url: self.request.url().clone(), error });
        }
        Ok(socket)
    }

    async fn previous_is_over(&mut self) {
        if let Some(previous) = &self.previous {
            let closed = previous.shared.closed().await;
            self.backoff.connection_ended(self.client.runtime().now() - previous.since);
            self.previous = None;
            let delay = self.wait_before_next();
            self.watch.tell(Reason::Closed(&closed), delay, &self.backoff);
        }
    }

    fn wait_before_next(&mut self) -> Duration {
        let mut entropy = [0; 8];
        self.client.runtime().fill_random(&mut entropy);
        let delay: Duration = self.backoff.next_delay(u64::from_le_bytes(entropy));
        self.due = Some(self.client.runtime().now() + delay);
        delay
    }
}

impl Watch {
    fn tell(&mut self, reason: Reason<'_>, delay: Duration, backoff: &Backoff) {
        if let Some(tell) = &mut self.on_retry {
            tell(&Retry { reason, delay, number: backoff.failures() });
        }
    }
}

impl<R, H, S> fmt::Debug for Reconnect<R, H, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("backoff", &self.backoff)
            .field("due", &self.due)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
