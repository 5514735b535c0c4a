//! What one run has counted: how often each task goes on, and what it touches then. Strategies that weigh tasks use
//! it.
//!
//! A sweep counts once, in its warm-up, which is the same run in every process. So a seed draws the same schedule
//! whether it is part of a sweep or is replayed alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::wait::{ObjectId, TaskId};
#[cfg(all(feature = "process", not(miri)))]
use crate::wire::{Reader, Writer};

/// What a task did, together with the tasks that it started, and those that they started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    events: u32,
    touched: BTreeMap<ObjectId, u32>,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        for (&object, count) in &other.touched {
            *self.touched.entry(object).or_default() += count;
        }
    }
}

/// The counts of a run. An *event* is one time that a task goes on: from a scheduling point, or when it is stepped.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    events: u64,
    /// By name.
    tasks: BTreeMap<Arc<str>, Counts>,
    /// What at least two tasks touched, and how often.
    shared: Vec<(ObjectId, u32)>,
}

/// On the way to another process of the run.
#[cfg(all(feature = "process", not(miri)))]
impl Profile {
    pub(crate) fn tell(&self, to: &mut Writer) {
        fn counts<'a>(to: &mut Writer, counts: impl ExactSizeIterator<Item = (&'a ObjectId, &'a u32)>) {
            to.all(counts, |to, (object, count)| {
                to.number(object.number()).small(*count);
            });
        }
        to.number(self.events);
        to.all(self.tasks.iter(), |to, (name, of)| {
            to.text(name).small(of.events);
            counts(to, of.touched.iter());
        });
        counts(to, self.shared.iter().map(|(object, count)| (object, count)));
    }

    pub(crate) fn told(from: &mut Reader<'_>) -> Self {
        fn counts<C: FromIterator<(ObjectId, u32)>>(from: &mut Reader<'_>) -> C {
            from.all(|from| (ObjectId::of_number(from.number()), from.small()))
        }
        Self {
            events: from.number(),
            tasks: from
                .all(|from| (from.text().into(), Counts { events: from.small(), touched: counts(from) })),
            shared: counts(from),
        }
    }
}

impl Profile {
    /// How many events the run had.
    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    /// How many events a task has, with all that it starts: all of them, or those that touch `object`.
    pub(super) fn events_of(&self, task: &str, object: Option<ObjectId>) -> u32 {
        let counts = self.tasks.get(task);
        let count = counts.and_then(|counts| match object {
            None => Some(counts.events),
            Some(object) => counts.touched.get(&object).copied(),
        });
        count.unwrap_or(0)
    }

    /// What at least two tasks touched, and how often.
    pub(super) fn shared(&self) -> &[(ObjectId, u32)] {
        &self.shared
    }
}

/// Counts a run.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    tasks: Vec<Task>,
}

#[derive(Debug)]
struct Task {
    name: Arc<str>,
    parent: Option<TaskId>,
    counts: Counts,
}

impl Recorder {
    pub(super) fn started(&mut self, name: Arc<str>, parent: Option<TaskId>) {
        self.tasks.push(Task { name, parent, counts: Counts::default() });
    }

    pub(super) fn went_on(&mut self, task: TaskId, object: Option<ObjectId>) {
        let counts = &mut self.tasks[task.index()].counts;
        counts.events += 1;
        if let Some(object) = object {
            *counts.touched.entry(object).or_default() += 1;
        }
    }

    pub(super) fn into_profile(self) -> Profile {
        let mut touched: BTreeMap<ObjectId, (u32, u32)> = BTreeMap::new();
        for task in &self.tasks {
            for (&object, count) in &task.counts.touched {
                let (tasks, accesses) = touched.entry(object).or_default();
                *tasks += 1;
                *accesses += count;
            }
        }
        let shared = touched.into_iter().filter(|(_, (tasks, _))| *tasks > 1);
        let shared = shared.map(|(object, (_, accesses))| (object, accesses)).collect();
        let events = self.tasks.iter().map(|task| u64::from(task.counts.events)).sum();
        let mut tasks = self.tasks;
        // Children come after their parents: from the last to the first, each hands on what it has gathered.
        for index in (0..tasks.len()).rev() {
            if let Some(parent) = tasks[index].parent {
                let (before, rest) = tasks.split_at_mut(index);
                before[parent.index()].counts.add(&rest[0].counts);
            }
        }
        Profile { events, tasks: tasks.into_iter().map(|task| (task.name, task.counts)).collect(), shared }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_count_the_events_of_their_children() {
        let object = ObjectId::named(0, "count");
        let mut recorder = Recorder::default();
        let [main, child, other] = [0, 1, 2].map(TaskId::new);
        recorder.started("a/main".into(), None);
        recorder.started("a/child".into(), Some(main));
        recorder.started("b/main".into(), None);
        recorder.went_on(main, None);
        recorder.went_on(child, Some(object));
        recorder.went_on(child, Some(ObjectId::named(0, "of the child alone")));
        recorder.went_on(other, Some(object));
        let profile = recorder.into_profile();
        assert_eq!(profile.events(), 4);
        let of = |task| (profile.events_of(task, None), profile.events_of(task, Some(object)));
        assert_eq!((of("a/main"), of("a/child"), of("b/main")), ((3, 1), (2, 1), (1, 1)));
        assert_eq!(of("never seen"), (0, 0));
        assert_eq!(profile.shared(), [(object, 2)]);
    }
}
