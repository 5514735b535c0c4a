//! Sending: what an end puts on its line, when it arrives, what happens to it if the line is broken, and how the
//! receiver's acknowledgements come back.
//!
//! A segment that cannot pass is *held*: it stays at the head of its line, as if each retransmission were lost, until a
//! fault heals; then it arrives with the first retransmission after that, and everything behind it at the same time.
//! An acknowledgement that cannot pass is *missed*: it comes with the answer to the first retransmission that gets
//! through. While something is held or missed a timeout runs, and only then: undisturbed connections need no timer.
//!
//! # Invariants
//!
//! - Segments of one direction arrive in the order in which they were sent, each once.
//! - RST and the segments of a dead end are sent once; lost, they are lost for good.
//! - A timeout stands exactly while `Flow::troubled_since` says so.
//!
//! # Not here
//!
//! What arriving segments do (`arrival`), and who breaks links (`faults`).

use super::connection::{Connection, ORPHAN_TIMEOUT, Owner, State};
use super::event::Due;
use super::flow::{Content, Fin, Segment};
use super::link::{SECOND, handshake_end, next_handshake_retry, next_retry};
use super::trace::Fact;
use super::{Cx, Nanos};

/// How often a SYN and a SYN-ACK are tried again (`tcp_syn_retries`, `tcp_synack_retries`).
pub(super) const SYN_RETRIES: u32 = 6;
pub(super) const SYN_ACK_RETRIES: u32 = 5;

/// How long a host looks for the owner of an address on its network before it says there is none: three ARP requests.
const NEIGHBOUR_TIMEOUT: Nanos = 3 * SECOND;

impl Connection {
    /// Puts a segment on the line of `side`.
    pub(super) fn push(&mut self, side: usize, content: Content, cx: &mut Cx<'_>) {
        let token = cx.wire.queue.token();
        let mut segment = Segment { content, first_sent: cx.now, arrives: Nanos::MAX, token };
        let link = self.link(side).filter(|&link| cx.wire.links.passes(link));
        let flow = &mut self.flows[side];
        let Some(link) = link else {
            flow.line.push_back(segment);
            if flow.held && content != Content::Rst {
                return;
            }
            return self.hold(side, cx);
        };
        if flow.held {
            flow.line.push_back(segment);
            return;
        }
        let arrives = cx.now.saturating_add(cx.wire.links.pick_latency(link, cx.out));
        flow.last_arrival = flow.last_arrival.max(arrives);
        segment.arrives = flow.last_arrival;
        flow.line.push_back(segment);
        if flow.line.len() == 1 {
            self.schedule_line(side, cx);
        }
    }

    /// Makes the first segment of the line the one that arrives next.
    pub(super) fn schedule_line(&mut self, side: usize, cx: &mut Cx<'_>) {
        let socket = self.socket(side);
        let flow = &mut self.flows[side];
        flow.line_event = flow.line.front().map(|head| {
            cx.wire.queue.push_as(head.token, head.arrives, Due::Segment, socket);
            head.token
        });
    }

    /// Sends what was written, as far as the window allows, and the FIN after the last byte
    /// (RFC 9293 section 3.8.6).
    pub(super) fn send_more(&mut self, side: usize, cx: &mut Cx<'_>) {
        let flow = &mut self.flows[side];
        let end = flow.written.min(flow.edge);
        if end > flow.sent {
            let bytes = u32::try_from(end - flow.sent).unwrap_or(u32::MAX);
            flow.sent = end;
            self.push(side, Content::Data { end }, cx);
            self.sent_fact(side, Fact::Sent { bytes }, cx);
        }
        let flow = &mut self.flows[side];
        if flow.sent == flow.written && flow.fin == Fin::Queued {
            flow.fin = Fin::Sent;
            self.push(side, Content::Fin, cx);
            self.sent_fact(side, Fact::FinSent, cx);
        }
        if self.flows[side].is_stalled() {
            self.wait_for_window(side, cx);
        }
    }

