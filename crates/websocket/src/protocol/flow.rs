//! Finds out whether the transport is full. Only bytes that it takes after it was full show that the peer reads.

use std::time::Duration;

use wavetank_runtime::Instant;

use crate::Keepalive;

/// A transport that refuses output for a shorter time may not be full: runtimes also make ready operations wait.
const FULL_MIN: Duration = Duration::from_millis(10);

/// Notes since when the transport refuses output.
///
/// A transport that has refused output is full until all output is written: in between it may take a little whenever
/// the peer has read a little.
#[derive(Debug)]
pub(super) struct Flow {
    full_since: Option<Instant>,
    /// How long the transport has to refuse output to count as full.
    full_min: Duration,
}

impl Flow {
    pub(super) fn new(keepalive: &Keepalive) -> Self {
        let full_min = keepalive.timeout.map_or(FULL_MIN, |timeout| FULL_MIN.min(timeout / 8));
        Self { full_since: None, full_min }
    }

    /// Returns whether the transport refused output, and some of it is not written yet.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.full_since.is_some()
    }

    /// Returns from when on the transport counts as full, if it has refused output.
    pub(super) fn full_from(&self) -> Option<Instant> {
        self.full_since.map(|since| since + self.full_min)
    }

    /// Notes that the transport refuses output.
    pub(super) fn refused(&mut self, now: Instant) {
        self.full_since.get_or_insert(now);
    }

    /// Notes that the transport takes output. Returns whether it was full before.
    pub(super) fn taken(&self, now: Instant) -> bool {
        self.full_from().is_some_and(|from| from <= now)
    }

    /// Notes that all output is written.
    #[inline]
    pub(super) fn drained(&mut self) {
        self.full_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn flow() -> Flow {
        Flow::new(&Keepalive { interval: None, timeout: Some(Duration::from_secs(1)) })
    }

    #[test]
    fn a_transport_is_full_after_refusing_long_enough() {
        let mut flow = flow();
        assert!(!flow.taken(at(0)), "nothing was refused");
        flow.refused(at(0));
        flow.refused(at(9));
        assert!(flow.taken(at(10)), "the first refusal counts");
        flow.drained();
        assert!(!flow.taken(at(30)), "it has taken everything since");
        flow.refused(at(30));
        assert!(!flow.taken(at(39)), "this was a moment");
    }

    #[test]
    fn room_for_a_little_leaves_a_transport_full() {
        let mut flow = flow();
        flow.refused(at(0));
        let taken = (1..10).map(|step| {
            let (now, taken) = (at(4 * step), flow.taken(at(4 * step)));
            flow.refused(now);
            taken
        });
        assert_eq!(taken.filter(|taken| *taken).count(), 7, "from 10 ms on each write counts");
    }
}
