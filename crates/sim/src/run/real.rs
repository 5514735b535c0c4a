//! OS threads that code under test has started, itself or by `spawn_blocking`. They fail the run, and the report says
//! what to use instead.

use super::{Run, oracle};
use crate::symptom::{Symptom, SymptomKind};
use crate::world::real::MEANT;

/// Fails the run if code under test has started an OS thread.
#[inline]
pub(super) fn refuse_os_threads(run: &Run) {
    if !run.os_threads.by.borrow().is_empty() {
        refuse(run);
    }
}

#[cold]
fn refuse(run: &Run) {
    let threads = &run.os_threads;
    let by = threads.by.take();
    let blocking = oracle::blocking_threads();
    let of_tokio = blocking.saturating_sub(threads.blocking.replace(blocking));
    if of_tokio > 0
        && let Some(who) = by.first()
    {
        return run.scheduler.fail(oracle::calls_outside(who));
    }
    if let Some(who) = by.first() {
        let detail = format!(
            "{who} starts a real OS thread (`std::thread`)\nStart threads with `Threads::spawn`: {MEANT}"
        );
        run.scheduler.fail(Symptom::new(SymptomKind::Uncontrolled, detail));
    }
}
