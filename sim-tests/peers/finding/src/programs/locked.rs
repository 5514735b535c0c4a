//! Programs that lock, but the wrong thing or for too short a time.

use std::sync::Arc;

use super::{join_many, start, start_many};
use crate::machine::Machine;
use crate::memory::Shared;

/// A lock behind a pointer: threads load the pointer before they use the lock.
struct Pointed<M: Machine> {
    pointer: Shared,
    mutex: M::Mutex,
}

impl<M: Machine> Pointed<M> {
    fn new(machine: &M, name: &'static str) -> Self {
        let pointer = Shared::new(name, 0);
        pointer.set(machine, 1);
        Self { pointer, mutex: machine.mutex(name) }
    }

    fn lock(&self, machine: &M) -> M::Guard<'_> {
        self.pointer.get(machine);
        machine.lock(&self.mutex)
    }

    fn unlock(&self, machine: &M, guard: M::Guard<'_>) {
        self.pointer.get(machine);
        drop(guard);
    }
}

struct Stages<M: Machine> {
    first_lock: Pointed<M>,
    second_lock: Pointed<M>,
    first: Shared,
    second: Shared,
}

/// Writers change two values under two locks, one after the other. A reader between the two finds them inconsistent.
pub fn twostage<M: Machine>(machine: &M, writers: usize, readers: usize) {
    let stages = Arc::new(Stages {
        first_lock: Pointed::new(machine, "first lock"),
        second_lock: Pointed::new(machine, "second lock"),
        first: Shared::new("first", 0),
        second: Shared::new("second", 0),
    });
    let shared = stages.clone();
    let mut threads = start_many(machine, "write", writers, move |machine: &M| {
        let stages = &*shared;
        let guard = stages.first_lock.lock(machine);
        stages.first.set(machine, 1);
        stages.first_lock.unlock(machine, guard);
        let guard = stages.second_lock.lock(machine);
        let first = stages.first.get(machine);
        stages.second.set(machine, first + 1);
        stages.second_lock.unlock(machine, guard);
    });
    threads.extend(start_many(machine, "read", readers, move |machine: &M| {
        machine.own(2);
        let guard = stages.first_lock.lock(machine);
        if stages.first.get(machine) == 0 {
            stages.first_lock.unlock(machine, guard);
            return;
        }
        let first = stages.first.get(machine);
        machine.own(1);
        stages.first_lock.unlock(machine, guard);
        let guard = stages.second_lock.lock(machine);
        let second = stages.second.get(machine);
        machine.own(1);
        stages.second_lock.unlock(machine, guard);
        machine.own(2);
        assert_eq!(second, first + 1, "the second stage follows the first");
    }));
    join_many(machine, threads);
}

struct WrongLock<M: Machine> {
    right: Pointed<M>,
    wrong: Pointed<M>,
    value: Shared,
}

/// One thread increments a value under its lock. The others do the same under another lock.
pub fn wronglock<M: Machine>(machine: &M, others: usize) {
    let state = Arc::new(WrongLock {
        right: Pointed::new(machine, "right"),
        wrong: Pointed::new(machine, "wrong"),
        value: Shared::new("value", 0),
    });
    let shared = state.clone();
    let mut threads = start_many(machine, "right", 1, move |machine: &M| {
        machine.own(2);
        let guard = shared.right.lock(machine);
        machine.own(2);
        let before = shared.value.get(machine);
        machine.own(1);
        shared.value.add(machine, 1);
        machine.own(1);
        assert_eq!(shared.value.get(machine), before + 1, "no other thread changes the value");
        machine.own(2);
        shared.right.unlock(machine, guard);
        machine.own(2);
    });
    threads.extend(start_many(machine, "wrong", others, move |machine: &M| {
        machine.own(2);
        let guard = state.wrong.lock(machine);
        machine.own(2);
        state.value.add(machine, 1);
        machine.own(2);
        state.wrong.unlock(machine, guard);
        machine.own(2);
    }));
    join_many(machine, threads);
}

struct Account<M: Machine> {
    lock: M::Mutex,
    x: Shared,
    y: Shared,
    z: Shared,
    balance: Shared,
    is_deposited: Shared,
    is_withdrawn: Shared,
}

/// A check of a balance that is wrong once both other threads are done: any schedule that runs it last.
pub fn account<M: Machine>(machine: &M) {
    let account = Arc::new(Account::<M> {
        lock: machine.mutex("account"),
        x: Shared::new("x", 1),
        y: Shared::new("y", 2),
        z: Shared::new("z", 4),
        balance: Shared::new("balance", 1),
        is_deposited: Shared::new("is deposited", 0),
        is_withdrawn: Shared::new("is withdrawn", 0),
    });
    let own = account.clone();
    let check = start(machine, "check", move |machine: &M| {
        let _guard = machine.lock(&own.lock);
        if own.is_deposited.get(machine) != 0 && own.is_withdrawn.get(machine) != 0 {
            let expected = own.x.get(machine) - own.y.get(machine) - own.z.get(machine);
            assert_eq!(own.balance.get(machine), expected, "the balance is right");
        }
    });
    machine.own(1);
    let own = account.clone();
    let deposit = start(machine, "deposit", move |machine: &M| {
        let _guard = machine.lock(&own.lock);
        let sum = own.balance.get(machine) + own.y.get(machine);
        own.balance.set(machine, sum);
        own.is_deposited.set(machine, 1);
    });
    machine.own(1);
    let withdraw = start(machine, "withdraw", move |machine: &M| {
        let _guard = machine.lock(&account.lock);
        let rest = account.balance.get(machine) - account.z.get(machine);
        account.balance.set(machine, rest);
        account.is_withdrawn.set(machine, 1);
    });
    machine.own(1);
    for thread in [withdraw, deposit, check] {
        machine.own(1);
        machine.join(thread);
    }
}

