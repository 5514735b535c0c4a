//! Our pings, their pongs, and the automatic pings that keep a connection alive (RFC 6455, sections 5.5.2 and 5.5.3).

use std::collections::VecDeque;
use std::time::Duration;

use wavetank_runtime::Instant;

use super::PingId;
use crate::Keepalive;

/// How many pings wait for their pong, and how many latencies for [`Pings::latency_of`]; the oldest are forgotten.
const KEPT: usize = 1024;

#[derive(Debug)]
struct Ping {
    id: PingId,
    payload: [u8; 8],
    sent: Instant,
    /// Whether somebody asks for its latency.
    wanted: bool,
}

/// The pings that wait for a pong.
#[derive(Debug, Default)]
pub(super) struct Pings {
    last: u64,
    waiting: VecDeque<Ping>,
    answered: VecDeque<(PingId, Duration)>,
}

impl Pings {
    /// Remembers a ping that is sent now.
    pub(super) fn sent(&mut self, payload: [u8; 8], wanted: bool, now: Instant) -> PingId {
        self.last += 1;
        let id = PingId(self.last);
        if self.waiting.len() == KEPT {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Ping { id, payload, sent: now, wanted });
        id
    }

    /// Takes a pong: it answers its ping and all earlier ones, as a peer may answer the latest only (RFC 6455, section 5.5.3).
    /// Returns the latest ping that it answers, and its latency; `None` for a pong that nobody asked for, which is ignored.
    pub(super) fn pong(&mut self, payload: &[u8], now: Instant) -> Option<(PingId, Duration)> {
        let index = self.waiting.iter().position(|ping| ping.payload == payload)?;
        let mut latest = None;
        for ping in self.waiting.drain(..=index) {
            let latency = now - ping.sent;
            latest = Some((ping.id, latency));
            if ping.wanted {
                self.answered.push_back((ping.id, latency));
            }
        }
        let excess = self.answered.len().saturating_sub(KEPT);
        self.answered.drain(..excess);
        latest
    }

    pub(super) fn latency_of(&mut self, id: PingId) -> Option<Duration> {
        let index = self.answered.iter().position(|(answered, _)| *answered == id)?;
        self.answered.remove(index).map(|(_, latency)| latency)
    }
}

/// What the keepalive wants done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    /// The peer did not answer for this long.
    Timeout(Duration),
}

/// When to ping, and until when the pong has to come.
#[derive(Debug)]
pub(super) struct KeepaliveTimer {
    interval: Option<Duration>,
    timeout: Option<Duration>,
    next: Option<Instant>,
    awaited: Option<(PingId, Instant)>,
    /// Whether reading was paused at any time of the timeout that is running: the pong may be waiting behind what was not read
    /// then.
    paused: bool,
}

impl KeepaliveTimer {
    pub(super) fn new(config: &Keepalive, now: Instant) -> Self {
        Self {
            interval: config.interval,
            timeout: config.timeout,
            next: config.interval.map(|interval| now + interval),
            awaited: None,
            paused: false,
        }
    }

