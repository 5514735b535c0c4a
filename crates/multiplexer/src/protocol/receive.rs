//! Taking in what the peer sends, as it comes: a frame of any length takes no memory ahead of its bytes.

use std::time::Duration;

use bytes::Buf;
use wavetank_runtime::Instant;

use super::ending::Ending;
use super::frame::{ANNOUNCEMENT, Flags, HEADER_BYTES, Header, Kind};
use super::stream::{ReceiveState, Reset, SendState, Stream};
use super::timers::Timer;
use super::{Connection, Event, StreamKey};
use crate::closed::Cause;
use crate::error::{LocalReset, ResetCode};
use crate::violation::Violation;

/// In which time frames without effect are forgiven.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// Where in a frame the input is.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The beginning of a header, if the input ended within one.
    partial: [u8; HEADER_BYTES],
    filled: usize,
    payload: Payload,
}

/// What is left of the payload of a data frame.
#[derive(Debug, Clone, Copy, Default)]
struct Payload {
    /// `None`: it is discarded.
    stream: Option<StreamKey>,
    remaining: u32,
    /// The frame carries FIN.
    fin: bool,
}

impl Parser {
    /// What is still to come of a frame for the stream, in bytes.
    #[inline]
    pub(crate) fn under_way(&self, index: u32) -> u32 {
        match self.payload.stream {
            Some(key) if key.index == index => self.payload.remaining,
            _ => 0,
        }
    }

    /// Takes the next header from the input, once all of it is there.
    #[inline]
    fn header(&mut self, input: &mut impl Buf) -> Option<Result<Header, Violation>> {
        if self.filled == 0
            && let Some(header) = input.chunk().first_chunk::<HEADER_BYTES>()
        {
            let header = *header;
            input.advance(HEADER_BYTES);
            return Some(Header::decode(header));
        }
        let count = input.remaining().min(HEADER_BYTES - self.filled);
        input.copy_to_slice(&mut self.partial[self.filled..self.filled + count]);
        self.filled += count;
        if self.filled < HEADER_BYTES {
            return None;
        }
        self.filled = 0;
        Some(Header::decode(self.partial))
    }
}

impl Connection {
    /// Takes in what was read from the transport: all of `input`. Once the session is ending, it is discarded.
    ///
    /// Of `BytesMut` and `Bytes`, large pieces of payload are kept without a copy.
    pub fn receive(&mut self, input: &mut impl Buf, now: Instant) {
        if !input.has_remaining() {
            return;
        }
        self.latest = now;
        self.liveness.alive(now);
        self.statistics.bytes_received += input.remaining() as u64;
        self.take_in(input, now);
        if !self.ending.writes() {
            // Answers that cannot be written.
            self.output.discard();
        }
    }

    #[inline]
    fn take_in(&mut self, input: &mut impl Buf, now: Instant) {
        while input.has_remaining() {
            if matches!(self.ending, Ending::Closing { .. } | Ending::Closed(_)) {
                input.advance(input.remaining());
                return;
            }
            let result = if self.parser.payload.remaining > 0 {
                self.take_payload(input)
            } else {
                match self.parser.header(input) {
                    None => return,
                    Some(header) => header.and_then(|header| self.frame(header)),
                }
            };
            if let Err(violation) = result {
                self.fail(Cause::Violation(violation), now);
            }
        }
    }

    #[inline]
    fn frame(&mut self, header: Header) -> Result<(), Violation> {
        self.statistics.frames_received += 1;
        match header.kind {
            Kind::Data | Kind::WindowUpdate => self.stream_frame(header),
            Kind::Ping | Kind::GoAway if header.stream != 0 => {
                Err(Violation::SessionFrameOnStream(header.stream))
            }
            Kind::Ping => self.ping_frame(header),
            Kind::GoAway => {
                let code = header.length.into();
                if self.peer_away == Some(code) {
                    return self.count_idle();
                }
                self.peer_goes_away(code);
                Ok(())
            }
        }
    }

    fn ping_frame(&mut self, header: Header) -> Result<(), Violation> {
        if header.flags.has(Flags::SYN) {
            self.output.pong(header.length);
            // A pong echoes the number of our ping, so only a ping counts.
            if header.length == ANNOUNCEMENT {
                self.peer_announces_stop();
            }
        } else if header.flags.has(Flags::ACK)
            && let Some(answered) = self.pings.pong(header.length, self.latest)
        {
            self.events.push_back(Event::Pong);
            self.probes_answered(answered);
            return Ok(());
        }
        self.count_idle()
    }

    #[inline]
    fn stream_frame(&mut self, header: Header) -> Result<(), Violation> {
        if header.stream == 0 {
            return Err(Violation::StreamZero);
        }
        let opens = header.flags.has(Flags::SYN);
        let index =
            if opens { self.opened_by_peer(header.stream)? } else { self.streams.find(header.stream) };
        let Some(index) = index else { return self.frame_for_no_stream(header) };
        let begins = self.acknowledged_by_peer(index, header.flags) || opens;
        let changes = match header.kind {
            Kind::Data => self.data_frame(index, header)?,
            Kind::WindowUpdate | Kind::Ping | Kind::GoAway => self.window_frame(index, header)?,
        };
        if begins || changes { Ok(()) } else { self.count_idle() }
    }

