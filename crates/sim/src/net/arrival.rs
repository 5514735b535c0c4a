//! Handles due events: segments arrive, handshakes are retried, senders give up.
//!
//! # Invariants
//!
//! - Every event is handled at the time it was due for, whenever [`Network::process`] is called.
//! - An end that is gone answers everything but RST with RST.
//!
//! # Not here
//!
//! When things come due (`transmit`), and what applications call (`socket`).

use super::connection::{Connection, State};
use super::event::{Due, Event};
use super::flow::{Content, Fin, Segment};
use super::link::{SYN_ACK_RETRIES, SYN_RETRIES};
use super::listen::Listeners;
use super::trace::NetEventKind;
use super::{Cx, Direction, Nanos, Network, Outside};

impl Network {
    /// Runs all events that are due at or before `now`.
    #[inline]
    pub(crate) fn process(&mut self, now: Nanos, outside: &mut dyn Outside) {
        loop {
            let segment = self.wire.queue.peek().filter(|event| event.at <= now).copied();
            let datagram = self.udp.next_arrival().filter(|&at| at <= now);
            match (segment, datagram) {
                (Some(event), at) if at.is_none_or(|at| event.at <= at) => {
                    self.wire.queue.pop();
                    self.happen(&event, outside);
                }
                (_, Some(at)) => self.datagram_arrives(at, outside),
                (_, None) => break,
            }
        }
        self.now = self.now.max(now);
        self.drop_cancelled();
    }

    fn happen(&mut self, event: &Event, outside: &mut dyn Outside) {
        let Self { connections, listeners, wire, .. } = self;
        let (index, side) = (event.socket.connection(), event.socket.side());
        let Some(connection) = connections.get_mut(index) else { return };
        if !connection.expects(side, event) {
            return;
        }
        let cx = &mut Cx { now: event.at, wire, outside };
        match event.due {
            Due::Segment => connection.segment_arrives(side, listeners, cx),
            Due::Ack => connection.ack_arrives(side, cx),
            Due::ProbeSent => connection.send_probe(side, cx),
            Due::Probe => connection.probe_arrives(side, cx),
            Due::TailProbe => connection.probe_tail(side, cx),
            Due::Retransmission => connection.retransmit(side, cx),
            Due::Timeout => connection.time_out(side, cx),
            Due::Handshake => connection.retry_handshake(side, cx),
            Due::HandshakeAck => {
                connection.ends[side].handshake_event = None;
                if connection.ends[0].state == State::Closed {
                    // The client answered with RST instead.
                    connection.die(side, None, cx);
                } else {
                    connection.complete_handshake(listeners, cx);
                }
            }
        }
        let is_over = connection.is_over();
        self.now = self.now.max(event.at);
        if is_over {
            self.forget(index);
        }
    }
}

impl Connection {
    /// Handles the arrival of the first segment of the line of `from`.
    fn segment_arrives(&mut self, from: usize, listeners: &mut Listeners, cx: &mut Cx<'_>) {
        let Some(segment) = self.flows[from].line.pop_front() else { return };
        let to = 1 - from;
        let awaits_room =
            segment.content != Content::Rst && to == 1 && self.ends[1].state == State::SynReceived;
        if awaits_room && segment.content != Content::Syn {
            if self.has_stale_cookie(cx.now) {
                self.schedule_line(from, cx);
                self.die(1, None, cx);
                return self.answer_with_reset(1, cx);
            }
            if !self.complete_handshake(listeners, cx) {
                return self.drop_for_backlog(segment, cx);
            }
        }
        self.schedule_line(from, cx);
        match segment.content {
            Content::Syn => self.syn_arrives(listeners, cx),
            Content::SynAck => self.syn_ack_arrives(cx),
            Content::HandshakeAck if self.ends[1].state == State::Closed => self.answer_with_reset(1, cx),
            Content::HandshakeAck => {}
            Content::Data { end } => self.data_arrives(from, end, segment.first_sent, cx),
            Content::Fin => self.fin_arrives(from, segment.first_sent, cx),
            Content::Rst => self.reset_arrives(to, cx),
        }
    }

    /// Handles a full backlog for a client that already counts as connected: its segments are lost until there is room.
    fn drop_for_backlog(&mut self, segment: Segment, cx: &mut Cx<'_>) {
        self.trace_received(1, NetEventKind::BacklogFull, cx);
        self.await_handshake(1, cx);
        // The answer to the next SYN-ACK replaces a lost ACK. A dead client tries nothing again.
        if segment.content == Content::HandshakeAck || self.ends[0].state == State::Closed {
            return self.schedule_line(0, cx);
        }
        self.flows[0].line.push_front(segment);
        self.retry_lost(0, cx.now + 1, cx);
    }

    /// RFC 9293 section 3.10.7.3.
    fn syn_ack_arrives(&mut self, cx: &mut Cx<'_>) {
        let client = &mut self.ends[0];
        match client.state {
            State::SynSent => {
                client.state = State::Established;
                client.handshake_event = None;
                self.flows[0].open_window();
                self.trace_sent(0, NetEventKind::Connected, cx);
                self.push(0, Content::HandshakeAck, cx);
                self.report(0, Direction::Connect, cx);
                self.report(0, Direction::Write, cx);
            }
            State::Closed => self.answer_with_reset(0, cx),
            // A repeated SYN-ACK; `retry_handshake` has taken care of its answer.
            _ => {}
        }
    }

