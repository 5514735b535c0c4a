//! Threads take locks in different orders (AB-BA), or one reads twice around a writer (RWR).

use std::sync::Arc;

use super::Version;
use super::tools::{Counter, RwLock, together};
use crate::machine::Machine;

/// Takes two locks, one inside the other, or one after the other.
fn nested<M: Machine>(machine: &M, outer: &M::Mutex, inner: &M::Mutex, version: Version) {
    let mut guard = Some(machine.lock(outer));
    if version == Version::Fixed {
        guard.take();
    }
    drop(machine.lock(inner));
    drop(guard);
}

/// Releasing a lease locks it and then the cache of names. Looking a name up locks the cache and then the lease.
pub fn cockroach_7504<M: Machine>(machine: &M, version: Version) {
    let locks = Arc::new(["table", "lease", "names"].map(|name| machine.mutex(name)));
    let own = locks.clone();
    let release = move |machine: &M| {
        let table = machine.lock(&own[0]);
        nested(machine, &own[1], &own[2], version);
        drop(table);
    };
    let look_up = move |machine: &M| nested(machine, &locks[2], &locks[1], Version::Buggy);
    together(machine, vec![Box::new(release), Box::new(look_up)]);
}

/// Heartbeats are sent under their lock, and lock each replica. A replica that ticks locks the heartbeats.
pub fn cockroach_10214<M: Machine>(machine: &M, version: Version) {
    let locks = Arc::new(["heartbeats", "raft", "replica"].map(|name| machine.mutex(name)));
    let own = locks.clone();
    let send = move |machine: &M| {
        for _ in 0..2 {
            nested(machine, &own[0], &own[1], version);
        }
    };
    let tick = move |machine: &M| {
        let raft = machine.lock(&locks[1]);
        nested(machine, &locks[2], &locks[0], Version::Buggy);
        drop(raft);
    };
    together(machine, vec![Box::new(send), Box::new(tick)]);
}

/// A thread waits for the lock of an address while it holds the lock of all. The holder needs that lock to release its
/// own.
pub fn hugo_3251<M: Machine>(machine: &M, version: Version) {
    let locks = Arc::new((RwLock::new(machine, "all"), machine.mutex("address")));
    let fetch = || {
        let own = locks.clone();
        let fetch = move |machine: &M| {
            let (all, address) = &*own;
            all.write(machine);
            if version == Version::Fixed {
                all.end_write(machine);
            }
            let held = machine.lock(address);
            if version == Version::Buggy {
                all.end_write(machine);
            }
            all.read(machine);
            drop(held);
            all.end_read(machine);
        };
        Box::new(fetch) as _
    };
    together(machine, vec![fetch(), fetch(), fetch()]);
}

/// A cache locks itself and lists, which locks the watch cache. An event locks the watch cache and then the cache.
pub fn kubernetes_13135<M: Machine>(machine: &M, version: Version) {
    let locks = Arc::new(["cacher", "watch cache"].map(|name| machine.mutex(name)));
    let own = locks.clone();
    let list = move |machine: &M| nested(machine, &own[0], &own[1], version);
    let event = move |machine: &M| nested(machine, &locks[1], &locks[0], Version::Buggy);
    together(machine, vec![Box::new(list), Box::new(event)]);
}

/// Three components lock the next one under their own lock.
pub fn kubernetes_30872<M: Machine>(machine: &M, version: Version) {
    let locks = Arc::new(["federation", "queue", "store"].map(|name| machine.mutex(name)));
    let component = |number: usize| {
        let own = locks.clone();
        // It is enough that one of them releases its lock first.
        let version = if number == 2 { version } else { Version::Buggy };
        let work = move |machine: &M| nested(machine, &own[number], &own[(number + 1) % 3], version);
        Box::new(work) as _
    };
    together(machine, (0..3).map(component).collect());
}

