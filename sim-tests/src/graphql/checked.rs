//! Transports that check what the handler does with them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use wavetank_graphql::blocking::BlockingTransport;
use wavetank_graphql::{CloseFrame, Incoming, MessageTransport, Progress, TransportError};

use super::rules::Rules;

/// Passes everything on, and panics if the handler
///
/// - sends anything once it has closed, or closes with two different frames, or with one that must not be sent;
/// - sends a message for an id whose operation it was not asked for, has ended, or was completed by the client;
/// - sends anything but `next* (complete | error)` for an operation, or more than one result of a query or a mutation
///   without `@defer`, or `complete` before its result;
/// - acknowledges twice, or without being asked, or answers more pings than there were.
#[derive(Debug)]
pub struct Checked<T> {
    inner: T,
    rules: Rules,
}

impl<T: MessageTransport> Checked<T> {
    /// Checks what is done with `inner`.
    pub fn new(inner: T) -> Self {
        let rules = Rules::new(inner.subprotocol());
        Self { inner, rules }
    }
}

impl<T: MessageTransport> MessageTransport for Checked<T> {
    type Text = T::Text;

    fn subprotocol(&self) -> Option<&str> {
        self.inner.subprotocol()
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming<T::Text>, TransportError>> {
        self.rules.receives();
        let received = self.inner.poll_recv(context);
        match &received {
            Poll::Ready(Ok(Incoming::Text(text))) => self.rules.received(text.as_ref()),
            Poll::Ready(Ok(Incoming::Closed(_)) | Err(_)) => self.rules.is_over(),
            Poll::Ready(Ok(Incoming::Binary | Incoming::Control)) | Poll::Pending => {}
        }
        received
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_ready(context)
    }

    fn start_send(&mut self, text: String) -> Result<(), TransportError> {
        self.rules.sent(&text);
        self.inner.start_send(text)
    }

    fn start_ping(&mut self) -> Result<bool, TransportError> {
        self.rules.may_send("a ping");
        self.inner.start_ping()
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_flush(context)
    }

    fn poll_close(&mut self, context: &mut Context<'_>, frame: &CloseFrame) -> Poll<()> {
        self.rules.closes(frame);
        self.inner.poll_close(context, frame)
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }
}

/// Checks the same of a handler on threads. After a panic every further call panics, so that the connection does not
/// end like others.
#[derive(Debug)]
pub struct BlockingChecked<T> {
    inner: T,
    rules: Mutex<Rules>,
    /// The text was not taken. The handler sends it again.
    again: AtomicBool,
}

impl<T: BlockingTransport> BlockingChecked<T> {
    /// Checks what is done with `inner`.
    pub fn new(inner: T) -> Self {
        let rules = Mutex::new(Rules::on_threads(inner.subprotocol()));
        Self { inner, rules, again: AtomicBool::new(false) }
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().expect("no rule was broken before")
    }
}

impl<T: BlockingTransport> BlockingTransport for BlockingChecked<T> {
    type Text = T::Text;

    fn subprotocol(&self) -> Option<&str> {
        self.inner.subprotocol()
    }

    fn recv(&self) -> Result<Incoming<T::Text>, TransportError> {
        self.rules().receives();
        let received = self.inner.recv();
        match &received {
            Ok(Incoming::Text(text)) => self.rules().received(text.as_ref()),
            Ok(Incoming::Closed(_)) | Err(_) => self.rules().is_over(),
            Ok(Incoming::Binary | Incoming::Control) => {}
        }
        received
    }

    fn send(&self, text: &str, timeout: Duration) -> Result<bool, TransportError> {
        if !self.again.load(Ordering::Relaxed) {
            self.rules().sent(text);
        }
        let sent = self.inner.send(text, timeout);
        self.again.store(matches!(sent, Ok(false)), Ordering::Relaxed);
        sent
    }

    fn close(&self, frame: &CloseFrame) {
        self.rules().closes(frame);
        self.inner.close(frame);
    }

    fn abort(&self) {
        self.inner.abort();
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }
}
