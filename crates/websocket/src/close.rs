//! How a connection ends: close codes (RFC 6455, section 7.4), close frames, and the one outcome of a connection.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::fault::Fault;
pub use violation::Violation;

mod violation;

/// A close code that is allowed in a Close frame: 1000–1003, 1007–1014, 3000–4999.
///
/// RFC 6455, section 7.4.2: below 1000 is unused; 1004 is reserved; 1005, 1006 and 1015 are names for local use and
/// never on the wire; 1012–1014 are registered at IANA; 3000–3999 are for libraries, 4000–4999 for applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server goes down, or a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer violated the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that the endpoint does not take.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: data that does not fit its kind, such as a text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a policy of the endpoint.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message that is too big.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the server did not agree to an extension that the client needs.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the endpoint cannot go on.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got a bad answer.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Returns the code, or `None` if it is not allowed in a Close frame.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
            //# 1005 is a reserved value and MUST NOT be set as a status code in a Close control frame by an
            //# endpoint.
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
            //# 1006 is a reserved value and MUST NOT be set as a status code in a Close control frame by an
            //# endpoint.
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
            //# 1015 is a reserved value and MUST NOT be set as a status code in a Close control frame by an
            //# endpoint.
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

/// What a Close frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// `None`: an empty Close frame (what the API of browsers calls 1005).
    pub code: Option<CloseCode>,
    /// At most 123 bytes.
    pub reason: String,
}

impl CloseFrame {
    /// The most bytes that a reason may have (RFC 6455, section 5.5: 125 for a control frame, less two for the code).
    pub const MAX_REASON: usize = 123;

    /// Makes a Close frame; a longer reason is cut to 123 bytes, between characters.
    #[must_use]
    pub fn new(code: CloseCode, reason: &str) -> Self {
        Self { code: Some(code), reason: reason[..reason.floor_char_boundary(Self::MAX_REASON)].to_owned() }
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => code.fmt(f)?,
            None => f.write_str("no code")?,
        }
        if !self.reason.is_empty() {
            write!(f, " {:?}", self.reason)?;
        }
        Ok(())
    }
}

/// The one outcome of a connection. Cheap to clone; the same for every caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The Close frame we sent, if it reached the wire (all of it was written to the transport). An abort may overtake
    /// the write: then the peer may get a frame that is not here.
    pub sent: Option<CloseFrame>,
    /// The Close frame the peer sent.
    pub received: Option<CloseFrame>,
    /// Why the connection ended, and whose doing it was.
    pub cause: Cause,
}

impl Closed {
    /// The code that browsers show for an empty Close frame (RFC 6455, section 7.1.5).
    pub const NO_CODE: u16 = 1005;
    /// The code that browsers show when no Close frame came (RFC 6455, section 7.1.5).
    pub const ABNORMAL: u16 = 1006;

    /// Returns whether either side closed, and both Close frames were exchanged (RFC 6455, section 7.1.4).
    #[must_use]
    pub fn is_clean(&self) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
        //# If the TCP connection was closed after the WebSocket closing handshake was completed, the WebSocket
        //# connection is said to have been closed _cleanly_.
        matches!(self.cause, Cause::Local | Cause::Peer) && self.sent.is_some() && self.received.is_some()
    }

    /// Returns whose fault the end is, if it is one.
    ///
    /// `None` where a side closed on purpose: we did; or the peer did, with 1000 (normal), 1001 (going away), 1012
    /// (restart), no code, or one that only applications know (3000–4999). Other codes of the peer's say that it is
    /// us (1002, 1003, 1007–1010), or that it is itself in trouble (1011, 1013, 1014). Each [`Cause`] says what it
    /// counts as.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match &self.cause {
            Cause::Local | Cause::Aborted => None,
            Cause::Peer => match self.code() {
                1002 | 1003 | 1007..=1010 => Some(Fault::Caller),
                1011 | 1013 | 1014 => Some(Fault::Peer),
                _ => None,
            },
            Cause::Violation { .. } | Cause::LimitExceeded { .. } | Cause::Tls { .. } => Some(Fault::Peer),
            Cause::KeepaliveTimeout { .. }
            | Cause::CloseTimeout { .. }
            | Cause::EndOfInput { .. }
            | Cause::Io { .. } => Some(Fault::Network),
            Cause::Dropped => Some(Fault::Caller),
        }
    }

    /// Returns the peer's code as browsers show it: [`NO_CODE`](Self::NO_CODE) for an empty Close frame,
    /// [`ABNORMAL`](Self::ABNORMAL) if there was none.
    #[must_use]
    pub fn code(&self) -> u16 {
        match &self.received {
            Some(CloseFrame { code: Some(code), .. }) => code.get(),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
            //# If this Close control frame contains no status code, _The WebSocket Connection Close Code_ is
            //# considered to be 1005.
            Some(CloseFrame { code: None, .. }) => Self::NO_CODE,
            None => Self::ABNORMAL,
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        match &self.sent {
            Some(frame) => write!(f, " (we sent Close {frame}, ")?,
            None => write!(f, " (we sent no Close, ")?,
        }
        match &self.received {
            Some(frame) => write!(f, "the peer sent Close {frame})"),
            None => write!(f, "the peer sent no Close)"),
        }
    }
}