    /// While a pong is awaited, no further ping is sent.
    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.awaited.map(|(_, deadline)| deadline).or(self.next)
    }

    /// A ping of the keepalive is sent now, while reading `is_paused` or not.
    pub(super) fn sent(&mut self, id: PingId, is_paused: bool, now: Instant) {
        self.next = self.interval.map(|interval| now + interval);
        self.awaited = self.timeout.map(|timeout| (id, now + timeout));
        self.paused = is_paused;
    }

    /// A pong answered `id` and all earlier pings.
    pub(super) fn answered(&mut self, id: PingId) {
        if self.awaited.is_some_and(|(awaited, _)| awaited <= id) {
            self.awaited = None;
        }
    }

    /// Reading is paused, as the application does not take what was received.
    pub(super) fn reading_is_paused(&mut self) {
        self.paused = true;
    }

    /// What is to be done now, while reading `is_paused` or not.
    pub(super) fn due(&mut self, is_paused: bool, now: Instant) -> Due {
        match (self.awaited, self.timeout) {
            (Some((id, deadline)), Some(timeout)) if now >= deadline => {
                // A pause that goes on is a part of the next timeout, too, even if it ends a moment later.
                if std::mem::replace(&mut self.paused, is_paused) || is_paused {
                    self.awaited = Some((id, now + timeout));
                    Due::Nothing
                } else {
                    Due::Timeout(timeout)
                }
            }
            (None, _) if self.next.is_some_and(|next| now >= next) => Due::Ping,
            _ => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_pong_answers_its_ping_and_all_earlier_ones() {
        let mut pings = Pings::default();
        let ids = [1, 2, 3].map(|n| pings.sent([n; 8], true, at(u64::from(n))));
        assert_eq!(pings.pong(&[9; 8], at(5)), None);
        assert_eq!(pings.pong(&[2; 8], at(5)), Some((ids[1], seconds(3))));
        assert_eq!(pings.latency_of(ids[0]), Some(seconds(4)));
        assert_eq!(pings.latency_of(ids[1]), Some(seconds(3)));
        assert_eq!(pings.latency_of(ids[1]), None, "taken");
        assert_eq!(pings.latency_of(ids[2]), None, "not answered");
        assert_eq!(pings.pong(&[1; 8], at(6)), None, "answered already");
    }

    #[test]
    fn latencies_that_nobody_asks_for_do_not_pile_up() {
        let mut pings = Pings::default();
        for wanted in [true, false] {
            for _ in 0..3 * KEPT {
                pings.sent([1; 8], wanted, at(0));
                pings.pong(&[1; 8], at(0));
            }
        }
        assert_eq!((pings.answered.len(), pings.waiting.len()), (KEPT, 0));
    }

    #[test]
    fn the_next_ping_waits_for_the_interval_and_for_the_pong_of_the_previous_one() {
        let config = Keepalive { interval: Some(seconds(10)), timeout: Some(seconds(30)) };
        let mut timer = KeepaliveTimer::new(&config, at(0));
        assert_eq!(timer.deadline(), Some(at(10)));
        assert_eq!(timer.due(false, at(9)), Due::Nothing);
        assert_eq!(timer.due(false, at(10)), Due::Ping);
        timer.sent(PingId(1), false, at(10));
        assert_eq!(timer.due(false, at(20)), Due::Nothing);
        timer.answered(PingId(2));
        assert_eq!(timer.due(false, at(21)), Due::Ping);
        timer.sent(PingId(3), false, at(21));
        timer.answered(PingId(2));
        assert_eq!(
            timer.due(false, at(51)),
            Due::Timeout(seconds(30)),
            "the pong of an earlier ping says nothing"
        );
    }

    #[test]
    fn time_in_which_nothing_is_read_does_not_count_against_the_peer() {
        let config = Keepalive { interval: Some(seconds(10)), timeout: Some(seconds(5)) };
        let mut timer = KeepaliveTimer::new(&config, at(0));
        timer.sent(PingId(1), false, at(10));
        timer.reading_is_paused();
        assert_eq!(timer.due(false, at(15)), Due::Nothing);
        assert_eq!(timer.deadline(), Some(at(20)));
        assert_eq!(timer.due(false, at(20)), Due::Timeout(seconds(5)));
    }

    #[test]
    fn a_pause_that_began_before_a_timeout_does_not_count_either_however_soon_it_ends() {
        let config = Keepalive { interval: Some(seconds(10)), timeout: Some(seconds(5)) };
        let mut timer = KeepaliveTimer::new(&config, at(0));
        timer.sent(PingId(1), true, at(10));
        // It goes on at 15 s, and ends before 20 s.
        assert_eq!(timer.due(true, at(15)), Due::Nothing);
        assert_eq!(timer.due(false, at(20)), Due::Nothing);
        assert_eq!(timer.due(false, at(25)), Due::Timeout(seconds(5)));
    }
}
