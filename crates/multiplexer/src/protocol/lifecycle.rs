//! How streams begin and end.
//!
//! What happens when reading stops: [`protocol`](super#stop-sending).

use std::task::Poll;

use wavetank_runtime::Instant;

use super::frame::{Flags, Kind};
use super::stream::{ReceiveState, Reset, SendState, Stream};
use super::timers::Timer;
use super::{Connection, Event, StreamKey};
use crate::closed::Closed;
use crate::config::INITIAL_WINDOW_BYTES;
use crate::error::{LocalReset, OpenError, ResetCode, WriteError};

impl Connection {
    /// Opens a stream. No round trip is waited for. After `Pending`, too many are unacknowledged: [`Event::MayOpen`]
    /// tells when to try again.
    ///
    /// # Errors
    ///
    /// As [`OpenError`] says; the session is not disturbed.
    pub fn open(&mut self, now: Instant) -> Poll<Result<StreamKey, OpenError>> {
        self.latest = now;
        let limits = &self.config.limits;
        if let Some(closed) = self.ending.closed() {
            return Poll::Ready(Err(OpenError::Closed(closed.clone())));
        }
        if self.draining {
            return Poll::Ready(Err(OpenError::Draining));
        }
        if self.peer_away.is_some() {
            return Poll::Ready(Err(OpenError::GoAway));
        }
        if self.streams.outbound >= limits.outbound_streams {
            return Poll::Ready(Err(OpenError::TooManyStreams(limits.outbound_streams)));
        }
        let Some(id) = self.next_id else { return Poll::Ready(Err(OpenError::IdsExhausted)) };
        if self.streams.unacknowledged >= limits.unacknowledged_opens || self.output.is_congested() {
            return Poll::Pending;
        }
        self.next_id = id.checked_add(2);
        let key = self.streams.insert(Stream::new(id, true, self.config.window.first(), now));
        if let Some(timeout) = self.config.timeouts.open {
            self.streams.at(key.index).start(&mut self.timers, key.index, Timer::Open, now + timeout);
        }
        let extra = self.first_grant(key.index);
        self.output.control(Kind::WindowUpdate, Flags::SYN, id, extra);
        self.statistics.opened += 1;
        Poll::Ready(Ok(key))
    }

    /// Accepts the stream of the peer that has waited longest. [`Event::Acceptable`] tells when to try again.
    pub fn accept(&mut self) -> Option<StreamKey> {
        if self.output.is_congested() && self.ending.is_open() {
            return None;
        }
        let key = self.backlog.pop_front()?;
        let stream = self.streams.get(key);
        stream.acknowledged = true;
        let on_wire = stream.on_wire;
        self.early_resets = self.early_resets.saturating_sub(1);
        self.statistics.accepted += 1;
        if self.ending.is_open() && on_wire {
            let extra = self.first_grant(key.index);
            self.output.control(Kind::WindowUpdate, Flags::ACK, key.id, extra);
        }
        Some(key)
    }

    /// Whether [`open`](Self::open) would not have to wait.
    #[inline]
    #[must_use]
    pub fn may_open(&self) -> bool {
        let waits = self.streams.unacknowledged >= self.config.limits.unacknowledged_opens
            || self.output.is_congested();
        !waits || !self.ending.is_open() || self.draining || self.peer_away.is_some()
    }

    /// Whether [`accept`](Self::accept) would return a stream.
    #[inline]
    #[must_use]
    pub fn may_accept(&self) -> bool {
        !(self.backlog.is_empty() || self.output.is_congested() && self.ending.is_open())
    }

    /// Returns the outcome, once [`accept`](Self::accept) will return no stream any more. Where only writing has
    /// failed, the peer may have opened streams before.
    #[must_use]
    pub fn accept_end(&self) -> Option<&Closed> {
        if self.may_accept() { None } else { self.ending.deaf() }
    }

    /// No stream is accepted any more: those that wait are reset, and new ones refused.
    pub fn refuse_all(&mut self, now: Instant) {
        self.drain(now);
        while let Some(key) = self.backlog.pop_front() {
            let stream = self.streams.get(key);
            stream.send.released = true;
            stream.receive.released = true;
            if self.ending.is_open() && stream.on_wire {
                self.reset_here(key.index, LocalReset::Caller(ResetCode::NONE));
            } else {
                self.forget_if_done(key);
            }
        }
    }

