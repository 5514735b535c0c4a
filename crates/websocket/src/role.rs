//! Which end of a connection this is.

/// Which end of the connection this is: a client masks, a server does not (RFC 6455, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Masks what it sends.
    Client,
    /// Expects masks.
    Server,
}
