//! Uniform random walk: a task is as likely as it has events left.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::{Candidates, Policy};
use crate::sched::profile::Profile;
use crate::wait::{ObjectId, TaskId};

/// How many events each task has left, with those of the tasks that it has yet to start.
#[derive(Debug)]
pub(super) struct Remaining {
    profile: Arc<Profile>,
    /// Count those events only that touch this.
    object: Option<ObjectId>,
    left: Vec<u32>,
}

impl Remaining {
    pub(super) fn new(profile: &Arc<Profile>, object: Option<ObjectId>) -> Self {
        Self { profile: Arc::clone(profile), object, left: Vec::new() }
    }

    /// Takes the events of a task that starts out of those of its parent. Returns how many they are.
    pub(super) fn started(&mut self, name: &str, parent: Option<TaskId>) -> u32 {
        let events = self.profile.events_of(name, self.object);
        if let Some(parent) = parent.and_then(|parent| self.left.get_mut(parent.index())) {
            *parent = parent.saturating_sub(events);
        }
        self.left.push(events);
        events
    }

    pub(super) fn goes_on(&mut self, task: TaskId) {
        let left = &mut self.left[task.index()];
        *left = left.saturating_sub(1);
    }

    pub(super) fn ended(&mut self, task: TaskId) {
        self.left[task.index()] = 0;
    }

    pub(super) fn of(&self, task: TaskId) -> u32 {
        self.left[task.index()]
    }

    pub(super) fn all(&self) -> &[u32] {
        &self.left
    }
}

/// See the module.
pub(super) struct Urw {
    remaining: Remaining,
}

impl Urw {
    pub(super) fn new(profile: &Arc<Profile>) -> Self {
        Self { remaining: Remaining::new(profile, None) }
    }
}

impl Policy for Urw {
    fn propose(&mut self, candidates: &Candidates<'_>, lane: &mut ChaCha8Rng) -> u32 {
        // A candidate has an event left, whatever was counted.
        candidates.weighted(lane, |candidate| self.remaining.of(candidate.task).max(1))
    }

    fn started(&mut self, _: TaskId, name: &str, parent: Option<TaskId>) {
        self.remaining.started(name, parent);
    }

    fn goes_on(&mut self, task: TaskId, _: Option<ObjectId>) {
        self.remaining.goes_on(task);
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

    /// The share of each interleaving of a task with `long` events and one with `short`.
    #[test]
    fn all_interleavings_are_about_equally_likely() {
        let (long, short) = (4, 2);
        let mut recorder = Recorder::default();
        for (index, (name, events)) in [("a", long), ("b", short)].into_iter().enumerate() {
            recorder.started(name.into(), None);
            (0..events).for_each(|_| recorder.went_on(TaskId::new(index), None));
        }
        let profile = Arc::new(recorder.into_profile());
        let entries = [TaskEntry::idle(), TaskEntry::idle()];
        let mut seen: BTreeMap<Vec<usize>, u32> = BTreeMap::new();
        for seed in 0..3_000 {
            let mut urw = Urw::new(&profile);
            let mut lane = Choices::seeded(seed).side_stream("schedule");
            let mut left = [long, short];
            urw.started(TaskId::new(0), "a", None);
            urw.started(TaskId::new(1), "b", None);
            let mut order = Vec::new();
            while left != [0, 0] {
                let ready = (0..2).filter(|&task| left[task] > 0).map(TaskId::new).collect();
                let candidates = Candidates { running: None, ready: &ready, tasks: &entries };
                let task = ready[urw.propose(&candidates, &mut lane) as usize];
                urw.goes_on(task, None);
                left[task.index()] -= 1;
                order.push(task.index());
            }
            *seen.entry(order).or_default() += 1;
        }
        // Six events, two of them of `b`: 15 ways, 200 seeds each.
        assert_eq!(seen.len(), 15);
        assert!(seen.values().all(|count| (140..260).contains(count)), "{seen:?}");
    }
}
