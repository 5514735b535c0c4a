//! What can go wrong, whose fault it was, and what the caller may still do.

use std::io;

pub use crate::closed::Fault;

use crate::closed::Closed;

/// A reason that travels with a reset: 0 to 2^31 - 1.
///
/// The wire has no place for it in the original protocol. It is sent as the length of the window update that carries
/// RST, as go-yamux does: peers of this crate and go-yamux see the code, others see a reset without one (0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ResetCode(u32);

impl ResetCode {
    /// No reason was given.
    pub const NONE: Self = Self(0);

    /// Returns the code, cut to 31 bits: some peers take a larger number for credit that overflows.
    #[must_use]
    pub const fn new(code: u32) -> Self {
        Self(code & 0x7fff_ffff)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for ResetCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Why this side has reset a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocalReset {
    /// A caller asked for it, or dropped the sending half without closing it.
    #[error("it was reset by a caller, with code {0}")]
    Caller(ResetCode),
    /// The peer did not acknowledge the stream within [`Timeouts::open`](crate::Timeouts::open).
    #[error("the peer did not acknowledge it in time")]
    OpenTimeout,
    /// The peer has sent FIN and granted no credit for [`Timeouts::no_credit`](crate::Timeouts::no_credit): it has
    /// probably stopped reading, which it cannot say.
    #[error("the peer sent FIN and then granted no credit: it has probably stopped reading")]
    NoCredit,
    /// Reading was stopped, and the peer went on sending beyond
    /// [`Limits::drain_budget_bytes`](crate::Limits::drain_budget_bytes).
    #[error("the peer went on sending after reading had stopped")]
    DrainBudget,
    /// Reading was stopped after our FIN, and the peer used up its credit, or did not end within
    /// [`Timeouts::close_linger`](crate::Timeouts::close_linger).
    #[error("it was closed here, and the peer did not end it")]
    Linger,
    /// The bytes that wait to be read exceeded
    /// [`Limits::receive_budget_bytes`](crate::Limits::receive_budget_bytes).
    #[error("too many received bytes wait to be read on this session")]
    ReceiveBudget,
}

impl LocalReset {
    /// Returns whose fault it is.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::Caller(_) | Self::ReceiveBudget | Self::Linger => Fault::Caller,
            Self::OpenTimeout | Self::NoCredit | Self::DrainBudget => Fault::Peer,
        }
    }

    /// The code that tells the peer.
    pub(crate) fn code(self) -> ResetCode {
        match self {
            Self::Caller(code) => code,
            Self::OpenTimeout | Self::NoCredit | Self::DrainBudget | Self::Linger | Self::ReceiveBudget => {
                ResetCode::NONE
            }
        }
    }
}

/// Why no stream was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The session is over: go on with another one.
    #[error("the session is closed: {0}")]
    Closed(Closed),
    /// The peer has sent GoAway: it takes no more streams. Those that are open go on. Open the next one on another
    /// session.
    #[error("the peer accepts no more streams on this session")]
    GoAway,
    /// This side is draining the session.
    #[error("this side is shutting the session down")]
    Draining,
    /// [`Limits::outbound_streams`](crate::Limits::outbound_streams) are open. Close one, and open again; the session
    /// is not disturbed.
    #[error("{0} streams are open, which is the limit")]
    TooManyStreams(u32),
    /// The ids of the session are used up, 2^31 of them. Open the next stream on another session.
    #[error("the stream ids of this session are used up: go on with another session")]
    IdsExhausted,
    /// The peer did not acknowledge earlier streams within [`Timeouts::open`](crate::Timeouts::open). May be repeated.
    #[error("the peer did not acknowledge earlier streams in time")]
    TimedOut,
}

impl OpenError {
    /// Returns whose fault it is, if it is one.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Closed(closed) => closed.fault(),
            Self::GoAway => None,
            Self::Draining | Self::TooManyStreams(_) | Self::IdsExhausted => Some(Fault::Caller),
            Self::TimedOut => Some(Fault::Peer),
        }
    }
}

/// Why a ping has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// The session ended.
    #[error("the session is closed: {0}")]
    Closed(Closed),
    /// No pong came in time. The session lives on, and the call may be repeated.
    #[error("the peer did not answer the ping in time")]
    TimedOut,
}

