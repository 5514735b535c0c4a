//! The guided search: half of the seeds of a long sweep begin like an earlier run that had a new schedule, and go on
//! otherwise.
//!
//! Runs with new fingerprints are kept in a pool. A guided run draws one of them and a point of it, repeats its choices
//! up to there, and draws the others from its own seed. So an event that is reached rarely is reached often, once it
//! was reached.
//!
//! # Invariants
//!
//! - The pool that a run draws from depends on its index alone: on all runs two batches before it. So a sweep is the
//!   same at any parallelism.
//! - Memory is bounded: a pool of limited size, and the runs of two batches.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::hunt::Seeds;
use super::supply::{Next, Supply, Turn};
use super::variety::Distinct;
use crate::choice::{ChoiceLog, Choices, below};
use crate::pool::Job;
use crate::run::Outcome;
use crate::sched::Profile;

/// A sweep of more seeds is guided, from this one on.
pub(super) const FIRST: u64 = 1_000;

/// So many turns share a pool.
const BATCH: u64 = 64;

/// A longer run is not kept.
const CHOICES_MAX: usize = 20_000;

/// So many runs are kept. A new one replaces the oldest.
const POOL_MAX: usize = 256;

/// A run that others may begin like.
#[derive(Clone, Debug)]
struct Kept {
    index: u64,
    /// Of its entropy.
    seed: u64,
    log: Arc<ChoiceLog>,
}

/// What is known of a turn.
#[derive(Debug)]
enum Known {
    Running {
        seed: u64,
    },
    /// With its fingerprint, if that was new when it ended.
    Ended(Option<(u64, Kept)>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Guided {
    seeds: Seeds,
    profile: Arc<Profile>,
    next: u64,
    /// The turns that have not been considered for the pool, by index.
    turns: BTreeMap<u64, Known>,
    seen: Distinct,
    pool: VecDeque<Kept>,
}

impl Guided {
    pub(super) fn new(seeds: Seeds, profile: Arc<Profile>) -> Self {
        Self {
            seeds,
            profile,
            next: 0,
            turns: BTreeMap::new(),
            seen: Distinct::default(),
            pool: VecDeque::new(),
        }
    }

    /// Considers the turns below `end` for the pool, in order. Returns `false` if one of them has not ended.
    fn consider(&mut self, end: u64) -> bool {
        if self.turns.range(..end).any(|(_, turn)| matches!(turn, Known::Running { .. })) {
            return false;
        }
        while let Some(entry) = self.turns.first_entry().filter(|entry| *entry.key() < end) {
            if let Known::Ended(Some((fingerprint, kept))) = entry.remove()
                && self.seen.add(fingerprint)
            {
                if self.pool.len() == POOL_MAX {
                    self.pool.pop_front();
                }
                self.pool.push_back(kept);
            }
        }
        true
    }

    /// The job of a seed that begins like a run of the pool.
    fn redraw(&self, draws: u64) -> Option<(Job, String)> {
        let mut rng = Choices::seeded(draws).side_stream("guide");
        let size = u32::try_from(self.pool.len()).ok().filter(|&size| size > 0)?;
        let Kept { index, seed, log } = &self.pool[below(&mut rng, size) as usize];
        let kept = below(&mut rng, log.choices.len() as u32) as usize;
        let found_by = format!("the first {kept} choices of run {index}, and then others ({draws:#x})");
        let (log, profile) = (Arc::clone(log), Arc::clone(&self.profile));
        Some((Job::Redraw { seed: *seed, log, kept, draws, profile }, found_by))
    }
}

impl Supply for Guided {
    fn next(&mut self) -> Next {
        let index = self.next;
        let Some(seed) = self.seeds.at(index) else { return Next::Over };
        if index.is_multiple_of(BATCH) && !self.consider((index / BATCH).saturating_sub(1) * BATCH) {
            return Next::Later;
        }
        self.next += 1;
        let is_guided = index >= FIRST && index % 2 == 1;
        let (job, found_by) = match is_guided.then(|| self.redraw(seed)).flatten() {
            Some((job, found_by)) => (job, Some(found_by)),
            None => (Job::Seed { seed, profile: Arc::clone(&self.profile) }, None),
        };
        self.turns.insert(index, Known::Running { seed: job.seed() });
        Next::Turn(Box::new(Turn { index, job, number: seed, found_by }))
    }

    fn ended(&mut self, index: u64, passed: Option<&Outcome>) {
        let Some(turn) = self.turns.get_mut(&index) else { return };
        let Known::Running { seed } = *turn else { return };
        let is_fit = |outcome: &&Outcome| {
            let count = outcome.log.choices.len();
            (1..=CHOICES_MAX).contains(&count) && !self.seen.has(outcome.fingerprint)
        };
        let kept = passed
            .filter(is_fit)
            .map(|outcome| (outcome.fingerprint, Kept { index, seed, log: Arc::new(outcome.log.clone()) }));
        *turn = Known::Ended(kept);
    }
}
