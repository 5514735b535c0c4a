//! How a session ended.

use std::io;
use std::time::Duration;

pub use crate::violation::Violation;

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The peer: it reset, refused, broke the protocol, or left.
    Peer,
    /// The caller: the call does not fit the state, or a deadline of its own passed.
    Caller,
    /// The network or the transport between the two.
    Network,
}

/// How a session ended. Every handle sees the same outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// What ended it.
    pub cause: Cause,
}

impl Closed {
    /// Returns `true` if one of the two sides has ended the session on purpose.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self.cause, Cause::Local | Cause::Peer)
    }

    /// Returns whose fault the end is, if it is one.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match &self.cause {
            Cause::Local | Cause::Peer => None,
            Cause::PeerError { .. } => Some(Fault::Caller),
            Cause::Violation(_) | Cause::EndOfInput => Some(Fault::Peer),
            Cause::Io { .. } | Cause::KeepaliveTimeout { .. } | Cause::TransportStall { .. } => {
                Some(Fault::Network)
            }
            Cause::Dropped => Some(Fault::Caller),
        }
    }
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for Closed {}

/// What ended a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// This side closed it, or dropped all handles.
    #[error("closed by this side")]
    Local,
    /// The peer closed it: its transport ended after GoAway(0), or while no stream was open.
    #[error("closed by the peer")]
    Peer,
    /// The peer ended it with an error.
    #[error("ended by the peer: {code}")]
    PeerError {
        /// What the peer said.
        code: GoAwayCode,
    },
    /// The peer broke the protocol. It got GoAway(1).
    #[error("the peer broke the protocol: {0}")]
    Violation(Violation),
    /// The transport ended while streams were open.
    #[error("the transport ended while streams were open")]
    EndOfInput,
    /// Reading or writing the transport failed.
    #[error("the transport failed: {message}")]
    Io {
        /// The kind of the error.
        kind: io::ErrorKind,
        /// Its text.
        message: String,
    },
    /// Nothing came from the peer in time after a ping; see [`Keepalive`](crate::Keepalive).
    #[error("no sign of the peer for {timeout:?} after a ping")]
    KeepaliveTimeout {
        /// How long was waited.
        timeout: Duration,
    },
    /// The transport took no byte for [`Timeouts::transport_stall`](crate::Timeouts::transport_stall).
    #[error("the transport took no byte for {timeout:?}")]
    TransportStall {
        /// How long was waited.
        timeout: Duration,
    },
    /// The runtime dropped the task that drives the session.
    #[error("the task that drives the session was dropped")]
    Dropped,
}

impl Cause {
    pub(crate) fn io(error: &io::Error) -> Self {
        Self::Io { kind: error.kind(), message: error.to_string() }
    }
}

/// What a GoAway frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GoAwayCode {
    /// 0: no more streams.
    #[error("normal end (0)")]
    Normal,
    /// 1: this side broke the protocol, says the peer.
    #[error("protocol error (1)")]
    ProtocolError,
    /// 2: something else went wrong at the peer.
    #[error("internal error (2)")]
    InternalError,
    /// A code that the protocol does not know.
    #[error("unknown code {0}")]
    Other(u32),
}

impl GoAwayCode {
    /// Returns the number on the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        match self {
            Self::Normal => 0,
            Self::ProtocolError => 1,
            Self::InternalError => 2,
            Self::Other(code) => code,
        }
    }
}

impl From<u32> for GoAwayCode {
    fn from(code: u32) -> Self {
        match code {
            0 => Self::Normal,
            1 => Self::ProtocolError,
            2 => Self::InternalError,
            other => Self::Other(other),
        }
    }
}
