//! How a connection ends: by its application, by a failure, or at a deadline; and when its next deadline is.

use wavetank_runtime::Instant;

use super::ping::Due;
use super::{Connection, Role, State, Transport, closing};
use crate::{Cause, CloseCode, CloseFrame};

impl Connection {
    /// Starts the closing handshake and its deadline. Does nothing if closing has begun. A reason of more than 123
    /// bytes is cut between characters.
    ///
    /// With the code `None` the Close frame has neither code nor reason.
    pub fn close(&mut self, code: impl Into<Option<CloseCode>>, reason: &str, now: Instant) {
        let frame = match code.into() {
            Some(code) => CloseFrame::new(code, reason),
            None => CloseFrame { code: None, reason: String::new() },
        };
        self.fail_held(Some(now));
        if self.closing.is_open() {
            self.closing.cause = Some(Cause::Local);
            self.send_close(frame, now);
            if self.left {
                // The peer's Close may be in the input already.
                self.process(now);
            }
        }
    }

    /// Ends the connection at once with `cause` as its outcome, unless the outcome is decided already. It is decided
    /// once the peer has sent its Close frame, or has been told of a failure.
    pub fn abort(&mut self, cause: Cause) {
        if self.closing.outcome.is_none() {
            self.closing.decide(cause);
            self.finish();
        }
        self.closing.lingers = None;
    }

    /// Returns what the driver has to do with the transport.
    #[inline]
    #[must_use]
    pub fn transport(&self) -> Transport {
        let closing = &self.closing;
        if closing.is_open() {
            return Transport::Open;
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# The server MUST close the underlying TCP connection immediately; the client SHOULD wait for the
        //# server to close the connection but MAY close the connection at any time after sending and receiving
        //# a Close message, e.g., if it has not received a TCP Close from the server in a reasonable time
        //# period.
        if closing.outcome.is_some() {
            closing.lingers.unwrap_or(Transport::Drop)
        } else if self.is_our_turn() && closing.close_is_written(self.sender.written()) {
            Transport::ShutDown
        } else {
            Transport::Open
        }
    }

    /// Returns when to call [`handle_deadline`](Self::handle_deadline). Any other call may change it.
    #[inline]
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state() {
            State::Open => match &self.held {
                Some((_, found)) => Some(*found + self.close_timeout),
                None => self.keepalive.deadline(),
            },
            State::Closing => self.mute_from().into_iter().chain(self.closing.deadline).min(),
            State::Closed => self.closing.lingers.and(self.closing.deadline),
        }
    }

    /// Sends the keepalive's ping if it is due, or ends the connection if the peer did not answer in time.
    pub fn handle_deadline(&mut self, now: Instant) {
        match self.state() {
            State::Open if self.held.is_some() => {
                if self.deadline().is_some_and(|deadline| now >= deadline) {
                    self.fail_held(Some(now));
                }
            }
            State::Open => {
                let is_paused = self.is_behind() || self.inbox.is_full();
                match self.keepalive.due(is_paused, now) {
                    Due::Nothing => {}
                    Due::Ping => {
                        self.sender.rest();
                        self.receiver.rest();
                        let payload = self.sender.ping(&mut self.statistics);
                        let id = self.pings.sent(payload, now);
                        self.keepalive.sent(id, self.sender.end(), is_paused, now);
                    }
                    Due::Timeout(timeout) => {
                        self.fail(Cause::KeepaliveTimeout { timeout }, now);
                        self.finish_if_mute(now);
                    }
                }
            }
            State::Closing => {
                self.finish_if_mute(now);
                if self.closing.deadline.is_some_and(|deadline| now >= deadline) {
                    self.closing.timed_out(self.close_timeout);
                    self.finish();
                }
            }
            State::Closed => {
                if self.closing.deadline.is_some_and(|deadline| now >= deadline) {
                    self.closing.lingers = None;
                }
            }
        }
    }

    /// Fails the connection (RFC 6455, section 7.1.7): tells the peer why, and processes nothing more.
    pub(super) fn fail(&mut self, cause: Cause, now: Instant) {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
        //# the endpoint SHOULD send a Close frame with an appropriate status code (Section 7.4) before
        //# proceeding to _Close the WebSocket Connection_.
        let close = CloseFrame::new(closing::code_of(&cause), &cause.to_string());
        self.closing.decide(cause);
        self.closing.failed = true;
        self.receiver.discard_input();
        self.send_close(close, now);
        self.settle();
    }

    /// Sends our Close frame, unless it was sent already or cannot be sent.
    pub(super) fn send_close(&mut self, frame: CloseFrame, now: Instant) {
        if self.closing.sent.is_none() && !self.closing.unwritable {
            self.sender.close(&closing::body(&frame), &mut self.statistics);
            self.closing.sent = Some((frame, self.sender.end()));
        }
        self.begin_closing(now);
    }

    /// Leaves the open state: the end has a deadline from now on, and a full queue no longer delays the peer's Close.
    pub(super) fn begin_closing(&mut self, now: Instant) {
        self.closing.deadline.get_or_insert(now + self.close_timeout);
        self.inbox.begin_closing();
    }

    /// Ends the connection if it has nothing left to wait for.
    pub(super) fn settle(&mut self) {
        if self.closing.is_finished(self.sender.written()) {
            self.finish();
        }
    }

    /// Returns when it is certain that a peer which answers no pings cannot be told of the failure, because the
    /// transport is full. Then there is nothing to wait for.
    fn mute_from(&self) -> Option<Instant> {
        match self.closing.cause {
            Some(Cause::KeepaliveTimeout { .. }) => self.flow.full_from(),
            _ => None,
        }
    }

    fn finish_if_mute(&mut self, now: Instant) {
        if self.closing.outcome.is_none() && self.mute_from().is_some_and(|from| from <= now) {
            self.finish();
        }
    }

    /// Returns whether this side ends the transport first.
    fn is_our_turn(&self) -> bool {
        self.closing.failed || (self.role == Role::Server && self.closing.received.is_some())
    }

    pub(super) fn finish(&mut self) {
        let kept = if self.is_our_turn() { Transport::ShutDown } else { Transport::Open };
        self.closing.finish(self.sender.written(), kept);
        self.sender.discard_output();
        self.receiver.discard_input();
    }
}
