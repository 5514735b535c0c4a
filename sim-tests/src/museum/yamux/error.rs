//! How operations of sessions and streams fail.

use std::fmt;
use std::io;

/// Why an operation has no result. The original's `Err...` values in `const.go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// This end closed the session, or its connection has ended.
    SessionShutdown,
    /// This end closed the stream for writing.
    StreamClosed,
    /// The peer or this end's timeout reset the stream.
    ConnectionReset,
    /// Writing a frame took longer than `connection_write_timeout`. The frame stays queued.
    ConnectionWriteTimeout,
    /// The peer did not answer a ping in time.
    PingTimeout,
    /// The peer broke the protocol, which ended the session.
    Protocol(&'static str),
    /// TCP failed, or no thread could be started.
    Io(io::ErrorKind),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SessionShutdown => f.write_str("session shutdown"),
            Self::StreamClosed => f.write_str("stream closed"),
            Self::ConnectionReset => f.write_str("connection reset"),
            Self::ConnectionWriteTimeout => f.write_str("connection write timeout"),
            Self::PingTimeout => f.write_str("the peer did not answer a ping"),
            Self::Protocol(what) => f.write_str(what),
            Self::Io(kind) => kind.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
