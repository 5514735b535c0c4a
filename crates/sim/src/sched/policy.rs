//! Policies: strategies at work in one run.
//!
//! A policy only proposes values of the schedule lane. What was chosen is recorded, so a replay needs no policy, and
//! shrinking may turn any value into 0 whatever proposed it.
//!
//! To add a strategy:
//!
//! 1. Add a variant to [`Strategy`] with its docs, a type here that implements [`Policy`], and an arm to [`policy`].
//! 2. Give it a weight in the arm of `Strategy::Swarm`, or no test draws it by default. That changes what the default
//!    draws for every seed: recordings stay valid, and trace hashes have to be reviewed.
//! 3. Add a unit test here, a column to `STRATEGIES` of the zoo's harness, and its name to `docs/writing-tests.md`.
//!
//! A policy does not choose which waiter gets a lock or a notification: `choose_waiter` in `schedule` does, first in
//! first out with [`Strategy::Fifo`] and uniformly with all others.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use super::strategy::Strategy;
use crate::choice::below;
use crate::wait::TaskId;

/// Proposes which task runs next.
pub(super) trait Policy {
    /// Proposes one of `candidates` by its index. The first is the default. `lane` is the stream of the schedule lane.
    fn propose(&mut self, candidates: &[TaskId], lane: &mut ChaCha8Rng) -> u32;
}

/// Returns the policy of a strategy. `rng` is for decisions that are no choices, such as priorities.
pub(super) fn policy(strategy: Strategy, mut rng: ChaCha8Rng) -> Box<dyn Policy> {
    let strategy = match strategy {
        Strategy::Swarm => match below(&mut rng, 8) {
            0 => Strategy::Fifo,
            1 | 2 => Strategy::Random,
            3 | 4 => Strategy::Sticky { every: 2 << below(&mut rng, 5) },
            _ => Strategy::Pct { depth: 1 + below(&mut rng, 4) },
        },
        chosen => chosen,
    };
    match strategy {
        Strategy::Fifo | Strategy::Swarm => Box::new(Fifo),
        Strategy::Random => Box::new(Random),
        Strategy::Sticky { every } => Box::new(Sticky { every }),
        Strategy::Pct { depth } => Box::new(Pct::new(depth, rng)),
    }
}

/// First come, first served.
struct Fifo;

impl Policy for Fifo {
    fn propose(&mut self, _: &[TaskId], _: &mut ChaCha8Rng) -> u32 {
        0
    }
}

/// Any candidate at one scheduling point in `every`, otherwise the default.
struct Sticky {
    every: u32,
}

/// Any candidate at every scheduling point.
struct Random;

/// Priorities that fall at random points.
struct Pct {
    rng: ChaCha8Rng,
    /// By number of the task: higher runs first.
    priorities: Vec<Option<u64>>,
    /// Scheduling points at which the running task falls behind all others, ascending.
    change_points: Vec<u64>,
    points: u64,
    lowest: u64,
}

/// PCT draws its change points among this many scheduling points or fewer (drawn on a log scale): runs have no known
/// length in advance, and an early point is wasted less often than a late one.
const PCT_POINTS_LOG2_MAX: u32 = 12;

fn bound(candidates: &[TaskId]) -> u32 {
    u32::try_from(candidates.len()).expect("fewer than 2^32 candidates")
}

impl Policy for Random {
    fn propose(&mut self, candidates: &[TaskId], lane: &mut ChaCha8Rng) -> u32 {
        below(lane, bound(candidates))
    }
}

impl Policy for Sticky {
    fn propose(&mut self, candidates: &[TaskId], lane: &mut ChaCha8Rng) -> u32 {
        if below(lane, self.every.max(1)) == 0 { below(lane, bound(candidates)) } else { 0 }
    }
}

impl Pct {
    fn new(depth: u32, mut rng: ChaCha8Rng) -> Self {
        let horizon = 16 << below(&mut rng, PCT_POINTS_LOG2_MAX - 3);
        let mut change_points: Vec<u64> =
            (1..depth.min(8)).map(|_| u64::from(below(&mut rng, horizon))).collect();
        change_points.sort_unstable();
        Self { rng, priorities: Vec::new(), change_points, points: 0, lowest: u64::MAX / 2 }
    }

    fn highest(&self, candidates: &[TaskId]) -> usize {
        let priority = |index: &usize| self.priorities[candidates[*index].index()];
        // Of equals the first, which is the default.
        (0..candidates.len()).rev().max_by_key(priority).unwrap_or(0)
    }
}

impl Policy for Pct {
    fn propose(&mut self, candidates: &[TaskId], _: &mut ChaCha8Rng) -> u32 {
        for &task in candidates {
            // The upper half: above every priority that a change point hands out.
            if task.index() >= self.priorities.len() {
                self.priorities.resize(task.index() + 1, None);
            }
            self.priorities[task.index()].get_or_insert_with(|| self.rng.next_u64() | (1 << 63));
        }
        let mut best = self.highest(candidates);
        while self.change_points.first().is_some_and(|&point| point <= self.points) {
            self.change_points.remove(0);
            self.lowest -= 1;
            self.priorities[candidates[best].index()] = Some(self.lowest);
            best = self.highest(candidates);
        }
        self.points += 1;
        best as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choices;
    use crate::sched::Strategy;

    fn proposals(strategy: Strategy, count: usize) -> Vec<u32> {
        let choices = Choices::seeded(3);
        let mut policy = policy(strategy, choices.side_stream("strategy"));
        let mut lane = choices.side_stream("schedule");
        let candidates: Vec<TaskId> = (0..4).map(TaskId::new).collect();
        (0..count).map(|_| policy.propose(&candidates, &mut lane)).collect()
    }

    #[test]
    fn fifo_always_takes_the_default_candidate() {
        assert_eq!(proposals(Strategy::Fifo, 20), vec![0; 20]);
    }

    #[test]
    fn random_takes_every_candidate_sooner_or_later() {
        let taken = proposals(Strategy::Random, 100);
        assert!((0..4).all(|candidate| taken.contains(&candidate)));
    }

    #[test]
    fn sticky_mostly_keeps_running_the_same_task() {
        let switches =
            proposals(Strategy::Sticky { every: 16 }, 320).iter().filter(|&&value| value != 0).count();
        assert!((5..60).contains(&switches), "{switches} switches");
    }

    #[test]
    fn pct_changes_priority_less_than_depth_times() {
        let taken = proposals(Strategy::Pct { depth: 3 }, 5_000);
        let changes = taken.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes <= 2, "{changes} changes");
        let never = proposals(Strategy::Pct { depth: 1 }, 5_000);
        assert!(never.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
