//! What can go wrong, whose fault it was, and what the caller may still do.

mod open;

use crate::Closed;

pub(crate) use open::{CLIENT, authority};
pub use open::{Fault, HandshakeError, OpenError, ProxyError, RedirectError, Rejection, RequestError, Stage};

/// The failure of an operation on a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection is over.
    #[error("the connection is closed: {0}")]
    Closed(Closed),
    /// The connection is closing: nothing can be sent any more, and how it ends is not known yet. Clients do not show it to
    /// applications: they wait for the outcome and report [`Closed`](Self::Closed).
    #[error("the connection is closing: nothing can be sent any more")]
    Closing,
    /// Another call of `recv` is waiting.
    #[error("another call of recv is waiting for a message: only one may at a time")]
    ConcurrentRecv,
    /// The deadline of the call passed; nothing is lost, and the call may be repeated.
    #[error("the deadline of the call has passed; the connection stands, and the call may be repeated")]
    TimedOut,
    /// A message is being sent in fragments: until its last fragment, only fragments of its kind can be sent (RFC 6455, section
    /// 5.4).
    #[error("a message is being sent in fragments: its last fragment has to come first")]
    UnfinishedMessage,
}
