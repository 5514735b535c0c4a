//! The shrinker: from the choices of a failing run to the few that matter, as Hypothesis does it.
//!
//! A candidate is the best log so far with some values lowered, most of them to 0. It is replayed leniently; if the
//! same symptom comes back, the choices that this run *actually* made are the new best, if they are simpler by
//! [`order::Size`]. The [`passes`] propose candidates, from the boldest (no values at all) to the finest (one value
//! lower by one), again and again until none of them helps.
//!
//! # Invariants
//!
//! - The best log always showed the symptom, and only ever gets smaller.
//! - No candidate is run twice.
//! - Runs and real time are bounded, and what was found so far survives every bound.
//!
//! # Not here
//!
//! How a candidate is run and what counts as the same symptom (`sweep`): this module sees logs only.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::choice::{ChoiceLog, fnv1a};
use crate::order::{self, Size};
use crate::recording::inline;
use crate::wall_clock::WallClock;

mod passes;

/// How much work shrinking may be.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub(crate) runs_max: usize,
    pub(crate) time_max: Duration,
    /// Asked before every run.
    pub(crate) stop: &'a dyn Fn() -> bool,
}

/// What shrinking came to.
#[derive(Clone, Debug)]
pub(crate) struct Shrunk {
    /// The smallest log that showed the symptom; the first one if none smaller did.
    pub(crate) best: ChoiceLog,
    pub(crate) runs: usize,
    pub(crate) end: End,
}

/// Why shrinking ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// No pass helps any more.
    Fixpoint,
    RunsSpent,
    TimeSpent,
    Stopped,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixpoint => "nothing smaller fails",
            Self::RunsSpent => "limit of runs reached",
            Self::TimeSpent => "limit of time reached",
            Self::Stopped => "interrupted",
        })
    }
}

/// Shrinks `first`, which showed a symptom. `attempt` replays a candidate leniently and returns what the run actually
/// chose if the same symptom came back.
pub(crate) fn shrink(
    first: ChoiceLog,
    limits: Limits<'_>,
    attempt: &mut dyn FnMut(&ChoiceLog) -> Option<ChoiceLog>,
) -> Shrunk {
    let mut shrinker = Shrinker::new(first, limits, attempt);
    let end = 'rounds: loop {
        let before_round = shrinker.size;
        for pass in passes::ALL {
            if let Err(end) = pass(&mut shrinker) {
                break 'rounds end;
            }
        }
        if shrinker.size == before_round {
            break End::Fixpoint;
        }
    };
    Shrunk { best: shrinker.best, runs: shrinker.runs, end }
}

/// The state that the passes work on.
struct Shrinker<'a> {
    best: ChoiceLog,
    size: Size,
    limits: Limits<'a>,
    attempt: &'a mut dyn FnMut(&ChoiceLog) -> Option<ChoiceLog>,
    clock: WallClock,
    runs: usize,
    /// Hashes of the candidates that were run.
    tried: BTreeSet<u64>,
}

impl<'a> Shrinker<'a> {
    fn new(
        first: ChoiceLog,
        limits: Limits<'a>,
        attempt: &'a mut dyn FnMut(&ChoiceLog) -> Option<ChoiceLog>,
    ) -> Self {
        let size = Size::of(&first);
        let tried = BTreeSet::from([identity(&first)]);
        Self { best: first, size, limits, attempt, clock: WallClock::start(), runs: 0, tried }
    }

    /// Runs a candidate. Returns `true` if it became the best.
    ///
    /// # Errors
    ///
    /// A limit is reached: the pass ends at once.
    fn try_log(&mut self, candidate: &ChoiceLog) -> Result<bool, End> {
        if !self.tried.insert(identity(candidate)) {
            return Ok(false);
        }
        if (self.limits.stop)() {
            return Err(End::Stopped);
        }
        if self.runs >= self.limits.runs_max {
            return Err(End::RunsSpent);
        }
        if self.clock.elapsed() >= self.limits.time_max {
            return Err(End::TimeSpent);
        }
        self.runs += 1;
        let Some(actual) = (self.attempt)(candidate) else { return Ok(false) };
        let size = Size::of(&actual);
        if size >= self.size {
            return Ok(false);
        }
        self.tried.insert(identity(&actual));
        (self.best, self.size) = (actual, size);
        Ok(true)
    }

    /// Tries the best log with the values at these indices set to 0.
    fn try_without(&mut self, indices: &[usize]) -> Result<bool, End> {
        let mut candidate = self.best.clone();
        for &index in indices {
            candidate.choices[index].value = 0;
        }
        self.try_log(&candidate)
    }

    /// Returns the indices of the values that are not 0: by the rank of their lane, by lane, in the order of the run.
    fn nonzero(&self) -> Vec<usize> {
        let choices = &self.best.choices;
        let mut indices: Vec<usize> = (0..choices.len()).filter(|&index| choices[index].value != 0).collect();
        indices.sort_by_key(|&index| {
            let lane = &self.best.point(choices[index].point).lane;
            (order::Rank::of(lane), lane, index)
        });
        indices
    }
}

/// Hashes what a lenient replay of the log depends on: each point's values and their ordinals.
fn identity(log: &ChoiceLog) -> u64 {
    fnv1a(inline::write(0, 0, log).as_bytes())
}

#[cfg(test)]
mod tests;
