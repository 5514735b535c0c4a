//! What a sweep says of a test that passed.

use std::fmt;

#[cfg(doc)]
use super::Sweep;

/// What a test that passed came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub(super) recordings: usize,
    pub(super) seeds: u64,
    pub(super) checked: u64,
    pub(super) never_reached: Vec<String>,
    pub(super) trace_hash: u64,
}

impl Passed {
    /// Counts the recordings that were replayed.
    pub const fn recordings(&self) -> usize {
        self.recordings
    }

    /// Counts the seeds that were run.
    pub const fn seeds(&self) -> u64 {
        self.seeds
    }

    /// Counts the seeds that were run twice and did the same again; see [`Sweep::check_every`].
    pub const fn checked(&self) -> u64 {
        self.checked
    }

    /// Returns the `sometimes!` points that were evaluated and never true, and those that the test names
    /// ([`Sweep::reaches`]) and no seed reached, by their texts, sorted. Recordings do not count.
    pub fn never_reached(&self) -> &[String] {
        &self.never_reached
    }

    /// Returns a number that two sweeps share if, and practically only if, they ran the same seeds and each seed had
    /// the same trace in both, in whatever order the seeds were run.
    ///
    /// # Determinism
    ///
    /// The same on every machine, in debug and release builds, and at any number of workers, for the same code.
    pub const fn trace_hash(&self) -> u64 {
        self.trace_hash
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recordings, seeds, checked, trace_hash, .. } = self;
        write!(
            f,
            "{recordings} recordings, {seeds} seeds, {checked} of them twice, trace hash {trace_hash:#018x}"
        )
    }
}
