//! Blocking threads as stackful coroutines.
//!
//! A simulated thread runs ordinary blocking code on a stack of its own and suspends wherever production code would
//! block. Stacks are pooled for the whole process: mapping one costs more than many runs.
//!
//! A thread that is torn down unwinds from where it is suspended. Rust ends the process if a destructor panics during
//! an unwind. Here the stack is *abandoned* instead: it suspends once more and is never resumed.
//!
//! # Invariants
//!
//! - A coroutine is resumed and dropped on the OS thread that made it: a run never leaves its thread.
//! - No thread suspends while it unwinds. `std` counts panics per OS thread, so every other coroutine would seem to
//!   be panicking. An abandoned stack does suspend during an unwind, so the run ends with it.
//! - The memory of an abandoned stack is used again only after its run is gone, because values of the run may point
//!   into it.
//! - Below each stack lies a guard page; `overflow` names the thread that hits it.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use corosensei::stack::{DefaultStack, Stack};
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::interpose::blocks;

/// The stacks that are not in use, of all sizes.
static POOL: Mutex<Vec<PooledStack>> = Mutex::new(Vec::new());

/// The most idle stacks that the pool keeps. Only pages that were touched take memory.
const POOLED_MAX: usize = 256;

struct PooledStack {
    stack: DefaultStack,
    bytes: usize,
}

/// What a coroutine does when it is resumed.
enum Go {
    On,
    /// Unwinds, because it is torn down.
    Unwind,
}

/// Why a coroutine suspends.
enum Pause {
    Waits,
    Abandoned,
}

/// Why a coroutine came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resumed {
    Suspended,
    Ended,
    /// A destructor on its stack has panicked during an unwind. It never runs again.
    Abandoned,
}

/// The payload of the panic that unwinds a coroutine.
struct TornDown;

type Fiber = Coroutine<Go, Pause, ()>;

/// A blocking thread of the simulation.
pub(super) struct ThreadBody {
    coroutine: Option<Fiber>,
    suspender: Suspender,
    stack_bytes: usize,
    /// Lowest address of the guard page.
    guard: usize,
}

thread_local! {
    /// The innermost coroutine that this OS thread runs now.
    static RUNNING: RefCell<Option<Suspender>> = const { RefCell::new(None) };
    /// The bounds of its stack between its start and its end, for code that must not touch `RUNNING`.
    static STACK: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    /// The abandoned coroutines of this OS thread's run, with the sizes of their stacks.
    static ABANDONED: RefCell<Vec<(ManuallyDrop<Fiber>, usize)>> = const { RefCell::new(Vec::new()) };
}

/// Initialises the thread-local values of this module.
pub(super) fn touch() {
    RUNNING.with(|_| ());
    ABANDONED.with(|_| ());
}

/// Suspends its coroutine, from anywhere below the coroutine's entry.
#[derive(Clone)]
pub(super) struct Suspender {
    yielder: Rc<Cell<Option<*const Yielder<Go, Pause>>>>,
    /// The lowest address of the stack, and the end of the highest.
    stack: (usize, usize),
}

impl Suspender {
    /// Gives control back to the scheduler until it resumes this thread.
    ///
    /// # Panics
    ///
    /// Unwinds if the thread is torn down while it is suspended.
    pub(super) fn suspend(&self) {
        match self.pause(Pause::Waits) {
            Go::On => {}
            Go::Unwind => resume_unwind(Box::new(TornDown)),
        }
    }

    /// As [`suspend`](Self::suspend), but never unwinds. If the thread is torn down, it is unwound where it suspends
    /// next.
    pub(super) fn suspend_without_unwind(&self) {
        self.pause(Pause::Waits);
    }

    /// Runs `f` on the stack of what has resumed this coroutine.
    #[expect(unsafe_code, reason = "as below")]
    pub(super) fn on_parent_stack(&self, f: &mut (dyn FnMut() + Send)) {
        let yielder =
            self.yielder.get().expect("a thread leaves its stack only between its start and its end");
        // SAFETY: as for `pause`: this very coroutine runs now.
        unsafe { (*yielder).on_parent_stack(f) }
    }