/// Three threads add to a number in turn. The last finds both sums: any schedule that runs it after the others.
pub fn lazy01<M: Machine>(machine: &M) {
    let data = Arc::new((machine.mutex("data"), Shared::new("data", 0)));
    let own = data.clone();
    let check = start(machine, "check", move |machine: &M| {
        let _guard = machine.lock(&own.0);
        assert!(own.1.get(machine) < 3, "one of the others has not run");
    });
    machine.own(1);
    let adding = [2, 1].map(|number| {
        let own = data.clone();
        let thread = start(machine, "add", move |machine: &M| {
            let _guard = machine.lock(&own.0);
            own.1.add(machine, number);
        });
        machine.own(1);
        thread
    });
    for thread in adding.into_iter().chain([check]) {
        machine.own(1);
        machine.join(thread);
    }
}

/// Two threads take two locks, each in its own order.
pub fn deadlock01<M: Machine>(machine: &M) {
    let state = Arc::new(([machine.mutex("a"), machine.mutex("b")], Shared::new("counter", 1)));
    let threads = [(0, 1, 1), (1, 0, -1)].map(|(first, second, number)| {
        let own = state.clone();
        let thread = start(machine, "thread", move |machine: &M| {
            let outer = machine.lock(&own.0[first]);
            let inner = machine.lock(&own.0[second]);
            own.1.add(machine, number);
            drop(inner);
            drop(outer);
        });
        machine.own(1);
        thread
    });
    for thread in threads {
        machine.own(1);
        machine.join(thread);
    }
}

struct Ring<M: Machine> {
    atomic: M::Mutex,
    tokens: [Shared; 3],
    is_done: Vec<Shared>,
}

/// Three threads pass a number on. A fourth finds the numbers different once all have passed theirs on in one order.
pub fn token_ring<M: Machine>(machine: &M) {
    let ring = Arc::new(Ring::<M> {
        atomic: machine.mutex("atomic"),
        tokens: [Shared::new("x1", 1), Shared::new("x2", 2), Shared::new("x3", 1)],
        is_done: Shared::array("is done", 3, 0),
    });
    let passing = [(2, 0), (0, 1), (1, 2)].map(|(from, to)| {
        let own = ring.clone();
        let thread = start(machine, "pass on", move |machine: &M| {
            let _guard = machine.lock(&own.atomic);
            let token = own.tokens[from].get(machine);
            own.tokens[to].set(machine, if to == 0 { (token + 1) % 4 } else { token });
            own.is_done[to].set(machine, 1);
        });
        machine.own(1);
        thread
    });
    let check = start(machine, "check", move |machine: &M| {
        let _guard = machine.lock(&ring.atomic);
        if ring.is_done.iter().all(|is_done| is_done.get(machine) != 0) {
            let [first, second, third] = &ring.tokens;
            let is_equal = first.get(machine) == second.get(machine);
            assert!(is_equal && second.get(machine) == third.get(machine), "the token came around");
        }
    });
    machine.own(1);
    for thread in [check].into_iter().chain(passing) {
        machine.own(1);
        machine.join(thread);
    }
}

struct ReadWrite<M: Machine> {
    lock: M::Mutex,
    changed: M::Condvar,
    readers: Shared,
    is_written: Shared,
    waiting_writers: Shared,
}

impl<M: Machine> ReadWrite<M> {
    fn read(&self, machine: &M) {
        machine.own(8);
        let mut guard = machine.lock(&self.lock);
        while self.is_written.get(machine) != 0 || self.waiting_writers.get(machine) != 0 {
            guard = machine.wait(&self.changed, guard);
        }
        self.readers.add(machine, 1);
        drop(guard);
        machine.own(4);
    }

    fn write(&self, machine: &M) {
        machine.own(8);
        let mut guard = machine.lock(&self.lock);
        self.waiting_writers.add(machine, 1);
        while self.is_written.get(machine) != 0 || self.readers.get(machine) != 0 {
            guard = machine.wait(&self.changed, guard);
        }
        self.waiting_writers.add(machine, -1);
        self.is_written.set(machine, 1);
        drop(guard);
        machine.own(4);
    }

    fn unlock(&self, machine: &M) {
        machine.own(8);
        let guard = machine.lock(&self.lock);
        if self.is_written.get(machine) != 0 {
            self.is_written.set(machine, 0);
        } else {
            self.readers.add(machine, -1);
        }
        machine.notify_all(&self.changed);
        drop(guard);
        machine.own(4);
    }
}

/// A thread read-locks twice. A writer that comes between waits for it, and is waited for.
///
/// RADBench's bug 6, Mozilla's bug 526805.
pub fn read_lock_twice<M: Machine>(machine: &M) {
    let lock = Arc::new(ReadWrite::<M> {
        lock: machine.mutex("state"),
        changed: machine.condvar("changed"),
        readers: Shared::new("readers", 0),
        is_written: Shared::new("is written", 0),
        waiting_writers: Shared::new("waiting writers", 0),
    });
    machine.own(30);
    let own = lock.clone();
    let reader = start(machine, "reader", move |machine: &M| {
        own.read(machine);
        own.read(machine);
        own.unlock(machine);
        own.unlock(machine);
    });
    machine.own(33);
    let writer = start(machine, "writer", move |machine: &M| {
        lock.write(machine);
        lock.unlock(machine);
    });
    for thread in [reader, writer] {
        machine.own(5);
        machine.join(thread);
    }
}
