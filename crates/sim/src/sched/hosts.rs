//! Pauses or kills all tasks and threads of one host in the middle of a run.
//!
//! A killed host is torn down by the rules of `lifecycle`: suspended threads unwind, nothing suspends meanwhile, their
//! locks are freed and timers disarmed. Later wake-ups find no task. A task that kills its own host is the last to go:
//! it unwinds out of its step, and the end of the step removes the others.
//!
//! # Invariants
//!
//! - No task of a paused host is in the ready list. A frozen task keeps its place among the frozen ones.
//! - A killed task is `Ended` before its body is dropped, so its destructors and the step it may be in can see it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::resume_unwind;

use super::{Body, HostIndex, Scheduler, State, TaskEntry, TaskId, lifecycle, overflow};
use crate::interpose;

/// Which hosts do not run now.
#[derive(Debug, Default)]
pub(super) struct Halted {
    paused: RefCell<BTreeSet<HostIndex>>,
    /// Tasks of paused hosts that could run, in the order in which they became ready.
    frozen: RefCell<Vec<TaskId>>,
    /// A host that its own task is killing. The end of the task's step does it.
    dying: Cell<Option<HostIndex>>,
}

/// The panic payload that unwinds a task that has killed its own host.
pub(super) struct Killed;

impl Scheduler {
    /// Stops the tasks and threads of `host` until [`resume_host`](Self::resume_host). One that runs now stops at its
    /// next scheduling point.
    pub(crate) fn pause_host(&self, host: HostIndex) {
        self.halted.paused.borrow_mut().insert(host);
        let of_host = |task: &TaskId| self.tasks.host(*task) == host;
        let (stopped, others): (Vec<TaskId>, Vec<TaskId>) =
            self.queue().take_all().into_iter().partition(of_host);
        others.into_iter().for_each(|task| self.queue().push_back(task));
        for task in stopped {
            self.freeze(task, &mut self.tasks.borrow_mut()[task.index()]);
        }
    }

    /// Lets the tasks and threads of a paused host continue.
    pub(crate) fn resume_host(&self, host: HostIndex) {
        self.halted.paused.borrow_mut().remove(&host);
        let of_host = |task: &TaskId| self.tasks.host(*task) == host;
        let (thawed, others): (Vec<TaskId>, Vec<TaskId>) =
            self.halted.frozen.take().into_iter().partition(of_host);
        *self.halted.frozen.borrow_mut() = others;
        for task in thawed {
            self.make_ready(task, &mut self.tasks.borrow_mut()[task.index()]);
        }
        self.wake_root();
    }

    /// Puts a runnable task on the ready list, or among the frozen ones if its host is paused.
    pub(super) fn make_ready(&self, task: TaskId, entry: &mut TaskEntry) {
        if self.halted.paused.borrow().contains(&entry.host) {
            return self.freeze(task, entry);
        }
        entry.state = State::Ready;
        entry.woken = false;
        self.queue().push_back(task);
    }

    fn freeze(&self, task: TaskId, entry: &mut TaskEntry) {
        entry.state = State::Frozen;
        // Wake-ups have no effect: it is already runnable.
        entry.woken = true;
        self.halted.frozen.borrow_mut().push(task);
    }

    /// Freezes the running thread if its host is paused. Returns `true` if it did, once the thread continues.
    pub(super) fn stop_if_paused(&self, task: TaskId) -> bool {
        {
            let mut tasks = self.tasks.borrow_mut();
            let entry = &mut tasks[task.index()];
            if !self.halted.paused.borrow().contains(&entry.host) {
                return false;
            }
            self.freeze(task, entry);
        }
        self.suspend(task);
        true
    }

    /// Removes an ended task from the frozen ones.
    pub(super) fn thaw(&self, task: TaskId) {
        self.halted.frozen.borrow_mut().retain(|&frozen| frozen != task);
    }

