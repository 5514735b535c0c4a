//! Conditions that are never notified, and waits that hold what the others need.

use std::sync::Arc;

use super::Version;
use super::tools::{Counter, Guarded, together};
use crate::machine::Machine;

struct Stopper<M: Machine> {
    lock: M::Mutex,
    tasks: Counter<M>,
    is_stopping: Counter<M>,
}

/// Stopping waits for tasks under the lock. A worker needs the lock to end its task.
pub fn cockroach_1055<M: Machine>(machine: &M, version: Version) {
    let stopper = Arc::new(Stopper {
        lock: machine.mutex("stopper"),
        tasks: Counter::new(machine, "tasks", 0),
        is_stopping: Counter::new(machine, "is stopping", 0),
    });
    let own = stopper.clone();
    let work = move |machine: &M| {
        let starting = machine.lock(&own.lock);
        own.tasks.add(machine, 1);
        drop(starting);
        let ending = machine.lock(&own.lock);
        own.tasks.add(machine, -1);
        drop(ending);
        own.is_stopping.wait_for(machine, 1);
    };
    let stop = move |machine: &M| {
        let mut stopping = Some(machine.lock(&stopper.lock));
        if version == Version::Fixed {
            stopping.take();
        }
        stopper.tasks.wait_for(machine, 0);
        stopper.is_stopping.add(machine, 1);
        drop(stopping);
    };
    together(machine, vec![Box::new(work), Box::new(stop)]);
}

/// A listener takes a notification and waits for the end under its lock. Its owner needs the lock before it ends it.
pub fn kubernetes_26980<M: Machine>(machine: &M, version: Version) {
    let listener = Arc::new((Counter::new(machine, "pending", 1), Counter::new(machine, "stop", 0)));
    let own = listener.clone();
    let pop = move |machine: &M| {
        let (pending, stop) = &*own;
        let mut guard = machine.lock(&pending.lock);
        while pending.value.get() == 0 {
            guard = machine.wait(&pending.changed, guard);
        }
        let guard = (version == Version::Buggy).then_some(guard);
        stop.wait_for(machine, 1);
        drop(guard);
    };
    let end = move |machine: &M| {
        drop(machine.lock(&listener.0.lock));
        listener.1.add(machine, 1);
    };
    together(machine, vec![Box::new(pop), Box::new(end)]);
}

/// A loop starts threads and waits for all of them in each round: for those too that it has not started.
pub fn moby_25384<M: Machine>(machine: &M, version: Version) {
    let plugins = 2;
    let group = Arc::new(Counter::new(machine, "group", plugins));
    let mut threads = Vec::new();
    for _ in 0..plugins {
        let (own, group_of_thread) = (machine.clone(), group.clone());
        threads.push(machine.spawn("plugin", move || group_of_thread.add(&own, -1)));
        if version == Version::Buggy {
            group.wait_for(machine, 0);
        }
    }
    group.wait_for(machine, 0);
    threads.into_iter().for_each(|thread| machine.join(thread));
}

/// A thread waits until a plugin is active. Activation changes the state, and notifies of nothing.
pub fn moby_29733<M: Machine>(machine: &M, version: Version) {
    let plugin = Arc::new(Counter::new(machine, "plugin", 0));
    let own = plugin.clone();
    let wait = move |machine: &M| own.wait_for(machine, 1);
    let activate = move |machine: &M| {
        let guard = machine.lock(&plugin.lock);
        plugin.value.set(1);
        if version == Version::Fixed {
            machine.notify_all(&plugin.changed);
        }
        drop(guard);
    };
    together(machine, vec![Box::new(wait), Box::new(activate)]);
}

/// A thread waits until a plugin is active, and does not look at the error with which activation has failed.
pub fn moby_30408<M: Machine>(machine: &M, version: Version) {
    let plugin = Arc::new((Counter::new(machine, "plugin", 0), Guarded::default()));
    let own = plugin.clone();
    let wait = move |machine: &M| {
        let (state, error) = &*own;
        let mut guard = machine.lock(&state.lock);
        while state.value.get() == 0 && (version == Version::Buggy || error.get() == 0) {
            guard = machine.wait(&state.changed, guard);
        }
        drop(guard);
    };
    let fail = move |machine: &M| {
        let (state, error) = &*plugin;
        let guard = machine.lock(&state.lock);
        error.set(1);
        machine.notify_all(&state.changed);
        drop(guard);
    };
    together(machine, vec![Box::new(wait), Box::new(fail)]);
}
