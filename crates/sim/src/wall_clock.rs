//! Real time, for limits on the work around runs. Nothing inside a run sees it.

use std::time::Duration;

/// A stopwatch of real time: for the budgets of sweeps and of the shrinker, and for the watchdog.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    #[expect(clippy::disallowed_types, reason = "the one place that reads real time, outside every run")]
    started: std::time::Instant,
}

impl WallClock {
    pub(crate) fn start() -> Self {
        #[expect(clippy::disallowed_types, reason = "the one place that reads real time, outside every run")]
        let started = std::time::Instant::now();
        Self { started }
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.started.elapsed()
    }
}
