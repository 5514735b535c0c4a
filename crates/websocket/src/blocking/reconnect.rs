//! Connections one after another: when one is lost, the next is opened after a delay.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{Instant, Threads};

use super::open::Client;
use super::shared::Shared;
use super::socket::WebSocket;
use super::stop::{Stop, Stopper};
use crate::OpenError;
use crate::handshake::ClientRequest;
use crate::reconnect::{Backoff, BackoffPolicy, Failure, HookError, Reason, Retry};

/// The hook that prepares each new connection before it is returned.
type Hook<T> = Box<dyn FnMut(&WebSocket<T>) -> Result<(), HookError> + Send>;

/// Called before each further attempt.
type Tell = Box<dyn FnMut(&Retry<'_>) + Send>;

/// An endless iterator of connections to one server, made by [`Client::reconnect`].
///
/// The first [`next`](Iterator::next) connects at once. Each further one waits until the connection before is over, and
/// then for a delay: random up to 5 s the first time, then growing while attempts fail (RFC 6455, section 7.2.3; see
/// [`BackoffPolicy`]). Keep no more than one thread in it.
///
/// An error is what another attempt would not fix ([`retry_if`](Self::retry_if)): the request was refused, the
/// server is not the one it should be. The iterator stays usable: the next call tries again, after a delay.
///
/// It ends (`None`) once [`Stopper::stop`] was called.
///
/// # Determinism
///
/// The delays are drawn from the entropy of the [`Threads`], eight bytes each.
pub struct Reconnect<T: Threads> {
    client: Client<T>,
    request: ClientRequest,
    hook: Hook<T>,
    backoff: Backoff,
    retries: Box<dyn Fn(&Failure) -> bool + Send + Sync>,
    on_retry: Option<Tell>,
    /// The connection returned last, and since when it is open.
    previous: Option<(Arc<Shared<T>>, Instant)>,
    /// When the next attempt is due, if one is.
    due: Option<Instant>,
    failure: Option<Failure>,
    stop: Arc<Stop<T>>,
}

impl<T: Threads> Reconnect<T> {
    pub(super) fn new(client: Client<T>, request: ClientRequest) -> Self {
        let stop = Stop::new(client.threads().clone());
        Self {
            client,
            request,
            hook: Box::new(|_| Ok(())),
            backoff: Backoff::new(BackoffPolicy::default()),
            retries: Box::new(Failure::is_transient),
            on_retry: None,
            previous: None,
            due: None,
            failure: None,
            stop: Arc::new(stop),
        }
    }

    /// Sets the hook that prepares each new connection before it is returned: it authenticates, subscribes again, or
    /// asks for missed messages. Default: none.
    ///
    /// If it fails, the connection is closed, and counts as a failed attempt. `?` makes a [`HookError`] of any error:
    /// [`Error`](crate::Error), one of the application's, or a text. The next one is opened after a while, unless
    /// [`retry_if`](Self::retry_if) decides otherwise.
    #[must_use]
    pub fn on_connect(
        mut self,
        hook: impl FnMut(&WebSocket<T>) -> Result<(), HookError> + Send + 'static,
    ) -> Self {
        self.hook = Box::new(hook);
        self
    }

    /// Sets the delays.
    #[must_use]
    pub fn backoff(mut self, policy: BackoffPolicy) -> Self {
        self.backoff = Backoff::new(policy);
        self
    }

    /// Sets which failures, of openings and of the hook, are worth another attempt; the others are errors of the
    /// iterator. [`Failure::is_transient`] by default. An error of a hook is recognised by its type:
    /// `error.downcast_ref::<MyError>()`.
    #[must_use]
    pub fn retry_if(mut self, retries: impl Fn(&Failure) -> bool + Send + Sync + 'static) -> Self {
        self.retries = Box::new(retries);
        self
    }

    /// Sets what is called before each further attempt, with its reason and delay: for a log, or to show that the
    /// other side is unreachable. It is not called for failures that the iterator returns. Default: nothing.
    #[must_use]
    pub fn on_retry(mut self, tell: impl FnMut(&Retry<'_>) + Send + 'static) -> Self {
        self.on_retry = Some(Box::new(tell));
        self
    }

    /// Returns when the next attempt is due, if the iterator is to wait before it: after an error, that is.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns why the latest attempt failed, if it did and another follows: `None` once a connection or an error has
    /// been given out.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Returns how many attempts and short-lived connections have failed since the last lasting connection.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// Returns what ends this iterator from another thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper<T> {
        Stopper::of(&self.stop)
    }

    /// Waits until the connection before is over. Its handles may be kept or dropped.
    fn await_end_of_previous(&mut self) {
        if let Some((shared, since)) = self.previous.take() {
            let over = shared.wait_closed(shared.lock(), None);
            debug_assert!(over.is_ok(), "a wait without a deadline of its own ends with the connection");
            self.backoff.connection_ended(self.stop.threads.now() - since);
            let delay = self.delay_next();
            if let Ok(closed) = over {
                self.tell(Reason::Closed(&closed), delay);
            }
        }
    }

    fn tell(&mut self, reason: Reason<'_>, delay: Duration) {
        if self.on_retry.is_none() || self.stop.is_stopped() {
            return;
        }
        if let Some(tell) = &mut self.on_retry {
            tell(&Retry { reason, delay, number: self.backoff.failures() });
        }
    }

    fn delay_next(&mut self) -> Duration {
        let mut entropy = [0; 8];
        self.stop.threads.fill_random(&mut entropy);
        let delay = self.backoff.next_delay(u64::from_le_bytes(entropy));
        self.due = Some(self.stop.threads.now() + delay);
        delay
    }

    fn attempt(&mut self) -> Result<WebSocket<T>, Failure> {
        let socket = self.client.open(self.request.clone(), Some(&self.stop))?;
        let since = self.stop.threads.now();
        if let Err(error) = (self.hook)(&socket) {
            // The hook may have kept a handle.
            socket.handle.begin_close();
            return Err(Failure::Resume { url: self.request.url().clone(), error });
        }
        self.previous = Some((Arc::clone(&socket.handle.shared), since));
        Ok(socket)
    }
}

impl<T: Threads> Iterator for Reconnect<T> {
    type Item = Result<WebSocket<T>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.await_end_of_previous();
        loop {
            if self.stop.wait_until(self.due.take()) {
                return None;
            }
            match self.attempt() {
                Ok(socket) => {
                    self.failure = None;
                    return Some(Ok(socket));
                }
                Err(Failure::Open(OpenError::Stopped)) => return None,
                Err(failure) => {
                    let delay = self.delay_next();
                    if !(self.retries)(&failure) {
                        self.failure = None;
                        return Some(Err(failure));
                    }
                    self.tell(Reason::Failed(&failure), delay);
                    self.failure = Some(failure);
                }
            }
        }
    }
}

impl<T: Threads> fmt::Debug for Reconnect<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("backoff", &self.backoff)
            .field("due", &self.due)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
