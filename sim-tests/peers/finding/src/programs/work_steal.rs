//! Work-stealing queues of the CHESS tests: an owner pushes and pops at the tail, stealers take from the head.
//!
//! The originals spin for their lock. Here it blocks: what a thread does while it spins plays no part in the bugs.

use std::sync::Arc;
use std::sync::Mutex;

use super::{join_many, start, start_many};
use crate::machine::Machine;
use crate::memory::Shared;

const ITEMS: usize = 4;
const STEAL_ATTEMPTS: usize = 2;

/// Whether a push leaves one place free, because a thief may be about to return the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Push {
    LeavesAPlace,
    FillsAllPlaces,
}

struct Queue<M: Machine> {
    lock: M::Mutex,
    push: Push,
    head: Shared,
    tail: Shared,
    mask: Shared,
    /// The places. Replaced by twice as many when they are full.
    places: Mutex<Arc<Vec<Shared>>>,
    /// How often each item was taken.
    taken: Vec<Shared>,
    calls: Calls,
}

/// The stack of calls that the second program keeps for each thread in one vector, which all threads resize.
struct Calls {
    is_kept: bool,
    threads: Shared,
}

impl Calls {
    fn enter(&self, machine: &impl Machine, thread: i64) {
        if !self.is_kept {
            return;
        }
        machine.own(4);
        if self.threads.get(machine) <= thread {
            machine.own(4);
            let threads = self.threads.get(machine);
            machine.own(4);
            // Shrinks it, if another thread has grown it since the comparison.
            if threads != thread + 1 {
                self.threads.set(machine, thread + 1);
            }
        }
        self.look(machine, thread);
    }

    fn look(&self, machine: &impl Machine, thread: i64) {
        if !self.is_kept {
            return;
        }
        machine.own(6);
        assert!(thread < self.threads.get(machine), "the thread has its stack of calls");
        machine.own(4);
    }
}

impl<M: Machine> Queue<M> {
    fn new(machine: &M, push: Push, is_kept: bool) -> Arc<Self> {
        Arc::new(Self {
            lock: machine.mutex("queue"),
            push,
            head: Shared::new("head", 0),
            tail: Shared::new("tail", 0),
            mask: Shared::new("mask", 1),
            places: Mutex::new(Arc::new(Shared::array("place", 2, 0))),
            taken: Shared::array("taken", ITEMS, 0),
            calls: Calls { is_kept, threads: Shared::new("threads", 1) },
        })
    }

    /// Loads by compare-and-swap, as the original does.
    fn load(&self, machine: &M, variable: &Shared) -> i64 {
        machine.own(20);
        let value = variable.get(machine);
        machine.own(3);
        value
    }

    fn store(&self, machine: &M, variable: &Shared, value: i64) {
        machine.own(11);
        variable.swap(machine, value);
    }

    fn place(&self, machine: &M, index: i64) -> usize {
        machine.own(2);
        let mask = self.mask.get(machine);
        machine.own(1);
        (index & mask) as usize
    }

    fn places(&self) -> Arc<Vec<Shared>> {
        self.places.lock().expect("no holder panics").clone()
    }

    fn steal(&self, machine: &M, thread: i64) -> Option<usize> {
        machine.own(3);
        self.calls.enter(machine, thread);
        let guard = machine.lock(&self.lock);
        let head = self.load(machine, &self.head);
        self.store(machine, &self.head, head + 1);
        self.calls.look(machine, thread);
        let item = if head < self.load(machine, &self.tail) {
            Some(self.item_at(machine, head))
        } else {
            self.store(machine, &self.head, head);
            None
        };
        machine.own(3);
        drop(guard);
        self.calls.look(machine, thread);
        item
    }

    fn item_at(&self, machine: &M, index: i64) -> usize {
        let place = self.place(machine, index);
        let item = self.places()[place].get(machine);
        machine.own(3);
        item as usize
    }

    fn pop(&self, machine: &M) -> Option<usize> {
        machine.own(3);
        self.calls.enter(machine, 0);
        let tail = self.load(machine, &self.tail) - 1;
        machine.own(2);
        self.store(machine, &self.tail, tail);
        if self.load(machine, &self.head) <= tail {
            return Some(self.item_at(machine, tail));
        }
        self.store(machine, &self.tail, tail + 1);
        self.pop_alone(machine)
    }

