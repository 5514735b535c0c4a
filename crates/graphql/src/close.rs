//! How a connection ends: close codes, close frames, and the one outcome of a connection.

use std::fmt;

use crate::error::TransportError;

/// A WebSocket close code, as this crate sends it.
///
/// What npm's `graphql-ws` client does with a code is in the documentation of each: it *retries*, or the code is
/// *fatal* for its subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: nothing is left to do. Retried.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server shuts down, or the connection has reached its age. Retried.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1009: a message is too big. Fatal.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1011: the server cannot go on. Fatal.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts. Retried.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server is overloaded, try again later. Retried.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 3008: the client is silent or idle (IANA: Timeout). Retried.
    pub const TIMEOUT: Self = Self(3008);
    /// 4400: a message that the protocol does not know. Fatal.
    pub const BAD_REQUEST: Self = Self(4400);
    /// 4401: an operation before the acknowledgement. Fatal.
    pub const UNAUTHORIZED: Self = Self(4401);
    /// 4403: the connection was rejected. Retried.
    pub const FORBIDDEN: Self = Self(4403);
    /// 4406: no subprotocol in common. Fatal.
    pub const SUBPROTOCOL_NOT_ACCEPTABLE: Self = Self(4406);
    /// 4408: no `connection_init` in time. Retried.
    pub const INIT_TIMEOUT: Self = Self(4408);
    /// 4409: the id of an operation is in use. Fatal.
    pub const SUBSCRIBER_EXISTS: Self = Self(4409);
    /// 4429: a second `connection_init`. Fatal.
    pub const TOO_MANY_INITS: Self = Self(4429);

    /// Returns the code, or `None` if it must not stand in a Close frame (RFC 6455, section 7.4.2).
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A close code with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    code: CloseCode,
    reason: String,
}

impl CloseFrame {
    /// The most bytes that a reason may have (RFC 6455, section 5.5: 125 for a control frame, less two for the code).
    pub const REASON_BYTES_MAX: usize = 123;

    /// Makes a close frame. A longer reason is cut to 123 bytes, between characters.
    #[must_use]
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(Self::REASON_BYTES_MAX));
        Self { code, reason }
    }

    /// Returns the code.
    #[must_use]
    pub const fn code(&self) -> CloseCode {
        self.code
    }

    /// Returns the reason, at most 123 bytes.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.code, self.reason)
    }
}

/// How a connection ended. A connection ends once, in one way: the first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// This side closed, with this frame.
    Closed(CloseFrame),
    /// The client closed, with this code if it gave one.
    ByClient(Option<u16>),
    /// The client took nothing for the write timeout ([`Config::write_timeout`](crate::Config::write_timeout)).
    Stalled,
    /// The transport failed.
    Lost(TransportError),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(frame) => write!(f, "closed with {frame}"),
            Self::ByClient(Some(code)) => write!(f, "the client closed with {code}"),
            Self::ByClient(None) => f.write_str("the client closed without a code"),
            Self::Stalled => f.write_str("the client took nothing for the write timeout"),
            Self::Lost(error) => write!(f, "the transport failed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let frame = CloseFrame::new(CloseCode::BAD_REQUEST, "é".repeat(100));
        assert_eq!(frame.reason(), "é".repeat(61));
        let frame = CloseFrame::new(CloseCode::BAD_REQUEST, "e".repeat(124));
        assert_eq!(frame.reason().len(), 123);
    }

    #[test]
    fn every_named_code_may_be_sent() {
        for code in [1000, 1001, 1009, 1011, 1012, 1013, 3008, 4400, 4401, 4403, 4406, 4408, 4409, 4429] {
            assert_eq!(CloseCode::new(code).map(CloseCode::get), Some(code));
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert_eq!(CloseCode::new(code), None);
        }
    }
}