/// Why a connection ended, and whose fault that is ([`Closed::fault`]). Whatever it is, nothing more can be done with
/// the connection but to take the messages that came before; what is said here of trying again is about the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// We closed first: no fault.
    #[error("we closed the connection")]
    Local,
    /// The peer closed first. Its code says whose fault it is, if it is one.
    #[error("the peer closed the connection")]
    Peer,
    /// The application dropped the connection without a closing handshake (`abort`): no fault.
    #[error("we dropped the connection")]
    Aborted,
    /// The peer violated the protocol; our Close frame has the code [`Violation::code`]. The peer's fault: it is
    /// likely to do so again until it is fixed.
    #[error("the peer violated the protocol: {what} ({})", what.section())]
    Violation {
        /// What it did.
        what: Violation,
    },
    /// The peer sent more than our configuration allows (1009). The peer's fault, unless the limit is too low for
    /// what it may send: raise it ([`Limits`](crate::Limits)), or it happens again.
    #[error("the peer sent more than we accept: {limit} (our limit is {allowed})")]
    LimitExceeded {
        /// Which of our limits.
        limit: Limit,
        /// The limit, in its unit.
        allowed: usize,
    },
    /// The peer did not answer an automatic ping in time (1011). The network's fault, or the peer's; which
    /// one is unknown. Try again.
    #[error("the peer did not answer a ping within {timeout:?}")]
    KeepaliveTimeout {
        /// How long it had.
        timeout: Duration,
    },
    /// We closed, and the peer did not answer our Close in time, or our Close could not be written in time. The
    /// network's fault, or the peer's; which one is unknown, as is whether the peer got what was sent last.
    #[error("we closed the connection, and the peer did not answer within {timeout:?}")]
    CloseTimeout {
        /// How long it had.
        timeout: Duration,
    },
    /// The transport ended although the peer had sent no Close frame: it crashed, or something between us cut the
    /// connection, which counts as the network's fault. Try again.
    #[error(
        "the peer ended the transport without a Close frame{}",
        if *inside_message { ", inside a message" } else { "" }
    )]
    EndOfInput {
        /// Whether a frame or a fragmented message was incomplete.
        inside_message: bool,
    },
    /// The transport failed, by a reset or a timeout of the system's as a rule: the network's fault, or the peer's;
    /// which one is unknown. Try again.
    #[error("the transport failed: {message}")]
    Io {
        /// The kind of the error.
        kind: io::ErrorKind,
        /// Its text.
        message: Arc<str>,
    },
    /// TLS failed in the open connection: the peer ended it with an alert, or sent an invalid record. The
    /// peer's fault, or of something that changed bytes on the way.
    #[error("TLS failed: {message}")]
    Tls {
        /// What it said.
        message: Arc<str>,
    },
    /// The runtime dropped the task that drives the connection, as it does when it is shut down: the caller's fault.
    /// Close connections first. Does not happen on threads.
    #[error("the runtime dropped the task of the connection")]
    Dropped,
}

impl Cause {
    pub(crate) fn io(error: &io::Error) -> Self {
        Self::Io { kind: error.kind(), message: error.to_string().into() }
    }

    pub(crate) fn tls(error: &rustls::Error) -> Self {
        Self::Tls { message: error.to_string().into() }
    }
}

