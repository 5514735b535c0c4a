//! Policies: strategies at work in one run.
//!
//! A policy only proposes values of the schedule lane. The chosen value is recorded, so a replay needs no policy, and
//! shrinking may turn any value into 0.
//!
//! To add a strategy:
//!
//! 1. Add a variant to [`Strategy`] with its docs, a type that implements [`Policy`] in a file below this one, and an
//!    arm to [`policy`]. Limit its parameters in the policy itself.
//! 2. Give it a weight in [`drawn`], or no test draws it by default. That changes what the default draws for every
//!    seed: recordings stay valid, and trace hashes have to be reviewed.
//! 3. Add a unit test beside it, a column to `STRATEGIES` of the zoo's harness, to the two lines of `table` in
//!    `sim-tests/zoo/run` and to `OURS` of `sim-tests/peers/finding`, and its name to `strategies.md`,
//!    `comparison.md` and `writing-tests.md` of the guide and to the glossary of CONTRIBUTING.md.
//!
//! A policy does not choose which waiter gets a lock or a notification. `choose_waiter` in `schedule` does: first in,
//! first out with [`Strategy::Fifo`], and uniformly with all others.

mod pct;
mod pos;
mod simple;
mod surw;
mod urw;

use std::collections::VecDeque;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use super::profile::Profile;
use super::strategy::Strategy;
use super::table::TaskEntry;
use crate::choice::below;
use crate::wait::{ObjectId, TaskId};

/// Proposes which task runs next.
pub(super) trait Policy {
    /// Proposes one of `candidates` by its index. The first is the default. `lane` is the stream of the schedule lane.
    fn propose(&mut self, candidates: &Candidates<'_>, lane: &mut ChaCha8Rng) -> u32;

    /// A task was started, by `parent` if a task started it. Tasks start in the order of their numbers.
    fn started(&mut self, _task: TaskId, _name: &str, _parent: Option<TaskId>) {}

    /// `task` continues, and touches `object`. Called for every task, whether it was chosen or was the only candidate.
    fn goes_on(&mut self, _task: TaskId, _object: Option<ObjectId>) {}

    /// `task` has yielded. It waits for others, perhaps without end.
    fn yielded(&mut self, _task: TaskId) {}

    /// `task` has ended.
    fn ended(&mut self, _task: TaskId) {}
}

/// How many candidates a policy looks at. More would make a choice among thousands expensive and no more useful,
/// because later candidates move up.
const WINDOW: usize = 128;

/// The tasks that could run next: first the running one, if it may continue, then the ready ones, longest ready first.
pub(super) struct Candidates<'a> {
    pub(super) running: Option<TaskId>,
    pub(super) ready: &'a VecDeque<TaskId>,
    pub(super) tasks: &'a [TaskEntry],
}

/// One task that could run next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) task: TaskId,
    /// The object that it is about to touch, if known.
    pub(super) object: Option<ObjectId>,
}

impl Candidates<'_> {
    /// Returns the number of candidates.
    pub(super) fn count(&self) -> u32 {
        let count = usize::from(self.running.is_some()) + self.ready.len();
        u32::try_from(count).expect("fewer than 2^32 tasks")
    }

    /// Returns the candidates that a policy looks at, in order.
    fn iter(&self) -> impl Iterator<Item = Candidate> {
        let all = self.running.into_iter().chain(self.ready.iter().copied());
        all.take(WINDOW).map(|task| Candidate { task, object: self.tasks[task.index()].object })
    }

    /// Returns the index of the candidate with the highest priority; of equal ones the first.
    fn highest(&self, mut priority: impl FnMut(Candidate) -> u64) -> u32 {
        let mut best = (0, 0);
        for (index, candidate) in self.iter().enumerate() {
            let priority = priority(candidate);
            if priority > best.0 {
                best = (priority, index);
            }
        }
        best.1 as u32
    }

    /// Returns the index of a candidate, drawn in proportion to the weights. Returns 0 if no weight is above 0.
    fn weighted(&self, lane: &mut ChaCha8Rng, mut weight: impl FnMut(Candidate) -> u32) -> u32 {
        let weights: Vec<u32> = self.iter().map(&mut weight).collect();
        draw_weighted(lane, &weights) as u32
    }
}

/// Draws an index in proportion to the weights. Returns 0 if no weight is above 0.
fn draw_weighted(rng: &mut ChaCha8Rng, weights: &[u32]) -> usize {
    let total = weights.iter().fold(0_u32, |sum, &weight| sum.saturating_add(weight));
    if total == 0 {
        return 0;
    }
    let mut drawn = below(rng, total);
    for (index, &weight) in weights.iter().enumerate() {
        match drawn.checked_sub(weight) {
            None => return index,
            Some(rest) => drawn = rest,
        }
    }
    0
}

/// A number for each task, by its number.
#[derive(Debug, Default)]
struct PerTask<T>(Vec<Option<T>>);

