//! Connections one after another: when one is lost, the next is opened, after a while.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{Instant, Runtime};

use super::shared::Shared;
use super::{Client, WebSocket};
use crate::handshake::ClientRequest;
use crate::reconnect::{Backoff, BackoffPolicy};
use crate::{Error, OpenError};

/// What is done on each new connection before it is handed out: authenticate, subscribe again, ask for what was missed.
///
/// Functions `FnMut(WebSocket<R>) -> impl Future<Output = Result<(), Error>>` are hooks.
pub trait Resume<R: Runtime>: Send {
    /// Prepares `socket`. An error, like a connection that could not be opened, counts as a failed attempt: the
    /// connection is closed, and the next one is opened after a while.
    fn resume(&mut self, socket: WebSocket<R>) -> impl Future<Output = Result<(), Error>> + Send;
}

impl<R, F, P> Resume<R> for F
where
    R: Runtime,
    F: FnMut(WebSocket<R>) -> P + Send,
    P: Future<Output = Result<(), Error>> + Send,
{
    fn resume(&mut self, socket: WebSocket<R>) -> impl Future<Output = Result<(), Error>> + Send {
        self(socket)
    }
}

/// No hook: new connections are handed out as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsItIs;

impl<R: Runtime> Resume<R> for AsItIs {
    async fn resume(&mut self, _socket: WebSocket<R>) -> Result<(), Error> {
        Ok(())
    }
}

/// A stream of connections to one server, made by [`Client::reconnect`].
///
/// [`next`](Self::next) opens the first connection at once. Each further call waits until the connection it gave before
/// is over, and for a delay: random up to 5 s the first time, then growing while attempts fail (RFC 6455, section
/// 7.2.3; see [`BackoffPolicy`]).
///
/// # Determinism
///
/// The delays are drawn from the runtime's entropy, eight bytes each.
pub struct Reconnect<R: Runtime, H = AsItIs> {
    client: Client<R>,
    request: ClientRequest,
    hook: H,
    backoff: Backoff,
    retries: fn(&OpenError) -> bool,
    /// The connection handed out last, and when that was.
    previous: Option<Previous<R>>,
    /// When the next attempt is due, if one is.
    due: Option<Instant>,
    failure: Option<Failure>,
}

struct Previous<R: Runtime> {
    shared: Arc<Shared<R, R::Stream>>,
    since: Instant,
}

/// Why an attempt of [`Reconnect`] failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// No connection came about.
    Open(OpenError),
    /// The hook failed on the new connection.
    Resume(Error),
}

impl<R: Runtime> Reconnect<R> {
    pub(super) fn new(client: Client<R>, request: ClientRequest) -> Self {
        Self {
            client,
            request,
            hook: AsItIs,
            backoff: Backoff::new(BackoffPolicy::default()),
            retries: OpenError::is_transient,
            previous: None,
            due: None,
            failure: None,
        }
    }
}

impl<R: Runtime, H: Resume<R>> Reconnect<R, H> {
    /// Sets what is done on each new connection before it is handed out. Nothing by default.
    #[must_use]
    pub fn on_connect<G: Resume<R>>(self, hook: G) -> Reconnect<R, G> {
        let Self { client, request, hook: _, backoff, retries, previous, due, failure } = self;
        Reconnect { client, request, hook, backoff, retries, previous, due, failure }
    }

    /// Sets the delays.
    #[must_use]
    pub fn backoff(mut self, policy: BackoffPolicy) -> Self {
        self.backoff = Backoff::new(policy);
        self
    }

    /// Sets which failures are worth another attempt; the others are [`next`](Self::next)'s errors.
    /// [`OpenError::is_transient`] by default.
    #[must_use]
    pub fn retry_if(mut self, retries: fn(&OpenError) -> bool) -> Self {
        self.retries = retries;
        self
    }

    /// Returns why the latest attempt failed, if it did: `None` once a connection has been handed out.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Returns when the next attempt is due, while [`next`](Self::next) waits for it (or did, when its future was dropped).
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns how many attempts and short-lived connections have failed since the last lasting connection.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// Waits until the connection it gave before is over, then for the next one.
    ///
    /// A handle to the connection before may be kept, or dropped, which closes it.
    ///
    /// # Errors
    ///
    /// What another attempt would not mend ([`retry_if`](Self::retry_if)): the request was refused, the server is not
    /// the one it should be. It can be called again, and then tries again after a delay.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while it waits, the next call goes on waiting for the same time. If it is dropped during
    /// an attempt, that attempt is given up and counts as failed: the next one comes after its delay.
    pub async fn next(&mut self) -> Result<WebSocket<R>, OpenError> {
        self.previous_is_over().await;
        loop {
            if let Some(due) = self.due {
                self.client.runtime().sleep_until(due).await;
            }
            // Whoever drops this future in the middle of an attempt has made one, and waits before the next.
            let before = self.backoff.clone();
            let delay = self.wait_before_next();
            let failure = match self.client.connect(self.request.clone()).await {
                Ok(socket) => match self.hook.resume(socket.clone()).await {
                    Ok(()) => {
                        self.failure = None;
                        self.backoff = before;
                        self.due = None;
                        self.previous =
                            Some(Previous { shared: socket.share(), since: self.client.runtime().now() });
                        return Ok(socket);
                    }
                    Err(error) => {
                        // The hook may have kept a handle.
                        socket.begin_close();
                        Failure::Resume(error)
                    }
                },
                Err(error) if !(self.retries)(&error) => {
                    self.due = Some(self.client.runtime().now() + delay);
                    return Err(error);
                }
                Err(error) => Failure::Open(error),
            };
            self.failure = Some(failure);
            self.due = Some(self.client.runtime().now() + delay);
        }
    }

    async fn previous_is_over(&mut self) {
        if let Some(previous) = &self.previous {
            previous.shared.closed().await;
            self.backoff.connection_ended(self.client.runtime().now() - previous.since);
            self.previous = None;
            self.wait_before_next();
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

impl<R: Runtime, H> fmt::Debug for Reconnect<R, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("backoff", &self.backoff)
            .field("due", &self.due)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
