//! Finds out whether the transport is full. Only bytes that it takes after it was full show that the peer reads.

use std::time::Duration;

use wavetank_runtime::Instant;

use crate::Keepalive;

/// A transport that refuses output for a shorter time may not be full: runtimes also make ready operations wait.
const FULL_MIN: Duration = Duration::from_millis(10);

/// Notes since when the transport refuses output.
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

    /// Returns whether the transport refused output and has taken none since.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.full_since.is_some()
    }

    /// Notes that the transport refuses output.
    pub(super) fn refused(&mut self, now: Instant) {
        self.full_since.get_or_insert(now);
    }

    /// Notes that the transport takes output. Returns whether it was full before.
    pub(super) fn taken(&mut self, now: Instant) -> bool {
        self.full_since.take().is_some_and(|since| now - since >= self.full_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_transport_is_full_after_refusing_long_enough() {
        let mut flow = Flow::new(&Keepalive { interval: None, timeout: Some(Duration::from_secs(1)) });
        assert!(!flow.taken(at(0)), "nothing was refused");
        flow.refused(at(0));
        flow.refused(at(9));
        assert!(flow.taken(at(10)), "the first refusal counts");
        assert!(!flow.taken(at(30)), "it has taken output since");
        flow.refused(at(30));
        assert!(!flow.taken(at(39)), "this was a moment");
    }
}
