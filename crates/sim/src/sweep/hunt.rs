//! The hunt: turns in order, on parallel workers, until the lowest failing one is known. Most turns are seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Session;
use super::examine::{Failure, SecondRun};
use super::known::Known;
use super::pace::Pace;
use super::reach::Reach;
use super::second_process::Answer;
use super::supply::{Next, Supply, Turn};
use crate::interrupt::Interrupt;
use crate::journal::Journal;
use crate::pool::Job;
use crate::run::Outcome;
use crate::settings::Shard;
use crate::trace::StableHasher;
use crate::wall_clock::WallClock;

/// The seeds of a sweep: those of `base..base + count` that belong to the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seeds {
    pub(super) base: u64,
    pub(super) count: u64,
    pub(super) shard: Shard,
}

impl Seeds {
    /// Returns the seed with this 0-based index, counted within the shard.
    pub(super) fn at(self, index: u64) -> Option<u64> {
        let offset = index.checked_mul(self.shard.count)?.checked_add(self.shard.index)?;
        (offset < self.count).then(|| self.base.wrapping_add(offset))
    }
}

/// The result of a hunt.
#[derive(Debug, Default)]
pub(super) struct Hunted {
    /// The failure with the lowest index, with that index.
    pub(super) failure: Option<(u64, Failure)>,
    /// If the sweep goes on after a failure: the first of every other symptom, by index.
    pub(super) others: Vec<(u64, Failure)>,
    /// Counts the seeds that passed.
    pub(super) passed: u64,
    /// Counts those that ran twice, with equal runs.
    pub(super) checked: u64,
    /// The `sometimes!` points that the seeds reached.
    pub(super) reach: Reach,
    /// Of the traces of the seeds that passed, in any order.
    pub(super) trace_hash: u64,
    /// How many distinct schedules they had, in words.
    pub(super) variety: String,
    /// Some of those that were run twice.
    pub(super) sample: Vec<Answer>,
    /// The known symptoms that the sweep went past: how often each came, by its key.
    pub(super) known: BTreeMap<String, u64>,
    /// What was run, if it was not seeds.
    pub(super) summary: Option<String>,
    /// The most deviations for which every run has ended.
    pub(super) complete: Option<u32>,
}

impl Hunted {
    /// Counts the runs that failed as known.
    pub(super) fn known_runs(&self) -> u64 {
        self.known.values().sum()
    }

    /// Says what was run: "; 812 distinct schedules", and so on.
    pub(super) fn details(&self) -> String {
        let mut text = String::new();
        for part in self.summary.iter().chain([&self.variety]) {
            text += &format!("; {part}");
        }
        for (key, count) in &self.known {
            text += &format!("; {count} failed as known: {key}");
        }
        text
    }
}

/// So many seeds are kept for a second process.
const SAMPLE_MAX: usize = 16;

/// One seed's part of the hash of a sweep. The parts are added up, so the order of the seeds does not matter.
fn trace_hash_of(seed: u64, trace_hash: u64) -> u64 {
    let mut hasher = StableHasher::default();
    hasher.write_u64(seed);
    hasher.write_u64(trace_hash);
    hasher.finish()
}

/// What the workers share.
struct Shared<'a> {
    time_budget: Option<Duration>,
    interrupt: &'a Interrupt,
    journal: &'a Journal,
    /// Whether a failure does not end the sweep.
    others: bool,
    /// The symptoms of recordings, which a sweep that goes on does not report again.
    reported: &'a BTreeSet<String>,
    /// The symptoms that do not end the hunt.
    known: &'a Known,
    clock: WallClock,
    state: Mutex<State>,
    /// A turn has ended.
    ended: Condvar,
}

struct State {
    supply: Box<dyn Supply>,
    hunted: Hunted,
    pace: Pace,
    /// Of a sweep that goes on: the first failure of every symptom.
    failures: BTreeMap<String, (u64, Failure)>,
}