    #[expect(unsafe_code, reason = "the yielder is only reachable as a pointer below the coroutine's entry")]
    fn pause(&self, why: Pause) -> Go {
        let yielder = self.yielder.get().expect("a thread suspends only between its start and its end");
        // SAFETY: the pointer was taken from the reference that the coroutine's entry function holds for as long as the
        // coroutine lives, and is cleared when that function returns. The scheduler calls this only while this very
        // coroutine runs (it is `current`), so it suspends its own stack.
        unsafe { (*yielder).suspend(why) }
    }

    /// Returns `true` if the running code is on this coroutine's own stack.
    pub(super) fn is_running(&self) -> bool {
        let is_it = |running: &RefCell<Option<Self>>| {
            running.borrow().as_ref().is_some_and(|running| Rc::ptr_eq(&running.yielder, &self.yielder))
        };
        RUNNING.try_with(is_it).unwrap_or(false)
    }

    /// Returns `true` if the thread has started and has not ended. Its code then runs on its own stack.
    pub(super) fn is_inside(&self) -> bool {
        self.yielder.get().is_some()
    }
}

/// Returns `true` if the running code is on a coroutine's stack, which [`abandon`] can leave.
pub(super) fn is_on_own_stack() -> bool {
    RUNNING.try_with(|running| running.borrow().is_some()).unwrap_or(false)
}

/// Returns `true` if `address` is on the stack of the coroutine that runs now.
pub(super) fn is_on_running_stack(address: usize) -> bool {
    let (lowest, end) = STACK.get();
    (lowest..end).contains(&address)
}

/// Runs `f` on the stack below the coroutine that runs now, or on the present one if none does.
pub(super) fn apart(f: &mut (dyn FnMut() + Send)) {
    let running = RUNNING.try_with(|running| running.borrow().clone()).ok().flatten();
    match running {
        Some(running) => running.on_parent_stack(f),
        None => f(),
    }
}

/// Abandons the running stack. Returns only if it is not a coroutine's.
pub(crate) fn abandon() {
    let running = RUNNING.try_with(|running| running.borrow().clone()).ok().flatten();
    if let Some(running) = running {
        running.pause(Pause::Abandoned);
        unreachable!("an abandoned stack is not resumed");
    }
}

/// Takes the value out of an `Rc` that only abandoned stacks may still share.
#[expect(unsafe_code, reason = "skips destructors that cannot run")]
pub(crate) fn sole<T>(shared: Rc<T>) -> Option<T> {
    if ABANDONED.with(|abandoned| !abandoned.borrow().is_empty()) {
        while Rc::strong_count(&shared) > 1 {
            // SAFETY: the pointer is that of a live `Rc`. Each count but this one's belongs to a value on an abandoned
            // stack, or that such a value owned: nothing uses or drops it ever again.
            unsafe { Rc::decrement_strong_count(Rc::as_ptr(&shared)) };
        }
    }
    Rc::into_inner(shared)
}

/// Puts the abandoned stacks of this OS thread back into the pool. Their run must be gone, with everything that may
/// point into them.
#[expect(unsafe_code, reason = "skips destructors that cannot run")]
pub(crate) fn reclaim_abandoned() {
    for (fiber, bytes) in ABANDONED.take() {
        let mut fiber = ManuallyDrop::into_inner(fiber);
        // SAFETY: what is on the stack is never used again: the tasks, sockets and locks of its run are dropped, and
        // nothing of a run survives it.
        unsafe { fiber.force_reset() };
        give_back(fiber.into_stack(), bytes);
    }
}

