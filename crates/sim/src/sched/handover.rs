//! Hand-overs: which task touched an object right after which other task. The set of a run's hand-overs tells its
//! schedule apart from others that differ in something that can matter.

use std::hash::Hasher;

use crate::trace::StableHasher;
use crate::wait::{HostIndex, ObjectId, TaskId};

/// The hand-overs of a run.
#[derive(Debug, Default)]
pub(super) struct Handovers {
    /// Hashes of the tasks' names, by their numbers.
    names: Vec<u64>,
    /// The task that touched an object last, by the object's number.
    last: Numbers,
    seen: Hashes,
    fingerprint: u64,
}

impl Handovers {
    pub(super) fn started(&mut self, name: &str) {
        let mut hasher = StableHasher::default();
        hasher.write(name.as_bytes());
        self.names.push(hasher.finish());
    }

    /// `task` touched `object`. The steps of a host's tasks that touch nothing known count as touching the host.
    #[inline]
    pub(super) fn touched(&mut self, task: TaskId, host: HostIndex, object: Option<ObjectId>) {
        let object = object.unwrap_or_else(|| ObjectId::of_host(host)).number();
        let last = self.last.value(object, UNTOUCHED);
        let before = std::mem::replace(last, task.index());
        if before == UNTOUCHED || before == task.index() {
            return;
        }
        let mut hasher = StableHasher::default();
        hasher.write_u64(object);
        hasher.write_u64(self.names[before]);
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

/// The value of an object that no task has touched.
const UNTOUCHED: usize = usize::MAX;

/// A set of hashes, as [`Numbers`].
#[derive(Debug, Default)]
struct Hashes {
    /// 0 is no hash.
    slots: Vec<u64>,
    used: usize,
}

impl Hashes {
    /// Adds a hash. Returns `true` if it is new.
    fn insert(&mut self, hash: u64) -> bool {
        if self.used * 2 >= self.slots.len() {
            let size = (self.slots.len() * 2).max(16);
            let before = std::mem::replace(&mut self.slots, vec![0; size]);
            before.into_iter().filter(|&hash| hash != 0).for_each(|hash| {
                let index = self.place(hash);
                self.slots[index] = hash;
            });
        }
        let hash = hash.max(1);
        let index = self.place(hash);
        let is_new = self.slots[index] == 0;
        self.slots[index] = hash;
        self.used += usize::from(is_new);
        is_new
    }

    fn place(&self, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut index = hash as usize & mask;
        while self.slots[index] != 0 && self.slots[index] != hash {
            index = (index + 1) & mask;
        }
        index
    }
}

/// Values by number: a hash table with open addressing. Nothing iterates it. A tree takes several times as long, and
/// each step of a run asks it.
#[derive(Debug, Default)]
struct Numbers {
    slots: Vec<Option<(u64, usize)>>,
    used: usize,
}

impl Numbers {
    /// Returns the value of `number`, which is `first` unless it was asked for before.
    #[inline]
    fn value(&mut self, number: u64, first: usize) -> &mut usize {
        // At most half of the slots are used.
        if self.used * 2 >= self.slots.len() {
            self.grow();
        }
        let index = self.place(number);
        self.used += usize::from(self.slots[index].is_none());
        &mut self.slots[index].get_or_insert((number, first)).1
    }

    /// Returns the slot that has `number`, or else the one for it.
    fn place(&self, number: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut index = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        while self.slots[index].is_some_and(|(other, _)| other != number) {
            index = (index + 1) & mask;
        }
        index
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(16);
        let before = std::mem::replace(&mut self.slots, vec![None; size]);
        for (number, value) in before.into_iter().flatten() {
            let index = self.place(number);
            self.slots[index] = Some((number, value));
        }
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
    fn a_table_keeps_the_values_of_all_numbers() {
        let mut numbers = Numbers::default();
        // Half of them differ in their high bits only.
        let all: Vec<u64> = (0..1_000).flat_map(|number| [number, number << 40]).collect();
        let distinct: std::collections::BTreeSet<u64> = all.iter().copied().collect();
        for &number in &distinct {
            assert_eq!(*numbers.value(number, 7), 7, "{number}");
            *numbers.value(number, 7) = number as usize;
        }
        assert!(distinct.iter().all(|&number| *numbers.value(number, 7) == number as usize));
        assert_eq!(numbers.used, distinct.len());
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
