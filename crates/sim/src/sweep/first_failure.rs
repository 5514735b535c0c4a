//! Measuring: how many seeds until the first failure, and nothing else.
//!
//! Recordings would be replayed before any seed. Shrinking costs more than finding. A comparison of strategies needs
//! neither.

use std::sync::Arc;

use super::{Session, Stop, Sweep};
use crate::pool::BodyRunner;
use crate::report::Counts;
use crate::sim::Sim;
use crate::symptom::Symptom;

/// The first seed that failed, from [`Sweep::first_failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstFailure {
    seed: u64,
    runs: u64,
    symptom: Symptom,
    counts: Option<Counts>,
}

impl FirstFailure {
    /// Returns the seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Counts the seeds up to this one, itself included.
    pub const fn runs(&self) -> u64 {
        self.runs
    }

    /// Returns what failed.
    pub const fn symptom(&self) -> &Symptom {
        &self.symptom
    }

    /// Counts what the run chose; `None` if it never ended.
    pub const fn counts(&self) -> Option<Counts> {
        self.counts
    }
}

impl Sweep {
    /// Runs seeds until one fails and returns that failure. Returns `None` if all pass. Ignores [`finds`](Self::finds).
    ///
    /// Replays and writes no recordings, and shrinks nothing. So the cost of this call is the cost of finding: with one
    /// [worker](Self::workers), the warm-up, the runs up to the failure, its second run, and the second run of one in
    /// 64 that passed.
    ///
    /// # Panics
    ///
    /// If the environment holds a setting that is not understood. On Ctrl-C the process exits with status 130.
    pub fn first_failure(self, body: impl Fn(&mut Sim) + Send + Sync + 'static) -> Option<FirstFailure> {
        self.in_process(Arc::new(BodyRunner::new(Box::new(body))), |session| session.first_failure())
    }
}

impl Session {
    /// The work of [`Sweep::first_failure`].
    pub(super) fn first_failure(&self) -> Result<Option<FirstFailure>, Stop> {
        self.warm_up(|_| true)?;
        let hunted = self.hunt(self.seeds_to_find(), &Default::default());
        let Some((index, failure)) = hunted.failure else {
            return self.not_interrupted(&hunted).map(|()| None);
        };
        Ok(Some(FirstFailure {
            seed: failure.seed,
            runs: index + 1,
            counts: failure.outcome.as_deref().map(Counts::of),
            symptom: failure.symptom,
        }))
    }
}