    /// A frame for a stream that was refused, has ended, or never was: its payload is discarded.
    #[cold]
    fn frame_for_no_stream(&mut self, header: Header) -> Result<(), Violation> {
        if header.kind == Kind::Data && header.length > 0 {
            self.parser.payload = Payload { stream: None, remaining: header.length, fin: false };
            if !header.flags.has(Flags::SYN) && self.tombstones.take_answer(header.stream, self.latest) {
                self.statistics.resets_sent += 1;
                self.output.rst(header.stream, ResetCode::NONE);
            }
        }
        self.count_idle()
    }

    /// Returns whether the frame changes anything, apart from a beginning of the stream.
    #[inline]
    fn data_frame(&mut self, index: u32, header: Header) -> Result<bool, Violation> {
        let length = header.length;
        if header.flags.has(Flags::RST) {
            self.parser.payload = Payload { stream: None, remaining: length, fin: false };
            return self.reset_by_peer(index, ResetCode::NONE);
        }
        let stream = self.streams.at(index);
        let fin = header.flags.has(Flags::FIN);
        if length == 0 {
            return Ok(fin && self.fin_by_peer(index));
        }
        if stream.receive.state == ReceiveState::Finished {
            return Err(Violation::DataAfterFin(stream.id));
        }
        let credit = stream.receive.credit;
        stream.receive.credit = credit.checked_sub(length).ok_or(Violation::CreditExceeded {
            stream: header.stream,
            length,
            credit,
        })?;
        stream.receive.bytes += u64::from(length);
        self.forgive();
        let key = StreamKey { index, id: header.stream };
        self.parser.payload = Payload { stream: Some(key), remaining: length, fin };
        Ok(true)
    }

    /// Takes as much of the payload as there is.
    #[inline]
    fn take_payload(&mut self, input: &mut impl Buf) -> Result<(), Violation> {
        let mut payload = self.parser.payload;
        let count = input.chunk().len().min(payload.remaining as usize);
        payload.remaining -= u32::try_from(count).unwrap_or(u32::MAX);
        self.parser.payload = payload;
        let live = payload.stream.filter(|key| self.streams.contains(*key) && self.streams.get(*key).on_wire);
        let Some(key) = live else {
            input.advance(count);
            return Ok(());
        };
        let stream = self.streams.get(key);
        if stream.receive.stopped {
            input.advance(count);
            let excess = self.discarded(key.index, count);
            self.statistics.payload_received += count.saturating_sub(excess) as u64;
        } else {
            stream.receive.buffer.push(input, count, &mut self.spares);
            self.buffered += count;
            if stream.receive.waits {
                stream.receive.waits = false;
                self.events.push_back(Event::Readable(key));
            }
            // What exceeds a budget is not counted: otherwise the counts would depend on where the input was split.
            let excess = self.buffered.saturating_sub(self.config.limits.receive_budget_bytes);
            self.statistics.payload_received += count.saturating_sub(excess) as u64;
            if excess > 0 {
                self.reset_here(key.index, LocalReset::ReceiveBudget);
                self.check_refusals()?;
            }
        }
        if payload.remaining == 0
            && payload.fin
            && self.streams.contains(key)
            && self.streams.get(key).on_wire
        {
            self.finish_receiving(key.index);
        }
        Ok(())
    }

    /// Whether the peer reads the refusals that it causes.
    fn check_refusals(&self) -> Result<(), Violation> {
        let limit = self.config.limits.pending_refusals;
        if self.output.refusals() > limit { Err(Violation::TooManyRefusals(limit)) } else { Ok(()) }
    }

    /// Returns whether the frame changes anything, apart from a beginning of the stream.
    fn window_frame(&mut self, index: u32, header: Header) -> Result<bool, Violation> {
        let flags = header.flags;
        if flags.has(Flags::RST) {
            return self.reset_by_peer(index, ResetCode::new(header.length));
        }
        let mut changes = header.length > 0 && self.credit_from_peer(index, header)?;
        if flags.has(Flags::STOP) && self.peer_understands_stop {
            changes |= self.stopped_by_peer(index);
        }
        // The stop may have ended the stream.
        let key = StreamKey { index, id: header.stream };
        if flags.has(Flags::FIN) && self.streams.contains(key) && self.streams.get(key).on_wire {
            changes |= self.fin_by_peer(index);
        }
        Ok(changes)
    }

