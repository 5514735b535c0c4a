//! Partial-order sampling: a random priority for each operation, drawn anew when a conflicting one has come before it.
//!
//! Two operations conflict if they touch the same object. Operations that conflict with nothing run in an order that
//! does not matter, and no draw is spent on it.

use rand_chacha::ChaCha8Rng;

use super::{Candidates, PerTask, Policy, priority};
use crate::wait::{ObjectId, TaskId};

/// See the module.
pub(super) struct Pos {
    rng: ChaCha8Rng,
    /// Of the operation that each task is about to do.
    priorities: PerTask<u64>,
    /// What was touched since the last proposal.
    touched: Vec<ObjectId>,
}

impl Pos {
    pub(super) fn new(rng: ChaCha8Rng) -> Self {
        Self { rng, priorities: PerTask::default(), touched: Vec::new() }
    }
}

impl Policy for Pos {
    fn propose(&mut self, candidates: &Candidates<'_>, _: &mut ChaCha8Rng) -> u32 {
        let Self { rng, priorities, touched } = self;
        let proposed = candidates.highest(|candidate| {
            let slot = priorities.slot(candidate.task);
            if candidate.object.is_some_and(|object| touched.contains(&object)) {
                *slot = None;
            }
            *slot.get_or_insert_with(|| priority(rng))
        });
        touched.clear();
        proposed
    }

    fn goes_on(&mut self, task: TaskId, object: Option<ObjectId>) {
        *self.priorities.slot(task) = None;
        if let Some(object) = object.filter(|object| !self.touched.contains(object)) {
            self.touched.push(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::proposals;
    use super::*;
    use crate::choice::Choices;
    use crate::sched::Strategy;
    use crate::sched::table::TaskEntry;

    #[test]
    fn pos_takes_every_candidate_sooner_or_later() {
        let taken = proposals(Strategy::Pos, 100);
        assert!((0..4).all(|candidate| taken.contains(&candidate)));
    }

    #[test]
    fn only_conflicting_operations_get_new_priorities() {
        let [mine, other] = ["mine", "other"].map(|name| ObjectId::named(0, name));
        let entries =
            [mine, other, other].map(|object| TaskEntry { object: Some(object), ..TaskEntry::idle() });
        let ready = (0..3).map(TaskId::new).collect();
        let candidates = Candidates { running: None, ready: &ready, tasks: &entries };
        let choices = Choices::seeded(3);
        let mut pos = Pos::new(choices.side_stream("strategy"));
        let mut lane = choices.side_stream("schedule");
        pos.propose(&candidates, &mut lane);
        let before = [0, 1, 2].map(|index| *pos.priorities.slot(TaskId::new(index)));
        pos.goes_on(TaskId::new(1), Some(other));
        pos.propose(&candidates, &mut lane);
        let after = [0, 1, 2].map(|index| *pos.priorities.slot(TaskId::new(index)));
        assert_eq!(before[0], after[0]);
        assert_ne!(before[1], after[1]);
        assert_ne!(before[2], after[2]);
    }
}
