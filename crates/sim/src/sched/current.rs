//! The scheduler of the run that this OS thread simulates. Wakers find it here.

use std::cell::RefCell;
use std::rc::Rc;

use super::Scheduler;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

/// Makes `scheduler` the current one of this OS thread, or none.
pub(crate) fn enter(scheduler: Option<Rc<Scheduler>>) {
    let before = CURRENT.replace(scheduler);
    drop(before);
}

/// Returns `true` if this OS thread simulates a run.
pub(super) fn is_entered() -> bool {
    // `try_with`: destructors of other thread-locals may ask after this one was dropped.
    CURRENT.try_with(|current| current.borrow().is_some()).unwrap_or(false)
}

/// Calls `f` with the scheduler of the run that this OS thread simulates, if it simulates one.
pub(super) fn with_any(f: impl FnOnce(&Scheduler)) {
    let current = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
    if let Some(scheduler) = current {
        f(&scheduler);
    }
}

/// Calls `f` with the scheduler of run number `run`, if this OS thread simulates that run.
pub(super) fn with<T>(run: u64, f: impl FnOnce(&Scheduler) -> T) -> Option<T> {
    let current = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
    current.filter(|scheduler| scheduler.run == run).map(|scheduler| f(&scheduler))
}
