//! Hand-overs: which task touched an object right after which other task. The set of a run's hand-overs tells its
//! schedule apart from others that differ in something that can matter.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

use crate::trace::StableHasher;
use crate::wait::{HostIndex, ObjectId, TaskId};

/// The hand-overs of a run.
#[derive(Debug, Default)]
pub(super) struct Handovers {
    /// Hashes of the tasks' names, by their numbers.
    names: Vec<u64>,
    last: BTreeMap<ObjectId, TaskId>,
    seen: BTreeSet<u64>,
    fingerprint: u64,
}

impl Handovers {
    pub(super) fn started(&mut self, name: &str) {
        let mut hasher = StableHasher::default();
        hasher.write(name.as_bytes());
        self.names.push(hasher.finish());
    }

    /// `task` touched `object`. The steps of a host's tasks that touch nothing known count as touching the host.
    pub(super) fn touched(&mut self, task: TaskId, host: HostIndex, object: Option<ObjectId>) {
        let object = object.unwrap_or_else(|| ObjectId::named(host, ""));
        let Some(before) = self.last.insert(object, task).filter(|&before| before != task) else { return };
        let mut hasher = StableHasher::default();
        hasher.write_u64(object.number());
        hasher.write_u64(self.names[before.index()]);
        hasher.write_u64(self.names[task.index()]);
        let handover = hasher.finish();
        if self.seen.insert(handover) {
            self.fingerprint = self.fingerprint.wrapping_add(handover);
        }
    }

    /// A number that is equal for two runs if their sets of hand-overs are, and practically only then.
    pub(super) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(order: &[usize]) -> u64 {
        let mut handovers = Handovers::default();
        (0..3).for_each(|index| handovers.started(&format!("host/task {index}")));
        for &index in order {
            handovers.touched(TaskId::new(index), 0, Some(ObjectId::named(0, "count")));
        }
        handovers.fingerprint()
    }

    #[test]
    fn the_order_of_handovers_does_not_matter() {
        assert_eq!(fingerprint(&[0, 1, 0, 2, 0]), fingerprint(&[0, 2, 0, 1, 0]));
        assert_eq!(fingerprint(&[0, 1, 0, 1]), fingerprint(&[0, 0, 1, 0]));
    }

    #[test]
    fn another_handover_is_another_fingerprint() {
        assert_ne!(fingerprint(&[0, 1]), fingerprint(&[1, 0]));
        assert_ne!(fingerprint(&[0, 1, 2]), fingerprint(&[0, 2, 1]));
        assert_eq!(fingerprint(&[0, 0]), 0);
    }

    #[test]
    fn different_objects_are_handed_over_apart() {
        let mut handovers = Handovers::default();
        (0..2).for_each(|index| handovers.started(&format!("host/task {index}")));
        handovers.touched(TaskId::new(0), 0, Some(ObjectId::named(0, "a")));
        handovers.touched(TaskId::new(1), 0, Some(ObjectId::named(0, "b")));
        assert_eq!(handovers.fingerprint(), 0);
        // Steps that touch nothing known meet at their host.
        handovers.touched(TaskId::new(0), 0, None);
        handovers.touched(TaskId::new(1), 1, None);
        assert_eq!(handovers.fingerprint(), 0);
        handovers.touched(TaskId::new(1), 0, None);
        assert_ne!(handovers.fingerprint(), 0);
    }
}
