//! What a sweep runs, one after the other: seeds, or something that depends on runs before.

use std::sync::Arc;

use super::hunt::Seeds;
use crate::pool::Job;
use crate::run::Outcome;
use crate::sched::Profile;

/// One run of a sweep.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    /// 0-based, in the order in which turns are handed out.
    pub(super) index: u64,
    pub(super) job: Job,
    /// What tells it apart from the other turns of the sweep, and from those of other sweeps.
    pub(super) number: u64,
    /// How it came about, unless by a seed.
    pub(super) found_by: Option<String>,
}

/// What a supply answers.
#[derive(Debug)]
pub(super) enum Next {
    Turn(Box<Turn>),
    /// The next turn depends on one that has not ended.
    Later,
    Over,
}

/// Hands out the turns of a sweep. Which turn has which index is the same at any parallelism.
pub(super) trait Supply: Send {
    fn next(&mut self) -> Next;

    /// A turn has ended. It has an outcome if it passed.
    fn ended(&mut self, index: u64, passed: Option<&Outcome>);

    /// Says what was run, if it was not seeds.
    fn summary(&self) -> Option<String> {
        None
    }

    /// The most deviations for which every run has ended.
    fn complete(&self) -> Option<u32> {
        None
    }
}

/// Seeds in order.
#[derive(Debug)]
pub(super) struct OfSeeds {
    seeds: Seeds,
    profile: Arc<Profile>,
    next: u64,
}

impl OfSeeds {
    pub(super) const fn new(seeds: Seeds, profile: Arc<Profile>) -> Self {
        Self { seeds, profile, next: 0 }
    }
}

impl Supply for OfSeeds {
    fn next(&mut self) -> Next {
        let index = self.next;
        let Some(seed) = self.seeds.at(index) else { return Next::Over };
        self.next += 1;
        let job = Job::Seed { seed, profile: Arc::clone(&self.profile) };
        Next::Turn(Box::new(Turn { index, job, number: seed, found_by: None }))
    }

    fn ended(&mut self, _: u64, _: Option<&Outcome>) {}
}
