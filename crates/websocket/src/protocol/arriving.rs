//! What arrives: bytes of the peer, the end of its stream, and the failure of the transport.

use std::io;

use wavetank_runtime::Instant;

use super::receive::{Control, Step};
use super::{Connection, closing};
use crate::{Cause, CloseFrame};

impl Connection {
    /// Parses what [`input`](Self::input) holds, up to the first data frame for which the queue of messages has no
    /// room, or until about 64 KiB are inflated. A violation by the peer is not an error here: it ends the connection
    /// ([`closed`](Self::closed)).
    pub fn process(&mut self, now: Instant) {
        self.process_with(&|| now);
    }

    /// Does the same as [`process`](Self::process), for drivers where reading the clock is expensive. `now` is called
    /// only if a pong, a Close frame or a failure is found, or while a pong is awaited. It may be called repeatedly.
    pub fn process_with(&mut self, now: &dyn Fn() -> Instant) {
        if self.keepalive.is_awaiting() && self.receiver.has_news() {
            self.keepalive.heard(now());
        }
        self.left = false;
        self.receiver.begin_turn();
        self.parse(now);
        self.receiver.note_what_is_known();
    }

    /// Notes that the transport brought bytes that are not in [`input`](Self::input) yet.
    #[inline]
    pub(crate) fn heard(&mut self, now: &dyn Fn() -> Instant) {
        if self.keepalive.is_awaiting() {
            self.keepalive.heard(now());
        }
    }

    fn parse(&mut self, now: &dyn Fn() -> Instant) {
        while !self.closing.ignores_input() {
            if self.held.is_some() {
                return;
            }
            match self.receiver.advance(&mut self.inbox, &mut self.statistics) {
                Ok(Step::Starved) => {
                    if self.inbox.is_full() {
                        self.keepalive.reading_is_paused();
                    }
                    return;
                }
                Ok(Step::Paused) => return,
                Ok(Step::Full) => {
                    self.left = true;
                    self.keepalive.reading_is_paused();
                    return;
                }
                //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
                //# Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it
                //# already received a Close frame.
                // Nothing is sent after our Close frame, not even a pong.
                Ok(Step::Ping(ping)) => {
                    if self.closing.is_open() {
                        self.sender.pong(ping, &mut self.statistics);
                    }
                }
                Ok(Step::Pong(pong)) => {
                    if let Some((id, latency)) = self.pings.pong(pong.payload(), now()) {
                        self.keepalive.answered(id);
                        self.statistics.latency = Some(latency);
                    }
                }
                Ok(Step::Close(close)) => self.close_received(close, now()),
                Err(failure) if self.closing.is_open() && self.inbox.has_something() => {
                    self.held = Some((failure.into(), now()));
                    self.keepalive.reading_is_paused();
                }
                Err(failure) => self.fail(failure.into(), now()),
            }
        }
        self.receiver.discard_input();
    }

    /// Processes all of the input. No more will come: from now on the rules of closing hold.
    fn process_to_the_end(&mut self, now: Instant) {
        self.inbox.begin_closing();
        self.process(now);
        while self.receiver.is_paused() {
            self.process(now);
        }
        self.fail_held(Some(now));
    }

    /// Fails the connection for the failure that waits, if there is one. Without `now`, the time is that at which it
    /// was found.
    #[inline]
    pub(super) fn fail_held(&mut self, now: Option<Instant>) {
        if self.held.is_some() {
            self.fail_what_is_held(now);
        }
    }

    #[cold]
    fn fail_what_is_held(&mut self, now: Option<Instant>) {
        if let Some((cause, found)) = self.held.take() {
            self.fail(cause, now.unwrap_or(found));
        }
    }

    /// Notes that the transport has reached its end: the peer sends nothing more.
    ///
    /// Without the peer's Close frame the end is not clean (RFC 6455, section 7.1.5).
    pub fn end_of_input(&mut self, now: Instant) {
        self.process_to_the_end(now);
        self.closing.end_of_input = true;
        self.closing.lingers = None;
        // A failed write that came before says more.
        if !self.closing.unwritable {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
            //# If at any point the underlying transport layer connection is unexpectedly lost, the client MUST
            //# _Fail the WebSocket Connection_.
            self.closing.decide(Cause::EndOfInput { inside_message: self.receiver.is_inside_message() });
        }
        self.settle();
    }

    /// Notes that reading or writing failed for good: the transport is gone. If it may still be read from, call
    /// [`write_failed`](Self::write_failed) instead.
    pub fn transport_failed(&mut self, error: &io::Error, now: Instant) {
        self.transport_lost(Cause::io(error), now);
    }

    /// Notes that the transport is gone for this reason.
    pub(crate) fn transport_lost(&mut self, cause: Cause, now: Instant) {
        self.process_to_the_end(now);
        self.abort(cause);
    }

    /// Notes that writing failed for good. What the peer sent before may still be read, perhaps its Close frame with a
    /// reason. So the driver reads until the end of the transport, an error, or the close deadline.
    pub fn write_failed(&mut self, error: &io::Error, now: Instant) {
        self.inbox.begin_closing();
        self.process(now);
        self.fail_held(Some(now));
        self.closing.unwritable = true;
        self.closing.lingers = None;
        self.closing.decide(Cause::io(error));
        self.begin_closing(now);
        self.sender.discard_output();
        self.settle();
    }

    fn close_received(&mut self, close: Control, now: Instant) {
        let frame = match closing::parse(close.payload()) {
            Ok(frame) => frame,
            Err(violation) => return self.fail(Cause::Violation { what: violation }, now),
        };
        // Unless we have closed the connection ourselves, this frame ended it. A failed write was a consequence.
        if self.closing.cause != Some(Cause::Local) {
            self.closing.decide(Cause::Peer);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST
        //# send a Close frame in response.
        let answer = CloseFrame { code: frame.code, reason: String::new() };
        self.closing.received = Some(frame);
        self.send_close(answer, now);
        self.settle();
    }
}
