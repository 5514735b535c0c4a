//! How operations fail: the original's `exceptions.py`.

use std::fmt;
use std::io;

use super::frames::{Close, close_code};
use super::handshake::HandshakeError;

/// The connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionClosed {
    /// The close frame that the peer sent.
    pub received: Option<Close>,
    /// The close frame that this end sent.
    pub sent: Option<Close>,
    /// Why the TCP connection dropped, if it did not end with the closing handshake.
    pub cause: Option<Cause>,
}

impl ConnectionClosed {
    /// Returns `true` if both ends closed with a code that means success (the original's `ConnectionClosedOK`).
    #[must_use]
    pub fn is_ok(&self) -> bool {
        let ok = |close: &Option<Close>| close.as_ref().is_some_and(|close| close_code::is_ok(close.code));
        ok(&self.received) && ok(&self.sent)
    }
}

impl fmt::Display for ConnectionClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.received, &self.sent) {
            (None, None) => f.write_str("no close frame received or sent"),
            (None, Some(sent)) => write!(f, "sent {sent}; no close frame received"),
            (Some(received), None) => write!(f, "received {received}; no close frame sent"),
            (Some(received), Some(sent)) => write!(f, "received {received}; sent {sent}"),
        }
    }
}

impl std::error::Error for ConnectionClosed {}

/// Why a TCP connection dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The peer did not answer the closing handshake within `close_timeout`.
    CloseTimedOut,
    /// The socket failed.
    Socket(io::ErrorKind),
    /// The peer broke the protocol, or the stream ended too early.
    Violation(Violation),
    /// The library reached a state that it considers impossible.
    Internal(InternalError),
}

/// What the peer did wrong, and the close code for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The close code of the answer.
    pub code: u16,
    /// A description of the fault.
    pub reason: &'static str,
}

impl Violation {
    pub(super) const fn protocol(reason: &'static str) -> Self {
        Self { code: close_code::PROTOCOL_ERROR, reason }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.code)
    }
}

impl std::error::Error for Violation {}

/// An exception that the library's authors did not expect: its own `AssertionError` or `EOFError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InternalError(pub(super) &'static str);

impl fmt::Display for InternalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InternalError {}

/// Why [`recv`](super::Connection::recv) has no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// The connection is closed.
    Closed(ConnectionClosed),
    /// No message came within the timeout. The connection stays usable.
    TimedOut,
    /// Another thread is in `recv`. The connection stays usable.
    Concurrency,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(closed) => closed.fmt(f),
            Self::TimedOut => f.write_str("no message within the timeout"),
            Self::Concurrency => f.write_str("cannot call recv while another thread is already running recv"),
        }
    }
}

impl std::error::Error for RecvError {}

/// Why a connection could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// TCP failed, or no thread could be started.
    Io(io::Error),
    /// The peer did not answer the opening handshake within `open_timeout`.
    TimedOut,
    /// TCP ended before the peer had answered.
    Closed,
    /// The peer's answer is not an upgrade to WebSocket.
    Handshake(HandshakeError),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::TimedOut => f.write_str("timed out during handshake"),
            Self::Closed => f.write_str("connection closed during handshake"),
            Self::Handshake(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_needs_success_from_both_ends() {
        let close = |code| Some(Close { code, reason: String::new() });
        let closed = |received, sent| ConnectionClosed { received, sent, cause: None };
        assert!(closed(close(1000), close(1001)).is_ok());
        assert!(closed(close(1005), close(1005)).is_ok());
        assert!(!closed(None, close(1000)).is_ok());
        assert!(!closed(close(1002), close(1000)).is_ok());
        assert!(!closed(close(1000), close(1011)).is_ok());
    }
}
