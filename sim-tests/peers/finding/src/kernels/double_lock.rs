//! A thread takes a lock that it already holds, mostly because a path out of a function forgets to release it.

use std::sync::Arc;

use super::Version;
use super::tools::{Guarded, RwLock, together};
use crate::machine::Machine;

/// Leaving a loop when the node is closed keeps the lock, which the next loop takes.
pub fn cockroach_584<M: Machine>(machine: &M, version: Version) {
    let lock = machine.mutex("gossip");
    let is_closed = true;
    let bootstrapping = machine.lock(&lock);
    let kept = (is_closed && version == Version::Buggy).then_some(bootstrapping);
    let managing = machine.lock(&lock);
    drop((managing, kept));
}

/// Reporting that a log file cannot be made takes the lock of the log again.
pub fn cockroach_9935<M: Machine>(machine: &M, version: Version) {
    let lock = machine.mutex("log");
    let mut output = Some(machine.lock(&lock));
    if version == Version::Fixed {
        output.take();
    }
    let exit = machine.lock(&lock);
    drop((exit, output));
}

struct Client<M: Machine> {
    lock: RwLock<M>,
    is_closed: Guarded,
}

/// A request that finds the client closed keeps the read lock. Closing the client again waits for it.
pub fn etcd_5509<M: Machine>(machine: &M, version: Version) {
    let client = Arc::new(Client { lock: RwLock::new(machine, "client"), is_closed: Guarded::default() });
    let own = client.clone();
    let request = move |machine: &M| {
        for _ in 0..2 {
            own.lock.read(machine);
            if own.is_closed.get() != 0 && version == Version::Buggy {
                return;
            }
            own.lock.end_read(machine);
        }
    };
    let close = move |machine: &M| {
        for _ in 0..2 {
            client.lock.write(machine);
            client.is_closed.set(1);
            client.lock.end_write(machine);
        }
    };
    together(machine, vec![Box::new(request), Box::new(close)]);
}

/// Renewing a lease calls a function under the lock that takes the lock.
pub fn etcd_10492<M: Machine>(machine: &M, version: Version) {
    let lock = Arc::new(machine.mutex("lessor"));
    let own = lock.clone();
    let checkpoint = move |machine: &M| drop(machine.lock(&own));
    let mut renewing = Some(machine.lock(&lock));
    if version == Version::Fixed {
        renewing.take();
    }
    checkpoint(machine);
    drop(renewing);
}

/// The second call of a graceful stop finds the server draining, and takes the lock once more.
pub fn grpc_795<M: Machine>(machine: &M, version: Version) {
    let server = Arc::new((machine.mutex("server"), Guarded::default()));
    let own = server.clone();
    let serve = move |machine: &M| drop(machine.lock(&own.0));
    let stop = move |machine: &M| {
        for _ in 0..3 {
            let stopping = machine.lock(&server.0);
            if server.1.get() != 0 && version == Version::Buggy {
                let again = machine.lock(&server.0);
                drop((again, stopping));
                return;
            }
            server.1.set(1);
        }
    };
    together(machine, vec![Box::new(serve), Box::new(stop)]);
}

/// A connection that fails goes on with the loop, and keeps the lock.
pub fn moby_7559<M: Machine>(machine: &M, version: Version) {
    let lock = machine.mutex("connections");
    let mut kept = Vec::new();
    for _ in 0..2 {
        let guard = machine.lock(&lock);
        if version == Version::Buggy {
            kept.push(guard);
        }
    }
}

/// Cleaning up keeps the lock if there is nothing to delete. Another thread waits for it.
pub fn moby_17176<M: Machine>(machine: &M, version: Version) {
    let devices = Arc::new(machine.mutex("devices"));
    let own = devices.clone();
    let cleaning = machine.lock(&devices);
    let kept = (version == Version::Buggy).then_some(cleaning);
    together(machine, vec![Box::new(move |machine: &M| drop(machine.lock(&own)))]);
    drop(kept);
}

/// Adding a disk under the lock removes old ones first, which takes the lock.
pub fn moby_36114<M: Machine>(machine: &M, version: Version) {
    let service = machine.mutex("service");
    let adding = machine.lock(&service);
    let removing = (version == Version::Buggy).then(|| machine.lock(&service));
    drop((removing, adding));
}

/// Clearing addresses under the write lock notifies, which takes the read lock.
pub fn syncthing_4829<M: Machine>(machine: &M, version: Version) {
    let mapping = RwLock::new(machine, "mapping");
    mapping.write(machine);
    if version == Version::Fixed {
        mapping.end_write(machine);
    }
    mapping.read(machine);
    mapping.end_read(machine);
    if version == Version::Buggy {
        mapping.end_write(machine);
    }
}
