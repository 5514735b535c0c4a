//! Our pings, their pongs, and the automatic pings that keep a connection alive (RFC 6455, sections 5.5.2 and 5.5.3).

use std::collections::VecDeque;
use std::time::Duration;

use wavetank_runtime::Instant;

use super::PingId;
use crate::Keepalive;

/// The most pings whose payload is remembered, and the most pongs whose time is remembered.
const KEPT: usize = 1024;

/// The shortest interval; a shorter one counts as this. With an interval of zero, pings would never end.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct Ping {
    id: PingId,
    payload: Box<[u8]>,
}

/// A pong that came. It answers this ping and all earlier ones.
#[derive(Debug)]
struct Pong {
    answers: PingId,
    came: Instant,
}

/// The pings that wait for a pong, and the pongs that came.
///
/// However many pings are under way, each of them is answered. The latest is always remembered, and its pong answers
/// all.
#[derive(Debug, Default)]
pub(super) struct Pings {
    last: u64,
    waiting: VecDeque<Ping>,
    pongs: VecDeque<Pong>,
}

impl Pings {
    /// Remembers a ping that is sent now. If too many wait, it replaces the one before. The earliest, whose pongs come
    /// first, stay remembered.
    pub(super) fn sent(&mut self, payload: impl Into<Box<[u8]>>, now: Instant) -> PingId {
        self.last += 1;
        let id = PingId { number: self.last, sent: now };
        if self.waiting.len() == KEPT {
            self.waiting.pop_back();
        }
        self.waiting.push_back(Ping { id, payload: payload.into() });
        id
    }

    /// Takes a pong. It answers its ping and all earlier ones, because a peer may answer only the latest (RFC 6455,
    /// section 5.5.3). Of pings with the same payload it answers the earliest. Returns the latest ping that it answers
    /// and its latency. Ignores an unsolicited pong, and returns `None`.
    pub(super) fn pong(&mut self, payload: &[u8], now: Instant) -> Option<(PingId, Duration)> {
        let index = self.waiting.iter().position(|ping| *ping.payload == *payload)?;
        let answers = self.waiting.drain(..=index).next_back()?.id;
        if self.pongs.len() == KEPT {
            self.pongs.pop_front();
        }
        self.pongs.push_back(Pong { answers, came: now });
        Some((answers, now - answers.sent))
    }

    /// Returns the time from the ping to its pong, if it was answered. If too many pongs have come since, the earliest
    /// that is remembered counts.
    pub(super) fn latency_of(&self, id: PingId) -> Option<Duration> {
        let first = self.pongs.partition_point(|pong| pong.answers < id);
        self.pongs.get(first).map(|pong| pong.came - id.sent)
    }
}

/// What the keepalive asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    /// The peer did not answer for this long.
    Timeout(Duration),
}

/// A ping of the keepalive whose pong is awaited.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    ping: PingId,
    /// The count of written bytes at which the ping has left.
    end: u64,
    /// The transport has taken the ping.
    has_left: bool,
    /// When the ping left, or the peer last gave a sign of life. The timeout runs from here.
    since: Instant,
}

/// Decides when to ping, and how long the peer may give no sign of life afterwards.
///
/// The timeout measures lack of progress, never the size of what waits before the ping. These are signs of life:
///
/// - bytes that are received;
/// - bytes that the transport takes while the ping still waits behind them;
/// - bytes that it takes later, after it had been full. Bytes that vanish into a roomy send buffer prove nothing.
#[derive(Debug)]
pub(super) struct KeepaliveTimer {
    interval: Option<Duration>,
    timeout: Option<Duration>,
    next: Option<Instant>,
    awaited: Option<Awaited>,
    /// Whether reading was paused at any time during the running timeout. If so, the pong may be behind unread bytes.
    paused: bool,
}

impl KeepaliveTimer {
    pub(super) fn new(config: &Keepalive, now: Instant) -> Self {
        let interval = config.interval.map(|interval| interval.max(SHORTEST_INTERVAL));
        Self {
            interval,
            timeout: config.timeout,
            next: interval.map(|interval| now + interval),
            awaited: None,
            paused: false,
        }
    }

