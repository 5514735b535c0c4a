//! What can go wrong, whose fault it was, and what the caller may still do.

mod open;

use crate::Closed;

pub use crate::fault::Fault;
pub(crate) use open::{CLIENT, authority};
pub use open::{HandshakeError, OpenError, ProxyError, RedirectError, Rejection, RequestError, Stage};

/// The failure of an operation on a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection is over; [`Closed::fault`] says whose fault that is, if it is one. Every further call returns
    /// the same: go on with another connection.
    #[error("the connection is closed: {0}")]
    Closed(Closed),
    /// The connection is closing, and how it ends is not known yet. Nothing can be sent any more: do not repeat the
    /// call; wait for the outcome, and receive what still comes. Only calls with a timeout end so, where that passes
    /// before the outcome is there; the others wait, and report [`Closed`](Self::Closed).
    #[error("the connection is closing: nothing can be sent any more")]
    Closing,
    /// Another call of `recv` is waiting: the caller's fault. That one is not disturbed; have one receiver at a time.
    #[error("another call of recv is waiting for a message: only one may at a time")]
    ConcurrentRecv,
    /// The timeout of the call passed, and whose fault that is remains unknown. Nothing is lost: nothing was
    /// received, and no message sent. The call may be repeated.
    #[error("the timeout of the call has passed; nothing is lost, and the call may be repeated")]
    TimedOut,
    /// A message is being sent in fragments: until its last fragment, only fragments of its kind can be sent (RFC
    /// 6455, section 5.4). The caller's fault; send the last fragment first.
    #[error("a message is being sent in fragments: send its last fragment first")]
    UnfinishedMessage,
    /// The payload of a ping or pong is too long for a control frame, which holds 125 bytes (RFC 6455, section 5.5).
    /// The caller's fault; nothing was sent.
    #[error("the payload has {bytes} bytes, and a ping or pong holds at most 125: shorten it")]
    ControlTooLong {
        /// Bytes of the payload.
        bytes: usize,
    },
}

impl Error {
    /// Returns whose fault it is, if it is one: `None` for what is in order ([`Closed::fault`]) and for what is not
    /// known (yet).
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Closed(closed) => closed.fault(),
            Self::ConcurrentRecv | Self::UnfinishedMessage | Self::ControlTooLong { .. } => {
                Some(Fault::Caller)
            }
            Self::Closing | Self::TimedOut => None,
        }
    }
}
