//! Probabilistic concurrency testing: priorities that fall at random events.

use rand_chacha::ChaCha8Rng;

use super::{Candidates, Policy, TaskPriorities};
use crate::choice::below;
use crate::sched::profile::Profile;
use crate::wait::{ObjectId, TaskId};

/// See the module.
pub(super) struct Pct {
    rng: ChaCha8Rng,
    /// Higher runs first.
    priorities: TaskPriorities,
    /// Events at which the task that goes on falls behind all others, the last one first.
    change_points: Vec<u64>,
    events: u64,
}

/// How many change points a run has at most.
const DEPTH_MAX: u32 = 8;

/// Where nothing is known of the length of a run, change points are drawn among this many events or fewer, on a log
/// scale: an early point is wasted less often than a late one.
const EVENTS_LOG2_MAX: u32 = 12;

impl Pct {
    pub(super) fn new(depth: u32, mut rng: ChaCha8Rng, profile: &Profile) -> Self {
        let horizon = match u32::try_from(profile.events()) {
            Ok(0) => 16 << below(&mut rng, EVENTS_LOG2_MAX - 3),
            Ok(events) => events,
            Err(_) => u32::MAX,
        };
        let mut change_points: Vec<u64> =
            (1..depth.min(DEPTH_MAX)).map(|_| u64::from(below(&mut rng, horizon))).collect();
        change_points.sort_unstable_by(|a, b| b.cmp(a));
        Self { rng, priorities: TaskPriorities::new(), change_points, events: 0 }
    }
}

impl Policy for Pct {
    fn propose(&mut self, candidates: &Candidates<'_>, _: &mut ChaCha8Rng) -> u32 {
        let Self { priorities, rng, .. } = self;
        candidates.highest(|candidate| priorities.of(candidate.task, rng))
    }

    fn goes_on(&mut self, task: TaskId, _: Option<ObjectId>) {
        while self.change_points.last().is_some_and(|&point| point <= self.events) {
            self.change_points.pop();
            self.priorities.fall_behind(task);
        }
        self.events += 1;
    }

    fn yielded(&mut self, task: TaskId) {
        self.priorities.fall_behind(task);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::policy;
    use super::super::tests::proposals;
    use super::*;
    use crate::choice::Choices;
    use crate::sched::Strategy;
    use crate::sched::profile::Recorder;

    #[test]
    fn pct_changes_priority_less_than_depth_times() {
        let taken = proposals(Strategy::Pct { depth: 3 }, 5_000);
        let changes = taken.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes <= 2, "{changes} changes");
        let never = proposals(Strategy::Pct { depth: 1 }, 5_000);
        assert!(never.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn change_points_lie_within_the_counted_run() {
        let mut recorder = Recorder::default();
        recorder.started("host/main".into(), None);
        for _ in 0..5 {
            recorder.went_on(TaskId::new(0), None);
        }
        let profile = recorder.into_profile();
        for seed in 0..50 {
            let pct = Pct::new(4, Choices::seeded(seed).side_stream("strategy"), &profile);
            assert_eq!(pct.change_points.len(), 3);
            assert!(pct.change_points.iter().all(|&point| point < 5), "{:?}", pct.change_points);
        }
    }

    #[test]
    fn a_task_that_yields_falls_behind() {
        let choices = Choices::seeded(3);
        let strategy = Strategy::Pct { depth: 1 };
        let mut policy = policy(strategy, choices.side_stream("strategy"), &Arc::default());
        let entries = [crate::sched::table::TaskEntry::idle(), crate::sched::table::TaskEntry::idle()];
        let ready = (0..2).map(TaskId::new).collect();
        let candidates = Candidates { running: None, ready: &ready, tasks: &entries };
        let mut lane = choices.side_stream("schedule");
        let first = policy.propose(&candidates, &mut lane);
        policy.yielded(TaskId::new(first as usize));
        assert_ne!(policy.propose(&candidates, &mut lane), first);
    }
}