    fn pop_alone(&self, machine: &M) -> Option<usize> {
        machine.own(3);
        self.calls.enter(machine, 0);
        let guard = machine.lock(&self.lock);
        let tail = self.load(machine, &self.tail) - 1;
        self.store(machine, &self.tail, tail);
        let mut item = None;
        if self.load(machine, &self.head) <= tail {
            item = Some(self.item_at(machine, tail));
        } else {
            self.store(machine, &self.tail, tail + 1);
        }
        if self.load(machine, &self.head) > tail {
            self.store(machine, &self.head, 0);
            self.store(machine, &self.tail, 0);
            item = None;
        }
        machine.own(2);
        drop(guard);
        item
    }

    fn push(&self, machine: &M, item: usize) {
        machine.own(3);
        self.calls.enter(machine, 0);
        let tail = self.load(machine, &self.tail);
        let head = self.load(machine, &self.head);
        machine.own(1);
        let room = self.mask.get(machine) + i64::from(self.push == Push::FillsAllPlaces);
        if tail >= head + room {
            return self.push_alone(machine, item);
        }
        let place = self.place(machine, tail);
        machine.own(2);
        self.places()[place].set(machine, item as i64);
        self.store(machine, &self.tail, tail + 1);
    }

    fn push_alone(&self, machine: &M, item: usize) {
        machine.own(3);
        self.calls.enter(machine, 0);
        let guard = machine.lock(&self.lock);
        let head = self.load(machine, &self.head);
        let count = self.load(machine, &self.tail) - head;
        machine.own(1);
        let head = head & self.mask.get(machine);
        self.store(machine, &self.head, head);
        self.store(machine, &self.tail, head + count);
        machine.own(1);
        let mask = self.mask.get(machine);
        if count >= mask {
            self.grow(machine, head, count, 2 * (mask + 1));
        }
        let tail = self.load(machine, &self.tail);
        let place = self.place(machine, tail);
        machine.own(2);
        self.places()[place].set(machine, item as i64);
        self.store(machine, &self.tail, tail + 1);
        machine.own(2);
        drop(guard);
    }

    fn grow(&self, machine: &M, head: i64, count: i64, length: i64) {
        machine.own(6);
        let (old, new) = (self.places(), Shared::array("place", length as usize, 0));
        for index in 0..count {
            let place = self.place(machine, head + index);
            let item = old[place].get(machine);
            new[index as usize].set(machine, item);
            machine.own(6);
        }
        *self.places.lock().expect("no holder panics") = Arc::new(new);
        machine.own(6);
        self.mask.set(machine, length - 1);
        self.store(machine, &self.head, 0);
        self.store(machine, &self.tail, count);
    }

    fn take(&self, machine: &M, item: Option<usize>) {
        if let Some(item) = item {
            machine.own(2);
            self.taken[item].add(machine, 1);
        }
    }

    fn push_and_pop(&self, machine: &M) {
        machine.own(1);
        for pair in 0..ITEMS / 2 {
            machine.own(3);
            self.push(machine, 2 * pair);
            machine.own(3);
            self.push(machine, 2 * pair + 1);
            machine.own(1);
            let item = self.pop(machine);
            self.take(machine, item);
            machine.own(3);
        }
        for _ in 0..ITEMS / 2 {
            machine.own(1);
            let item = self.pop(machine);
            self.take(machine, item);
            machine.own(3);
        }
    }
}

fn run<M: Machine>(machine: &M, queue: &Arc<Queue<M>>, stealers: i64) {
    let mut threads = Vec::new();
    for number in 1..=stealers {
        let own = queue.clone();
        threads.push(start(machine, "stealer", move |machine: &M| {
            own.calls.enter(machine, number);
            machine.own(1);
            for _ in 0..STEAL_ATTEMPTS {
                machine.own(1);
                own.calls.look(machine, number);
                let item = own.steal(machine, number);
                own.take(machine, item);
                machine.own(3);
            }
        }));
        machine.own(6);
    }
    let own = queue.clone();
    threads.extend(start_many(machine, "owner", 1, move |machine: &M| own.push_and_pop(machine)));
    join_many(machine, threads);
    for taken in &queue.taken {
        assert_eq!(taken.value(), 1, "each item is taken once");
    }
}

/// A push fills the last place, to which a stealer still returns: an item is taken twice or lost.
pub fn interlocked<M: Machine>(machine: &M) {
    let queue = Queue::new(machine, Push::FillsAllPlaces, false);
    run(machine, &queue, 1);
}

/// The queue without that bug, whose two stealers register in a vector that they resize without a lock.
pub fn interlocked_with_state<M: Machine>(machine: &M) {
    let queue = Queue::new(machine, Push::LeavesAPlace, true);
    run(machine, &queue, 2);
}
