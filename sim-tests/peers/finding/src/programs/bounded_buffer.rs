//! A bounded buffer whose consumer releases its lock between its wait and its removal.

use std::sync::Arc;

use super::start;
use crate::machine::Machine;
use crate::memory::Shared;

const PLACES: i64 = 3;
const ROUNDS: usize = 4;

struct Buffer<M: Machine> {
    lock: M::Mutex,
    not_full: M::Condvar,
    not_empty: M::Condvar,
    head: Shared,
    rear: Shared,
    waiting_producers: Shared,
    waiting_consumers: Shared,
    places: Vec<Shared>,
}

impl<M: Machine> Buffer<M> {
    fn is_full(&self, machine: &M) -> bool {
        machine.own(1);
        let rear = self.rear.get(machine);
        machine.own(3);
        (rear + 1) % PLACES == self.head.get(machine)
    }

    fn is_empty(&self, machine: &M) -> bool {
        machine.own(1);
        let head = self.head.get(machine);
        machine.own(1);
        head == self.rear.get(machine)
    }

    fn put(&self, machine: &M, item: i64) {
        machine.own(9);
        let mut guard = machine.lock(&self.lock);
        machine.own(2);
        if self.is_full(machine) {
            machine.own(2);
            self.waiting_producers.add(machine, 1);
            while self.is_full(machine) {
                machine.own(2);
                guard = machine.wait(&self.not_full, guard);
                machine.own(2);
            }
            machine.own(2);
            self.waiting_producers.add(machine, -1);
        }
        machine.own(3);
        let rear = self.rear.get(machine);
        machine.own(1);
        self.places[rear as usize].set(machine, item);
        machine.own(1);
        let rear = self.rear.get(machine);
        machine.own(3);
        self.rear.set(machine, (rear + 1) % PLACES);
        machine.own(1);
        if self.waiting_consumers.get(machine) > 0 {
            machine.own(1);
            machine.notify_one(&self.not_empty);
            machine.own(1);
        }
        machine.own(1);
        drop(guard);
        machine.own(3);
    }

    fn get(&self, machine: &M) -> i64 {
        machine.own(10);
        let mut guard = machine.lock(&self.lock);
        machine.own(2);
        if self.is_empty(machine) {
            machine.own(2);
            self.waiting_consumers.add(machine, 1);
            while self.is_empty(machine) {
                machine.own(2);
                guard = machine.wait(&self.not_empty, guard);
                machine.own(2);
            }
            machine.own(2);
            self.waiting_consumers.add(machine, -1);
        }
        machine.own(1);
        drop(guard);
        machine.own(2);
        let guard = machine.lock(&self.lock);
        machine.own(2);
        assert!(!self.is_empty(machine), "an item to remove");
        machine.own(2);
        let head = self.head.get(machine);
        let item = self.places[head as usize].get(machine);
        machine.own(3);
        let head = self.head.get(machine);
        machine.own(3);
        self.head.set(machine, (head + 1) % PLACES);
        machine.own(1);
        if self.waiting_producers.get(machine) > 0 {
            machine.own(1);
            machine.notify_one(&self.not_full);
            machine.own(1);
        }
        machine.own(1);
        drop(guard);
        machine.own(4);
        item
    }
}

/// Two producers and two consumers share a buffer of two items.
pub fn bounded_buffer<M: Machine>(machine: &M) {
    let buffer = Arc::new(Buffer::<M> {
        lock: machine.mutex("buffer"),
        not_full: machine.condvar("not full"),
        not_empty: machine.condvar("not empty"),
        head: Shared::new("head", 0),
        rear: Shared::new("rear", 0),
        waiting_producers: Shared::new("waiting producers", 0),
        waiting_consumers: Shared::new("waiting consumers", 0),
        places: Shared::array("place", PLACES as usize, 0),
    });
    let mut threads = Vec::new();
    for _ in 0..2 {
        machine.own(7);
        let own = buffer.clone();
        threads.push(start(machine, "producer", move |machine: &M| {
            machine.own(3);
            for round in 0..ROUNDS {
                machine.own(6);
                own.put(machine, round as i64);
                machine.own(4);
            }
        }));
        machine.own(3);
    }
    for _ in 0..2 {
        machine.own(7);
        let own = buffer.clone();
        threads.push(start(machine, "consumer", move |machine: &M| {
            machine.own(3);
            for _ in 0..ROUNDS {
                machine.own(2);
                own.get(machine);
                machine.own(7);
            }
        }));
        machine.own(3);
    }
    for thread in threads {
        machine.own(2);
        machine.join(thread);
        machine.own(2);
    }
}
