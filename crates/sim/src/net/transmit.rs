//! Sending: what an end puts on its line, when it arrives, and what happens to it if the line is broken.
//!
//! A segment that cannot pass is *lost*. It stays at the head of its line, as if each retransmission were lost, until a
//! fault heals. Then it arrives with the first retransmission after that, and everything behind it at the same time. A
//! *paused* line has lost nothing. It waits on the way and continues where it was.
//!
//! # Invariants
//!
//! - Segments of one direction arrive in the order in which they were sent, each once.
//! - RST and the segments of a dead end are sent only once. If they are lost, they are lost for good.
//!
//! # Not here
//!
//! What arriving segments do (`arrival`), how they are acknowledged (`ack`), and what breaks links (`faults`).

use super::conditions::Passage;
use super::connection::{Connection, State};
use super::event::Due;
use super::flow::{Content, Fin, SEGMENT_BYTES, Segment};
use super::link::{LinkId, RETRY_FIRST, SECOND, SYN_ACK_RETRIES, SYN_RETRIES, next_retry, retry_after};
use super::trace::NetEventKind;
use super::{Cx, Nanos};

/// The time that a tail loss probe waits beyond two round trips: two ticks of 4 ms (`TCP_TIMEOUT_MIN`).
const PROBE_MIN: Nanos = SECOND / 125;

/// How long a host looks for the owner of an address on its network before it gives up: three ARP requests.
const NEIGHBOUR_TIMEOUT: Nanos = 3 * SECOND;

impl Connection {
    /// Puts a segment on the line of `side`.
    #[inline]
    pub(super) fn push(&mut self, side: usize, content: Content, cx: &mut Cx<'_>) {
        let token = cx.wire.queue.token();
        let mut segment = Segment { content, first_sent: cx.now, arrives: Nanos::MAX, token };
        let passage = self.passage(side, &cx.wire.links);
        let link = self.link(side).filter(|_| passage != Passage::Lost);
        let flow = &mut self.flows[side];
        let Some(link) = link else {
            flow.line.push_back(segment);
            if flow.lost && content != Content::Rst {
                return;
            }
            return self.lose_line(side, cx);
        };
        if flow.lost {
            flow.line.push_back(segment);
            return;
        }
        let losses = cx.wire.links.pick_losses(link, cx.outside);
        if losses > 0 {
            self.trace_sent(side, NetEventKind::Lost, cx);
            if !content.is_retransmitted() {
                return self.lose(side, content, cx);
            }
        }
        let leaves = self.leaves(side, link, content, losses, cx);
        let arrives = leaves.saturating_add(cx.wire.links.pick_latency(link, cx.outside));
        let flow = &mut self.flows[side];
        flow.last_arrival = flow.last_arrival.max(arrives);
        segment.arrives = flow.last_arrival;
        flow.line.push_back(segment);
        if flow.line.len() == 1 {
            self.schedule_line(side, cx);
        }
        if passage == Passage::Paused {
            self.await_answer(content, cx);
            self.watch(side, cx);
        }
    }

    /// Returns when the successful try of a segment has left: after the lost retransmissions, and behind what a narrow
    /// link has to carry first.
    fn leaves(&self, side: usize, link: LinkId, content: Content, losses: u32, cx: &mut Cx<'_>) -> Nanos {
        if losses == 0 && !cx.wire.links.is_narrow(link) {
            return cx.now;
        }
        let ack_timeout = self.ack_timeout(side, cx);
        // The last try comes in time. Only a cut link makes a sender give up.
        let delays = (0..=losses).rev().map(retry_after);
        let delay = delays.into_iter().find(|&delay| delay < ack_timeout).unwrap_or(0);
        let bytes = match content {
            Content::Data { end } => end - self.sent_before(side),
            _ => 0,
        };
        cx.wire.links.squeeze(link, cx.now.saturating_add(delay), bytes)
    }

    /// Returns the bytes of `side` that were put on the line before now.
    fn sent_before(&self, side: usize) -> u64 {
        let flow = &self.flows[side];
        let ends = flow.line.iter().rev().find_map(|segment| match segment.content {
            Content::Data { end } => Some(end),
            _ => None,
        });
        ends.unwrap_or(flow.delivered)
    }

