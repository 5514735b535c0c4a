//! One direction of a connection: its bytes, its counters, and what is on its way.
//!
//! Both ends are in one memory, so a byte is copied twice: into the flow by its writer and out of it by its reader.
//! Between the two only counters move (RFC 9293 section 3.3.1):
//!
//! ```text
//!   read <= delivered <= sent <= written        the receiver's RCV.NXT is `delivered`, SND.NXT is `sent`
//!   acked <= delivered                          SND.UNA; a delivered FIN counts as one byte after the last
//!   sent <= edge <= advertised                  SND.UNA + SND.WND as the sender knows it, and as last told to it
//! ```
//!
//! # Invariants
//!
//! - The counters keep these orders and never decrease, except that `written` falls to `sent` when the sender dies.
//! - `line` is in order of arrival, and so is `acks`. Only the first of each has an event, and an acknowledgement only
//!   while the sender waits for it.
//! - If `lost`, nothing of the line arrives before it is sent again. If `paused`, the line waits on the way and nothing
//!   of it arrives before the pause ends; if `acks_paused`, neither do acknowledgements.
//!
//! # Not here
//!
//! When segments arrive (`transmit`), and what they do to the receiver (`arrival`).

use std::collections::VecDeque;

use super::Nanos;
use super::event::Token;
use super::link::{Packets, RETRY_FIRST as FIRST_TIMEOUT};

/// The least progress of a window that is announced, if the buffer is large: one segment on Ethernet (RFC 9293 section
/// 3.8.6.2.2, silly window avoidance).
const SEGMENT_MAX_BYTES: u64 = 1460;

/// Bytes of a full segment on Ethernet, with timestamps.
pub(super) const SEGMENT_BYTES: u32 = 1448;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Syn,
    SynAck,
    /// The third segment of the handshake.
    HandshakeAck,
    /// All bytes up to this count.
    Data {
        end: u64,
    },
    Fin,
    Rst,
}

impl Content {
    /// Returns `true` if its sender retransmits it until it is acknowledged, once the connection is open.
    pub(super) const fn is_retransmitted(self) -> bool {
        matches!(self, Self::Data { .. } | Self::Fin)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) content: Content,
    pub(super) first_sent: Nanos,
    pub(super) arrives: Nanos,
    pub(super) token: Token,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    pub(super) at: Nanos,
    pub(super) acked: u64,
    pub(super) edge: u64,
    /// When the oldest segment that it acknowledges was first sent.
    pub(super) first_sent: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fin {
    No,
    Queued,
    Sent,
    Delivered,
}

#[derive(Debug)]
pub(super) struct Flow {
    /// The bytes from `read` to `written`.
    bytes: VecDeque<u8>,
    pub(super) read: u64,
    pub(super) delivered: u64,
    pub(super) sent: u64,
    pub(super) written: u64,
    pub(super) fin: Fin,
    pub(super) acked: u64,
    pub(super) edge: u64,
    pub(super) advertised: u64,
    pub(super) send_buffer_bytes: u64,
    pub(super) receive_buffer_bytes: u64,
    pub(super) last_read_at: Nanos,
    /// When the sender last sent new bytes. If it is stalled, since then.
    pub(super) stalled_since: Nanos,

    pub(super) line: VecDeque<Segment>,
    pub(super) line_event: Option<Token>,
    pub(super) last_arrival: Nanos,
    pub(super) lost: bool,
    pub(super) paused: bool,
    /// The sender is dead: it retransmits nothing and waits for nothing.
    pub(super) abandoned: bool,

    pub(super) acks: VecDeque<Ack>,
    pub(super) ack_event: Option<Token>,
    pub(super) acks_paused: bool,
    /// Since when the sender misses a lost acknowledgement or window update.
    pub(super) missed_ack: Option<Nanos>,
    pub(super) probe_event: Option<Token>,
    /// The line was lost and was not yet sent again.
    pub(super) retransmission_event: Option<Token>,

