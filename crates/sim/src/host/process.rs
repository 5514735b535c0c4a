//! Unmodified programs: hosts whose threads call libc, and are answered by the simulator.
//!
//! A process is a host like the others: same network, faults, seeds, traces. Its threads are `UserThread`s, which the
//! scheduler runs as it runs its own. What they ask of libc comes here by symbols of the same names (`symbols`), in
//! kernel mode (`call`). The answers stand on the host's sockets, the scheduler's waits and the host's entropy.
//!
//! The parts: `descriptors` is the table of file descriptors, `sockets`, `datagrams` and `pipes` are what they stand
//! for, `polling` waits for several of them (poll, epoll), `futex` and `locks` are what threads wait by, `options`
//! tunes sockets, `threads` starts and joins them, `names` looks hosts up, `fate` is how processes end, `unsimulated`
//! complains of everything else.
//!
//! # Invariants
//!
//! - A call that is answered here reaches the real system in nothing.
//! - Numbers below [`descriptors::FIRST`] are real files, and those calls pass through.
//! - What is a static of the program is shared by all processes of a run, because they share an address space. So pairs
//!   of sockets, pipes and event counters outlive the process that made them (tokio keeps one in a static).
//! - No call that code makes under a lock in a static may suspend: another process would wait for the lock.

mod address;
mod call;
mod datagrams;
mod descriptors;
mod fate;
mod futex;
mod locks;
mod names;
mod options;
mod pipes;
mod polling;
mod sockets;
mod symbols;
mod threads;
mod unsimulated;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::{Rc, Weak};

use crate::interpose::user;
use crate::net::Ready;
use crate::wait::{HostIndex, TaskId};
use crate::world::{Processes, Run};

use descriptors::{Key, Table};
use polling::Epoll;
use threads::Threads;

pub(crate) use fate::fault;
pub(crate) use threads::start_main;

/// The number of processors of a host.
const PROCESSORS: usize = 2;

/// A task that waits, with its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sleeper {
    task: TaskId,
    host: HostIndex,
}

/// What the processes of a run share: what an operating system would keep for them.
#[derive(Default)]
pub(crate) struct System {
    table: RefCell<Table>,
    epolls: RefCell<Vec<Weak<Epoll>>>,
    /// Threads in `poll`, with what they wait for.
    pollers: RefCell<Vec<(Sleeper, Vec<Key>)>>,
    /// Threads that wait at an address, oldest first.
    sleepers: RefCell<BTreeMap<usize, VecDeque<Sleeper>>>,
    /// Conditions of C whose waits measure the monotonic clock, by their addresses.
    monotonic_conditions: RefCell<BTreeSet<usize>>,
    /// Numbers the waits for futexes.
    waits: Cell<u32>,
    /// Numbers pipes and event counters.
    objects: Cell<u64>,
    threads: RefCell<Threads>,
    /// Lines of standard output that have not ended.
    output: RefCell<BTreeMap<TaskId, Vec<u8>>>,
}

thread_local! {
    /// The kernel of the run of this OS thread.
    static SYSTEM: RefCell<Option<Rc<System>>> = const { RefCell::new(None) };
}

/// Has the calls and faults of programs answered in this OS process.
pub(crate) fn prepare() {
    user::install(symbols::CALLS);
    user::catch_faults(fault);
}

/// Returns the kernel of `run`, which is made for the first process.
fn system_of(run: &Run) -> Rc<System> {
    if let Some(system) = SYSTEM.with_borrow(Clone::clone) {
        return system;
    }
    prepare();
    let system = Rc::<System>::default();
    SYSTEM.set(Some(Rc::clone(&system)));
    run.set_processes(Rc::new(ToSystem));
    system
}

/// Tells the kernel what the run tells its processes.
struct ToSystem;

impl Processes for ToSystem {
    fn ready(&self, run: &Run, ready: &[Ready]) {
        let Some(system) = SYSTEM.with_borrow(Clone::clone) else { return };
        ready.iter().filter_map(|&ready| Key::of_network(ready)).for_each(|key| system.mark(run, key));
    }

    fn crashed(&self, host: HostIndex) {
        if let Some(system) = SYSTEM.with_borrow(Clone::clone) {
            system.forget_host(host);
        }
    }

    fn torn_down(&self) {
        // Sockets find their run when they close.
        drop(SYSTEM.take());
    }
}

impl System {
    fn number(&self) -> u64 {
        self.objects.set(self.objects.get() + 1);
        self.objects.get()
    }

    /// Forgets what the system keeps for the process of a host. Its threads are killed next.
    fn forget_host(&self, host: HostIndex) {
        let closed = self.table.borrow_mut().take_of_host(host);
        drop(closed);
        self.pollers.borrow_mut().retain(|(sleeper, _)| sleeper.host != host);
        for sleepers in self.sleepers.borrow_mut().values_mut() {
            sleepers.retain(|sleeper| sleeper.host != host);
        }
        for epoll in self.epolls.borrow().iter().filter_map(Weak::upgrade) {
            epoll.forget_host(host);
        }
        self.threads.borrow_mut().forget_host(host);
    }
}