    /// The sender met the edge of the window. What the reader made free since it last told the sender was, in a real
    /// TCP, told at the time of the read; here it is only told to somebody who waits for it.
    fn wait_for_window(&mut self, side: usize, cx: &mut Cx<'_>) {
        if !self.passes(side, cx) || !self.passes(1 - side, cx) {
            // Probes of the closed window go unanswered (RFC 9293 section 3.8.6.1).
            self.flows[side].missed_ack.get_or_insert(cx.now);
            return self.watch(side, cx);
        }
        let told = self.flows[side].last_read_at.saturating_add(self.min_latency(1 - side, cx));
        let flow = &mut self.flows[side];
        if flow.edge_to_offer() > flow.advertised {
            flow.queue_ack(told.max(cx.now), cx.now);
        } else if flow.missed_ack.is_some() {
            return self.recover_ack(side, cx);
        }
        self.want_ack(side, cx);
    }

    /// Breaks the line of `side`: nothing of it arrives until [`resume`](Self::resume).
    pub(super) fn hold(&mut self, side: usize, cx: &mut Cx<'_>) {
        let dead = self.ends[side].state == State::Closed;
        let flow = &mut self.flows[side];
        if flow.line.is_empty() {
            return;
        }
        let lost: Vec<Content> = flow.line.iter().map(|segment| segment.content).collect();
        flow.line.retain(|segment| matches!(segment.content, Content::Data { .. } | Content::Fin));
        if dead {
            flow.line.clear();
        }
        flow.held = !flow.line.is_empty();
        flow.line_event = None;
        flow.last_arrival = cx.now;
        self.sent_fact(side, Fact::Lost, cx);
        self.watch(side, cx);
        for content in lost {
            match content {
                Content::Syn | Content::SynAck => self.await_handshake(0, cx),
                Content::HandshakeAck => self.await_handshake(1, cx),
                Content::Data { .. } | Content::Fin | Content::Rst => {}
            }
        }
    }

    /// Lets the held line of `side` go on with the first retransmission at or after `not_before`.
    pub(super) fn resume(&mut self, side: usize, not_before: Nanos, cx: &mut Cx<'_>) {
        let Some(link) = self.link(side) else { return };
        let Some(head) = self.flows[side].line.front() else { return };
        let retried = next_retry(head.first_sent, not_before);
        if retried >= head.first_sent.saturating_add(self.patience(side, cx)) {
            self.flows[side].held = true;
            self.flows[side].line_event = None;
            return self.watch(side, cx);
        }
        let arrives = retried.saturating_add(cx.wire.links.pick_latency(link, cx.out));
        let flow = &mut self.flows[side];
        flow.held = false;
        flow.last_arrival = arrives;
        for segment in &mut flow.line {
            segment.arrives = arrives;
            segment.token = cx.wire.queue.token();
        }
        self.schedule_line(side, cx);
        self.watch(side, cx);
        self.sent_fact(side, Fact::Retransmitted, cx);
    }

    /// The receiver acknowledges what it has of the flow of `side` (RFC 9293 section 3.10.7.4), and tells its window.
    pub(super) fn acknowledge(&mut self, side: usize, first_sent: Nanos, cx: &mut Cx<'_>) {
        if self.ends[side].state == State::Closed {
            return;
        }
        if !self.passes(1 - side, cx) {
            let missed = &mut self.flows[side].missed_ack;
            *missed = Some(missed.map_or(first_sent, |since| since.min(first_sent)));
            return self.watch(side, cx);
        }
        let at = cx.now.saturating_add(self.min_latency(1 - side, cx));
        self.flows[side].queue_ack(at, first_sent);
        if self.flows[side].timeout.is_some() {
            self.watch(side, cx);
        }
        self.want_ack(side, cx);
    }

    /// Tells a sender that waits for window what its reader has made free.
    pub(super) fn tell_window(&mut self, side: usize, cx: &mut Cx<'_>) {
        let flow = &self.flows[side];
        let waits = flow.sent < flow.written && flow.missed_ack.is_none();
        if waits && flow.edge_to_offer() > flow.advertised {
            self.acknowledge(side, cx.now, cx);
        }
    }

    /// Loses the acknowledgements of `side` that are on their way.
    pub(super) fn miss_acks(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.absorb_acks(side, cx.now);
        let flow = &mut self.flows[side];
        let oldest = flow.acks.iter().map(|ack| ack.first_sent).min();
        flow.acks.clear();
        flow.ack_event = None;
        let misses = flow.acked < flow.acknowledgeable() || flow.is_stalled();
        if misses && self.ends[side].state != State::Closed {
            let since = oldest.unwrap_or(cx.now);
            let flow = &mut self.flows[side];
            flow.missed_ack = Some(flow.missed_ack.map_or(since, |missed| missed.min(since)));
        }
        self.watch(side, cx);
    }

