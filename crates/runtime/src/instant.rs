//! A point in time that belongs to the runtime it was read from.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point in time: nanoseconds since an epoch that the runtime chooses.
///
/// Compare only instants of one runtime: of one process in production, of one run in a simulation. Nothing detects a
/// comparison of instants of different runtimes. Arithmetic saturates. The range is about 584 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    nanos: u64,
}

impl Instant {
    /// Makes an instant from nanoseconds since the runtime's epoch. For implementations of the runtime traits.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// Returns the nanoseconds since the runtime's epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.nanos
    }

    /// Returns the time from `earlier` to `self`, or zero if `earlier` is later.
    #[must_use]
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        let rhs = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Self { nanos: self.nanos.saturating_add(rhs) }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        let rhs = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Self { nanos: self.nanos.saturating_sub(rhs) }
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, rhs: Self) -> Duration {
        self.duration_since(rhs)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Instant::from_nanos(u64::MAX);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(Instant::from_nanos(5) - Duration::from_nanos(9), Instant::from_nanos(0));
        assert_eq!(Instant::from_nanos(5) - Instant::from_nanos(9), Duration::ZERO);
    }

    #[test]
    fn subtracting_instants_gives_the_time_between_them() {
        let start = Instant::from_nanos(1_000);
        assert_eq!((start + Duration::from_millis(3)) - start, Duration::from_millis(3));
    }
}
