//! Acknowledgements and windows, and the timeouts of senders that miss them.
//!
//! A receiver acknowledges what arrives, but the acknowledgement has no event unless the sender waits for it (for room
//! in its buffer or for window). One that cannot pass is *missed*: it comes with the answer to the first retransmission
//! that gets through. A timeout runs only while something is lost (`transmit`) or missed. Undisturbed connections need
//! no timer. A paused acknowledgement is neither lost nor missed; it waits in its queue.
//!
//! # Invariants
//!
//! - A timeout is set exactly while `Flow::troubled_since` is.
//! - An acknowledgement covers everything that was received before it was sent.
//!
//! # Not here
//!
//! The arithmetic of windows (`flow`), and what moves segments (`transmit`).

use super::conditions::Passage;
use super::connection::{Connection, ORPHAN_STALL_TIMEOUT, ORPHAN_TIMEOUT, Owner, State};
use super::event::Due;
use super::flow::Fin;
use super::link::next_retry;
use super::trace::NetEventKind;
use super::{Cx, Direction, Nanos};

impl Connection {
    /// Notes that the sender has reached the edge of the window. A real TCP announces freed space at the time of the
    /// read. Here it is announced only to a sender that waits for it.
    pub(super) fn wait_for_window(&mut self, side: usize, cx: &mut Cx<'_>) {
        let answered = [side, 1 - side].iter().all(|&way| self.passage(way, &cx.wire.links) != Passage::Lost);
        if !answered || self.ends[1 - side].state == State::Closed {
            // Probes of the closed window (RFC 9293 section 3.8.6.1) find no peer, or cannot pass.
            self.flows[side].missed_ack.get_or_insert(cx.now);
            self.watch(side, cx);
            self.recover_ack(side, cx);
            // One that was sent before may still be on its way.
            return self.want_ack(side, cx);
        }
        let told = self.flows[side].last_read_at.saturating_add(self.min_latency(1 - side, cx));
        let flow = &mut self.flows[side];
        if flow.edge_to_offer() > flow.advertised {
            flow.queue_ack(told.max(cx.now), cx.now);
            self.watch(side, cx);
        } else if flow.missed_ack.is_some() {
            return self.recover_ack(side, cx);
        }
        self.want_ack(side, cx);
    }

    /// Acknowledges what the receiver has of the flow of `side` (RFC 9293 section 3.10.7.4), and announces its window.
    #[inline]
    pub(super) fn acknowledge(&mut self, side: usize, first_sent: Nanos, cx: &mut Cx<'_>) {
        if self.ends[side].state == State::Closed {
            return;
        }
        if self.passage(1 - side, &cx.wire.links) == Passage::Lost {
            let missed = &mut self.flows[side].missed_ack;
            *missed = Some(missed.map_or(first_sent, |since| since.min(first_sent)));
            return self.watch(side, cx);
        }
        let at = cx.now.saturating_add(self.min_latency(1 - side, cx));
        self.flows[side].queue_ack(at, first_sent);
        if self.flows[side].timeout.is_some() || self.flows[side].acks_paused {
            self.watch(side, cx);
        }
        self.want_ack(side, cx);
    }