    /// Drops all tasks and threads of `host`, as if its process were killed. Only their destructors still run. Its
    /// mains count as ended.
    ///
    /// Does not return to a task or thread of that host, which unwinds instead, unless it is unwinding already.
    pub(crate) fn kill_host(&self, host: HostIndex) {
        let Some(current) = self.current.get().filter(|&task| self.is_of(task, host)) else {
            return self.kill_tasks_of(host);
        };
        if self.being_torn_down() {
            // A destructor of the host: it is being killed.
            return;
        }
        self.halted.dying.set(Some(host));
        self.bury(current);
        if std::thread::panicking() {
            return;
        }
        match self.running_thread() {
            Some(thread) => self.switch(thread),
            None => resume_unwind(Box::new(Killed)),
        }
    }

    /// Ends the step of a task. Returns its body unless it was killed meanwhile, perhaps with the rest of its host.
    pub(super) fn survive_step(&self, task: TaskId, body: Option<Body>) -> Result<Option<Body>, ()> {
        if !self.was_killed(task) {
            return Ok(body);
        }
        if let Some(body) = body {
            self.drop_killed(task, body);
        }
        if let Some(host) = self.halted.dying.take() {
            self.kill_tasks_of(host);
        }
        Err(())
    }

    /// Returns `true` if a task was killed in the step that it has to finish.
    pub(super) fn was_killed(&self, task: TaskId) -> bool {
        self.tasks.borrow()[task.index()].state == State::Ended
    }

    fn is_of(&self, task: TaskId, host: HostIndex) -> bool {
        self.tasks.host(task) == host
    }

    fn kill_tasks_of(&self, host: HostIndex) {
        // Holders of locks first, so that destructors of the others find them free.
        for holders_only in [true, false] {
            let mut index = 0;
            // Destructors may start tasks, so the list may grow meanwhile.
            while index < self.tasks.borrow().len() {
                let task = TaskId::new(index);
                index += 1;
                let spared = {
                    let tasks = self.tasks.borrow();
                    let entry = &tasks[task.index()];
                    entry.host != host
                        || entry.state == State::Ended
                        || (holders_only && entry.locks_held == 0)
                };
                if !spared {
                    self.kill_task(task);
                }
            }
        }
        self.queue().forget(|task| self.was_killed(task));
        self.halted.frozen.borrow_mut().retain(|task| !self.was_killed(*task));
    }

    fn kill_task(&self, task: TaskId) {
        self.bury(task);
        // A task that runs further out on this stack has its body there. The end of its step drops it.
        let body = self.tasks.borrow_mut()[task.index()].body.take();
        if let Some(body) = body {
            self.drop_killed(task, body);
        }
    }

    /// Counts a task as ended, while it still has what its destructors need.
    fn bury(&self, task: TaskId) {
        let (main, delayed) = {
            let mut tasks = self.tasks.borrow_mut();
            let entry = &mut tasks[task.index()];
            entry.state = State::Ended;
            entry.waits = Vec::new();
            (entry.main, entry.delayed_until.take())
        };
        if main {
            self.tasks.main_ended();
        }
        if let Some(timer) = delayed {
            self.disarm(timer);
        }
    }

    /// Drops what a killed task was doing. A panic in a destructor of a dead process is of no interest: only the trace
    /// shows it. One of a thread, which is unwound, leaves the run in no state to go on: see `abandoned`.
    fn drop_killed(&self, task: TaskId, body: Body) {
        let outer = self.current.replace(Some(task));
        let spans = self.tasks.borrow()[task.index()].spans.clone();
        match body {
            Body::Task(task) => drop(self.drop_apart(task)),
            #[cfg(all(feature = "process", not(miri)))]
            Body::User(thread) => drop(lifecycle::caught(|| drop(thread))),
            Body::Thread(thread) => {
                let message = self.tasks.borrow()[task.index()].overflow_message.clone();
                crate::trace::reenter_spans(&spans);
                let _ = overflow::watched(thread.guard(), &message, || {
                    interpose::as_code_under_test(|| lifecycle::caught(|| drop(thread)))
                });
                crate::trace::leave_spans(&self.tasks.borrow()[task.index()].spans);
            }
        }
        self.current.set(outer);
        let mut tasks = self.tasks.borrow_mut();
        let entry = &mut tasks[task.index()];
        entry.suspender = None;
        entry.points = Vec::new();
        entry.spans = Vec::new();
    }
}