    /// Lets a missed acknowledgement come with the answer to the first retransmission from now on, if both ways are
    /// open.
    pub(super) fn recover_ack(&mut self, side: usize, cx: &mut Cx<'_>) {
        let Some(missed) = self.flows[side].missed_ack else { return };
        if !self.passes(side, cx) || !self.passes(1 - side, cx) {
            return;
        }
        let retried = next_retry(missed, cx.now);
        if retried >= missed.saturating_add(self.patience(side, cx)) {
            return;
        }
        let round_trip = self.min_latency(side, cx).saturating_add(self.min_latency(1 - side, cx));
        self.flows[side].queue_ack(retried.saturating_add(round_trip), missed);
        self.watch(side, cx);
        self.want_ack(side, cx);
    }

    /// Schedules the acknowledgement that `side` waits for, if it does and one is coming.
    pub(super) fn want_ack(&mut self, side: usize, cx: &mut Cx<'_>) {
        let socket = self.socket(side);
        let flow = &mut self.flows[side];
        if flow.ack_event.is_none() {
            flow.ack_event = flow.useful_ack().map(|at| cx.wire.queue.push(at, Due::Ack, socket));
        }
    }

    /// The acknowledgement that `side` waited for has arrived.
    pub(super) fn ack_arrives(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.flows[side].ack_event = None;
        self.absorb_acks(side, cx.now);
        self.send_more(side, cx);
        if self.flows[side].wakes_writer() {
            self.flows[side].writer_waits = false;
            self.report(side, super::Direction::Write, cx);
        }
        self.want_ack(side, cx);
    }

    /// Sets, moves or stops the timeout of `side`.
    pub(super) fn watch(&mut self, side: usize, cx: &mut Cx<'_>) {
        let Some(since) = self.flows[side].troubled_since() else {
            self.flows[side].timeout = None;
            return;
        };
        let at = since.saturating_add(self.patience(side, cx)).max(cx.now);
        let socket = self.socket(side);
        let flow = &mut self.flows[side];
        if flow.timeout.is_none_or(|(set, _)| set != at) {
            flow.timeout = Some((at, cx.wire.queue.push(at, Due::Timeout, socket)));
        }
    }

    /// `side` has waited too long for an acknowledgement (RFC 9293 section 3.8.3, Linux's `tcp_write_err`). The peer
    /// is not told.
    pub(super) fn time_out(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.flows[side].timeout = None;
        self.absorb_acks(side, cx.now);
        if self.flows[side].troubled_since().is_none() || self.ends[side].state == State::Closed {
            return;
        }
        self.sent_fact(side, Fact::TimedOut, cx);
        self.die(side, Some(libc::ETIMEDOUT), cx);
    }

    /// How long `side` waits for an acknowledgement.
    fn patience(&self, side: usize, cx: &Cx<'_>) -> Nanos {
        match self.ends[side].owner {
            Owner::Nobody => cx.wire.user_timeout.min(ORPHAN_TIMEOUT),
            Owner::Listener | Owner::Application => cx.wire.user_timeout,
        }
    }

    /// Waits until the SYN (`side` 0) or the SYN-ACK (`side` 1), or its answer, can be tried again.
    pub(super) fn await_handshake(&mut self, side: usize, cx: &mut Cx<'_>) {
        let (waiting, retries) = [(State::SynSent, SYN_RETRIES), (State::SynReceived, SYN_ACK_RETRIES)][side];
        if self.ends[side].state != waiting || self.ends[side].handshake_event.is_some() {
            return;
        }
        let began = self.handshake_began[side];
        let at = match self.ends[1 - side].host {
            Some(_) => next_handshake_retry(began, cx.now + 1).min(handshake_end(began, retries)),
            None => began.saturating_add(NEIGHBOUR_TIMEOUT),
        };
        let event = cx.wire.queue.push(at, Due::Handshake, self.socket(side));
        self.ends[side].handshake_event = Some(event);
    }
}