    /// Makes the first segment of the line the one that arrives next.
    pub(super) fn schedule_line(&mut self, side: usize, cx: &mut Cx<'_>) {
        let socket = self.socket(side);
        let flow = &mut self.flows[side];
        flow.line_event = flow.line.front().filter(|_| !flow.paused).map(|head| {
            cx.wire.queue.push_as(head.token, head.arrives, Due::Segment, socket);
            head.token
        });
    }

    /// Sends what was written, as far as the window allows, and the FIN after the last byte
    /// (RFC 9293 section 3.8.6).
    #[inline]
    pub(super) fn send_more(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.keep_back(side);
        let flow = &mut self.flows[side];
        let end = flow.sent + flow.sendable();
        if end > flow.sent {
            let bytes = u32::try_from(end - flow.sent).unwrap_or(u32::MAX);
            if flow.acked >= flow.sent {
                flow.flight_began = cx.now;
            }
            flow.last_sent = cx.now;
            flow.sent = end;
            if bytes % SEGMENT_BYTES != 0 {
                flow.small_end = end;
            }
            flow.stalled_since = cx.now;
            self.trace_sent(side, NetEventKind::Sent { bytes }, cx);
            self.push(side, Content::Data { end }, cx);
        }
        let flow = &mut self.flows[side];
        if flow.sent == flow.written && flow.fin == Fin::Queued {
            flow.fin = Fin::Sent;
            self.trace_sent(side, NetEventKind::FinSent, cx);
            self.push(side, Content::Fin, cx);
        }
        self.await_tail_probe(side, cx);
        if self.flows[side].is_stalled() {
            self.wait_for_window(side, cx);
        }
    }

    /// Schedules the tail loss probe of what Nagle's algorithm delays (RFC 8985 section 7.3: new data, if there is
    /// any), unless a timeout or a probe came before: a round trip or two after several packets, 200 ms after one.
    fn await_tail_probe(&mut self, side: usize, cx: &mut Cx<'_>) {
        let flow = &mut self.flows[side];
        let keeps = flow.written.min(flow.edge) > flow.sent && flow.sendable() == 0;
        if !keeps {
            flow.tail_probe = None;
            return;
        }
        let round_trip = self.min_latency(side, cx).saturating_add(self.min_latency(1 - side, cx));
        let socket = self.socket(side);
        let flow = &mut self.flows[side];
        if flow.tail_probe.is_none() && cx.now < flow.flight_began.saturating_add(RETRY_FIRST) {
            let alone = flow.sent - flow.acked.min(flow.sent) <= u64::from(SEGMENT_BYTES);
            let wait =
                if alone { RETRY_FIRST } else { round_trip.saturating_mul(2).saturating_add(PROBE_MIN) };
            let at = flow.last_sent.saturating_add(wait).max(cx.now);
            flow.tail_probe = Some(cx.wire.queue.push(at, Due::TailProbe, socket));
        }
    }

    /// Sends the tail loss probe of `side`.
    pub(super) fn probe_tail(&mut self, side: usize, cx: &mut Cx<'_>) {
        let flow = &mut self.flows[side];
        flow.tail_probe = None;
        // One probe covers everything that is not acknowledged.
        flow.flight_began = 0;
        let end = flow.written.min(flow.edge);
        if end > flow.sent {
            let bytes = u32::try_from(end - flow.sent).unwrap_or(u32::MAX);
            flow.sent = end;
            flow.small_end = end;
            flow.last_sent = cx.now;
            self.trace_sent(side, NetEventKind::Sent { bytes }, cx);
            self.push(side, Content::Data { end }, cx);
        }
    }

    /// Applies Nagle's algorithm where it matters: while a fault keeps acknowledgements from `side`, small segments
    /// wait for them. Without a fault the acknowledgement comes within a round trip, and nothing is delayed.
    fn keep_back(&mut self, side: usize) {
        let between_hosts = self.ends[0].host != self.ends[1].host;
        let flow = &mut self.flows[side];
        if flow.kept_back.is_some_and(|until| flow.acked >= until) {
            flow.kept_back = None;
        }
        if between_hosts && flow.small_end > flow.acked && flow.unanswered_since().is_some() {
            // Minshall's variant, as in Linux: only a small segment delays the next one.
            flow.kept_back = Some(flow.small_end);
        }
    }