impl PingError {
    /// Returns whose fault it is, if it is one.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Closed(closed) => closed.fault(),
            Self::TimedOut => Some(Fault::Network),
        }
    }
}

/// Why nothing can be read. What was received before comes out first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The peer reset the stream: more bytes may have been meant to come.
    #[error("the peer reset the stream, with code {0}")]
    Reset(ResetCode),
    /// The peer refused the stream: it has taken nothing of it.
    #[error("the peer refused the stream")]
    Refused,
    /// This side reset the stream.
    #[error("the stream was reset here: {0}")]
    ResetHere(LocalReset),
    /// Reading was stopped by a caller.
    #[error("reading was stopped")]
    Stopped,
    /// The session ended before the stream did.
    #[error("the session is closed: {0}")]
    Closed(Closed),
    /// The read deadline passed. Nothing is lost: set a later one, and read again.
    #[error("the read deadline passed; nothing is lost")]
    TimedOut,
}

impl ReadError {
    /// Returns whose fault it is, if it is one.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Reset(_) | Self::Refused => Some(Fault::Peer),
            Self::ResetHere(reason) => Some(reason.fault()),
            Self::Stopped | Self::TimedOut => Some(Fault::Caller),
            Self::Closed(closed) => closed.fault(),
        }
    }

    /// Returns the error inside of an `io::Error` that a read of a stream has given.
    #[must_use]
    pub fn from_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::Reset(_) => io::ErrorKind::ConnectionReset,
            ReadError::Refused => io::ErrorKind::ConnectionRefused,
            ReadError::ResetHere(LocalReset::OpenTimeout) | ReadError::TimedOut => io::ErrorKind::TimedOut,
            ReadError::ResetHere(_) | ReadError::Closed(_) => io::ErrorKind::ConnectionAborted,
            ReadError::Stopped => io::ErrorKind::NotConnected,
        };
        Self::new(kind, error)
    }
}

/// Why nothing can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The peer has stopped reading the stream. What was written may not have been read. Reading may go on.
    #[error("the peer has stopped reading the stream")]
    Stopped,
    /// The peer reset the stream.
    #[error("the peer reset the stream, with code {0}")]
    Reset(ResetCode),
    /// The peer refused the stream: it has taken nothing of it.
    #[error("the peer refused the stream")]
    Refused,
    /// This side reset the stream.
    #[error("the stream was reset here: {0}")]
    ResetHere(LocalReset),
    /// The sending half was closed by a caller.
    #[error("the sending half is closed")]
    Finished,
    /// The session ended.
    #[error("the session is closed: {0}")]
    Closed(Closed),
    /// The write deadline passed. Nothing of this call was sent: set a later one, and write again.
    #[error("the write deadline passed; nothing of this call was sent")]
    TimedOut,
}

impl WriteError {
    /// Returns whose fault it is, if it is one.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Stopped | Self::Reset(_) | Self::Refused => Some(Fault::Peer),
            Self::ResetHere(reason) => Some(reason.fault()),
            Self::Finished | Self::TimedOut => Some(Fault::Caller),
            Self::Closed(closed) => closed.fault(),
        }
    }

    /// Returns the error inside of an `io::Error` that a write to a stream has given.
    #[must_use]
    pub fn from_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        let kind = match &error {
            WriteError::Stopped | WriteError::Finished => io::ErrorKind::BrokenPipe,
            WriteError::Reset(_) => io::ErrorKind::ConnectionReset,
            WriteError::Refused => io::ErrorKind::ConnectionRefused,
            WriteError::ResetHere(LocalReset::OpenTimeout | LocalReset::NoCredit) | WriteError::TimedOut => {
                io::ErrorKind::TimedOut
            }
            WriteError::ResetHere(_) | WriteError::Closed(_) => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}

/// Why a writer need not go on, as [`stopped`](crate::Stream::stopped) tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteEnd {
    /// Nothing written can be read any more, for this reason.
    Failed(WriteError),
    /// The stream has ended in both directions, as both sides wanted. It is no proof that the peer has read everything:
    /// what was written may still be under way.
    Complete,
}