    /// `TCP_NODELAY`.
    pub(super) nodelay: bool,
    /// Nagle's algorithm delays a small segment until everything before this byte is acknowledged.
    pub(super) kept_back: Option<u64>,
    /// Where the last segment ended that was not full.
    pub(super) small_end: u64,
    /// When the oldest segment was sent that is not acknowledged, and the newest.
    pub(super) flight_began: Nanos,
    pub(super) last_sent: Nanos,
    pub(super) tail_probe: Option<Token>,

    /// When the sender gives up.
    pub(super) timeout: Option<(Nanos, Token)>,
    pub(super) writer_waits: bool,
}

impl Flow {
    pub(super) fn new(send_buffer_bytes: u64, receive_buffer_bytes: u64) -> Self {
        Self {
            bytes: VecDeque::new(),
            read: 0,
            delivered: 0,
            sent: 0,
            written: 0,
            fin: Fin::No,
            acked: 0,
            edge: 0,
            advertised: 0,
            send_buffer_bytes,
            receive_buffer_bytes,
            last_read_at: 0,
            stalled_since: 0,
            line: VecDeque::new(),
            line_event: None,
            last_arrival: 0,
            lost: false,
            paused: false,
            abandoned: false,
            acks: VecDeque::new(),
            ack_event: None,
            acks_paused: false,
            missed_ack: None,
            probe_event: None,
            retransmission_event: None,
            nodelay: false,
            kept_back: None,
            small_end: 0,
            flight_began: 0,
            last_sent: 0,
            tail_probe: None,
            timeout: None,
            writer_waits: false,
        }
    }

    /// Opens the receive window for the first time, as the receiver's SYN does.
    pub(super) const fn open_window(&mut self) {
        self.edge = self.receive_buffer_bytes;
        self.advertised = self.receive_buffer_bytes;
    }

    /// Bytes that the send buffer has room for.
    pub(super) const fn room(&self) -> u64 {
        self.send_buffer_bytes.saturating_sub(self.written - self.acked_bytes())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.written += bytes.len() as u64;
    }

    /// Returns the bytes that a reader can read now.
    pub(super) const fn readable(&self) -> u64 {
        self.delivered - self.read
    }

    /// Moves readable bytes into `buffer`, as many as fit.
    #[inline]
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> usize {
        let readable = usize::try_from(self.readable()).unwrap_or(usize::MAX);
        let count = buffer.len().min(readable);
        let (front, back) = self.bytes.as_slices();
        let from_front = count.min(front.len());
        buffer[..from_front].copy_from_slice(&front[..from_front]);
        if from_front < count {
            buffer[from_front..count].copy_from_slice(&back[..count - from_front]);
        }
        self.bytes.drain(..count);
        self.read += count as u64;
        count
    }

    /// Drops bytes that will not be read.
    pub(super) fn discard_readable(&mut self) {
        self.bytes.drain(..self.readable() as usize);
        self.read = self.delivered;
    }

    /// Drops bytes that were not yet sent, or were sent and lost: the sender is dead.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
        if self.lost || self.retransmission_event.is_some() {
            self.drop_line();
        }
        self.bytes.truncate((self.sent - self.read) as usize);
        self.written = self.sent;
        if self.fin == Fin::Queued {
            self.fin = Fin::No;
        }
        self.acks.clear();
        self.ack_event = None;
        self.missed_ack = None;
        self.probe_event = None;
        self.timeout = None;
        self.kept_back = None;
        self.tail_probe = None;
        self.writer_waits = false;
    }

    /// Loses everything on its way, for good: both ends are dead, or the sender is.
    pub(super) fn drop_line(&mut self) {
        self.line.clear();
        self.last_arrival = 0;
        self.line_event = None;
        self.retransmission_event = None;
        self.lost = false;
    }

    /// Everything the receiver can acknowledge; a FIN counts as one.
    pub(super) fn acknowledgeable(&self) -> u64 {
        self.delivered + u64::from(self.fin == Fin::Delivered)
    }

    pub(super) fn fin_acked(&self) -> bool {
        self.fin == Fin::Delivered && self.acked > self.written
    }