    /// Closes the sending half: what was written goes out, and FIN behind it. Does nothing if that was done before.
    ///
    /// # Errors
    ///
    /// If the stream was reset or the session ended before, or if the peer had stopped reading what was written.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn close_write(&mut self, key: StreamKey, now: Instant) -> Result<(), WriteError> {
        self.latest = now;
        let closed = self.ending.closed().cloned();
        let stream = self.streams.get(key);
        if let Some(reset) = stream.reset {
            return Err(reset.write_error());
        }
        match (stream.send.state, closed) {
            (SendState::Finished, _) => return Ok(()),
            // Nothing was written that the peer has not read.
            (SendState::Stopped, _) if stream.send.bytes == 0 => return Ok(()),
            (SendState::Stopped | SendState::Reset, _) => return Err(WriteError::Stopped),
            (SendState::Open, Some(closed)) => return Err(WriteError::Closed(closed)),
            (SendState::Open, None) => {}
        }
        stream.send.state = SendState::Finished;
        stream.send.flushed_at = self.output.fin(key.id);
        stream.cancel_if(&mut self.timers, key.index, Timer::NoCredit);
        self.sending_ended(key.index);
        if self.streams.get(key).has_ended() {
            self.end_on_wire(key.index);
        } else if self.streams.get(key).receive.stopped {
            self.linger(key.index);
        }
        Ok(())
    }

    /// Stops reading: what has come and what comes is discarded, and the peer is told as far as it understands.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn stop(&mut self, key: StreamKey, now: Instant) {
        self.latest = now;
        let stream = self.streams.get(key);
        if stream.receive.stopped {
            return;
        }
        stream.receive.stopped = true;
        self.clear(key.index);
        self.tell_reader(key.index);
        let stream = self.streams.get(key);
        if !stream.on_wire || stream.receive.state != ReceiveState::Open || !self.ending.is_open() {
            return;
        }
        let fin_sent = stream.fin_sent();
        if self.peer_understands_stop {
            self.send_stop(key.index);
        }
        if fin_sent {
            self.linger(key.index);
        } else if !self.peer_understands_stop {
            self.replenish(key.index);
        }
    }

    /// Resets the stream: both halves end at once, and what was received and not read is discarded.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn reset(&mut self, key: StreamKey, code: ResetCode, now: Instant) {
        self.latest = now;
        if self.streams.get(key).on_wire {
            // Readers must not take what they got for the whole, although FIN may have come.
            self.streams.get(key).receive.state = ReceiveState::Reset;
            self.clear(key.index);
            self.reset_here(key.index, LocalReset::Caller(code));
        }
    }

    /// Closes the sending half and stops reading.
    ///
    /// # Errors
    ///
    /// As for [`close_write`](Self::close_write). Reading is stopped in any case.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn close_stream(&mut self, key: StreamKey, now: Instant) -> Result<(), WriteError> {
        let closed = self.close_write(key, now);
        self.stop(key, now);
        closed
    }

    /// The application has dropped the sending half: the stream is reset unless the half was closed or the peer has
    /// ended it.
    ///
    /// # Panics
    ///
    /// If that was reported before.
    pub fn drop_sender(&mut self, key: StreamKey, now: Instant) {
        self.latest = now;
        let stream = self.streams.get(key);
        assert!(!stream.send.released, "a sending half is dropped once");
        stream.send.released = true;
        if stream.send.state == SendState::Open {
            self.reset_here(key.index, LocalReset::Caller(ResetCode::NONE));
        }
        self.forget_if_done(key);
    }

    /// The application has dropped the receiving half: reading stops.
    ///
    /// # Panics
    ///
    /// If that was reported before.
    pub fn drop_receiver(&mut self, key: StreamKey, now: Instant) {
        self.latest = now;
        let stream = self.streams.get(key);
        assert!(!stream.receive.released, "a receiving half is dropped once");
        stream.receive.released = true;
        self.stop(key, now);
        self.forget_if_done(key);
    }

    /// The application has dropped both halves at once: a stream that was not closed is reset.
    ///
    /// # Panics
    ///
    /// If one was reported before.
    pub fn drop_stream(&mut self, key: StreamKey, now: Instant) {
        // The sending half first: RST instead of asking the peer to stop.
        self.latest = now;
        let stream = self.streams.get(key);
        stream.receive.released = true;
        if stream.send.state != SendState::Open {
            self.stop(key, now);
        }
        self.drop_sender(key, now);
    }

    /// Whether the key belongs to a stream that the application still holds.
    #[must_use]
    pub fn is_held(&self, key: StreamKey) -> bool {
        self.streams.contains(key)
    }

    /// The stream is closed here and not read any more: it ends with the peer's FIN, or by our RST.
    fn linger(&mut self, index: u32) {
        let at = self.latest + self.config.timeouts.close_linger;
        let stream = self.streams.at(index);
        if !stream.on_wire || stream.receive.state != ReceiveState::Open {
            return;
        }
        if stream.receive.credit == 0 && !stream.receive.stop_sent {
            self.reset_here(index, LocalReset::Linger);
        } else {
            stream.start(&mut self.timers, index, Timer::Linger, at);
        }
    }

    fn send_stop(&mut self, index: u32) {
        let stream = self.streams.at(index);
        if !stream.receive.stop_sent {
            stream.receive.stop_sent = true;
            self.output.control(Kind::WindowUpdate, Flags::STOP, stream.id, 0);
        }
    }

    /// The peer is one that can be asked to stop.
    pub(crate) fn peer_announces_stop(&mut self) {
        if self.peer_understands_stop {
            return;
        }
        self.peer_understands_stop = true;
        for index in self.streams.indices() {
            let receive = &self.streams.at(index).receive;
            if receive.stopped && receive.state == ReceiveState::Open {
                self.send_stop(index);
            }
        }
    }

    /// Resets a stream from this side, if it is on the wire.
    pub(crate) fn reset_here(&mut self, index: u32, reason: LocalReset) {
        let stream = self.streams.at(index);
        if !stream.on_wire {
            return;
        }
        let unaccepted = !stream.outbound && !stream.acknowledged;
        if self.ending.is_open() {
            if unaccepted && reason == LocalReset::ReceiveBudget {
                // The peer can cause any number of these: they count as what they are.
                self.statistics.refused += 1;
                self.output.refuse(stream.id);
            } else {
                self.statistics.resets_sent += 1;
                stream.send.flushed_at = self.output.rst(stream.id, reason.code());
            }
        }
        if reason == LocalReset::ReceiveBudget {
            self.clear(index);
        }
        self.mark_reset(index, Reset::Here(reason));
        self.end_on_wire(index);
    }

    /// Ends both halves, and tells those that wait. A half that has finished stays so for its reader.
    pub(crate) fn mark_reset(&mut self, index: u32, reset: Reset) {
        let stream = self.streams.at(index);
        stream.reset = Some(reset);
        if stream.send.state == SendState::Open {
            stream.send.state = SendState::Reset;
        }
        if stream.receive.state == ReceiveState::Open {
            stream.receive.state = ReceiveState::Reset;
        }
        self.tell_reader(index);
        self.sending_ended(index);
    }

    /// Nothing more is to come or to go for the stream.
    pub(crate) fn end_on_wire(&mut self, index: u32) {
        let stream = self.streams.at(index);
        if !stream.on_wire {
            return;
        }
        stream.cancel(&mut self.timers, index);
        self.turns.leave(&mut stream.send.share, index);
        let was_reset_here = matches!(stream.reset, Some(Reset::Here(_)));
        let (id, excess) = (stream.id, stream.receive.window - INITIAL_WINDOW_BYTES);
        let unaccepted = !stream.outbound && !stream.acknowledged;
        let is_whole = stream.receive.state == ReceiveState::Finished;
        let opened = stream.outbound;
        if opened || !unaccepted {
            // The window of a stream that waits to be accepted was not announced yet.
            self.tuned = self.tuned.saturating_sub(u64::from(excess));
        }
        self.streams.take_off_wire(index);
        self.tombstones.insert(id, was_reset_here, self.latest);
        let key = StreamKey { index, id };
        self.tell_end(index);
        if opened {
            self.tell_openers();
        }
        // What the peer has finished still waits to be accepted: its bytes are for a reader.
        if unaccepted && !is_whole {
            self.backlog.retain(|waiting| *waiting != key);
            let stream = self.streams.at(index);
            stream.send.released = true;
            stream.receive.released = true;
        }
        self.forget_if_done(key);
        self.close_if_drained();
    }

    /// Forgets a stream that has ended on the wire, once the application has dropped it.
    pub(crate) fn forget_if_done(&mut self, key: StreamKey) {
        if !self.streams.contains(key) {
            return;
        }
        let stream = self.streams.get(key);
        if !stream.send.released || !stream.receive.released {
            return;
        }
        if !self.ending.is_open() && stream.on_wire {
            // Nothing more comes of it.
            stream.cancel(&mut self.timers, key.index);
            self.turns.leave(&mut stream.send.share, key.index);
            self.streams.take_off_wire(key.index);
        }
        if self.streams.get(key).on_wire {
            return;
        }
        self.clear(key.index);
        let stream = self.streams.remove(key.index);
        if let Some(deadline) = stream.receive.deadline {
            self.timers.cancel(deadline, key.index, Timer::Read);
        }
        if let Some(deadline) = stream.send.deadline {
            self.timers.cancel(deadline, key.index, Timer::Write);
        }
    }

    /// Discards what was received and not read.
    fn clear(&mut self, index: u32) {
        self.buffered -= self.streams.at(index).receive.buffer.clear(&mut self.spares);
    }

    /// No more can be written to the stream.
    pub(crate) fn sending_ended(&mut self, index: u32) {
        let stream = self.streams.at(index);
        self.turns.leave(&mut stream.send.share, index);
        self.tell_writer(index);
        self.tell_end(index);
    }

    pub(crate) fn tell_end(&mut self, index: u32) {
        let stream = self.streams.at(index);
        if let Some(end) = stream.sending_end()
            && std::mem::take(&mut stream.send.end_waits)
        {
            let key = self.streams.key(index);
            self.events.push_back(Event::SendingEnded(key, end));
        }
    }

    pub(crate) fn tell_reader(&mut self, index: u32) {
        if std::mem::take(&mut self.streams.at(index).receive.waits) {
            let key = self.streams.key(index);
            self.events.push_back(Event::Readable(key));
        }
    }

    pub(crate) fn tell_writer(&mut self, index: u32) {
        let send = &mut self.streams.at(index).send;
        if std::mem::take(&mut send.waits) || send.flush_waits {
            let key = self.streams.key(index);
            self.events.push_back(Event::Writable(key));
        }
    }

    pub(crate) fn tell_openers(&mut self) {
        self.events.push_back(Event::MayOpen);
    }

    pub(crate) fn tell_acceptors(&mut self) {
        self.events.push_back(Event::Acceptable);
    }
}
