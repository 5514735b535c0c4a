//! Whether the other end is alive: keepalive, and the progress of the transport.
//!
//! Life is any byte that was received, and any byte that the transport took after it had been full. The size of the
//! work never counts against a session, only the time in which nothing moved.

use std::time::Duration;

use wavetank_runtime::Instant;

use crate::Keepalive;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    /// No life since a ping.
    Dead(Duration),
    /// The transport takes nothing.
    Stalled(Duration),
}

#[derive(Debug)]
pub(crate) struct Liveness {
    keepalive: Keepalive,
    stall_timeout: Duration,
    /// The state of the generator of jitter.
    seed: u64,
    /// How long without life until a ping is sent, this time.
    wait: Duration,
    life: Instant,
    /// When a ping was sent, with no life since.
    pinged: Option<Instant>,
    /// That ping may wait for the transport: taking it proves nothing.
    ping_waits: bool,
    /// Since when the transport takes nothing.
    stalled: Option<Instant>,
}

impl Liveness {
    pub(crate) fn new(keepalive: Keepalive, stall_timeout: Duration, seed: u64, now: Instant) -> Self {
        let mut this = Self {
            keepalive,
            stall_timeout,
            seed,
            wait: Duration::ZERO,
            life: now,
            pinged: None,
            ping_waits: false,
            stalled: None,
        };
        this.draw_wait();
        this
    }

    /// Between three quarters of the interval and all of it.
    fn draw_wait(&mut self) {
        let Some(interval) = self.keepalive.interval else { return };
        // splitmix64: one multiplication more than a counter, and plenty for jitter.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.seed;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let parts = u32::try_from(bits >> 54).unwrap_or(0);
        self.wait = interval - (interval / 4 / 1024) * parts;
    }

    /// Bytes were received, or taken by a transport that had been full.
    #[inline]
    pub(crate) fn alive(&mut self, now: Instant) {
        self.life = now;
        if self.pinged.take().is_some() {
            self.draw_wait();
        }
    }

    /// When bytes were last received, or taken by a transport that had been full.
    pub(crate) fn latest_sign(&self) -> Instant {
        self.life
    }

    /// The transport takes nothing more for now.
    pub(crate) fn transport_full(&mut self, now: Instant) {
        self.stalled.get_or_insert(now);
    }

    /// The transport has taken something; `all`: there is nothing left that it has not taken.
    #[inline]
    pub(crate) fn transport_took(&mut self, all: bool, now: Instant) {
        if let Some(since) = self.stalled {
            self.stalled = if all { None } else { Some(now) };
            // A transport may hesitate without being full. That it takes the ping then says nothing of the peer.
            let is_ping = self.ping_waits && self.pinged.is_some_and(|pinged| since >= pinged);
            if !is_ping {
                self.alive(now);
            }
        }
        if all {
            self.ping_waits = false;
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let keepalive = match (self.pinged, self.keepalive.interval) {
            (Some(pinged), _) => Some(pinged + self.keepalive.timeout),
            (None, Some(_)) => Some(self.life + self.wait),
            (None, None) => None,
        };
        match (keepalive, self.stalled) {
            (keepalive, None) => keepalive,
            (None, Some(since)) => Some(since + self.stall_timeout),
            (Some(keepalive), Some(since)) => Some(keepalive.min(since + self.stall_timeout)),
        }
    }

    /// What is due now. After [`Due::Ping`], [`pinged`](Self::pinged) has to be called.
    pub(crate) fn due(&self, now: Instant) -> Due {
        if self.stalled.is_some_and(|since| now >= since + self.stall_timeout) {
            return Due::Stalled(self.stall_timeout);
        }
        match self.pinged {
            Some(pinged) if now >= pinged + self.keepalive.timeout => Due::Dead(self.keepalive.timeout),
            Some(_) => Due::Nothing,
            None if self.keepalive.interval.is_some() && now >= self.life + self.wait => Due::Ping,
            None => Due::Nothing,
        }
    }

    pub(crate) fn pinged(&mut self, now: Instant) {
        self.pinged = Some(now);
        self.ping_waits = true;
    }

    /// Nothing is due any more: the session is ending.
    pub(crate) fn end(&mut self) {
        self.keepalive.interval = None;
        self.pinged = None;
        self.stalled = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn liveness(seed: u64) -> Liveness {
        Liveness::new(Keepalive::default(), 60 * SECOND, seed, Instant::from_nanos(0))
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(0) + Duration::from_secs(seconds)
    }

    #[test]
    fn jitter_shortens_the_interval_by_a_quarter() {
        let waits: Vec<Duration> = (0..1000).map(|seed| liveness(seed).wait).collect();
        assert!(waits.iter().all(|wait| *wait > SECOND * 22 && *wait <= SECOND * 30), "{waits:?}");
        let early = waits.iter().filter(|wait| **wait < SECOND * 26).count();
        assert!((300..700).contains(&early), "{early}");
    }

    #[test]
    fn life_puts_the_ping_off() {
        let mut liveness = liveness(1);
        liveness.alive(at(20));
        assert_eq!(liveness.due(at(40)), Due::Nothing);
        assert_eq!(liveness.due(at(50)), Due::Ping);
    }

    #[test]
    fn any_input_after_a_ping_proves_life() {
        let mut liveness = liveness(1);
        liveness.pinged(at(30));
        liveness.alive(at(59));
        assert_eq!(liveness.due(at(60)), Due::Nothing);
        liveness.pinged(at(90));
        assert_eq!(liveness.due(at(119)), Due::Nothing);
        assert_eq!(liveness.due(at(120)), Due::Dead(SECOND * 30));
    }

    #[test]
    fn a_full_transport_that_moves_is_alive() {
        let mut liveness = liveness(1);
        liveness.transport_full(at(0));
        for second in 1..1000 {
            assert_eq!(liveness.due(at(second)), Due::Nothing);
            liveness.transport_took(false, at(second));
            liveness.transport_full(at(second));
        }
        assert_eq!(liveness.due(at(1058)), Due::Ping);
        assert_eq!(liveness.due(at(1059)), Due::Stalled(SECOND * 60));
    }

    #[test]
    fn a_ping_that_is_taken_late_proves_nothing() {
        let mut liveness = liveness(1);
        liveness.pinged(at(30));
        liveness.transport_full(at(30));
        liveness.transport_took(true, at(30));
        assert_eq!(liveness.due(at(60)), Due::Dead(SECOND * 30));
        // What is taken after it does.
        liveness.transport_full(at(40));
        liveness.transport_took(true, at(50));
        assert_eq!(liveness.due(at(60)), Due::Nothing);
    }

    #[test]
    fn without_an_interval_nothing_is_ever_due() {
        let keepalive = Keepalive { interval: None, ..Keepalive::default() };
        let liveness = Liveness::new(keepalive, SECOND, 1, at(0));
        assert_eq!((liveness.deadline(), liveness.due(at(1_000_000))), (None, Due::Nothing));
    }
}
