//! The string buffer of JDK 1.4: appending another buffer asks for its length and for its characters in two steps.

use std::sync::Arc;

use super::start;
use crate::machine::Machine;
use crate::memory::Shared;

struct StringBuffer<M: Machine> {
    lock: M::Mutex,
    /// Where the characters are; the characters themselves are copied without a scheduling point.
    value: Shared,
    count: Shared,
}

impl<M: Machine> StringBuffer<M> {
    fn new(machine: &M, name: &'static str, count: i64) -> Self {
        Self { lock: machine.mutex(name), value: Shared::new("value", 0), count: Shared::new("count", count) }
    }

    /// Removes all characters.
    fn erase(&self, machine: &M) {
        machine.own(4);
        let guard = machine.lock(&self.lock);
        machine.own(2);
        self.count.get(machine);
        machine.own(9);
        self.count.get(machine);
        machine.own(2);
        self.value.get(machine);
        machine.own(3);
        self.value.get(machine);
        machine.own(2);
        self.count.get(machine);
        machine.own(2);
        self.count.set(machine, 0);
        machine.own(1);
        drop(guard);
        machine.own(1);
    }

    /// Appends `length` characters that no other thread uses.
    fn append_text(&self, machine: &M, length: i64) {
        machine.own(3);
        let guard = machine.lock(&self.lock);
        machine.own(4);
        let sum = self.count.get(machine) + length;
        machine.own(5);
        self.value.get(machine);
        machine.own(1);
        self.count.get(machine);
        machine.own(3);
        self.count.set(machine, sum);
        machine.own(1);
        drop(guard);
        machine.own(1);
    }

    fn length(&self, machine: &M) -> i64 {
        machine.own(2);
        let guard = machine.lock(&self.lock);
        machine.own(1);
        let count = self.count.get(machine);
        machine.own(2);
        drop(guard);
        machine.own(1);
        count
    }

    fn copy(&self, machine: &M, length: i64) {
        machine.own(6);
        let guard = machine.lock(&self.lock);
        machine.own(3);
        let count = self.count.get(machine);
        machine.own(1);
        assert!(length <= count, "the end is within the buffer");
        machine.own(5);
        self.value.get(machine);
        machine.own(4);
        drop(guard);
    }

    /// Appends another buffer.
    fn append(&self, machine: &M, other: &Self) {
        machine.own(3);
        let guard = machine.lock(&self.lock);
        machine.own(2);
        let length = other.length(machine);
        machine.own(2);
        let sum = self.count.get(machine) + length;
        machine.own(5);
        self.count.get(machine);
        machine.own(1);
        self.value.get(machine);
        machine.own(2);
        other.copy(machine, length);
        machine.own(2);
        self.count.set(machine, sum);
        machine.own(1);
        drop(guard);
        machine.own(1);
    }
}

/// One thread erases a buffer and fills it again. The other appends it to a buffer of its own.
pub fn string_buffer<M: Machine>(machine: &M) {
    let buffer = Arc::new(StringBuffer::new(machine, "shared buffer", 3));
    let own = buffer.clone();
    let erase = start(machine, "erase", move |machine: &M| {
        machine.own(1);
        own.erase(machine);
        machine.own(1);
        own.append_text(machine, 3);
    });
    machine.own(2);
    let append = start(machine, "append", move |machine: &M| {
        // A buffer is made.
        machine.own(10);
        let target = StringBuffer::new(machine, "own buffer", 0);
        machine.own(2);
        target.append(machine, &buffer);
    });
    machine.own(2);
    for thread in [erase, append] {
        machine.own(1);
        machine.join(thread);
    }
}