    /// RFC 9293 section 3.10.7.4, seventh: process the segment text.
    fn data_arrives(&mut self, from: usize, end: u64, first_sent: Nanos, cx: &mut Cx<'_>) {
        let to = 1 - from;
        self.absorb_acks(to, cx.now);
        let receiver = &self.ends[to];
        // RFC 1122 section 4.2.2.13: data for an application that can no longer read it resets the connection. Linux
        // goes on queueing data after a mere shutdown of reading.
        let unwanted = receiver.read_shut && receiver.state != State::Established;
        if receiver.state.is_over() || unwanted {
            return self.refuse_data(to, cx);
        }
        let flow = &mut self.flows[from];
        let bytes = u32::try_from(end - flow.delivered).unwrap_or(u32::MAX);
        flow.delivered = end;
        self.trace_received(to, NetEventKind::Received { bytes }, cx);
        self.acknowledge(from, first_sent, cx);
        self.report(to, Direction::Read, cx);
    }

    fn refuse_data(&mut self, to: usize, cx: &mut Cx<'_>) {
        if !self.ends[to].state.is_over() {
            self.die(to, Some(libc::ECONNRESET), cx);
        }
        self.answer_with_reset(to, cx);
    }

    /// RFC 9293 section 3.10.7.4, eighth: check the FIN bit.
    fn fin_arrives(&mut self, from: usize, first_sent: Nanos, cx: &mut Cx<'_>) {
        let to = 1 - from;
        self.absorb_acks(to, cx.now);
        let receiver = &mut self.ends[to];
        if receiver.state.is_over() || receiver.orphan_until <= cx.now {
            return self.refuse_data(to, cx);
        }
        receiver.fin_seen = true;
        receiver.state = match receiver.state {
            State::Established => State::CloseWait,
            State::FinWait1 => State::Closing,
            State::FinWait2 => {
                receiver.time_wait_since = cx.now;
                State::TimeWait
            }
            other => other,
        };
        self.flows[from].fin = Fin::Delivered;
        self.trace_received(to, NetEventKind::FinReceived, cx);
        self.acknowledge(from, first_sent, cx);
        self.report(to, Direction::Read, cx);
    }

    /// RFC 9293 section 3.10.7.4, second: check the RST bit. Linux's `tcp_reset`; what was received before stays
    /// readable.
    pub(super) fn reset_arrives(&mut self, to: usize, cx: &mut Cx<'_>) {
        self.absorb_acks(to, cx.now);
        let (error, what) = match self.ends[to].state {
            State::TimeWait | State::Closed => return,
            State::SynSent => (libc::ECONNREFUSED, NetEventKind::Refused),
            State::CloseWait => (libc::EPIPE, NetEventKind::ResetReceived),
            _ => (libc::ECONNRESET, NetEventKind::ResetReceived),
        };
        self.trace_received(to, what, cx);
        self.die(to, Some(error), cx);
    }

    /// Answers a segment for an end that is gone (RFC 9293 section 3.10.7.1).
    pub(super) fn answer_with_reset(&mut self, side: usize, cx: &mut Cx<'_>) {
        if !self.ends[1 - side].state.is_over() {
            self.trace_sent(side, NetEventKind::ResetSent, cx);
            self.push(side, Content::Rst, cx);
        }
    }

    /// Ends `side` with a RST to its peer.
    pub(super) fn reset(&mut self, side: usize, error: Option<i32>, cx: &mut Cx<'_>) {
        self.die(side, error, cx);
        self.answer_with_reset(side, cx);
    }

    /// Retries the SYN (`side` 0) or the SYN-ACK (`side` 1).
    fn retry_handshake(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.ends[side].handshake_event = None;
        let retries = [SYN_RETRIES, SYN_ACK_RETRIES][side];
        let over = cx.now >= retries.end(self.handshake_began[side]);
        if self.ends[1 - side].host.is_none() {
            self.trace_sent(side, NetEventKind::Unreachable, cx);
            return self.die(side, Some(libc::EHOSTUNREACH), cx);
        }
        if over {
            if side == 0 {
                self.trace_sent(0, NetEventKind::TimedOut, cx);
            }
            return self.die(side, Some(libc::ETIMEDOUT), cx);
        }
        self.trace_sent(side, NetEventKind::Retransmitted, cx);
        if side == 0 {
            return self.push(0, Content::Syn, cx);
        }
        if self.ends[0].state == State::SynSent {
            return self.push(1, Content::SynAck, cx);
        }
        if !self.passes(1, cx) || !self.passes(0, cx) {
            return self.await_handshake(1, cx);
        }
        let round_trip = self.min_latency(1, cx).saturating_add(self.min_latency(0, cx));
        let at = cx.now.saturating_add(round_trip);
        self.ends[1].handshake_event = Some(cx.wire.queue.push(at, Due::HandshakeAck, self.socket(1)));
    }
}