    /// Returns whether the credit answers bytes that were sent. More can be granted without end, a byte a frame. What
    /// was sent before our FIN is answered after it, too.
    fn credit_from_peer(&mut self, index: u32, header: Header) -> Result<bool, Violation> {
        let stream = self.streams.at(index);
        let (delta, credit) = (header.length, stream.send.credit);
        let answers = stream.send.unanswered > 0;
        stream.send.unanswered = stream.send.unanswered.saturating_sub(delta);
        if stream.send.state != SendState::Open {
            return Ok(answers);
        }
        let overflow = Violation::CreditOverflow { stream: header.stream, delta, credit };
        stream.send.credit = credit.checked_add(delta).ok_or(overflow)?;
        stream.send.window = stream.send.window.max(stream.send.credit);
        if credit == 0 {
            self.credit_came(index);
        }
        Ok(answers)
    }

    /// Any frame of the peer for the stream acknowledges it: some send ACK with their first own data only. Returns
    /// whether this one does.
    #[inline]
    fn acknowledged_by_peer(&mut self, index: u32, flags: Flags) -> bool {
        let stream = self.streams.at(index);
        let acknowledges = stream.outbound && !stream.acknowledged && !flags.has(Flags::RST);
        if acknowledges {
            stream.acknowledged = true;
            stream.cancel_if(&mut self.timers, index, Timer::Open);
            self.streams.unacknowledged -= 1;
            self.tell_openers();
            self.forgive();
        }
        acknowledges
    }

    fn reset_by_peer(&mut self, index: u32, code: ResetCode) -> Result<bool, Violation> {
        let stream = self.streams.at(index);
        let refused = stream.outbound && !stream.acknowledged;
        self.statistics.resets_received += 1;
        if !stream.outbound && !stream.acknowledged {
            self.early_resets += 1;
            if self.early_resets > self.config.limits.early_resets {
                return Err(Violation::RapidReset(self.config.limits.early_resets));
            }
        }
        self.forgive();
        self.mark_reset(index, if refused { Reset::Refused } else { Reset::Peer(code) });
        self.end_on_wire(index);
        Ok(true)
    }

    /// Returns whether it is the first FIN.
    fn fin_by_peer(&mut self, index: u32) -> bool {
        if self.streams.at(index).receive.state == ReceiveState::Finished {
            return false;
        }
        self.forgive();
        self.finish_receiving(index);
        true
    }

    /// FIN has come, and all payload before it.
    fn finish_receiving(&mut self, index: u32) {
        let stream = self.streams.at(index);
        if stream.receive.state != ReceiveState::Open {
            return;
        }
        stream.receive.state = ReceiveState::Finished;
        self.tell_reader(index);
        if self.streams.at(index).has_ended() {
            self.end_on_wire(index);
        } else {
            self.watch_credit(index);
        }
    }

    /// The peer does not read any more, and has not got our FIN. Returns whether that is news.
    fn stopped_by_peer(&mut self, index: u32) -> bool {
        let stream = self.streams.at(index);
        if stream.send.state != SendState::Open {
            let known = stream.send.state == SendState::Stopped || stream.send.unread;
            if !known {
                stream.send.unread = true;
                self.forgive();
                self.tell_end(index);
            }
            return !known;
        }
        self.forgive();
        let stream = self.streams.at(index);
        stream.send.state = SendState::Stopped;
        stream.send.flushed_at = self.output.fin(stream.id);
        self.sending_ended(index);
        if self.streams.at(index).has_ended() {
            self.end_on_wire(index);
        }
        true
    }

    /// The peer opens a stream. `None`: it was refused.
    fn opened_by_peer(&mut self, id: u32) -> Result<Option<u32>, Violation> {
        self.remote_ids.open(id)?;
        let limits = &self.config.limits;
        let backlog = u32::try_from(self.backlog.len()).unwrap_or(u32::MAX);
        let full = self.streams.inbound >= limits.inbound_streams || backlog >= limits.accept_backlog;
        if full || self.draining {
            self.statistics.refused += 1;
            self.output.refuse(id);
            return self.check_refusals().map(|()| None);
        }
        self.forgive();
        let key = self.streams.insert(Stream::new(id, false, self.config.window.first(), self.latest));
        self.backlog.push_back(key);
        self.tell_acceptors();
        Ok(Some(key.index))
    }

    /// A useful frame makes up for one without effect. For what a peer can do without end at no cost, this is not
    /// called: payload uses up credit, and each of the others comes once a stream.
    #[inline]
    fn forgive(&mut self) {
        self.idle = self.idle.saturating_sub(1);
    }

    /// Counts a frame without effect. The count falls with useful frames, and with time: the whole limit in a minute.
    fn count_idle(&mut self) -> Result<(), Violation> {
        self.statistics.idle_frames += 1;
        let limit = self.config.limits.idle_frames;
        let elapsed = (self.latest - self.idle_since).as_nanos() * u128::from(limit) / IDLE_TIME.as_nanos();
        if elapsed > 0 {
            self.idle = self.idle.saturating_sub(u32::try_from(elapsed).unwrap_or(u32::MAX));
            self.idle_since = self.latest;
        }
        self.idle += 1;
        if self.idle > limit { Err(Violation::IdleFrames(limit)) } else { Ok(()) }
    }
}
