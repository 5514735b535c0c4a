//! Shared memory of programs: variables whose accesses are scheduling points.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crate::machine::{Access, Machine, Object};

/// A shared variable. An access is one step of its thread: nothing runs between the scheduling point and the access.
#[derive(Debug)]
pub struct Shared {
    object: Object,
    value: AtomicI64,
}

impl Shared {
    /// Makes a variable.
    pub const fn new(name: &'static str, value: i64) -> Self {
        Self { object: Object::new(name), value: AtomicI64::new(value) }
    }

    /// Makes an array with the same value in each place.
    pub fn array(name: &'static str, length: usize, value: i64) -> Vec<Self> {
        (0..length).map(|index| Self::element(name, index, value)).collect()
    }

    /// Makes one place of an array.
    pub const fn element(name: &'static str, index: usize, value: i64) -> Self {
        Self { object: Object { name, index }, value: AtomicI64::new(value) }
    }

    /// Loads the value.
    pub fn get(&self, machine: &impl Machine) -> i64 {
        machine.touch(self.object, Access::Read);
        self.value.load(Relaxed)
    }

    /// Stores a value.
    pub fn set(&self, machine: &impl Machine, value: i64) {
        machine.touch(self.object, Access::Write);
        self.value.store(value, Relaxed);
    }

    /// Loads, then stores the sum: two accesses.
    pub fn add(&self, machine: &impl Machine, number: i64) {
        let old = self.get(machine);
        self.set(machine, old + number);
    }

    /// Stores a value and returns the old one: one access.
    pub fn swap(&self, machine: &impl Machine, value: i64) -> i64 {
        machine.touch(self.object, Access::Write);
        self.value.swap(value, Relaxed)
    }

    /// Returns the value without a scheduling point: for checks after all threads have ended.
    pub fn value(&self) -> i64 {
        self.value.load(Relaxed)
    }
}
