//! A quicksort with a pool of threads: work is given to a thread before it waits for it.
//!
//! Local variables of the sort are left out, because it has thousands of accesses to them. Elements of the array count.

use std::sync::Arc;

use super::{join_many, start};
use crate::machine::Machine;
use crate::memory::Shared;

const THREADS: usize = 4;
/// Parts with more elements than this may be given to another thread.
const FORK_ABOVE: usize = 4;

const IDLE: i64 = 0;
const AT_WORK: i64 = 1;
const ENDED: i64 = 2;

/// What the original sorts: the first 32 values of the C library's generator, modulo 32.
const VALUES: [i64; 32] = [
    7, 6, 9, 19, 17, 31, 10, 12, 9, 13, 26, 11, 18, 27, 3, 6, 28, 2, 20, 24, 27, 8, 7, 13, 22, 26, 14, 3, 19,
    31, 9, 26,
];

struct Slot<M: Machine> {
    lock: M::Mutex,
    changed: M::Condvar,
    state: Shared,
    start: Shared,
    length: Shared,
}

struct Pool<M: Machine> {
    slots: Vec<Slot<M>>,
    allocating: M::Mutex,
    idle: Shared,
    array: Vec<Shared>,
}

impl<M: Machine> Pool<M> {
    /// Takes an idle thread and the lock of its slot.
    ///
    /// The bug: the state changes before the lock is taken. A thread that has not begun to wait sees the new state, and
    /// works on what its slot had before.
    fn allocate(&self, machine: &M) -> Option<(&Slot<M>, M::Guard<'_>)> {
        machine.own(2);
        let allocating = machine.lock(&self.allocating);
        machine.own(1);
        for slot in &self.slots {
            machine.own(6);
            if slot.state.get(machine) == IDLE {
                self.idle.add(machine, -1);
                machine.own(2);
                slot.state.set(machine, AT_WORK);
                machine.own(3);
                let guard = machine.lock(&slot.lock);
                machine.own(2);
                drop(allocating);
                machine.own(2);
                return Some((slot, guard));
            }
        }
        drop(allocating);
        None
    }

    fn compare(&self, machine: &M, left: usize, right: usize) -> std::cmp::Ordering {
        machine.own(2);
        self.array[left].get(machine).cmp(&self.array[right].get(machine))
    }

    fn swap(&self, machine: &M, left: usize, right: usize) {
        let (old, new) = (self.array[left].get(machine), self.array[right].get(machine));
        self.array[left].set(machine, new);
        self.array[right].set(machine, old);
    }

    fn insertion_sort(&self, machine: &M, start: usize, length: usize) {
        for end in start + 1..start + length {
            let mut place = end;
            while place > start && self.compare(machine, place - 1, place).is_gt() {
                self.swap(machine, place - 1, place);
                place -= 1;
            }
        }
    }

    /// Moves what is smaller than the middle element before it and what is larger behind it; returns where those parts
    /// end and begin.
    fn partition(&self, machine: &M, start: usize, length: usize) -> (usize, usize) {
        self.swap(machine, start, start + length / 2);
        let (mut smaller, mut place, mut larger) = (start, start + 1, start + length);
        while place < larger {
            match self.compare(machine, place, smaller) {
                std::cmp::Ordering::Less => {
                    self.swap(machine, smaller, place);
                    smaller += 1;
                    place += 1;
                }
                std::cmp::Ordering::Equal => place += 1,
                std::cmp::Ordering::Greater => {
                    larger -= 1;
                    self.swap(machine, place, larger);
                }
            }
        }
        (smaller, larger)
    }

    fn sort(&self, machine: &M, own: &Slot<M>) {
        machine.own(10);
        let (mut start, mut length) = (own.start.get(machine) as usize, own.length.get(machine) as usize);
        while length >= 7 {
            let (smaller, larger) = self.partition(machine, start, length);
            let (left, right) = (smaller - start, start + length - larger);
            let other = if left > FORK_ABOVE && right > FORK_ABOVE { self.allocate(machine) } else { None };
            if let Some((other, guard)) = other {
                other.start.set(machine, start as i64);
                other.length.set(machine, left as i64);
                machine.notify_one(&other.changed);
                drop(guard);
            } else if left > 0 {
                own.start.set(machine, start as i64);
                own.length.set(machine, left as i64);
                self.sort(machine, own);
            }
            (start, length) = (larger, right);
        }
        self.insertion_sort(machine, start, length);
    }

    fn work(&self, machine: &M, number: usize) {
        let own = &self.slots[number];
        loop {
            machine.own(3);
            let mut guard = machine.lock(&own.lock);
            while own.state.get(machine) == IDLE {
                guard = machine.wait(&own.changed, guard);
            }
            drop(guard);
            machine.own(1);
            if own.state.get(machine) == ENDED {
                return;
            }
            self.sort(machine, own);
            let allocating = machine.lock(&self.allocating);
            own.state.set(machine, IDLE);
            self.idle.add(machine, 1);
            if self.idle.get(machine) == THREADS as i64 {
                self.end_others(machine, own);
                drop(allocating);
                return;
            }
            drop(allocating);
        }
    }

    fn end_others(&self, machine: &M, own: &Slot<M>) {
        for other in self.slots.iter().filter(|other| !std::ptr::eq(*other, own)) {
            machine.own(4);
            let guard = machine.lock(&other.lock);
            other.state.set(machine, ENDED);
            machine.notify_one(&other.changed);
            drop(guard);
        }
    }
}

/// Four threads sort 32 numbers. Work that is lost leaves them unsorted, or threads that wait for ever.
pub fn quicksort<M: Machine>(machine: &M) {
    let slot = |_| Slot {
        lock: machine.mutex("slot"),
        changed: machine.condvar("slot changed"),
        state: Shared::new("state", IDLE),
        start: Shared::new("start", 0),
        length: Shared::new("length", 0),
    };
    let element = |(index, value): (usize, &i64)| Shared::element("array", index, *value);
    let pool = Arc::new(Pool::<M> {
        slots: (0..THREADS).map(slot).collect(),
        allocating: machine.mutex("allocating"),
        idle: Shared::new("idle", THREADS as i64),
        array: VALUES.iter().enumerate().map(element).collect(),
    });
    let mut threads = Vec::new();
    for number in 0..THREADS {
        machine.own(12);
        let own = pool.clone();
        threads.push(start(machine, "sorter", move |machine: &M| own.work(machine, number)));
        machine.own(2);
    }
    machine.own(20);
    let first = &pool.slots[0];
    let guard = machine.lock(&first.lock);
    first.start.set(machine, 0);
    first.length.set(machine, VALUES.len() as i64);
    first.state.set(machine, AT_WORK);
    pool.idle.add(machine, -1);
    machine.notify_one(&first.changed);
    drop(guard);
    join_many(machine, threads);
    assert!(pool.array.is_sorted_by_key(Shared::value), "the array is sorted");
}
