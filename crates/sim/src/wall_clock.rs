//! Real time, for limits on the work around runs. Nothing inside a run sees it.

use std::time::Duration;

#[expect(clippy::disallowed_types, reason = "the one place that reads real time, outside every run")]
type RealInstant = std::time::Instant;

/// A stopwatch of real time: for the budgets of sweeps and of the shrinker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    started: RealInstant,
}

impl WallClock {
    pub(crate) fn start() -> Self {
        Self { started: RealInstant::now() }
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.started.elapsed()
    }
}