    /// Returns how many packets the lost line was when its first timeout expired. A FIN belongs to the packet of the
    /// data that it was sent with.
    pub(super) fn lost_packets(&self) -> Packets {
        let Some(first_sent) = self.line.front().map(|head| head.first_sent) else { return Packets::One };
        let mut before = self.delivered;
        let mut data_sent = None;
        let mut packets = 0;
        for segment in self.line.iter().filter(|segment| segment.first_sent <= first_sent + FIRST_TIMEOUT) {
            match segment.content {
                Content::Data { end } => {
                    packets += (end - before).div_ceil(u64::from(SEGMENT_BYTES));
                    before = end;
                    data_sent = Some(segment.first_sent);
                }
                _ => packets += u64::from(data_sent != Some(segment.first_sent)),
            }
        }
        if packets > 1 { Packets::Several } else { Packets::One }
    }

    /// Returns how many packets arrived whose acknowledgement the sender misses.
    pub(super) fn unanswered_packets(&self) -> Packets {
        let unanswered = self.acknowledgeable().saturating_sub(self.acked);
        if unanswered > u64::from(SEGMENT_BYTES) { Packets::Several } else { Packets::One }
    }

    /// Returns when the acknowledgement of the FIN arrived that the sender has not looked at yet.
    pub(super) fn fin_acked_at(&self, now: Nanos) -> Option<Nanos> {
        let of_fin = |ack: &&Ack| ack.at <= now && self.fin == Fin::Delivered && ack.acked > self.written;
        self.acks.iter().filter(|_| !self.acks_paused).find(of_fin).map(|ack| ack.at)
    }

    /// Returns `true` if the sender would never send anything more by itself.
    pub(super) fn is_exhausted(&self) -> bool {
        self.line.is_empty() && self.sent == self.written && self.fin != Fin::Queued
    }

    /// Returns `true` if the sender has bytes that the window does not allow.
    pub(super) const fn is_stalled(&self) -> bool {
        self.sent < self.written && self.sent >= self.edge
    }

    /// Returns the right edge of the window that the receiver would announce now. It never moves left. It moves right
    /// in steps of at least a segment (RFC 9293 section 3.8.6.2.2).
    pub(super) fn edge_to_offer(&self) -> u64 {
        let edge = self.read + self.receive_buffer_bytes;
        let step = (self.receive_buffer_bytes / 2).clamp(1, SEGMENT_MAX_BYTES);
        if edge >= self.advertised + step { edge } else { self.advertised }
    }

    /// Queues an acknowledgement that arrives at `at`. It covers all that would have arrived later.
    #[inline]
    pub(super) fn queue_ack(&mut self, at: Nanos, first_sent: Nanos) {
        let mut first_sent = self.missed_ack.take().map_or(first_sent, |missed| missed.min(first_sent));
        while let Some(overtaken) = self.acks.back().filter(|last| last.at > at) {
            first_sent = first_sent.min(overtaken.first_sent);
            self.acks.pop_back();
            self.ack_event = None;
        }
        self.advertised = self.edge_to_offer();
        let ack = Ack { at, acked: self.acknowledgeable(), edge: self.advertised, first_sent };
        match self.acks.back_mut() {
            Some(last) if last.at == at => {
                *last = Ack { first_sent: last.first_sent.min(first_sent), ..ack };
            }
            _ => self.acks.push_back(ack),
        }
    }

    /// Takes the acknowledgements that have arrived. Returns when the FIN's was among them.
    pub(super) fn absorb_acks(&mut self, now: Nanos) -> Option<Nanos> {
        if self.acks_paused {
            return None;
        }
        let mut fin_acked_at = None;
        while let Some(ack) = self.acks.front().filter(|ack| ack.at <= now) {
            let fin_acked = self.fin_acked();
            self.acked = self.acked.max(ack.acked);
            self.edge = self.edge.max(ack.edge);
            let at = ack.at;
            self.acks.pop_front();
            if self.fin_acked() && !fin_acked {
                fin_acked_at = Some(at);
            }
        }
        fin_acked_at
    }

    /// Returns when the first acknowledgement arrives that lets the sender continue, if it is waiting.
    pub(super) fn useful_ack(&self) -> Option<Nanos> {
        let unsent = self.sent < self.written;
        if (!unsent && !self.writer_waits) || self.acks_paused {
            return None;
        }
        let frees = |ack: &&Ack| self.kept_back.is_some_and(|until| ack.acked >= until);
        let useful = |ack: &&Ack| {
            (unsent && (ack.edge > self.edge || frees(ack)))
                || (self.writer_waits && self.room_is_ample(ack.acked))
        };
        self.acks.iter().find(useful).map(|ack| ack.at)
    }