    /// While a pong is awaited, no further ping is sent.
    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        match (self.awaited, self.timeout) {
            (Some(awaited), Some(timeout)) => Some(awaited.since + timeout),
            _ => self.next,
        }
    }

    /// Returns how long the peer may give no sign of life, or `None` if no pings are sent.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.interval.and(self.timeout)
    }

    /// Returns whether a pong is awaited. Then signs of life count.
    #[inline]
    pub(super) fn is_awaiting(&self) -> bool {
        self.awaited.is_some()
    }

    /// Notes that the keepalive's ping was put into the output. It has left when `end` bytes are written. `is_paused`
    /// says whether reading is paused.
    pub(super) fn sent(&mut self, ping: PingId, end: u64, is_paused: bool, now: Instant) {
        self.next = self.interval.map(|interval| now + interval);
        self.awaited = self.timeout.map(|_| Awaited { ping, end, has_left: false, since: now });
        self.paused = is_paused;
    }

    /// Notes that bytes were received.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(awaited) = &mut self.awaited {
            awaited.since = awaited.since.max(now);
        }
    }

    /// Notes that the transport took bytes, `written` in all so far. `was_full` says whether it was full before.
    pub(super) fn taken(&mut self, written: u64, was_full: bool, now: Instant) {
        if let Some(awaited) = &mut self.awaited {
            if !awaited.has_left || was_full {
                awaited.since = awaited.since.max(now);
            }
            awaited.has_left |= written >= awaited.end;
        }
    }

    /// Notes that a pong answered `ping` and all earlier ones.
    pub(super) fn answered(&mut self, ping: PingId) {
        if self.awaited.is_some_and(|awaited| awaited.ping <= ping) {
            self.awaited = None;
        }
    }

    /// Notes that reading is paused because the application does not take what was received.
    pub(super) fn reading_is_paused(&mut self) {
        self.paused = true;
    }

    /// Returns what to do now. `is_paused` says whether reading is paused.
    pub(super) fn due(&mut self, is_paused: bool, now: Instant) -> Due {
        match (&mut self.awaited, self.timeout) {
            (Some(awaited), Some(timeout)) => {
                if now < awaited.since + timeout {
                    Due::Nothing
                } else if std::mem::replace(&mut self.paused, is_paused) || is_paused {
                    // A pause that goes on belongs to the next timeout as well, even if it ends a moment later.
                    awaited.since = now;
                    Due::Nothing
                } else {
                    Due::Timeout(timeout)
                }
            }
            _ if self.next.is_some_and(|next| now >= next) => Due::Ping,
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

    fn ping(number: u64) -> PingId {
        PingId { number, sent: at(0) }
    }

    #[test]
    fn a_pong_answers_all_earlier_pings() {
        let mut pings = Pings::default();
        let ids = [1, 2, 3].map(|n| pings.sent([n; 8], at(u64::from(n))));
        assert_eq!(pings.pong(&[9; 8], at(5)), None);
        assert_eq!(pings.pong(&[2; 8], at(5)), Some((ids[1], seconds(3))));
        assert_eq!(pings.latency_of(ids[0]), Some(seconds(4)));
        assert_eq!(pings.latency_of(ids[1]), Some(seconds(3)));
        assert_eq!(pings.latency_of(ids[2]), None, "not answered");
        assert_eq!(pings.pong(&[1; 8], at(6)), None, "answered already");
        assert_eq!(pings.pong(&[3; 8], at(7)), Some((ids[2], seconds(4))));
        assert_eq!(pings.latency_of(ids[0]), Some(seconds(4)), "the first pong is what counts");
    }

    #[test]
    fn all_pings_are_answered_and_few_are_kept() {
        let mut pings = Pings::default();
        let payload = |n: usize| (n as u64).to_be_bytes();
        let ids: Vec<PingId> = (0..3 * KEPT).map(|n| pings.sent(payload(n), at(0))).collect();
        assert_eq!(pings.waiting.len(), KEPT);
        for n in 0..3 * KEPT {
            pings.pong(&payload(n), at(1 + n as u64));
            let answered = ids.iter().filter(|id| pings.latency_of(**id).is_some()).count();
            assert_eq!(
                answered,
                if n + 1 < KEPT {
                    n + 1
                } else if n + 1 < ids.len() {
                    KEPT - 1
                } else {
                    ids.len()
                }
            );
        }
        assert_eq!(pings.latency_of(ids[7]), Some(seconds(8)));
        assert_eq!(pings.latency_of(ids[2 * KEPT]), Some(seconds(3 * KEPT as u64)));
    }

    #[test]
    fn unsolicited_pongs_do_not_pile_up() {
        let mut pings = Pings::default();
        let first = pings.sent([1; 8], at(0));
        pings.pong(&[1; 8], at(1));
        for _ in 0..KEPT {
            pings.sent([1; 8], at(2));
            pings.pong(&[1; 8], at(5));
        }
        assert_eq!((pings.pongs.len(), pings.waiting.len()), (KEPT, 0));
        assert_eq!(pings.latency_of(first), Some(seconds(5)));
    }

    #[test]
    fn the_next_ping_waits_for_interval_and_pong() {
        let config = Keepalive { interval: Some(seconds(10)), timeout: Some(seconds(30)) };
        let mut timer = KeepaliveTimer::new(&config, at(0));
        assert_eq!(timer.deadline(), Some(at(10)));
        assert_eq!(timer.due(false, at(9)), Due::Nothing);
        assert_eq!(timer.due(false, at(10)), Due::Ping);
        timer.sent(ping(1), 0, false, at(10));
        assert_eq!(timer.due(false, at(20)), Due::Nothing);
        timer.answered(ping(2));
        assert_eq!(timer.due(false, at(21)), Due::Ping);
        timer.sent(ping(3), 0, false, at(21));
        timer.answered(ping(2));
        assert_eq!(
            timer.due(false, at(51)),
            Due::Timeout(seconds(30)),
            "the pong of an earlier ping says nothing"
        );
    }

    #[test]
    fn paused_reading_does_not_count_against_the_peer() {
        let config = Keepalive { interval: Some(seconds(10)), timeout: Some(seconds(5)) };
        let mut timer = KeepaliveTimer::new(&config, at(0));
        timer.sent(ping(1), 0, false, at(10));
        timer.reading_is_paused();
        assert_eq!(timer.due(false, at(15)), Due::Nothing);
        assert_eq!(timer.deadline(), Some(at(20)));
        assert_eq!(timer.due(false, at(20)), Due::Timeout(seconds(5)));
    }

    #[test]
    fn a_pause_that_began_earlier_does_not_count() {
        let config = Keepalive { interval: Some(seconds(10)), timeout: Some(seconds(5)) };
        let mut timer = KeepaliveTimer::new(&config, at(0));
        timer.sent(ping(1), 0, true, at(10));
        // The pause goes on at 15 s, and ends before 20 s.
        assert_eq!(timer.due(true, at(15)), Due::Nothing);
        assert_eq!(timer.due(false, at(20)), Due::Nothing);
        assert_eq!(timer.due(false, at(25)), Due::Timeout(seconds(5)));
    }

    #[test]
    fn bytes_received_put_the_timeout_off() {
        let config = Keepalive { interval: Some(seconds(10)), timeout: Some(seconds(5)) };
        let mut timer = KeepaliveTimer::new(&config, at(0));
        timer.heard(at(9));
        assert_eq!(timer.due(false, at(10)), Due::Ping);
        timer.sent(ping(1), 100, false, at(10));
        timer.taken(100, false, at(10));
        timer.heard(at(14));
        assert_eq!(timer.deadline(), Some(at(19)));
        assert_eq!(timer.due(false, at(15)), Due::Nothing);
        assert_eq!(timer.due(false, at(19)), Due::Timeout(seconds(5)));
    }

    #[test]
    fn a_timeout_begins_when_its_ping_has_left() {
        let config = Keepalive { interval: Some(seconds(10)), timeout: Some(seconds(5)) };
        let mut timer = KeepaliveTimer::new(&config, at(0));
        timer.sent(ping(1), 100, false, at(10));
        timer.taken(50, false, at(14));
        assert_eq!(timer.deadline(), Some(at(19)));
        timer.taken(100, false, at(18));
        assert_eq!(timer.deadline(), Some(at(23)));
        timer.taken(200, false, at(20));
        assert_eq!(timer.deadline(), Some(at(23)), "a roomy buffer proves nothing");
        timer.taken(300, true, at(22));
        assert_eq!(timer.deadline(), Some(at(27)), "there was none before");
    }

    #[test]
    fn a_ping_that_never_leaves_times_out() {
        let config = Keepalive { interval: Some(seconds(10)), timeout: Some(seconds(5)) };
        let mut timer = KeepaliveTimer::new(&config, at(0));
        timer.sent(ping(1), 100, false, at(10));
        assert_eq!(timer.due(false, at(15)), Due::Timeout(seconds(5)));
    }
}
