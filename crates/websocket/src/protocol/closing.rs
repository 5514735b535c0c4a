//! The state of closing (RFC 6455, section 7), and the bodies of Close frames.
//!
//! # Invariants
//!
//! - The outcome is set once.
//! - At most one Close frame is sent.
//! - The first decision stays the cause, unless the peer breaks the protocol before its Close frame has come.

use std::time::Duration;

use wavetank_runtime::Instant;

use super::frame::MAX_CONTROL;
use super::{Transport, Violation};
use crate::{Cause, CloseCode, CloseFrame, Closed};

/// What is known about the end of a connection.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// Set when the connection leaves the open state.
    pub(super) cause: Option<Cause>,
    /// Our Close frame, and the count of written bytes at which it is on the wire.
    pub(super) sent: Option<(CloseFrame, u64)>,
    pub(super) received: Option<CloseFrame>,
    /// When the connection ends at the latest.
    pub(super) deadline: Option<Instant>,
    /// We failed the connection (RFC 6455, section 7.1.7).
    pub(super) failed: bool,
    /// The transport can no longer be written to, but may still be read from.
    pub(super) unwritable: bool,
    /// The transport has reached its end.
    pub(super) end_of_input: bool,
    pub(super) outcome: Option<Closed>,
    /// What to do with the transport although the outcome is known. After a complete closing handshake the driver
    /// waits for its end in the background, until the deadline.
    pub(super) lingers: Option<Transport>,
}

impl Closing {
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.cause.is_none()
    }

    /// Returns whether input is dropped unprocessed: after a Close frame (RFC 6455, section 1.4: "any further data
    /// received is discarded") and after failing (section 7.1.7).
    pub(super) fn ignores_input(&self) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
        //# An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from
        //# the remote endpoint after being instructed to _Fail the WebSocket Connection_.
        self.failed || self.received.is_some() || self.outcome.is_some()
    }

    /// Returns whether our Close frame is on the wire when `written` bytes of output are written.
    pub(super) fn close_is_written(&self, written: u64) -> bool {
        self.sent.as_ref().is_some_and(|(_, end)| *end <= written)
    }

    /// Returns whether the cause is final: the peer sent its Close frame, or we failed the connection.
    fn is_decided(&self) -> bool {
        self.failed || self.received.is_some()
    }

    /// Ends the connection without the peer's Close frame. The cause is `cause`, unless one is decided already.
    pub(super) fn decide(&mut self, cause: Cause) {
        if !self.is_decided() {
            self.cause = Some(cause);
        }
    }

    /// The close deadline has passed.
    pub(super) fn timed_out(&mut self, timeout: Duration) {
        // If writing has failed, its error stays the cause.
        if self.cause == Some(Cause::Local) {
            self.decide(Cause::CloseTimeout { timeout });
        }
    }

    /// Returns whether nothing is left to wait for.
    pub(super) fn is_finished(&self, written: u64) -> bool {
        let written = self.close_is_written(written);
        if self.unwritable && self.is_decided() {
            return true;
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
        //# If the TCP connection was closed after the WebSocket closing handshake was completed, the WebSocket
        //# connection is said to have been closed _cleanly_.
        // Both Close frames are there. The end of TCP changes nothing for the application.
        if written && self.received.is_some() {
            return true;
        }
        if self.end_of_input {
            return written || self.sent.is_none() || !self.is_decided();
        }
        // A peer that does not answer pings does not answer a Close: there is nothing to wait for once it is written.
        written && matches!(self.cause, Some(Cause::KeepaliveTimeout { .. }))
    }

    /// Sets the outcome. `kept` is what to do with the transport afterwards, if both sides have sent a Close frame and
    /// it has not reached its end.
    pub(super) fn finish(&mut self, written: u64, kept: Transport) {
        if self.outcome.is_none()
            && let Some(cause) = self.cause.clone()
        {
            let written = self.close_is_written(written);
            let complete = written && self.received.is_some();
            self.lingers = (complete && !self.end_of_input && !self.unwritable).then_some(kept);
            let sent = self.sent.take().filter(|_| written).map(|(frame, _)| frame);
            self.outcome = Some(Closed { sent, received: self.received.clone(), cause });
        }
    }
}

/// Returns the close code with which a connection fails for `cause`.
pub(super) fn code_of(cause: &Cause) -> CloseCode {
    match cause {
        Cause::Violation { what } => what.code(),
        Cause::LimitExceeded { .. } => CloseCode::MESSAGE_TOO_BIG,
        _ => CloseCode::INTERNAL_ERROR,
    }
}

/// Parses the body of a Close frame (RFC 6455, sections 5.5.1 and 7.4).
pub(super) fn parse(body: &[u8]) -> Result<CloseFrame, Violation> {
    match body {
        [] => Ok(CloseFrame { code: None, reason: String::new() }),
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network
        //# byte order) representing a status code with value /code/ defined in Section 7.4.
        [_] => Err(Violation::CloseOneByte),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let code = CloseCode::new(code).ok_or(Violation::CloseCode(code))?;
            let reason = std::str::from_utf8(reason).map_err(|_| Violation::CloseReasonNotUtf8)?;
            Ok(CloseFrame { code: Some(code), reason: reason.to_owned() })
        }
    }
}

/// Returns the body of a Close frame. A reason without a code cannot be expressed, so it is left out.
pub(super) fn body(frame: &CloseFrame) -> Vec<u8> {
    let mut body = Vec::with_capacity(MAX_CONTROL);
    if let Some(code) = frame.code {
        body.extend_from_slice(&code.get().to_be_bytes());
        body.extend_from_slice(frame.reason.as_bytes());
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_bodies_are_empty_or_code_and_text() {
        assert_eq!(parse(b""), Ok(CloseFrame { code: None, reason: String::new() }));
        assert_eq!(parse(&[3]), Err(Violation::CloseOneByte));
        assert_eq!(parse(&[3, 232]), Ok(CloseFrame::new(CloseCode::NORMAL, "")));
        assert_eq!(parse(b"\x03\xe8bye"), Ok(CloseFrame::new(CloseCode::NORMAL, "bye")));
        assert_eq!(parse(b"\x03\xe8\xce"), Err(Violation::CloseReasonNotUtf8));
        for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            assert_eq!(parse(&code.to_be_bytes()), Err(Violation::CloseCode(code)));
        }
    }

    #[test]
    fn a_written_close_body_parses_back() {
        for frame in [
            CloseFrame { code: None, reason: String::new() },
            CloseFrame::new(CloseCode::GOING_AWAY, "é".repeat(99).as_str()),
        ] {
            let body = body(&frame);
            assert!(body.len() <= MAX_CONTROL);
            assert_eq!(parse(&body), Ok(frame));
        }
    }
}
