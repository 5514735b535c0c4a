//! Real things that code under test asks for: a socket, a name, an OS thread, real time.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::context;
use crate::interpose::Real;
use crate::symptom::{Symptom, SymptomKind};

/// The OS threads that code under test has started.
#[derive(Debug, Default)]
pub(crate) struct OsThreads {
    /// The tasks and threads that started them since the last look.
    pub(crate) by: RefCell<Vec<Arc<str>>>,
    /// How many of tokio's threads for blocking calls were known then.
    pub(crate) blocking: Cell<usize>,
}

/// How to allow it.
pub(crate) const MEANT: &str =
    "what is real cannot be replayed. `wavetank::unsimulated` allows it on purpose";

/// Code under test is about to wait for a real lock, which a task may hold whose poll is interrupted.
pub(crate) fn free_lock(really: bool) -> bool {
    let Some(run) = context::current() else { return false };
    let scheduler = &run.scheduler;
    if really {
        scheduler.finish_interrupted() || scheduler.give_way_to_holder()
    } else {
        scheduler.has_interrupted() || scheduler.can_give_way()
    }
}

/// Code under test asks for something real.
pub(crate) fn asked_for(what: Real) {
    let Some(run) = context::current() else { return };
    let who = run.who_runs();
    let detail = match what {
        Real::Socket => format!(
            "{who} opens a real socket\nConnect and listen through `Runtime`, `Threads`, `Datagrams` or \
            `LocalSockets`: \
             {MEANT}"
        ),
        Real::Name => {
            format!(
                "{who} looks up a name in the real network\nUse `Runtime::resolve` or `Threads::resolve`: {MEANT}"
            )
        }
        Real::Time => format!(
            "{who} limits the real time for which it waits for a lock, condition, channel or `park_timeout` of \
             std\nWait by `Condvar` of the runtime traits, or in tasks by `tokio::time::timeout`: the time of std is \
             virtual here, so the wait would end at once or never"
        ),
        Real::Thread => return run.os_threads.by.borrow_mut().push(who),
    };
    run.scheduler.fail(Symptom::new(SymptomKind::Uncontrolled, detail));
}