/// Deleting a device releases the lock of all devices and takes it again, under the lock of the device.
pub fn moby_4951<M: Machine>(machine: &M, version: Version) {
    let locks = Arc::new(["devices", "device"].map(|name| machine.mutex(name)));
    let delete = || {
        let own = locks.clone();
        let delete = move |machine: &M| {
            let [devices, device] = &*own;
            let (all, one) = (machine.lock(devices), machine.lock(device));
            drop(all);
            let one = (version == Version::Buggy).then_some(one);
            let all = machine.lock(devices);
            drop((one, all));
        };
        Box::new(delete) as _
    };
    together(machine, vec![delete(), delete()]);
}

/// Reads twice, one inside the other or one after the other.
fn read_twice<M: Machine>(machine: &M, lock: &RwLock<M>, version: Version) {
    lock.read(machine);
    if version == Version::Fixed {
        lock.end_read(machine);
    }
    lock.read(machine);
    lock.end_read(machine);
    if version == Version::Buggy {
        lock.end_read(machine);
    }
}

fn write_once<M: Machine>(machine: &M, lock: &RwLock<M>) {
    lock.write(machine);
    lock.end_write(machine);
}

/// Scanning all logs reads the store, and so does each log under the lock of its queue.
pub fn cockroach_3710<M: Machine>(machine: &M, version: Version) {
    let store = Arc::new((RwLock::new(machine, "store"), machine.mutex("queue")));
    let own = store.clone();
    let scan = move |machine: &M| {
        let queue = machine.lock(&own.1);
        read_twice(machine, &own.0, version);
        drop(queue);
    };
    let process = move |machine: &M| write_once(machine, &store.0);
    together(machine, vec![Box::new(scan), Box::new(process)]);
}

/// Three look-ups format the cache that they read, which reads it again, and write to it afterwards.
pub fn cockroach_6181<M: Machine>(machine: &M, version: Version) {
    let cache = Arc::new(RwLock::new(machine, "range cache"));
    let look_up = || {
        let own = cache.clone();
        let look_up = move |machine: &M| {
            read_twice(machine, &own, version);
            write_once(machine, &own);
        };
        Box::new(look_up) as _
    };
    together(machine, vec![look_up(), look_up(), look_up()]);
}

/// A statement holds the read lock of the configuration as the lock of a condition, and reads it once more.
pub fn cockroach_16167<M: Machine>(machine: &M, version: Version) {
    let configuration = Arc::new(RwLock::new(machine, "configuration"));
    let own = configuration.clone();
    let update = move |machine: &M| write_once(machine, &own);
    let execute = move |machine: &M| read_twice(machine, &configuration, version);
    together(machine, vec![Box::new(update), Box::new(execute)]);
}

struct Workers<M: Machine> {
    lock: RwLock<M>,
    items: Counter<M>,
}

/// A worker waits for an item under its read lock. A writer waits for the worker, and the other worker for the writer.
pub fn kubernetes_58107<M: Machine>(machine: &M, version: Version) {
    let workers =
        Arc::new(Workers { lock: RwLock::new(machine, "workers"), items: Counter::new(machine, "items", 0) });
    let own = workers.clone();
    let take = move |machine: &M| {
        if version == Version::Fixed {
            own.items.wait_for(machine, 1);
        }
        own.lock.read(machine);
        if version == Version::Buggy {
            own.items.wait_for(machine, 1);
        }
        own.lock.end_read(machine);
    };
    let own = workers.clone();
    let put = move |machine: &M| {
        own.lock.read(machine);
        own.lock.end_read(machine);
        own.items.add(machine, 1);
    };
    let synchronise = move |machine: &M| write_once(machine, &workers.lock);
    together(machine, vec![Box::new(take), Box::new(put), Box::new(synchronise)]);
}

/// Looking a set up reads the state, and reads it again for the default. Removing a container writes it.
pub fn kubernetes_62464<M: Machine>(machine: &M, version: Version) {
    let state = Arc::new(RwLock::new(machine, "state"));
    let own = state.clone();
    let reconcile = move |machine: &M| read_twice(machine, &own, version);
    let remove = move |machine: &M| {
        state.read(machine);
        state.end_read(machine);
        write_once(machine, &state);
    };
    together(machine, vec![Box::new(reconcile), Box::new(remove)]);
}
