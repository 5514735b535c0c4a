//! Real time: how long a sweep has taken, and short pauses between looks at a journal.

use std::time::Duration;

#[expect(clippy::disallowed_types, reason = "the command runs outside of every simulation")]
type Instant = std::time::Instant;

/// A stopwatch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Waits for so long.
#[expect(clippy::disallowed_methods, reason = "the command runs outside of every simulation")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