    /// Announces freed space to a sender that waits for window.
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
        self.want_ack(side, cx);
    }

    /// Schedules a missed acknowledgement with the answer to the first retransmission from now on, if both ways are
    /// open.
    pub(super) fn recover_ack(&mut self, side: usize, cx: &mut Cx<'_>) {
        let Some(missed) = self.flows[side].missed_ack else { return };
        if !self.passes(side, cx) || !self.passes(1 - side, cx) {
            return;
        }
        let retried = next_retry(missed, self.flows[side].unanswered_packets(), cx.now);
        if retried >= missed.saturating_add(self.ack_timeout(side, cx)) {
            return;
        }
        if self.ends[1 - side].state == State::Closed {
            let probe = cx.wire.queue.push(retried, Due::ProbeSent, self.socket(side));
            self.flows[side].probe_event = Some(probe);
            return;
        }
        let arrives = retried.saturating_add(self.min_latency(side, cx));
        let answered = arrives.saturating_add(self.min_latency(1 - side, cx));
        self.flows[side].queue_ack(answered, missed);
        self.watch(side, cx);
        self.want_ack(side, cx);
    }

    /// Notes that a RST of `side` is lost. A peer that misses an acknowledgement tries again and is answered again. A
    /// peer that waits for nothing never learns it.
    pub(super) fn lose_reset(&mut self, side: usize, cx: &mut Cx<'_>) {
        let peer = 1 - side;
        let flow = &mut self.flows[peer];
        let unanswered = flow.sent > flow.delivered || flow.fin == Fin::Sent;
        let waits = flow.missed_ack.is_some() || (flow.line.is_empty() && unanswered);
        if self.ends[peer].state.is_over() || self.ends[side].state != State::Closed || !waits {
            return;
        }
        flow.missed_ack = Some(cx.now);
        self.watch(peer, cx);
        self.recover_ack(peer, cx);
    }

    /// Schedules a retransmission of `side` to a peer that is gone, or a probe of its window.
    pub(super) fn send_probe(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.trace_sent(side, NetEventKind::Retransmitted, cx);
        let arrives = cx.now.saturating_add(self.min_latency(side, cx));
        let probe = cx.wire.queue.push(arrives, Due::Probe, self.socket(side));
        self.flows[side].probe_event = Some(probe);
    }

    /// Handles a retransmission of `side`, or a probe of its peer's window, that arrives at a peer that is gone.
    pub(super) fn probe_arrives(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.flows[side].probe_event = None;
        if self.passes(side, cx) {
            self.answer_with_reset(1 - side, cx);
        }
    }

    /// Notes that the receiver of `side` is gone. It acknowledges nothing more and announces no window.
    pub(super) fn lose_receiver(&mut self, side: usize, cx: &mut Cx<'_>) {
        if self.ends[side].state == State::Closed {
            return;
        }
        let sent_until = cx.now.saturating_add(self.min_latency(1 - side, cx));
        let flow = &mut self.flows[side];
        let unsent = flow.acks.iter().find(|ack| ack.at > sent_until).map(|ack| ack.first_sent);
        flow.acks.retain(|ack| ack.at <= sent_until);
        flow.ack_event = None;
        self.want_ack(side, cx);
        let flow = &mut self.flows[side];
        if unsent.is_some() || flow.is_stalled() {
            flow.missed_ack.get_or_insert(unsent.unwrap_or(cx.now));
            self.watch(side, cx);
        }
        self.recover_ack(side, cx);
    }

    /// Schedules the acknowledgement that `side` waits for, if it does and one is coming.
    pub(super) fn want_ack(&mut self, side: usize, cx: &mut Cx<'_>) {
        let socket = self.socket(side);
        let flow = &mut self.flows[side];
        if flow.ack_event.is_none() {
            // If a call has already absorbed it, or it came while no writer waited, it is handled as if it arrived now.
            let at = if flow.can_go_on() { Some(cx.now) } else { flow.useful_ack() };
            let at = at.map(|at| at.max(cx.now));
            flow.ack_event = at.map(|at| cx.wire.queue.push(at, Due::Ack, socket));
        }
    }

    /// Handles the acknowledgement that `side` waited for.
    pub(super) fn ack_arrives(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.flows[side].ack_event = None;
        let stalled_for = cx.now - self.flows[side].stalled_since;
        if self.ends[side].owner == Owner::Kernel && stalled_for >= ORPHAN_STALL_TIMEOUT {
            // The orphan is gone by now.
            return self.reset(side, None, cx);
        }
        self.absorb_acks(side, cx.now);
        self.send_more(side, cx);
        if self.flows[side].wakes_writer() {
            self.flows[side].writer_waits = false;
            self.report(side, Direction::Write, cx);
        }
        self.want_ack(side, cx);
    }

    /// Sets, moves or stops the timeout of `side`.
    pub(super) fn watch(&mut self, side: usize, cx: &mut Cx<'_>) {
        let Some(since) = self.flows[side].unanswered_since() else {
            self.flows[side].timeout = None;
            return;
        };
        let at = since.saturating_add(self.ack_timeout(side, cx)).max(cx.now);
        let socket = self.socket(side);
        let flow = &mut self.flows[side];
        if flow.timeout.is_none_or(|(set, _)| set != at) {
            flow.timeout = Some((at, cx.wire.queue.push(at, Due::Timeout, socket)));
        }
    }

    /// Times out `side`, which has waited too long for an acknowledgement (RFC 9293 section 3.8.3, Linux's
    /// `tcp_write_err`). The peer learns nothing.
    pub(super) fn time_out(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.flows[side].timeout = None;
        self.absorb_acks(side, cx.now);
        if self.flows[side].unanswered_since().is_none() || self.ends[side].state == State::Closed {
            return;
        }
        self.trace_sent(side, NetEventKind::TimedOut, cx);
        self.die(side, Some(libc::ETIMEDOUT), cx);
    }

    /// Returns how long `side` waits for an acknowledgement.
    pub(super) fn ack_timeout(&self, side: usize, cx: &Cx<'_>) -> Nanos {
        match self.ends[side].owner {
            Owner::Kernel => cx.wire.user_timeout.min(ORPHAN_TIMEOUT),
            Owner::Listener | Owner::Application => cx.wire.user_timeout,
        }
    }
}

#[cfg(test)]
mod tests;
