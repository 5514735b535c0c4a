//! Strategies: how the schedule lane is drawn when the seed decides.
//!
//! A strategy only proposes values. What was chosen is recorded, so a replay needs no strategy, and shrinking may turn
//! any value into 0 whatever proposed it.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use super::TaskId;
use crate::choice::below;

/// How the next task is chosen where more than one could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Each seed draws its own strategy (swarm testing): one of the others. The default.
    Swarm,
    /// First come, first served, and a thread runs until it blocks: what a quiet machine does.
    Fifo,
    /// Every candidate is as likely as any other, at every scheduling point.
    Random,
    /// As `Random`, but only at one scheduling point in `every`; otherwise the same task goes on. Bugs that need a long
    /// undisturbed stretch and then one unlucky switch.
    Sticky {
        /// 1 or more; 1 is `Random`.
        every: u32,
    },
    /// Probabilistic concurrency testing: random priorities, lowered at `depth - 1` random points. Finds a bug that needs
    /// `depth` ordering constraints with a known probability (Burckhardt et al., ASPLOS 2010).
    Pct {
        /// 1 to 8.
        depth: u32,
    },
}

/// A strategy at work in one run.
#[derive(Debug)]
pub(super) struct Chooser {
    strategy: Strategy,
    rng: ChaCha8Rng,
    /// PCT, by number of the task: higher runs first.
    priorities: Vec<Option<u64>>,
    /// PCT: scheduling points at which the running task falls behind all others, ascending.
    change_points: Vec<u64>,
    points: u64,
    lowest: u64,
}

/// PCT draws its change points among this many scheduling points or fewer (drawn on a log scale): runs have no known
/// length in advance, and an early point is wasted less often than a late one.
const PCT_POINTS_LOG2_MAX: u32 = 12;

impl Chooser {
    pub(super) fn new(strategy: Strategy, mut rng: ChaCha8Rng) -> Self {
        let strategy = match strategy {
            Strategy::Swarm => match below(&mut rng, 8) {
                0 => Strategy::Fifo,
                1 | 2 => Strategy::Random,
                3 | 4 => Strategy::Sticky { every: 2 << below(&mut rng, 5) },
                _ => Strategy::Pct { depth: 1 + below(&mut rng, 4) },
            },
            chosen => chosen,
        };
        let mut change_points = Vec::new();
        if let Strategy::Pct { depth } = strategy {
            let horizon = 16 << below(&mut rng, PCT_POINTS_LOG2_MAX - 3);
            change_points = (1..depth.min(8)).map(|_| u64::from(below(&mut rng, horizon))).collect();
            change_points.sort_unstable();
        }
        Self { strategy, rng, priorities: Vec::new(), change_points, points: 0, lowest: u64::MAX / 2 }
    }

    /// Proposes one of `candidates`. The first is the default.
    pub(super) fn propose(&mut self, candidates: &[TaskId], lane: &mut ChaCha8Rng) -> u32 {
        let bound = u32::try_from(candidates.len()).expect("fewer than 2^32 candidates");
        match self.strategy {
            Strategy::Fifo | Strategy::Swarm => 0,
            Strategy::Random => below(lane, bound),
            Strategy::Sticky { every } => {
                if below(lane, every.max(1)) == 0 {
                    below(lane, bound)
                } else {
                    0
                }
            }
            Strategy::Pct { .. } => self.propose_by_priority(candidates),
        }
    }

    fn propose_by_priority(&mut self, candidates: &[TaskId]) -> u32 {
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

    fn highest(&self, candidates: &[TaskId]) -> usize {
        let priority = |index: &usize| self.priorities[candidates[*index].index()];
        // Of equals the first, which is the default.
        (0..candidates.len()).rev().max_by_key(priority).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choices;

    fn proposals(strategy: Strategy, count: usize) -> Vec<u32> {
        let choices = Choices::seeded(3);
        let mut chooser = Chooser::new(strategy, choices.side_stream("strategy"));
        let mut lane = choices.side_stream("schedule");
        let candidates: Vec<TaskId> = (0..4).map(TaskId::new).collect();
        (0..count).map(|_| chooser.propose(&candidates, &mut lane)).collect()
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
