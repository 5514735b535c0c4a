//! Pings of ours that are under way, and the round-trip time they measure.

use std::collections::VecDeque;
use std::time::Duration;

use wavetank_runtime::Instant;

use super::frame::ANNOUNCEMENT;

/// Pings under way, and latencies of answered ones, that are remembered.
const REMEMBERED_MAX: usize = 64;

/// Samples that the least round-trip time is taken from.
const SAMPLES: usize = 8;

/// A ping that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PingId(u64);

#[derive(Debug, Default)]
pub(crate) struct Pings {
    next: u64,
    /// Whether the latest one was not yet put into the output. Further calls join it.
    queued: bool,
    under_way: VecDeque<(u64, Instant)>,
    answered: VecDeque<(u64, Duration)>,
    samples: VecDeque<Duration>,
    sampled_at: Option<Instant>,
}

impl Pings {
    /// Asks for a ping.
    pub(crate) fn queue(&mut self) -> PingId {
        if !self.queued {
            self.queued = true;
            self.next += 1;
        }
        PingId(self.next)
    }

    /// Whether a ping waits for the transport.
    #[inline]
    pub(crate) fn is_queued(&self) -> bool {
        self.queued
    }

    /// Takes the ping that is to be put into the output, if one was asked for: the opaque number.
    pub(crate) fn take_queued(&mut self, now: Instant) -> Option<u32> {
        if !std::mem::take(&mut self.queued) {
            return None;
        }
        if self.under_way.len() == REMEMBERED_MAX {
            self.under_way.pop_front();
        }
        self.under_way.push_back((self.next, now));
        Some(number(self.next))
    }

    /// Takes in a pong. Returns the ping that it answers, if it answers one, and those before it.
    pub(crate) fn pong(&mut self, opaque: u32, now: Instant) -> Option<PingId> {
        let index = self.under_way.iter().position(|(id, _)| number(*id) == opaque)?;
        let answered = PingId(self.under_way[index].0);
        // A peer may have answered only the latest of several pings.
        for (id, sent) in self.under_way.drain(..=index) {
            let latency = now - sent;
            if self.answered.len() == REMEMBERED_MAX {
                self.answered.pop_front();
            }
            self.answered.push_back((id, latency));
            if number(id) == opaque {
                if self.samples.len() == SAMPLES {
                    self.samples.pop_front();
                }
                self.samples.push_back(latency);
                self.sampled_at = Some(now);
            }
        }
        Some(answered)
    }

    /// The latency of a ping once it was answered.
    pub(crate) fn latency_of(&self, ping: PingId) -> Option<Duration> {
        self.answered.iter().find(|(id, _)| *id == ping.0).map(|(_, latency)| *latency)
    }

    /// The latest measurement.
    pub(crate) fn latest(&self) -> Option<Duration> {
        self.samples.back().copied()
    }

    /// What the path takes without queues, as far as it is known: the least of the latest measurements, or, before the
    /// first, how long its pong has not come.
    pub(crate) fn least_known(&self, now: Instant) -> Option<Duration> {
        let waited = || self.under_way.front().map(|(_, sent)| now - *sent);
        self.samples.iter().min().copied().or_else(waited)
    }

    /// Whether the last measurement is older than `age`, and none is under way.
    pub(crate) fn is_stale(&self, age: Duration, now: Instant) -> bool {
        !self.queued && self.under_way.is_empty() && self.sampled_at.is_none_or(|at| now - at >= age)
    }
}

/// The opaque number of a ping: the low half of its id, and what announces the extension for the first.
fn number(id: u64) -> u32 {
    if id == 1 { ANNOUNCEMENT } else { u32::try_from(id & u64::from(u32::MAX)).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn pings_that_wait_for_the_transport_are_one() {
        let mut pings = Pings::default();
        let first = pings.queue();
        assert_eq!(pings.queue(), first);
        let sent = pings.take_queued(at(0)).unwrap();
        assert_eq!(pings.take_queued(at(0)), None);
        assert_ne!(pings.queue(), first);
        assert!(pings.pong(sent, at(7)).is_some());
        assert_eq!(pings.latency_of(first), Some(Duration::from_millis(7)));
    }

    #[test]
    fn a_pong_answers_earlier_pings_too() {
        let mut pings = Pings::default();
        let first = pings.queue();
        pings.take_queued(at(0)).unwrap();
        let second = pings.queue();
        let sent = pings.take_queued(at(10)).unwrap();
        assert!(pings.pong(sent, at(15)).is_some());
        assert!(pings.pong(sent, at(16)).is_none());
        assert_eq!(pings.latency_of(first), Some(Duration::from_millis(15)));
        assert_eq!(pings.latency_of(second), Some(Duration::from_millis(5)));
        assert_eq!(pings.least_known(at(99)), Some(Duration::from_millis(5)));
    }

    #[test]
    fn a_missing_first_pong_bounds_the_latency() {
        let mut pings = Pings::default();
        assert_eq!(pings.least_known(at(3)), None);
        pings.queue();
        let sent = pings.take_queued(at(10)).unwrap();
        assert_eq!(pings.least_known(at(35)), Some(Duration::from_millis(25)));
        assert!(pings.pong(sent, at(60)).is_some());
        assert_eq!(pings.least_known(at(99)), Some(Duration::from_millis(50)));
    }

    #[test]
    fn unanswered_pings_are_bounded() {
        let mut pings = Pings::default();
        for millis in 0..1000 {
            pings.queue();
            pings.take_queued(at(millis)).unwrap();
        }
        assert_eq!(pings.under_way.len(), REMEMBERED_MAX);
        assert!(pings.pong(1, at(1000)).is_none());
        assert!(pings.pong(1000, at(1000)).is_some());
        assert!(pings.answered.len() <= REMEMBERED_MAX);
    }
}