impl ThreadBody {
    /// Prepares a thread that will run `entry` on a stack of at least `stack_bytes`.
    ///
    /// # Errors
    ///
    /// The system's, if it maps no more memory.
    pub(super) fn new(stack_bytes: usize, entry: impl FnOnce() + 'static) -> std::io::Result<Self> {
        let stack = take_stack(stack_bytes)?;
        let guard = stack.limit().get();
        let suspender = Suspender { yielder: Rc::new(Cell::new(None)), stack: (guard, stack.base().get()) };
        let inside = suspender.clone();
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<Go, Pause>, go| {
            inside.yielder.set(Some(std::ptr::from_ref(yielder)));
            STACK.set(inside.stack);
            let _cleared = ClearOnExit(&inside);
            match go {
                Go::On => run_to_end(entry),
                // It never started. The captures of its entry are dropped here, on its own stack.
                Go::Unwind => drop(entry),
            }
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
        self.go(Go::On)
    }

    fn go(&mut self, go: Go) -> Resumed {
        let coroutine = self.coroutine.as_mut().expect("a thread keeps its coroutine until it is dropped");
        let _running = Running::set(&self.suspender);
        match coroutine.resume(go) {
            CoroutineResult::Yield(Pause::Waits) => Resumed::Suspended,
            CoroutineResult::Yield(Pause::Abandoned) => {
                let abandoned =
                    self.coroutine.take().map(|coroutine| (ManuallyDrop::new(coroutine), self.stack_bytes));
                ABANDONED.with(|all| all.borrow_mut().extend(abandoned));
                Resumed::Abandoned
            }
            CoroutineResult::Return(()) => Resumed::Ended,
        }
    }
}

impl Drop for ThreadBody {
    fn drop(&mut self) {
        // Unwinds a suspended thread. Its destructors run on its own stack and must not suspend. A thread that catches
        // the unwind continues until it suspends again.
        while self.coroutine.as_ref().is_some_and(|coroutine| !coroutine.done()) {
            self.go(Go::Unwind);
            blocks::stop();
        }
        if let Some(coroutine) = self.coroutine.take() {
            give_back(coroutine.into_stack(), self.stack_bytes);
        }
    }
}

/// Runs `f` on a stack of its own. If a destructor panics there during an unwind, the run fails, and the process
/// continues. Returns `None` if the stack was abandoned.
///
/// # Panics
///
/// As `f`.
pub(super) fn on_own_stack<T: 'static>(stack_bytes: usize, f: impl FnOnce() -> T + 'static) -> Option<T> {
    let result = Rc::new(Cell::new(None));
    let f = Rc::new(Cell::new(Some(f)));
    let (own, inside) = (Rc::clone(&f), Rc::clone(&result));
    let entry = move || inside.set(own.take().map(|f| f()));
    match ThreadBody::new(stack_bytes, entry) {
        Ok(mut body) => {
            body.resume();
            result.take()
        }
        // Without memory for another stack, it runs on this one.
        Err(_) => f.take().map(|f| f()),
    }
}

/// Runs the entry of a thread, and ends the unwind that tears it down.
fn run_to_end(entry: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(entry))
        && !payload.is::<TornDown>()
    {
        resume_unwind(payload);
    }
}

/// Sets the running coroutine, and restores the previous one when dropped.
struct Running {
    outer: Option<Suspender>,
    outer_stack: (usize, usize),
}

impl Running {
    fn set(suspender: &Suspender) -> Self {
        // While `RUNNING` changes there is none.
        let outer_stack = STACK.replace((0, 0));
        let outer = RUNNING.replace(Some(suspender.clone()));
        // At the start it is set where the yielder is.
        if suspender.is_inside() {
            STACK.set(suspender.stack);
        }
        Self { outer, outer_stack }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        STACK.set((0, 0));
        RUNNING.set(self.outer.take());
        STACK.set(self.outer_stack);
    }
}

struct ClearOnExit<'a>(&'a Suspender);

impl Drop for ClearOnExit<'_> {
    fn drop(&mut self) {
        STACK.set((0, 0));
        self.0.yielder.set(None);
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

    #[test]
    fn the_next_run_uses_an_abandoned_stack() {
        // A size that no other test has.
        const BYTES: usize = 76 * 1024;
        let dropped = Rc::new(Cell::new(false));
        let seen = dropped.clone();
        let mut body = ThreadBody::new(BYTES, move || {
            let _never = ClearOnExit(&Suspender { yielder: Rc::default(), stack: (0, 0) });
            abandon();
            seen.set(true);
        })
        .expect("a stack");
        let guard = body.guard();
        assert!(!is_on_own_stack());
        assert_eq!(body.resume(), Resumed::Abandoned);
        drop(body);
        let other = ThreadBody::new(BYTES, || ()).expect("a stack");
        assert_ne!(other.guard(), guard, "what the run has may point into the stack");
        let shared = Rc::new(7);
        std::mem::forget(shared.clone());
        assert_eq!(sole(shared), Some(7));
        reclaim_abandoned();
        assert_eq!(ThreadBody::new(BYTES, || ()).expect("a stack").guard(), guard);
        assert!(!dropped.get());
        assert_eq!(sole(dropped.clone()), None, "shared, and no stack was abandoned");
    }
}
