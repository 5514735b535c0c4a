//! Programs of two threads that take turns at a container, each in a loop of a fixed length.

use std::sync::Arc;

use super::start;
use crate::machine::Machine;
use crate::memory::Shared;

struct Stack<M: Machine> {
    lock: M::Mutex,
    top: Shared,
    places: Vec<Shared>,
    is_filled: Shared,
}

const STACK_SIZE: i64 = 10;

/// One thread pushes, the other pops once it has seen that something was pushed, and never looks again.
pub fn stack<M: Machine>(machine: &M) {
    let stack = Arc::new(Stack::<M> {
        lock: machine.mutex("stack"),
        top: Shared::new("top", 0),
        places: Shared::array("place", STACK_SIZE as usize, 0),
        is_filled: Shared::new("is filled", 0),
    });
    let own = stack.clone();
    let push = start(machine, "push", move |machine: &M| {
        machine.own(1);
        for value in 0..STACK_SIZE {
            let guard = machine.lock(&own.lock);
            machine.own(3);
            assert_ne!(own.top.get(machine), STACK_SIZE, "room on the stack");
            let top = own.top.get(machine);
            machine.own(2);
            own.places[top as usize].set(machine, value);
            own.top.add(machine, 1);
            own.is_filled.set(machine, 1);
            drop(guard);
            machine.own(2);
        }
    });
    machine.own(1);
    let pop = start(machine, "pop", move |machine: &M| {
        machine.own(1);
        for _ in 0..STACK_SIZE {
            let guard = machine.lock(&stack.lock);
            if stack.is_filled.get(machine) != 0 {
                machine.own(1);
                assert_ne!(stack.top.get(machine), 0, "a value on the stack");
                stack.top.add(machine, -1);
                let top = stack.top.get(machine);
                machine.own(1);
                stack.places[top as usize].get(machine);
            }
            drop(guard);
            machine.own(2);
        }
    });
    machine.own(1);
    for thread in [push, pop] {
        machine.own(1);
        machine.join(thread);
    }
}

struct Turns<M: Machine> {
    lock: M::Mutex,
    may_insert: Shared,
    may_remove: Shared,
    first: Shared,
    next: Shared,
    amount: Shared,
    places: Vec<Shared>,
    stored: Vec<Shared>,
}

impl<M: Machine> Turns<M> {
    fn new(machine: &M, length: usize) -> Arc<Self> {
        Arc::new(Self {
            lock: machine.mutex("container"),
            may_insert: Shared::new("may insert", 1),
            may_remove: Shared::new("may remove", 0),
            first: Shared::new("first", 0),
            next: Shared::new("next", 0),
            amount: Shared::new("amount", 0),
            places: Shared::array("place", length, 0),
            stored: Shared::array("stored", length, 0),
        })
    }
}

const RING_ROUNDS: i64 = 7;

/// Two threads take turns at a ring buffer for seven rounds each. A round without a turn makes the counts differ.
pub fn circular_buffer<M: Machine>(machine: &M) {
    let ring = Turns::new(machine, 10);
    let own = ring.clone();
    let insert = start(machine, "insert", move |machine: &M| {
        machine.own(1);
        for value in 0..RING_ROUNDS {
            let guard = machine.lock(&own.lock);
            if own.may_insert.get(machine) != 0 {
                machine.own(2);
                // The original loads the index before each use of it, and the size beside it.
                own.next.get(machine);
                machine.own(2);
                let next = own.next.get(machine);
                machine.own(1);
                own.places[next as usize].set(machine, value);
                let next = own.next.get(machine);
                machine.own(1);
                own.next.set(machine, (next + 1) % 10);
                own.next.get(machine);
                machine.own(2);
                own.may_insert.set(machine, 0);
                own.may_remove.set(machine, 1);
            }
            drop(guard);
            machine.own(2);
        }
    });
    machine.own(1);
    let remove = start(machine, "remove", move |machine: &M| {
        machine.own(1);
        for expected in 0..RING_ROUNDS {
            let guard = machine.lock(&ring.lock);
            if ring.may_remove.get(machine) != 0 {
                ring.next.get(machine);
                ring.first.get(machine);
                machine.own(1);
                ring.first.add(machine, 1);
                let first = ring.first.get(machine);
                let removed = ring.places[first as usize - 1].get(machine);
                machine.own(1);
                assert_eq!(removed, expected, "what the same round inserted");
                ring.may_remove.set(machine, 0);
                ring.may_insert.set(machine, 1);
            }
            drop(guard);
            machine.own(2);
        }
    });
    machine.own(1);
    for thread in [insert, remove] {
        machine.own(1);
        machine.join(thread);
    }
}

const QUEUE_SIZE: usize = 20;

impl<M: Machine> Turns<M> {
    fn enqueue(&self, machine: &M, value: i64) {
        machine.own(3);
        let next = self.next.get(machine);
        machine.own(2);
        self.places[next as usize].set(machine, value);
        machine.own(1);
        let amount = self.amount.get(machine);
        machine.own(1);
        self.amount.set(machine, amount + 1);
        machine.own(1);
        self.next.get(machine);
        machine.own(1);
        let next = self.next.get(machine);
        machine.own(1);
        self.next.set(machine, next + 1);
    }

    fn dequeue(&self, machine: &M) -> i64 {
        machine.own(2);
        let first = self.first.get(machine);
        machine.own(1);
        let value = self.places[first as usize].get(machine);
        machine.own(2);
        let amount = self.amount.get(machine);
        machine.own(1);
        self.amount.set(machine, amount - 1);
        machine.own(1);
        self.first.get(machine);
        machine.own(1);
        let first = self.first.get(machine);
        machine.own(1);
        self.first.set(machine, first + 1);
        machine.own(1);
        value
    }
}

/// Two threads take turns at a queue. The remover compares with the round and not with what is there.
pub fn queue<M: Machine>(machine: &M) {
    let queue = Turns::new(machine, QUEUE_SIZE + 1);
    let own = queue.clone();
    let insert = start(machine, "insert", move |machine: &M| {
        let guard = machine.lock(&own.lock);
        machine.own(2);
        own.enqueue(machine, 0);
        machine.own(1);
        own.stored[0].set(machine, 0);
        machine.own(2);
        own.first.get(machine);
        own.next.get(machine);
        drop(guard);
        machine.own(1);
        let mut value = 0;
        for round in 1..QUEUE_SIZE {
            let guard = machine.lock(&own.lock);
            if own.may_insert.get(machine) != 0 {
                machine.own(2);
                value += 1;
                own.enqueue(machine, value);
                machine.own(2);
                own.stored[round].set(machine, value);
                own.may_insert.set(machine, 0);
                own.may_remove.set(machine, 1);
            }
            drop(guard);
            machine.own(2);
        }
    });
    machine.own(1);
    let remove = start(machine, "remove", move |machine: &M| {
        machine.own(1);
        for round in 0..QUEUE_SIZE {
            let guard = machine.lock(&queue.lock);
            if queue.may_remove.get(machine) != 0 {
                let removed = queue.dequeue(machine);
                machine.own(1);
                assert_eq!(removed, queue.stored[round].get(machine), "what the same round stored");
                queue.may_remove.set(machine, 0);
                queue.may_insert.set(machine, 1);
            }
            drop(guard);
            machine.own(2);
        }
    });
    machine.own(1);
    for thread in [insert, remove] {
        machine.own(1);
        machine.join(thread);
    }
}
