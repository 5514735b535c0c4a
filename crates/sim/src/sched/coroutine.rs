//! Blocking threads as stackful coroutines.
//!
//! A simulated thread runs ordinary blocking code on a stack of its own and suspends wherever production code would
//! block. Stacks are pooled for the whole process: mapping one costs more than many runs.
//!
//! # Invariants
//!
//! - A coroutine is resumed and dropped on the OS thread that made it: a run never leaves its thread.
//! - Nothing suspends while its thread unwinds: `std`'s panic count is per OS thread, so a coroutine that suspended in
//!   the middle of an unwind would make every other one look as if it were panicking.
//! - Below each stack lies a guard page; `overflow` names the thread that hits it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use corosensei::stack::{DefaultStack, Stack};
use corosensei::{Coroutine, CoroutineResult, Yielder};

/// Stacks that no thread uses now, of all sizes.
static POOL: Mutex<Vec<PooledStack>> = Mutex::new(Vec::new());

/// More idle stacks than this are unmapped: 256 stacks of 1 MiB, of which only touched pages take memory.
const POOLED_MAX: usize = 256;

struct PooledStack {
    stack: DefaultStack,
    bytes: usize,
}

/// Why a coroutine came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resumed {
    Suspended,
    Ended,
}

/// A blocking thread of the simulation.
pub(super) struct ThreadBody {
    coroutine: Option<Coroutine<(), (), ()>>,
    suspender: Suspender,
    stack_bytes: usize,
    /// Lowest address of the guard page.
    guard: usize,
}

/// Suspends the coroutine that it belongs to, from anywhere below its entry.
#[derive(Clone)]
pub(super) struct Suspender(Rc<Cell<Option<*const Yielder<(), ()>>>>);

impl Suspender {
    /// Gives control back to the scheduler until it resumes this thread.
    ///
    /// # Panics
    ///
    /// Unwinds by force when the thread is torn down while suspended.
    #[expect(unsafe_code, reason = "the yielder is only reachable as a pointer below the coroutine's entry")]
    pub(super) fn suspend(&self) {
        let yielder = self.0.get().expect("a thread suspends only between its start and its end");
        // SAFETY: the pointer was taken from the reference that the coroutine's entry function holds for as long as the
        // coroutine lives, and is cleared when that function returns. The scheduler calls this only while this very
        // coroutine runs (it is `current`), so it suspends its own stack.
        unsafe { (*yielder).suspend(()) };
    }
}

impl Suspender {
    /// Whether the thread has started and not ended: what runs for it runs on its own stack.
    pub(super) fn is_inside(&self) -> bool {
        self.0.get().is_some()
    }
}

impl ThreadBody {
    /// Prepares a thread that will run `entry` on a stack of at least `stack_bytes`.
    ///
    /// # Errors
    ///
    /// The system's, where it maps no more memory.
    pub(super) fn new(stack_bytes: usize, entry: impl FnOnce() + 'static) -> std::io::Result<Self> {
        let stack = take_stack(stack_bytes)?;
        let guard = stack.limit().get();
        let suspender = Suspender(Rc::new(Cell::new(None)));
        let inside = suspender.clone();
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            inside.0.set(Some(std::ptr::from_ref(yielder)));
            let _cleared = ClearOnExit(&inside);
            entry();
        });
        Ok(Self { coroutine: Some(coroutine), suspender, stack_bytes, guard })
    }

    pub(super) fn suspender(&self) -> Suspender {
        self.suspender.clone()
    }

    /// The lowest address of the guard page below the stack.
    pub(super) const fn guard(&self) -> usize {
        self.guard
    }

    pub(super) const fn stack_bytes(&self) -> usize {
        self.stack_bytes
    }

    pub(super) fn resume(&mut self) -> Resumed {
        let coroutine = self.coroutine.as_mut().expect("a thread keeps its coroutine until it is dropped");
        match coroutine.resume(()) {
            CoroutineResult::Yield(()) => Resumed::Suspended,
            CoroutineResult::Return(()) => Resumed::Ended,
        }
    }
}

impl Drop for ThreadBody {
    fn drop(&mut self) {
        let Some(mut coroutine) = self.coroutine.take() else { return };
        // Unwinds a suspended thread: its destructors run, on its own stack, and may not suspend.
        coroutine.force_unwind();
        give_back(coroutine.into_stack(), self.stack_bytes);
    }
}

struct ClearOnExit<'a>(&'a Suspender);

impl Drop for ClearOnExit<'_> {
    fn drop(&mut self) {
        self.0.0.set(None);
    }
}

fn take_stack(bytes: usize) -> std::io::Result<DefaultStack> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(index) = pool.iter().rposition(|pooled| pooled.bytes == bytes) {
        return Ok(pool.swap_remove(index).stack);
    }
    drop(pool);
    DefaultStack::new(bytes)
}

fn give_back(stack: DefaultStack, bytes: usize) {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if pool.len() < POOLED_MAX {
        pool.push(PooledStack { stack, bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_goes_on_where_it_suspended() {
        let trail = Rc::new(Cell::new(0));
        let seen = trail.clone();
        let suspender: Rc<Cell<Option<Suspender>>> = Rc::default();
        let own = suspender.clone();
        let mut body = ThreadBody::new(64 * 1024, move || {
            let suspend = own.take().expect("set before the first resume");
            seen.set(1);
            suspend.suspend();
            seen.set(2);
        })
        .expect("a stack");
        suspender.set(Some(body.suspender()));
        assert_eq!((body.resume(), trail.get()), (Resumed::Suspended, 1));
        assert_eq!((body.resume(), trail.get()), (Resumed::Ended, 2));
    }

    #[test]
    fn dropping_a_suspended_thread_runs_its_destructors() {
        let dropped = Rc::new(Cell::new(false));
        struct SetOnDrop(Rc<Cell<bool>>);
        impl Drop for SetOnDrop {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let guard = SetOnDrop(dropped.clone());
        let suspender: Rc<Cell<Option<Suspender>>> = Rc::default();
        let own = suspender.clone();
        let mut body = ThreadBody::new(64 * 1024, move || {
            let _guard = guard;
            own.take().expect("set before the first resume").suspend();
        })
        .expect("a stack");
        suspender.set(Some(body.suspender()));
        assert_eq!(body.resume(), Resumed::Suspended);
        drop(body);
        assert!(dropped.get());
    }
}
