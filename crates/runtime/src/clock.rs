//! The real clock, as [`Instant`]: nanoseconds since a process-wide anchor.
//!
//! Std and Tokio share the anchor, so their instants can be compared. The anchor reads as [`ANCHOR_NANOS`], not as
//! zero. A Tokio clock that was paused before the first reading stands before the anchor. With an anchor of zero its
//! instants would all become zero, and the clock would appear to stand still.
#![expect(clippy::disallowed_types, reason = "the real clock is read here, and only here")]

use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant as StdInstant;

use crate::Instant;

/// The reading at the anchor: one day. Instants more than a day before the anchor are out of range.
const ANCHOR_NANOS: u64 = 24 * 60 * 60 * 1_000_000_000;

/// The furthest future for platforms whose clock cannot count 584 years.
const FAR_FUTURE: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

fn anchor() -> StdInstant {
    static ANCHOR: OnceLock<StdInstant> = OnceLock::new();
    *ANCHOR.get_or_init(StdInstant::now)
}

/// Reads the system's monotonic clock.
pub(crate) fn now() -> Instant {
    // The anchor comes first. Otherwise the first instant of the process would be before it.
    let anchor = anchor();
    from_anchor(StdInstant::now(), anchor)
}

/// Converts a time of the system's clock.
pub(crate) fn from_std(time: StdInstant) -> Instant {
    from_anchor(time, anchor())
}

fn from_anchor(time: StdInstant, anchor: StdInstant) -> Instant {
    let zero = Instant::from_nanos(ANCHOR_NANOS);
    match time.checked_duration_since(anchor) {
        Some(after) => zero + after,
        None => zero - anchor.duration_since(time),
    }
}

/// Converts to a time of the system's clock, whose range may be shorter than that of [`Instant`].
pub(crate) fn to_std(instant: Instant) -> StdInstant {
    let (anchor, zero) = (anchor(), Instant::from_nanos(ANCHOR_NANOS));
    if instant >= zero {
        anchor.checked_add(instant - zero).unwrap_or_else(|| anchor + FAR_FUTURE)
    } else {
        anchor.checked_sub(zero - instant).unwrap_or(anchor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversion_there_and_back_keeps_every_nanosecond() {
        let now = now();
        for instant in
            [now, now + Duration::from_nanos(1), now + Duration::from_secs(9), Instant::from_nanos(7)]
        {
            assert_eq!(from_std(to_std(instant)), instant);
        }
    }

    #[test]
    fn times_before_the_anchor_convert() {
        let anchor = anchor();
        let before = from_std(anchor - Duration::from_millis(3));
        assert_eq!(from_std(anchor) - before, Duration::from_millis(3));
    }

    #[test]
    fn the_last_instant_converts_to_the_far_future() {
        assert!(to_std(Instant::from_nanos(u64::MAX)) > StdInstant::now() + Duration::from_secs(3600));
    }

    #[test]
    fn the_clock_never_goes_back() {
        let first = now();
        assert!(now() >= first);
    }
}
