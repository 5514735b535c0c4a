//! Selectively uniform random walk: uniform over the interleavings of the accesses to one object.
//!
//! A task that is about to touch the object waits until it is its turn. Whose turn it is, is drawn by how many accesses
//! each task has left. Everything else is ordered by random priorities.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::urw::Remaining;
use super::{Candidate, Candidates, Policy, TaskPriorities, draw_weighted};
use crate::choice::below;
use crate::sched::profile::Profile;
use crate::wait::{ObjectId, TaskId};

/// See the module.
pub(super) struct Surw {
    rng: ChaCha8Rng,
    /// `None` if the counted run had no object that two tasks touched.
    object: Option<ObjectId>,
    remaining: Remaining,
    /// The task whose access comes next.
    intended: Option<TaskId>,
    /// Of everything else; higher runs first.
    priorities: TaskPriorities,
}

impl Surw {
    pub(super) fn new(mut rng: ChaCha8Rng, profile: &Arc<Profile>) -> Self {
        let shared = profile.shared();
        let weights: Vec<u32> = shared.iter().map(|&(_, accesses)| accesses).collect();
        let object = (!shared.is_empty()).then(|| shared[draw_weighted(&mut rng, &weights)].0);
        let remaining = Remaining::new(profile, object);
        Self { rng, object, remaining, intended: None, priorities: TaskPriorities::new() }
    }

    /// Whether touching `object` is one of the accesses that are interleaved.
    fn is_access(&self, object: Option<ObjectId>) -> bool {
        object.is_some() && object == self.object
    }

    /// Whether a candidate has to wait, because it is the turn of another task.
    fn waits(&self, candidate: Candidate) -> bool {
        self.is_access(candidate.object) && self.intended != Some(candidate.task)
    }

    /// Draws whose access comes next, unless that is settled.
    fn settle(&mut self) {
        let is_settled = self.intended.is_some_and(|task| self.remaining.of(task) > 0);
        if self.object.is_some() && !is_settled {
            let any_left = self.remaining.all().iter().any(|&left| left > 0);
            self.intended = any_left.then(|| TaskId::new(draw_weighted(&mut self.rng, self.remaining.all())));
        }
    }
}

impl Policy for Surw {
    fn propose(&mut self, candidates: &Candidates<'_>, lane: &mut ChaCha8Rng) -> u32 {
        self.settle();
        if candidates.iter().all(|candidate| self.waits(candidate)) {
            // The intended task cannot come to its access before one of these.
            return candidates.weighted(lane, |candidate| self.remaining.of(candidate.task).max(1));
        }
        candidates.highest(|candidate| {
            if self.waits(candidate) {
                return 0;
            }
            self.priorities.of(candidate.task, &mut self.rng)
        })
    }

    fn started(&mut self, task: TaskId, name: &str, parent: Option<TaskId>) {
        let before = parent.map_or(0, |parent| self.remaining.of(parent));
        let own = self.remaining.started(name, parent);
        // The turn of a task that is yet to start was its parent's.
        if parent.is_some() && self.intended == parent && before > 0 && below(&mut self.rng, before) < own {
            self.intended = Some(task);
        }
    }

    fn goes_on(&mut self, task: TaskId, object: Option<ObjectId>) {
        if self.is_access(object) {
            self.remaining.goes_on(task);
            self.intended = None;
        }
    }

    fn yielded(&mut self, task: TaskId) {
        self.priorities.fall_behind(task);
    }

    fn ended(&mut self, task: TaskId) {
        self.remaining.ended(task);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::choice::Choices;
    use crate::sched::profile::Recorder;
    use crate::sched::table::TaskEntry;

    #[test]
    fn accesses_to_one_object_interleave_uniformly() {
        let object = ObjectId::named(0, "count");
        // Two accesses each, between many events that touch nothing.
        let program = [false, false, true, false, false, false, true];
        let touches = |is_access| if is_access { Some(object) } else { None };
        let mut recorder = Recorder::default();
        for index in 0..2 {
            recorder.started(format!("task {index}").into(), None);
            program.iter().for_each(|&event| recorder.went_on(TaskId::new(index), touches(event)));
        }
        let profile = Arc::new(recorder.into_profile());
        let mut seen: BTreeMap<Vec<usize>, u32> = BTreeMap::new();
        for seed in 0..1_200 {
            let choices = Choices::seeded(seed);
            let mut surw = Surw::new(choices.side_stream("strategy"), &profile);
            let mut lane = choices.side_stream("schedule");
            (0..2).for_each(|index| surw.started(TaskId::new(index), &format!("task {index}"), None));
            let (mut done, mut order) = ([0, 0], Vec::new());
            while done != [program.len(); 2] {
                let entries = done.map(|at| {
                    let object = program.get(at).and_then(|&event| touches(event));
                    TaskEntry { object, ..TaskEntry::idle() }
                });
                let ready = (0..2).filter(|&task| done[task] < program.len()).map(TaskId::new).collect();
                let candidates = Candidates { running: None, ready: &ready, tasks: &entries };
                let task = ready[surw.propose(&candidates, &mut lane) as usize];
                surw.goes_on(task, entries[task.index()].object);
                if program[done[task.index()]] {
                    order.push(task.index());
                }
                done[task.index()] += 1;
                if done[task.index()] == program.len() {
                    surw.ended(task);
                }
            }
            *seen.entry(order).or_default() += 1;
        }
        // Four accesses, two of each: six ways, 200 seeds each.
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|count| (150..250).contains(count)), "{seen:?}");
    }

    #[test]
    fn without_a_shared_object_priorities_decide() {
        let taken = super::super::tests::proposals(crate::sched::Strategy::Surw, 100);
        assert!(taken.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