/// A limit of [`Limits`](crate::Limits) that a peer may exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::message`](crate::Limits::message).
    Message,
    /// [`Limits::frame`](crate::Limits::frame).
    Frame,
    /// [`Limits::fragments`](crate::Limits::fragments).
    Fragments,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message => "a message with more bytes",
            Self::Frame => "a frame with more bytes",
            Self::Fragments => "a message in more fragments",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_unassigned_codes_are_refused() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, u16::MAX] {
            assert_eq!(CloseCode::new(code), None, "{code}");
        }
        for code in
            [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
        {
            assert_eq!(CloseCode::new(code).map(CloseCode::get), Some(code));
        }
    }

    #[test]
    fn long_reasons_are_cut_between_characters() {
        let frame = CloseFrame::new(CloseCode::NORMAL, &"é".repeat(100));
        assert_eq!(frame.reason, "é".repeat(61));
        assert_eq!(CloseFrame::new(CloseCode::NORMAL, "short").reason, "short");
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
    //= type=test
    //# If the TCP connection was closed after the WebSocket closing handshake was completed, the WebSocket
    //# connection is said to have been closed _cleanly_.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
    //= type=test
    //# If this Close control frame contains no status code, _The WebSocket Connection Close Code_ is considered
    //# to be 1005.
    #[test]
    fn only_both_close_frames_make_an_outcome_clean() {
        let normal = CloseFrame::new(CloseCode::NORMAL, "done");
        let clean = Closed { sent: Some(normal.clone()), received: Some(normal.clone()), cause: Cause::Peer };
        assert!(clean.is_clean());
        assert_eq!(clean.code(), 1000);
        assert_eq!(
            clean.to_string(),
            "the peer closed the connection (we sent Close 1000 \"done\", the peer sent Close 1000 \"done\")"
        );

        let empty = CloseFrame { code: None, reason: String::new() };
        assert_eq!(Closed { received: Some(empty), ..clean.clone() }.code(), 1005);

        let cut =
            Closed { received: None, cause: Cause::EndOfInput { inside_message: true }, ..clean.clone() };
        assert!(!cut.is_clean());
        assert_eq!(cut.code(), 1006);
        assert!(!Closed { sent: None, ..clean }.is_clean());
    }

    #[test]
    fn causes_and_codes_decide_the_fault() {
        let of = |cause: Cause, code: Option<u16>| {
            let code = code.map(|code| CloseCode::new(code).expect("a code"));
            let received = Some(CloseFrame { code, reason: String::new() });
            Closed { sent: None, received, cause }.fault()
        };
        for code in [None, Some(1000), Some(1001), Some(1012), Some(3000), Some(4999)] {
            assert_eq!(of(Cause::Peer, code), None, "{code:?}");
        }
        for code in [1002, 1003, 1007, 1008, 1009, 1010] {
            assert_eq!(of(Cause::Peer, Some(code)), Some(Fault::Caller), "{code}");
        }
        for code in [1011, 1013, 1014] {
            assert_eq!(of(Cause::Peer, Some(code)), Some(Fault::Peer), "{code}");
        }
        // Whatever the peer answers, we closed.
        assert_eq!(of(Cause::Local, Some(1002)), None);
        let second = Duration::from_secs(1);
        for (cause, fault) in [
            (Cause::Violation { what: Violation::MaskedFrame }, Fault::Peer),
            (Cause::LimitExceeded { limit: Limit::Message, allowed: 10 }, Fault::Peer),
            (Cause::tls(&rustls::Error::DecryptError), Fault::Peer),
            (Cause::KeepaliveTimeout { timeout: second }, Fault::Network),
            (Cause::CloseTimeout { timeout: second }, Fault::Network),
            (Cause::EndOfInput { inside_message: false }, Fault::Network),
            (Cause::io(&io::ErrorKind::ConnectionReset.into()), Fault::Network),
            (Cause::Dropped, Fault::Caller),
        ] {
            let closed = Closed { sent: None, received: None, cause };
            assert_eq!(closed.fault(), Some(fault), "{closed}");
            assert_eq!(crate::Error::Closed(closed).fault(), Some(fault));
        }
        for (error, fault) in [
            (crate::Error::Closing, None),
            (crate::Error::TimedOut, None),
            (crate::Error::ConcurrentRecv, Some(Fault::Caller)),
            (crate::Error::UnfinishedMessage, Some(Fault::Caller)),
        ] {
            assert_eq!(error.fault(), fault, "{error}");
        }
    }

    #[test]
    fn causes_name_the_violation_and_its_rfc_section() {
        let cause = Cause::Violation { what: Violation::MaskedFrame };
        assert_eq!(
            cause.to_string(),
            "the peer violated the protocol: the server masked a frame (RFC 6455, section 5.1)"
        );
        let cause = Cause::LimitExceeded { limit: Limit::Message, allowed: 10 };
        assert_eq!(
            cause.to_string(),
            "the peer sent more than we accept: a message with more bytes (our limit is 10)"
        );
    }
}