    /// Breaks the line of `side`: nothing of it arrives until [`resume`](Self::resume).
    pub(super) fn lose_line(&mut self, side: usize, cx: &mut Cx<'_>) {
        let dead = self.ends[side].state == State::Closed;
        let flow = &mut self.flows[side];
        if flow.line.is_empty() {
            return;
        }
        let lost: Vec<Content> = flow.line.iter().map(|segment| segment.content).collect();
        flow.line.retain(|segment| segment.content.is_retransmitted());
        if dead {
            flow.line.clear();
        }
        flow.lost = !flow.line.is_empty();
        flow.line_event = None;
        flow.retransmission_event = None;
        flow.last_arrival = cx.now;
        self.trace_sent(side, NetEventKind::Lost, cx);
        self.watch(side, cx);
        for content in lost {
            self.lose(side, content, cx);
        }
    }

    /// Loses a segment of `side` that is never retransmitted from the line.
    fn lose(&mut self, side: usize, content: Content, cx: &mut Cx<'_>) {
        match content {
            Content::Rst => {
                self.await_answer(content, cx);
                self.lose_reset(side, cx);
            }
            _ => self.await_answer(content, cx),
        }
    }

    /// Schedules the next try of the handshake step that needs this segment.
    fn await_answer(&mut self, content: Content, cx: &mut Cx<'_>) {
        match content {
            Content::Syn => self.await_handshake(0, cx),
            Content::SynAck => {
                self.await_handshake(0, cx);
                self.await_handshake(1, cx);
            }
            Content::HandshakeAck => self.await_handshake(1, cx),
            // It may be the answer to a SYN.
            Content::Rst => self.await_handshake(0, cx),
            Content::Data { .. } | Content::Fin => {}
        }
    }

    /// Pauses the line of `side` on its way, and the acknowledgements that go the same way, until
    /// [`resume`](Self::resume).
    pub(super) fn pause(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.absorb_acks(1 - side, cx.now);
        self.flows[1 - side].acks_paused = true;
        self.flows[1 - side].ack_event = None;
        self.want_ack(1 - side, cx);
        self.flows[side].paused = true;
        self.flows[side].line_event = None;
        let waiting: Vec<Content> = self.flows[side].line.iter().map(|segment| segment.content).collect();
        for content in waiting {
            self.await_answer(content, cx);
        }
        self.watch(side, cx);
        self.watch(1 - side, cx);
    }

    /// Ends a pause. What would have arrived by now arrives now.
    pub(super) fn resume(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.flows[1 - side].resume_acks(cx.now);
        self.want_ack(1 - side, cx);
        let flow = &mut self.flows[side];
        flow.paused = false;
        if !flow.lost {
            for segment in &mut flow.line {
                segment.arrives = segment.arrives.max(cx.now);
                segment.token = cx.wire.queue.token();
            }
            flow.last_arrival = flow.last_arrival.max(cx.now);
            self.schedule_line(side, cx);
        }
        self.watch(side, cx);
        self.watch(1 - side, cx);
    }

    /// Sends the lost line of `side` again with the first retransmission at or after `not_before`.
    pub(super) fn retry_lost(&mut self, side: usize, not_before: Nanos, cx: &mut Cx<'_>) {
        let Some(link) = self.link(side) else { return };
        let Some(head) = self.flows[side].line.front() else { return };
        let first_sent = head.first_sent;
        let retried = next_retry(first_sent, self.flows[side].lost_packets(), not_before);
        if retried >= first_sent.saturating_add(self.ack_timeout(side, cx)) {
            self.flows[side].lost = true;
            self.flows[side].line_event = None;
            return self.watch(side, cx);
        }
        let arrives = retried.saturating_add(cx.wire.links.pick_latency(link, cx.outside));
        let retransmission = cx.wire.queue.push(retried, Due::Retransmission, self.socket(side));
        let flow = &mut self.flows[side];
        flow.retransmission_event = Some(retransmission);
        flow.lost = false;
        flow.last_arrival = arrives;
        for segment in &mut flow.line {
            segment.arrives = arrives;
            segment.token = cx.wire.queue.token();
        }
        self.schedule_line(side, cx);
        self.watch(side, cx);
    }

    /// Notes that the line of `side` is sent again, with a known time of arrival.
    pub(super) fn retransmit(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.flows[side].retransmission_event = None;
        self.trace_sent(side, NetEventKind::Retransmitted, cx);
    }

