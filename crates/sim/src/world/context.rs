//! The run that this OS thread is simulating.
//!
//! While it lasts, a run has an OS thread for itself, so "the current run" is a thread-local. Handles of code under
//! test (hosts, sockets, locks, wakers) carry the number of their run and find it here. Used outside of it, they panic
//! with an explanation.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Outcome, Run};
use crate::{panics, sched};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Run>>> = const { RefCell::new(None) };
}

/// Numbers runs, so that a handle that outlives its run does not find a later one. Never shown.
static NEXT_RUN: AtomicU64 = AtomicU64::new(1);

pub(crate) fn next_run_number() -> u64 {
    NEXT_RUN.fetch_add(1, Ordering::Relaxed)
}

/// Makes `run` the current run of this OS thread until the guard is dropped.
pub(crate) fn enter(run: Rc<Run>) -> Entered {
    sched::enter(Some(run.scheduler.clone()));
    panics::watch(Some(super::panics::WATCH));
    CURRENT.with(|current| *current.borrow_mut() = Some(run));
    Entered
}

/// Ends a run that has been left, and returns what it did.
///
/// # Panics
///
/// Only on a bug here: handles find their run through this module, and keep none.
pub(crate) fn outcome_of(run: Rc<Run>) -> Outcome {
    let run = sched::sole(run).expect("handles find their run through the context and keep none");
    let outcome = run.into_outcome();
    sched::reclaim_abandoned();
    outcome
}

/// Leaves the run when dropped.
pub(crate) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        let run = CURRENT.with(|current| current.borrow_mut().take());
        drop(run);
        sched::enter(None);
        panics::watch(None);
    }
}

/// Returns the current run, if this OS thread simulates one.
#[inline]
pub(crate) fn current() -> Option<Rc<Run>> {
    // `try_with`: destructors of other thread-locals may ask after this one was dropped.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Calls `f` with the current run if it is number `number`.
pub(crate) fn with_run<T>(number: u64, f: impl FnOnce(&Run) -> T) -> Option<T> {
    let run = current().filter(|run| run.number == number)?;
    Some(f(&run))
}

/// Returns run `number`.
///
/// # Panics
///
/// If this OS thread does not simulate it: a handle was moved out of its simulation.
#[inline]
#[track_caller]
pub(crate) fn expect_run(number: u64) -> Rc<Run> {
    match current() {
        Some(run) if run.number == number => run,
        other => used_outside(other.is_some()),
    }
}

#[cold]
#[track_caller]
fn used_outside(is_in_a_run: bool) -> ! {
    assert!(
        !is_in_a_run,
        "a handle of one simulated run was used in another: make it inside the run that uses it"
    );
    panic!(
        "a simulated host, socket or lock was used on a real OS thread (`{}`): start threads with `Threads::spawn`",
        std::thread::current().name().unwrap_or("unnamed")
    );
}
