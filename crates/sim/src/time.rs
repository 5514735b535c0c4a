//! Simulated time: nanoseconds since the start of the run.

use std::time::Duration;

/// Simulated time in nanoseconds since the start of the run.
pub(crate) type Nanos = u64;

/// Converts a duration. One that is too long becomes the largest time.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

/// Formats a time as milliseconds, exact to the microsecond, as all reports show it.
pub(crate) fn milliseconds(nanos: Nanos) -> String {
    format!("{}.{:03}ms", nanos / 1_000_000, nanos % 1_000_000 / 1_000)
}

/// Formats how long after now something happens.
pub(crate) fn after(nanos: Nanos) -> String {
    if nanos == 0 { "at once".to_owned() } else { format!("after {}", milliseconds(nanos)) }
}
