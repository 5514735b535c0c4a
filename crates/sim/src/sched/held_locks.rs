//! Locks that a thread still holds when it ends or is torn down. The locks themselves are in `host::locks`.

use super::lifecycle::caught;
use super::{Scheduler, State, Symptom, SymptomKind, TaskId, Wait};

/// How often the threads of a run may catch the unwind that tears them down and continue.
const CAUGHT_UNWINDS_MAX: u32 = 1_000;

impl Scheduler {
    pub(crate) fn lock_taken(&self) {
        self.count_lock(1);
    }

    pub(crate) fn lock_released(&self) {
        self.count_lock(-1);
    }

    fn count_lock(&self, change: i32) {
        if let Some(task) = self.current.get() {
            let mut tasks = self.tasks.borrow_mut();
            let held = &mut tasks[task.index()].locks_held;
            *held = held.saturating_add_signed(change);
        }
    }

    /// Tears down the suspended thread `holder`, whose lock an unwinding thread needs. The run ends after this step,
    /// because what follows is no execution of the program.
    ///
    /// # Panics
    ///
    /// Ends the process if `holder` is itself unwinding: two destructors wait for each other, and neither can be
    /// suspended.
    pub(crate) fn free_by_force(&self, holder: TaskId, lock: &str) {
        self.complain_of_shared_lock(holder, lock);
        let body = self.tasks.borrow_mut()[holder.index()].body.take();
        let Some(body) = body else {
            let (holder, waiter) = (self.name(holder), self.current.get().map(|task| self.name(task)));
            crate::panics::complain(&format!(
                "wavetank: {waiter:?} unwinds and waits for the lock `{lock}`, which {holder} holds and \
                cannot release, \
                 because it unwinds too. Do not take locks in destructors that may run in a panic. The process ends \
                 here.\n{}",
                crate::panics::run_name()
            ));
            std::process::abort();
        };
        self.tasks.borrow_mut()[holder.index()].state = State::Ended;
        self.queue().forget_ready(holder);
        self.thaw(holder);
        let outer = self.current.replace(Some(holder));
        let dropped = caught(|| drop(body));
        self.end(holder);
        self.current.set(outer);
        let waiter = outer.map_or_else(|| "a task".into(), |task| self.name(task));
        let holder = self.name(holder);
        let mut detail = format!(
            "{waiter}: a destructor that ran in a panic waited for the lock `{lock}`, held by {holder}"
        );
        detail.push_str(
            "\nA thread that unwinds cannot be suspended, so the holder was ended by force, and the run with it: do \
             not take locks in destructors that may run in a panic",
        );
        if let Err(panic) = dropped {
            detail.push_str(&format!("\n{holder} panicked when it was ended: {}", panic.message()));
        }
        self.fail_later(Symptom::new(SymptomKind::Panic, detail));
    }

    /// Notes that the running thread `task` is torn down, has caught the unwind, and is about to be unwound again.
    ///
    /// # Panics
    ///
    /// Ends the process if that repeats without end.
    pub(super) fn count_caught_unwind(&self, task: TaskId) {
        self.unwinds_caught.set(self.unwinds_caught.get() + 1);
        if self.unwinds_caught.get() <= CAUGHT_UNWINDS_MAX {
            return;
        }
        crate::panics::complain(&format!(
            "wavetank: {} catches every panic and goes on, also the unwind that is to end it with its run: let \
             its loop end when the host's work is done, or let it pass panics on. The process ends here.\n{}",
            self.name(task),
            crate::panics::run_name()
        ));
        std::process::abort();
    }

    /// Notes that the lock `name`, for which `task` waits, has another holder.
    pub(crate) fn lock_changed_hands(&self, task: TaskId, name: &str, holder: TaskId) {
        for waiting in &mut self.tasks.borrow_mut()[task.index()].waits {
            if let Wait::Lock { name: lock, holder: old } = &mut waiting.on
                && *lock == name
            {
                *old = holder;
            }
        }
    }

    /// Fails the run if a crash of one host would have to tear down a thread of another host to free its lock. No real
    /// program could have a lock that hosts share.
    fn complain_of_shared_lock(&self, holder: TaskId, lock: &str) {
        let Some(task) = self.current.get() else { return };
        let (own, other) = {
            let tasks = self.tasks.borrow();
            (tasks[task.index()].host, tasks[holder.index()].host)
        };
        if own != other && self.being_torn_down() {
            let (task, holder) = (self.name(task), self.name(holder));
            let detail = format!(
                "{task} is torn down and needs the lock `{lock}`, which {holder} holds: hosts must not share locks"
            );
            self.fail(Symptom::new(SymptomKind::Setup, detail));
        }
    }
}