    /// Waits until the SYN (`side` 0) or the SYN-ACK (`side` 1), or its answer, can be tried again.
    pub(super) fn await_handshake(&mut self, side: usize, cx: &mut Cx<'_>) {
        let (waiting, retries) = [(State::SynSent, SYN_RETRIES), (State::SynReceived, SYN_ACK_RETRIES)][side];
        let stateless = side == 1 && self.is_cookie;
        if self.ends[side].state != waiting || self.ends[side].handshake_event.is_some() || stateless {
            return;
        }
        let began = self.handshake_began[side];
        let at = match self.ends[1 - side].host {
            Some(_) => retries.next(began, cx.now + 1),
            None => began.saturating_add(NEIGHBOUR_TIMEOUT),
        };
        let at = at.max(cx.now);
        let event = cx.wire.queue.push(at, Due::Handshake, self.socket(side));
        self.ends[side].handshake_event = Some(event);
    }
}

#[cfg(test)]
mod tests {

    use super::super::faults::Way;
    use super::super::harness::{Harness, LATENCY, gives, outcome};
    use super::super::link::SECOND;
    use super::*;

    const MILLISECOND: Nanos = SECOND / 1000;

    fn has_retransmitted(harness: &Harness) -> bool {
        harness.outside.events.iter().any(|event| event.what == NetEventKind::Retransmitted)
    }

    #[test]
    fn segments_cut_off_again_are_not_retransmitted() {
        let (mut harness, client, _) = Harness::connected();
        harness.send(client, b"cut");
        harness.partition(Way::Both);
        harness.heal();
        harness.pass(100 * MILLISECOND);
        harness.partition(Way::Both);
        harness.pass(200 * MILLISECOND);
        assert!(!has_retransmitted(&harness), "it is cut off again");
        harness.heal();
        harness.abort(client);
        harness.settle();
        assert!(!has_retransmitted(&harness), "its sender is dead");
        let (mut harness, client, _) = Harness::connected();
        harness.send(client, b"cut");
        harness.partition(Way::Both);
        // The next retransmission would come after the sender has given up.
        harness.pass(900 * SECOND);
        harness.heal();
        harness.settle();
        assert!(!has_retransmitted(&harness), "it is too late");
    }

    #[test]
    fn the_first_retransmission_after_healing_delivers() {
        for (healed_after, arrives_after) in [(0, 200), (100, 200), (200, 200), (201, 600), (5000, 6400)] {
            let (mut harness, client, server) = Harness::connected();
            harness.partition(Way::Both);
            let began = harness.now;
            harness.send(client, b"first ");
            harness.pass(healed_after * MILLISECOND / 2);
            harness.send(client, b"second");
            harness.pass(healed_after * MILLISECOND / 2);
            harness.heal();
            harness.send(client, b" third");
            assert!(!has_retransmitted(&harness), "healing sends nothing");
            harness.step();
            assert_eq!(harness.now - began, arrives_after * MILLISECOND);
            assert!(has_retransmitted(&harness));
            harness.step();
            assert_eq!(harness.now - began, arrives_after * MILLISECOND + LATENCY);
            harness.settle();
            assert_eq!(outcome(harness.read(server, 99)), gives(b"first second third"));
        }
    }

    #[test]
    fn a_partition_loses_segments_on_their_way() {
        let (mut harness, client, server) = Harness::connected();
        let began = harness.now;
        harness.send(client, b"cut");
        harness.pass(LATENCY / 2);
        harness.partition(Way::OneWay);
        harness.pass(LATENCY);
        assert!(harness.read(server, 9).is_pending());
        harness.heal();
        harness.settle();
        assert_eq!(outcome(harness.read(server, 9)), gives(b"cut"));
        assert_eq!(harness.now - began, 200 * MILLISECOND + LATENCY);
    }

    #[test]
    fn a_short_cut_delays_segments_on_their_way() {
        let (mut harness, client, server) = Harness::connected();
        harness.send(client, b"cut");
        harness.partition(Way::OneWay);
        harness.heal();
        harness.pass(100 * MILLISECOND);
        assert!(harness.read(server, 9).is_pending());
        harness.pass(101 * MILLISECOND);
        assert_eq!(outcome(harness.read(server, 9)), gives(b"cut"));
    }
}
