//! The network's queue of future events.
//!
//! # Invariants
//!
//! - Events leave in the order of (time, order): what was scheduled first happens first at equal times.
//! - An event is cancelled by forgetting its [`Token`] where it was kept; the queue drops it when it comes up.
//!
//! # Not here
//!
//! What an event does (`arrival`), and the clock.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::{Nanos, SocketId};

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The first segment of the socket's outgoing line arrives.
    Segment,
    /// An acknowledgement that the socket waits for arrives.
    Ack,
    /// The socket sends its lost line again.
    Retransmission,
    /// The socket sends, as a tail loss probe, what Nagle's algorithm has delayed.
    TailProbe,
    /// The socket sends a probe to a peer that is gone.
    ProbeSent,
    /// The probe arrives.
    Probe,
    /// The socket has waited long enough for an acknowledgement.
    Timeout,
    /// The socket's SYN or SYN-ACK is tried again.
    Handshake,
    /// The answer to a repeated SYN-ACK arrives at the socket.
    HandshakeAck,
}

/// The place of an event among all others, which also proves that it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Token(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) at: Nanos,
    pub(super) token: Token,
    pub(super) due: Due,
    pub(super) socket: SocketId,
}

impl Ord for Event {
    /// The earliest event is the greatest, because `BinaryHeap` returns the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.token).cmp(&(self.at, self.token))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Debug, Default)]
pub(super) struct EventQueue {
    heap: BinaryHeap<Event>,
    tokens: u64,
}

impl EventQueue {
    /// Takes the next place in the order, for an event that may be scheduled later.
    pub(super) const fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    pub(super) fn push(&mut self, at: Nanos, due: Due, socket: SocketId) -> Token {
        let token = self.token();
        self.push_as(token, at, due, socket);
        token
    }

    #[inline]
    pub(super) fn push_as(&mut self, token: Token, at: Nanos, due: Due, socket: SocketId) {
        self.heap.push(Event { at, token, due, socket });
    }

    pub(super) fn peek(&self) -> Option<&Event> {
        self.heap.peek()
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.heap.pop()
    }

    /// All events, in no useful order: for `any` only.
    pub(super) fn unordered(&self) -> impl Iterator<Item = &Event> {
        self.heap.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_keep_the_order_of_scheduling() {
        let mut queue = EventQueue::default();
        let early = queue.token();
        let sockets = [0, 1, 2].map(|connection| SocketId::new(connection, 0));
        queue.push(5, Due::Ack, sockets[0]);
        queue.push(3, Due::Ack, sockets[1]);
        queue.push_as(early, 5, Due::Segment, sockets[2]);
        let order: Vec<SocketId> = std::iter::from_fn(|| queue.pop()).map(|event| event.socket).collect();
        assert_eq!(order, [sockets[1], sockets[2], sockets[0]]);
    }
}
