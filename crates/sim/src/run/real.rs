//! Real things that code under test asked for: the run fails, and says what to use instead.

use std::cell::RefCell;
use std::sync::Arc;

use super::{Run, oracle};
use crate::context;
use crate::interpose::Real;
use crate::symptom::{Symptom, SymptomKind};

/// The OS threads that code under test has started.
#[derive(Debug, Default)]
pub(crate) struct OsThreads {
    /// Which tasks and threads started them since the last look.
    by: RefCell<Vec<Arc<str>>>,
    /// Of tokio's, for blocking calls, so many were known then.
    blocking: std::cell::Cell<usize>,
}

/// How to mean it.
const MEANT: &str = "what is real cannot be replayed. `wavetank::unsimulated` is for those who mean it";

/// Code under test asks for something real.
pub(super) fn asked_for(what: Real) {
    let Some(run) = context::current() else { return };
    let who = run.who_runs();
    let detail = match what {
        Real::Socket => format!(
            "{who} opens a real socket\nConnect and listen through `Runtime`, `Threads`, `Datagrams` or `LocalSockets`: {MEANT}"
        ),
        Real::Name => {
            format!(
                "{who} looks up a name in the real network\nUse `Runtime::resolve` or `Threads::resolve`: {MEANT}"
            )
        }
        Real::Thread => return run.os_threads.by.borrow_mut().push(who),
    };
    run.executor.fail(Symptom::new(SymptomKind::Uncontrolled, detail));
}

impl Run {
    /// Fails the run if code under test has started an OS thread by itself. tokio's, for blocking calls, have an oracle of
    /// their own.
    pub(super) fn refuse_os_threads(&self) {
        let threads = &self.os_threads;
        if threads.by.borrow().is_empty() {
            return;
        }
        let by = threads.by.take();
        let blocking = oracle::blocking_threads();
        let of_tokio = blocking.saturating_sub(threads.blocking.replace(blocking));
        if let Some(who) = by.get(of_tokio) {
            let detail = format!(
                "{who} starts a real OS thread (`std::thread`)\nStart threads with `Threads::spawn`: {MEANT}"
            );
            self.executor.fail(Symptom::new(SymptomKind::Uncontrolled, detail));
        }
    }
}