    /// Returns `true` if the sender can send more or wake its writer.
    pub(super) fn can_go_on(&self) -> bool {
        self.sendable() > 0 || self.wakes_writer()
    }

    /// Returns the bytes that the sender may send now: what the window allows, without a small segment that Nagle's
    /// algorithm delays (RFC 9293 section 3.7.4). The last bytes before a FIN are never delayed.
    pub(super) fn sendable(&self) -> u64 {
        let bytes = self.written.min(self.edge).saturating_sub(self.sent);
        let keeps = self.kept_back.is_some_and(|until| self.acked < until);
        if !keeps || self.nodelay || self.fin == Fin::Queued {
            return bytes;
        }
        bytes - bytes % u64::from(SEGMENT_BYTES)
    }

    /// Returns `true` if a waiting writer is woken: when a third of its buffer is free, as on Linux
    /// (`sk_stream_is_writeable`).
    pub(super) fn wakes_writer(&self) -> bool {
        self.writer_waits && self.room_is_ample(self.acked)
    }

    fn room_is_ample(&self, acked: u64) -> bool {
        let room = self.send_buffer_bytes.saturating_sub(self.written - acked.min(self.written));
        room >= (self.send_buffer_bytes / 3).max(1)
    }

    /// Returns since when a fault keeps an acknowledgement from the sender that waits for it.
    pub(super) fn unanswered_since(&self) -> Option<Nanos> {
        if self.abandoned {
            return None;
        }
        if !self.lost && !self.paused && !self.acks_paused {
            return self.missed_ack;
        }
        let lost = self.line.front().filter(|_| self.lost).map(|segment| segment.first_sent);
        let paused = self.line.iter().find(|segment| segment.content.is_retransmitted());
        let paused = paused.filter(|_| self.paused).map(|segment| segment.first_sent);
        let acks = self.acks.iter().map(|ack| ack.first_sent).min().filter(|_| self.acks_paused);
        [lost, paused, acks, self.missed_ack].into_iter().flatten().min()
    }

    /// Ends the pause of acknowledgements. Those that would have arrived by now arrive now.
    pub(super) fn resume_acks(&mut self, now: Nanos) {
        self.acks_paused = false;
        let mut first_sent = Nanos::MAX;
        let mut last = None;
        while let Some(ack) = self.acks.front().filter(|ack| ack.at <= now) {
            first_sent = first_sent.min(ack.first_sent);
            last = Some(*ack);
            self.acks.pop_front();
        }
        if let Some(last) = last {
            self.acks.push_front(Ack { at: now, first_sent, ..last });
        }
    }

    const fn acked_bytes(&self) -> u64 {
        if self.acked < self.written { self.acked } else { self.written }
    }
}

#[cfg(test)]
impl Flow {
    /// Asserts the invariants at the head of this file.
    pub(super) fn check(&self) {
        assert!(
            self.read <= self.delivered && self.delivered <= self.sent && self.sent <= self.written,
            "{self:?}"
        );
        assert!(self.acked <= self.acknowledgeable(), "{self:?}");
        assert!(self.sent <= self.edge && self.edge <= self.advertised, "{self:?}");
        assert!(self.advertised <= self.read + self.receive_buffer_bytes, "{self:?}");
        assert_eq!(self.bytes.len() as u64, self.written - self.read, "{self:?}");
        assert!(
            self.line.iter().zip(self.line.iter().skip(1)).all(|(a, b)| a.arrives <= b.arrives),
            "{self:?}"
        );
        assert!(self.acks.iter().zip(self.acks.iter().skip(1)).all(|(a, b)| a.at < b.at), "{self:?}");
        let moves = !self.line.is_empty() && !self.lost && !self.paused;
        assert_eq!(self.line_event.is_some(), moves, "{self:?}");
        assert_eq!(self.timeout.is_some(), self.unanswered_since().is_some(), "{self:?}");
    }
}
