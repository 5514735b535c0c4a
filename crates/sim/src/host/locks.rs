//! The locks of simulated threads.
//!
//! One thread runs at a time, so a lock is a record of its holder and of its waiters. The value is in a `std` mutex
//! that is never contended. The record decides; the `std` mutex only proves it to the compiler.
//!
//! # What happens when a thread blocks on a lock
//!
//! 1. `wavetank::runtime::Mutex::lock` calls `raw_lock` of `Threads`, which comes here. It is a scheduling point:
//!    another thread may run first.
//! 2. The lock has a holder. The thread adds itself to the waiters and calls `Scheduler::block`, which notes what it
//!    waits for (`Wait::Lock`), writes the trace line and suspends the thread's coroutine.
//! 3. The main loop (`run::drive`) runs other tasks. If none can run, time passes to the next event. If there is no
//!    next event, the run is a deadlock, and the report names this thread, the lock and its holder.
//! 4. The holder drops its guard. `choose_waiter` picks one waiter in the schedule lane. That thread becomes ready,
//!    possibly after a drawn delay.
//! 5. The chosen thread runs and tries again. If another thread took the lock in between, it waits again.
//!
//! `sched::held_locks` counts the locks that a thread holds and treats those of a thread that is torn down.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::Waker;

use wavetank_runtime::WaitOutcome;

use super::context;
use crate::time::Nanos;
use crate::wait::{Operation, TaskId, Wait};
use crate::world::Run;

/// The lock behind [`Mutex`](wavetank_runtime::Mutex) in a simulation.
pub struct SimMutex<T> {
    run: u64,
    name: &'static str,
    note: Mutex<Note>,
    value: Mutex<T>,
}

#[derive(Default)]
struct Note {
    holder: Option<TaskId>,
    /// Threads that wait and were not yet woken, oldest first.
    waiting: VecDeque<TaskId>,
}

impl<T: Send> SimMutex<T> {
    pub(super) const fn new(run: u64, name: &'static str, value: T) -> Self {
        let note = Note { holder: None, waiting: VecDeque::new() };
        Self { run, name, note: Mutex::new(note), value: Mutex::new(value) }
    }

    #[track_caller]
    fn run(&self) -> Rc<Run> {
        context::expect_run(self.run)
    }

    fn note(&self) -> MutexGuard<'_, Note> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    pub(super) fn lock(&self) -> SimGuard<'_, T> {
        let run = self.run();
        run.scheduler.scheduling_point(Operation::on("lock", self.name));
        self.lock_now(&run)
    }

    /// Locks without a scheduling point before it: a thread that waited has just been scheduled.
    #[track_caller]
    fn lock_now(&self, run: &Run) -> SimGuard<'_, T> {
        loop {
            let holder = {
                let mut note = self.note();
                match note.holder {
                    None => break self.take(run, note),
                    Some(holder) => {
                        // A thread that must not wait must not take the turn of another thread.
                        if let Some(task) = run.scheduler.current().filter(|_| run.scheduler.can_block())
                            && !note.waiting.contains(&task)
                        {
                            note.waiting.push_back(task);
                        }
                        holder
                    }
                }
            };
            if !run.scheduler.block(Wait::Lock { name: self.name, holder }, None) {
                // This thread unwinds and cannot wait, and a suspended thread holds the lock.
                run.scheduler.free_by_force(holder, self.name);
            }
        }
        run.scheduler.unblocked();
        self.guard()
    }

    /// Makes the running task the holder of the free lock.
    fn take(&self, run: &Run, mut note: MutexGuard<'_, Note>) {
        let holder = holder_of(run);
        note.holder = Some(holder);
        // A thread that was woken for another reason may take the lock before its turn. It must not have a turn later.
        note.waiting.retain(|&waiting| waiting != holder);
        for &waiting in &note.waiting {
            run.scheduler.lock_changed_hands(waiting, self.name, holder);
        }
        drop(note);
        run.scheduler.lock_taken();
    }

    pub(super) fn try_lock(&self) -> Option<SimGuard<'_, T>> {
        let run = self.run();
        run.scheduler.scheduling_point(Operation::on("try_lock", self.name));
        let note = self.note();
        if note.holder.is_some() {
            return None;
        }
        self.take(&run, note);
        Some(self.guard())
    }

    fn guard(&self) -> SimGuard<'_, T> {
        let value = match self.value.try_lock() {
            Ok(value) => value,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => unreachable!("the note says that the lock is free"),
        };
        SimGuard { mutex: self, value: Some(value) }
    }

    /// Frees the lock and wakes one waiter.
    fn release(&self, run: Option<&Run>) {
        let mut note = self.note();
        note.holder = None;
        let count = note.waiting.len();
        if count == 0 {
            return;
        }
        // Outside of the run no thread waits any more.
        let Some(run) = run else { return };
        let index = run.scheduler.choose_waiter(Operation::on("hand on", self.name), count);
        let next = note.waiting.remove(index);
        drop(note);
        if let Some(next) = next {
            run.scheduler.wake(next);
        }
    }

    pub(super) fn into_inner(self) -> T {
        self.value.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the running task. Locks may also be taken where none runs, in the set-up of a test. No thread can wait for
/// those.
fn holder_of(run: &Run) -> TaskId {
    run.scheduler.current().unwrap_or(TaskId::new(0))
}

impl<T> fmt::Debug for SimMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimMutex").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Holds a [`SimMutex`].
pub struct SimGuard<'a, T: Send> {
    mutex: &'a SimMutex<T>,
    value: Option<MutexGuard<'a, T>>,
}