impl<T> PerTask<T> {
    fn slot(&mut self, task: TaskId) -> &mut Option<T> {
        if task.index() >= self.0.len() {
            self.0.resize_with(task.index() + 1, || None);
        }
        &mut self.0[task.index()]
    }
}

/// Priorities of tasks. Each is drawn at its first use. A task may fall behind all others.
#[derive(Debug)]
struct TaskPriorities {
    drawn: PerTask<u64>,
    lowest: u64,
}

impl TaskPriorities {
    /// Every priority that a task falls to is below these.
    const INITIAL: u64 = 1 << 63;

    fn new() -> Self {
        Self { drawn: PerTask::default(), lowest: Self::INITIAL }
    }

    fn of(&mut self, task: TaskId, rng: &mut ChaCha8Rng) -> u64 {
        *self.drawn.slot(task).get_or_insert_with(|| Self::INITIAL | priority(rng))
    }

    fn fall_behind(&mut self, task: TaskId) {
        self.lowest -= 1;
        *self.drawn.slot(task) = Some(self.lowest);
    }
}

/// Draws a priority. It is never 0, which is below all.
fn priority(rng: &mut ChaCha8Rng) -> u64 {
    rng.next_u64() | 1
}

/// Returns the policy of a strategy. `rng` is for decisions that are no choices, such as priorities.
pub(super) fn policy(strategy: Strategy, mut rng: ChaCha8Rng, profile: &Arc<Profile>) -> Box<dyn Policy> {
    match drawn(strategy, &mut rng) {
        Strategy::Fifo | Strategy::Swarm => Box::new(simple::Fifo),
        Strategy::Random => Box::new(simple::Random),
        Strategy::Sticky { every } => Box::new(simple::Sticky { every }),
        Strategy::Pct { depth } => Box::new(pct::Pct::new(depth, rng, profile)),
        Strategy::Pos => Box::new(pos::Pos::new(rng)),
        Strategy::Urw => Box::new(urw::Urw::new(profile)),
        Strategy::Surw => Box::new(surw::Surw::new(rng, profile)),
    }
}

/// Returns the strategy that a seed of the swarm uses.
fn drawn(strategy: Strategy, rng: &mut ChaCha8Rng) -> Strategy {
    if strategy != Strategy::Swarm {
        return strategy;
    }
    match below(rng, 16) {
        0 => Strategy::Fifo,
        1 | 2 => Strategy::Random,
        3 => Strategy::Sticky { every: 2 << below(rng, 5) },
        4..=6 => Strategy::Pct { depth: 1 + below(rng, 4) },
        7 | 8 => Strategy::Pos,
        9 | 10 => Strategy::Urw,
        _ => Strategy::Surw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choices;

    /// What a strategy proposes among four tasks that touch nothing.
    pub(super) fn proposals(strategy: Strategy, count: usize) -> Vec<u32> {
        let choices = Choices::seeded(3);
        let mut policy = policy(strategy, choices.side_stream("strategy"), &Arc::default());
        let mut lane = choices.side_stream("schedule");
        let tasks: Vec<TaskId> = (0..4).map(TaskId::new).collect();
        let entries: Vec<TaskEntry> = tasks.iter().map(|_| TaskEntry::idle()).collect();
        for &task in &tasks {
            policy.started(task, "host/main", None);
        }
        let ready = tasks.iter().copied().collect();
        let candidates = Candidates { running: None, ready: &ready, tasks: &entries };
        let mut propose = || {
            let proposed = policy.propose(&candidates, &mut lane);
            policy.goes_on(tasks[proposed as usize], None);
            proposed
        };
        (0..count).map(|_| propose()).collect()
    }

    #[test]
    fn a_weight_of_zero_is_never_drawn() {
        let mut rng = Choices::seeded(1).side_stream("weights");
        let drawn: Vec<usize> = (0..200).map(|_| draw_weighted(&mut rng, &[0, 3, 0, 1])).collect();
        assert!(drawn.iter().all(|index| [1, 3].contains(index)));
        let ones = drawn.iter().filter(|&&index| index == 1).count();
        assert!((120..180).contains(&ones), "{ones} of 200");
        assert_eq!(draw_weighted(&mut rng, &[0, 0]), 0);
    }

    #[test]
    fn the_swarm_draws_every_other_strategy() {
        let mut rng = Choices::seeded(1).side_stream("strategy");
        let drawn: Vec<Strategy> = (0..300).map(|_| drawn(Strategy::Swarm, &mut rng)).collect();
        for strategy in [Strategy::Fifo, Strategy::Random, Strategy::Pos, Strategy::Urw, Strategy::Surw] {
            assert!(drawn.contains(&strategy), "{strategy:?}");
        }
        assert!(drawn.iter().any(|strategy| matches!(strategy, Strategy::Sticky { .. })));
        assert!(drawn.iter().any(|strategy| matches!(strategy, Strategy::Pct { .. })));
    }
}