impl Shared<'_> {
    /// Hands out the next turn, unless there is a reason to stop. Turns that were handed out before are still finished,
    /// so a failure with a lower index is never missed.
    fn next(&self) -> Option<Turn> {
        let mut state = self.lock();
        loop {
            let is_over = self.time_budget.is_some_and(|budget| self.clock.elapsed() >= budget);
            if is_over || self.interrupt.is_raised() || state.hunted.failure.is_some() {
                return None;
            }
            match state.supply.next() {
                Next::Turn(turn) => return Some(*turn),
                Next::Later => state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner),
                Next::Over => return None,
            }
        }
    }

    fn note(&self, turn: Turn, second: SecondRun, examined: Result<Box<Outcome>, Failure>) {
        let State { supply, hunted, pace, failures } = &mut *self.lock();
        let index = turn.index;
        supply.ended(index, examined.as_deref().ok());
        match examined {
            Ok(outcome) => {
                pace.passed(&outcome, &hunted.reach, self.journal);
                hunted.passed += 1;
                hunted.checked += u64::from(second == SecondRun::Always);
                let trace_hash = outcome.trace.hash();
                let is_seed = matches!(turn.job, Job::Seed { .. });
                if is_seed && second == SecondRun::Always && hunted.sample.len() < SAMPLE_MAX {
                    hunted.sample.push(Answer { seed: turn.number, trace_hash, key: String::new() });
                }
                hunted.trace_hash = hunted.trace_hash.wrapping_add(trace_hash_of(turn.number, trace_hash));
                hunted.reach.add(index, &outcome.points);
            }
            Err(mut failure) => {
                if let Some(outcome) = &failure.outcome {
                    hunted.reach.add(index, &outcome.points);
                }
                pace.failed();
                self.journal.write("failing", |entry| {
                    entry.hex("seed", turn.number).text("symptom", &failure.symptom.key())
                });
                failure.turn = turn.found_by.map(|found_by| (index, found_by));
                if self.known.has(&failure) {
                    *hunted.known.entry(failure.symptom.key()).or_default() += 1;
                } else if self.others {
                    keep_first(failures, self.reported, index, failure);
                } else if hunted.failure.as_ref().is_none_or(|(lowest, _)| index < *lowest) {
                    hunted.failure = Some((index, failure));
                }
            }
        }
        self.ended.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many symptoms are kept. A test whose failures all differ in words would fill the memory.
const SYMPTOMS_MAX: usize = 64;

/// Keeps a failure if none of its symptom has a lower index.
fn keep_first(
    failures: &mut BTreeMap<String, (u64, Failure)>,
    reported: &BTreeSet<String>,
    index: u64,
    failure: Failure,
) {
    let key = failure.symptom.key();
    let is_first = match failures.get(&key) {
        Some((lowest, _)) => index < *lowest,
        None => failures.len() < SYMPTOMS_MAX && !reported.contains(&key),
    };
    if is_first {
        failures.insert(key, (index, failure));
    }
}

impl Session {
    /// Runs seeds, or what the test has instead, until one fails, all passed, the time is over, or Ctrl-C. If the
    /// environment wants others, a failure ends nothing, and one whose symptom was `reported` is only counted.
    pub(super) fn hunt(&self, seeds: Seeds, reported: &BTreeSet<String>) -> Hunted {
        let known = self.known();
        let shared = Shared {
            time_budget: self.settings.time_budget,
            interrupt: &self.interrupt,
            journal: &self.journal,
            others: self.settings.others,
            reported,
            known: &known,
            clock: WallClock::start(),
            state: Mutex::new(State {
                supply: self.supply(seeds),
                hunted: Hunted::default(),
                pace: Pace::new(&self.sweep.identity.test),
                failures: BTreeMap::new(),
            }),
            ended: Condvar::new(),
        };
        let wanted = self.sweep.workers.map_or(self.pool.size(), |count| count.get().min(self.pool.size()));
        let turns = if self.deviations().is_some() { u64::MAX } else { seeds.count };
        let helpers = u64::try_from(wanted).unwrap_or(u64::MAX).min(turns).saturating_sub(1);
        thread::scope(|scope| {
            for _ in 0..helpers {
                let helper = thread::Builder::new().name("wavetank-sweep".to_owned());
                // With fewer threads than wanted the sweep is slower, and the same.
                if helper.spawn_scoped(scope, || self.work(&shared)).is_err() {
                    break;
                }
            }
            self.work(&shared);
        });
        let State { mut hunted, pace, supply, failures } =
            shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        hunted.others.extend(failures.into_values());
        hunted.others.sort_by_key(|(index, _)| *index);
        if hunted.failure.is_none() && !hunted.others.is_empty() {
            hunted.failure = Some(hunted.others.remove(0));
        }
        self.journal.write("swept", |entry| pace.sum(entry, &hunted.reach).number("twice", hunted.checked));
        Hunted {
            variety: pace.variety().to_string(),
            summary: supply.summary(),
            complete: supply.complete(),
            ..hunted
        }
    }

    fn work(&self, shared: &Shared<'_>) {
        let check_every = self.settings.check_every.unwrap_or(self.sweep.check_every);
        while let Some(turn) = shared.next() {
            let is_checked = check_every != 0 && turn.index.is_multiple_of(check_every);
            let second = if is_checked { SecondRun::Always } else { SecondRun::IfItFails };
            let examined = self.examine(turn.job.clone(), second);
            if let (Ok(outcome), true) = (&examined, self.settings.only.is_some()) {
                self.journal.trace(turn.number, None, outcome);
            }
            shared.note(turn, second, examined);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_the_seeds_without_gap_or_overlap() {
        let of_shard = |index| {
            let seeds = Seeds { base: u64::MAX - 1, count: 10, shard: Shard { index, count: 3 } };
            (0..).map_while(move |index| seeds.at(index))
        };
        let mut all: Vec<u64> = (0..3).flat_map(of_shard).map(|seed| seed.wrapping_add(2)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(of_shard(1).count(), 3);
    }

    #[test]
    fn the_sweeps_hash_ties_traces_to_seeds() {
        let sum = |pairs: [(u64, u64); 2]| {
            pairs.into_iter().map(|(seed, trace)| trace_hash_of(seed, trace)).fold(0, u64::wrapping_add)
        };
        assert_eq!(sum([(1, 7), (2, 9)]), sum([(2, 9), (1, 7)]));
        assert_ne!(sum([(1, 7), (2, 9)]), sum([(1, 9), (2, 7)]));
    }

    #[test]
    fn a_seed_far_out_is_no_overflow() {
        let seeds = Seeds { base: 0, count: u64::MAX, shard: Shard { index: 1, count: u64::MAX } };
        assert_eq!((seeds.at(0), seeds.at(1), seeds.at(u64::MAX)), (Some(1), None, None));
    }
}
