//! Programs whose bug is an order of unprotected accesses.

use std::sync::Arc;

use super::{join_many, start, start_many};
use crate::machine::Machine;
use crate::memory::Shared;

/// Setters write two variables one after the other. A checker must not see one without the other.
///
/// The bug needs a checker between the two writes of one setter, and no other setter at its end.
pub fn reorder<M: Machine>(machine: &M, setters: usize, checkers: usize) {
    let pair = Arc::new((Shared::new("a", 0), Shared::new("b", 0)));
    let shared = pair.clone();
    let mut threads = start_many(machine, "set", setters, move |machine| {
        shared.0.set(machine, 1);
        shared.1.set(machine, -1);
    });
    threads.extend(start_many(machine, "check", checkers, move |machine| {
        let (a, b) = &*pair;
        let is_initial = a.get(machine) == 0 && b.get(machine) == 0;
        assert!(is_initial || (a.get(machine) == 1 && b.get(machine) == -1), "one write without the other");
    }));
    join_many(machine, threads);
}

struct Device<M: Machine> {
    atomic: M::Mutex,
    pending: Shared,
    is_stopping: Shared,
    may_stop: Shared,
    is_stopped: Shared,
}

/// Releases one unit of pending work, and lets the device stop if it was the last.
fn finish<M: Machine>(machine: &M, device: &Device<M>) {
    machine.own(1);
    let guard = machine.lock(&device.atomic);
    machine.own(1);
    let pending = device.pending.get(machine) - 1;
    machine.own(1);
    device.pending.set(machine, pending);
    machine.own(1);
    let pending = device.pending.get(machine);
    machine.own(1);
    drop(guard);
    machine.own(1);
    if pending == 0 {
        machine.own(1);
        device.may_stop.set(machine, 1);
    }
}

/// A driver adds work to a device that another thread stops between the driver's check and its addition.
pub fn bluetooth_driver<M: Machine>(machine: &M) {
    let device = Arc::new(Device::<M> {
        atomic: machine.mutex("atomic"),
        pending: Shared::new("pending", 1),
        is_stopping: Shared::new("is stopping", 0),
        may_stop: Shared::new("may stop", 0),
        is_stopped: Shared::new("is stopped", 0),
    });
    let own = device.clone();
    let stop = start(machine, "stop", move |machine| {
        machine.own(3);
        own.is_stopping.set(machine, 1);
        machine.own(1);
        finish(machine, &own);
        machine.own(1);
        if own.may_stop.get(machine) != 0 {
            own.is_stopped.set(machine, 1);
        }
    });
    machine.own(1);
    let add = start(machine, "add", move |machine: &M| {
        machine.own(3);
        if device.is_stopping.get(machine) == 0 {
            let guard = machine.lock(&device.atomic);
            machine.own(1);
            let pending = device.pending.get(machine) + 1;
            machine.own(1);
            device.pending.set(machine, pending);
            drop(guard);
            machine.own(2);
            assert_eq!(device.is_stopped.get(machine), 0, "no work on a stopped device");
        } else {
            machine.own(2);
        }
        machine.own(1);
        finish(machine, &device);
    });
    machine.own(1);
    for thread in [add, stop] {
        machine.own(1);
        machine.join(thread);
    }
}

struct Monitors<M: Machine> {
    /// Those that two threads may make: 0 is none.
    made: [M::Mutex; 2],
    owners: Vec<Shared>,
    /// The one in use, from 1.
    current: Shared,
}

/// Two threads make a lock when they first need it. One locks the first, and unlocks the second, which replaced it.
///
/// RADBench's bug 4, Mozilla's bug 354593: conversion of a time by a function that is not thread-safe. The number of
/// accesses that starting a thread makes was chosen so that random needs about as long as was published.
pub fn lazy_monitor<M: Machine>(machine: &M) {
    let monitors = Arc::new(Monitors::<M> {
        made: [machine.mutex("first monitor"), machine.mutex("second monitor")],
        owners: Shared::array("owner", 2, 0),
        current: Shared::new("monitor", 0),
    });
    let alive = Arc::new((machine.mutex("alive"), machine.condvar("one less"), Shared::new("alive", 2)));
    let threads: Vec<M::Handle> = (1..=2)
        .map(|number: usize| {
            machine.own(65);
            let (monitors, alive) = (monitors.clone(), alive.clone());
            start(machine, "explode", move |machine: &M| {
                // The time is converted twice: once for the zone, once for summer time.
                for _ in 0..2 {
                    machine.own(40);
                    convert(machine, &monitors, number);
                }
                machine.own(20);
                let guard = machine.lock(&alive.0);
                alive.2.add(machine, -1);
                machine.notify_one(&alive.1);
                drop(guard);
            })
        })
        .collect();
    let mut guard = machine.lock(&alive.0);
    while alive.2.get(machine) != 0 {
        guard = machine.wait(&alive.1, guard);
    }
    drop(guard);
    for thread in threads {
        machine.join(thread);
    }
}

/// Converts a time under the monitor, which it makes first if there is none.
fn convert<M: Machine>(machine: &M, monitors: &Monitors<M>, number: usize) {
    if monitors.current.get(machine) == 0 {
        // A lock is allocated and initialised.
        machine.own(25);
        monitors.current.set(machine, number as i64);
    }
    let locked = monitors.current.get(machine) as usize - 1;
    machine.own(4);
    let guard = machine.lock(&monitors.made[locked]);
    monitors.owners[locked].set(machine, number as i64);
    machine.own(10);
    let unlocked = monitors.current.get(machine) as usize - 1;
    machine.own(4);
    assert_eq!(monitors.owners[unlocked].get(machine), number as i64, "the owner unlocks");
    monitors.owners[unlocked].set(machine, 0);
    drop(guard);
}
