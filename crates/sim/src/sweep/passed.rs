//! The result of a test that passed.

use std::fmt;

#[cfg(doc)]
use super::Sweep;

/// The result of a test that passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub(super) recordings: usize,
    pub(super) seeds: u64,
    pub(super) checked: u64,
    pub(super) never_reached: Vec<String>,
    pub(super) trace_hash: u64,
    pub(super) deviations: Option<u32>,
    pub(super) known: u64,
}

impl Passed {
    /// Counts the recordings that were replayed.
    pub const fn recordings(&self) -> usize {
        self.recordings
    }

    /// Counts the seeds that were run and passed. With [deviations](Self::deviations), counts the runs.
    pub const fn seeds(&self) -> u64 {
        self.seeds
    }

    /// Counts the seeds that ran twice, with equal runs; see [`Sweep::check_every`].
    pub const fn checked(&self) -> u64 {
        self.checked
    }

    /// Returns the number of deviations within which every run passed, if the sweep enumerated them; see
    /// [`Sweep::deviations`]. It is lower than what was asked for if a budget ended before.
    pub const fn deviations(&self) -> Option<u32> {
        self.deviations
    }

    /// Counts the seeds that failed with a known symptom; see [`Sweep::past`].
    pub const fn known(&self) -> u64 {
        self.known
    }

    /// Returns the texts of the `sometimes!` points that were evaluated and never true, and of those that the test
    /// names ([`Sweep::reaches`]) and no seed reached. They are sorted. Recordings do not count.
    pub fn never_reached(&self) -> &[String] {
        &self.never_reached
    }

    /// Returns a number that is equal for two sweeps if, and practically only if, they ran the same seeds and each seed
    /// had the same trace in both. The order of the seeds does not matter.
    ///
    /// # Determinism
    ///
    /// It is the same on every machine, in debug and release builds, and at any number of workers, for the same code.
    pub const fn trace_hash(&self) -> u64 {
        self.trace_hash
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recordings, seeds, checked, trace_hash, deviations, .. } = self;
        let runs = if deviations.is_some() { "runs" } else { "seeds" };
        write!(
            f,
            "{recordings} recordings, {seeds} {runs}, {checked} of them twice, trace hash {trace_hash:#018x}"
        )
    }
}
