//! What carries messages: one accepted WebSocket, polled by the one task that owns it.

use std::task::{Context, Poll};

use crate::close::CloseFrame;

pub use crate::error::TransportError;

/// What came from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<T> {
    /// A text message.
    Text(T),
    /// A binary message, whose content does not matter: the protocol has none.
    Binary,
    /// A WebSocket ping or pong. The transport has answered, or answers, a ping by itself.
    Control,
    /// The client closed, with this code if it gave one. Nothing comes after it.
    Closed(Option<u16>),
}

/// How much a transport has moved, in bytes since it was opened. Any increase counts as life.
///
/// A transport that cannot count leaves both at zero: then only whole messages count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that came from the client.
    pub received: u64,
    /// Bytes that were passed on to the network.
    pub sent: u64,
}

/// One accepted WebSocket, or anything else that carries messages both ways and in order.
///
/// It exists only after the WebSocket was accepted. So nothing that the handler does (its timers included) can happen
/// before that.
///
/// One task owns it and polls it. All methods that take a context follow the rules of futures: `Pending` promises a
/// wake-up of the task that polled last, for reading and for writing independently.
pub trait MessageTransport: Send + Unpin + 'static {
    /// A text that was received.
    type Text: AsRef<str> + Send;

    /// Returns the subprotocol that was agreed on when the WebSocket was opened, as the response header had it.
    fn subprotocol(&self) -> Option<&str>;

    /// Receives the next message. Not called after [`Incoming::Closed`] or an error.
    ///
    /// # Errors
    ///
    /// [`TransportError`]: nothing more comes, and nothing can be sent, but for a Close frame after
    /// [`TransportError::MessageTooBig`].
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming<Self::Text>, TransportError>>;

    /// Waits until the transport takes another message.
    ///
    /// # Errors
    ///
    /// [`TransportError`]: nothing can be sent any more.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Takes a text message. Called only after [`poll_ready`](Self::poll_ready) was ready.
    ///
    /// # Errors
    ///
    /// As [`poll_ready`](Self::poll_ready).
    fn start_send(&mut self, text: String) -> Result<(), TransportError>;

    /// Takes a WebSocket ping, under the same rule. Returns `false` if the transport cannot send pings. Then the
    /// handler sends the protocol's own ping. Default: `false`.
    ///
    /// # Errors
    ///
    /// As [`poll_ready`](Self::poll_ready).
    fn start_ping(&mut self) -> Result<bool, TransportError> {
        Ok(false)
    }

    /// Waits until everything that was taken is on its way.
    ///
    /// # Errors
    ///
    /// As [`poll_ready`](Self::poll_ready).
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Sends what was taken and then `frame`. Then does the rest of the closing handshake: reads and drops what still
    /// comes. It is called again with the same frame until it is ready, and after the first call no other method is
    /// called. The handler waits at most [`Config::close_timeout`](crate::Config::close_timeout), and then drops the
    /// transport.
    fn poll_close(&mut self, context: &mut Context<'_>, frame: &CloseFrame) -> Poll<()>;

    /// Returns how much was moved so far.
    fn progress(&self) -> Progress {
        Progress::default()
    }
}