impl<T: Send> SimGuard<'_, T> {
    fn unlock(&mut self, run: Option<&Run>) {
        if self.value.take().is_none() {
            return;
        }
        if let Some(run) = run {
            run.scheduler.lock_released();
        }
        self.mutex.release(run);
    }
}

impl<T: Send> Drop for SimGuard<'_, T> {
    fn drop(&mut self) {
        let run = context::current().filter(|run| run.number == self.mutex.run);
        self.unlock(run.as_deref());
        // The code after the release may run late: the state is visible, and its author has not continued.
        if let Some(run) = run {
            run.scheduler.scheduling_point(Operation::on("unlock", self.mutex.name));
        }
    }
}

impl<T: Send> Deref for SimGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("a guard holds its value until it is dropped")
    }
}

impl<T: Send> DerefMut for SimGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("a guard holds its value until it is dropped")
    }
}

impl<T: Send> fmt::Debug for SimGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimGuard").field("mutex", &self.mutex.name).finish_non_exhaustive()
    }
}

/// The condition variable behind [`Condvar`](wavetank_runtime::Condvar) in a simulation.
pub struct SimCondvar {
    run: u64,
    name: &'static str,
    state: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    /// Each with a ticket, which tells its waiter whether it was notified.
    waiting: Vec<(u64, Waker)>,
    tickets: u64,
}

impl SimCondvar {
    pub(super) const fn new(run: u64, name: &'static str) -> Self {
        Self { run, name, state: Mutex::new(Waiters { waiting: Vec::new(), tickets: 0 }) }
    }

    fn state(&self) -> MutexGuard<'_, Waiters> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a, T: Send>(
        &self,
        mut guard: SimGuard<'a, T>,
        timeout: Option<Nanos>,
    ) -> (SimGuard<'a, T>, WaitOutcome) {
        let run = context::expect_run(self.run);
        run.scheduler.scheduling_point(Operation::on("wait", self.name));
        let until = timeout.map(|timeout| run.scheduler.now().saturating_add(timeout));
        let mutex = guard.mutex;
        let Some(task) = run.scheduler.current() else { return (guard, WaitOutcome::Notified) };
        let ticket = {
            let mut state = self.state();
            state.tickets += 1;
            let ticket = state.tickets;
            state.waiting.push((ticket, run.scheduler.waker(task)));
            ticket
        };
        let forget = Forget { condvar: self, ticket };
        guard.unlock(Some(&run));
        drop(guard);
        let mut outcome = WaitOutcome::Notified;
        while self.is_waiting(ticket) {
            if until.is_some_and(|until| run.scheduler.now() >= until) {
                outcome = WaitOutcome::TimedOut;
                break;
            }
            if !run.scheduler.block(Wait::Condvar { name: self.name, until }, until) {
                // A thread that unwinds cannot wait. It counts as woken without cause.
                break;
            }
        }
        run.scheduler.unblocked();
        // This must happen before the thread waits for the lock. A notification must not go to a thread that has given
        // up waiting for it.
        drop(forget);
        (mutex.lock_now(&run), outcome)
    }

    fn is_waiting(&self, ticket: u64) -> bool {
        self.state().waiting.iter().any(|(waiting, _)| *waiting == ticket)
    }

    pub(super) fn notify_one(&self) {
        let run = context::expect_run(self.run);
        run.scheduler.scheduling_point(Operation::on("notify", self.name));
        let count = self.state().waiting.len();
        if count == 0 {
            return;
        }
        let index = run.scheduler.choose_waiter(Operation::on("notify one of", self.name), count);
        let (_, waker) = self.state().waiting.remove(index);
        waker.wake();
        run.scheduler.after_effect_in_thread(Operation::on("notify", self.name));
    }

    pub(super) fn notify_all(&self) {
        let run = context::expect_run(self.run);
        run.scheduler.scheduling_point(Operation::on("notify", self.name));
        let waiting = std::mem::take(&mut self.state().waiting);
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
        run.scheduler.after_effect_in_thread(Operation::on("notify", self.name));
    }
}

/// Removes a waiter from the list, also when its thread is torn down.
struct Forget<'a> {
    condvar: &'a SimCondvar,
    ticket: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.condvar.state().waiting.retain(|(ticket, _)| *ticket != self.ticket);
    }
}

impl fmt::Debug for SimCondvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimCondvar").field("name", &self.name).finish_non_exhaustive()
    }
}
