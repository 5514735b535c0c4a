//! Whose fault a failure is.

/// Whose fault a failed opening is, or the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Ours: the call, or its settings.
    Caller,
    /// The other end's.
    Peer,
    /// The proxy's.
    Proxy,
    /// The network's, or an unknown one.
    Network,
}
