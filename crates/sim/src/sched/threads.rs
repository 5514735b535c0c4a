//! Threads: they stop at scheduling points, and block wherever production code would.
//!
//! # Invariants
//!
//! - Nothing suspends while its thread unwinds, see `coroutine`.
//! - A thread that blocks registers with what will wake it before it suspends, and looks again when it continues,
//!   because wake-ups may be spurious.

use super::{Operation, Scheduler, State, TaskId, TimerKey, Wait, Waiting};
use crate::time::Nanos;
use crate::trace::TraceEvent;
use crate::wait::{HostIndex, ObjectId};

impl Scheduler {
    /// Is a scheduling point of the running thread: another one may run before `operation`.
    ///
    /// Does nothing in an async task, outside of tasks, while a thread unwinds, and while `tracing` formats an event
    /// (which would swallow the events of other threads).
    pub(crate) fn scheduling_point(&self, operation: Operation) {
        let is_named = !operation.object.is_empty();
        self.scheduling_point_at(operation, |host| is_named.then(|| ObjectId::named(host, operation.object)));
    }

    /// A scheduling point before an access to shared memory.
    pub(crate) fn access(&self, object: &'static str, index: usize) {
        self.scheduling_point_at(Operation::on("access", object), |host| {
            Some(ObjectId::named(host, object).element(index))
        });
    }

    /// A scheduling point before an operation that touches `object` of its host.
    pub(crate) fn scheduling_point_at(
        &self,
        operation: Operation,
        object: impl FnOnce(HostIndex) -> Option<ObjectId>,
    ) {
        let Some(task) = self.running_thread() else { return };
        if self.may_not_suspend() || crate::trace::is_formatting() {
            return;
        }
        self.count_step(task);
        self.queue().set_last(task, operation);
        self.note_object(task, object);
        // One that is torn down goes on until here, where it is unwound.
        if self.stopped() || self.being_torn_down() {
            self.suspend(task);
            return;
        }
        if self.stop_if_paused(task) || self.delay_thread(task, operation) {
            return;
        }
        self.collect();
        if self.queue().is_empty() {
            return self.goes_on(task);
        }
        let point = self.point(self.lanes().schedule, task, operation);
        let value = self.choose_next(point, Some(task));
        if value == 0 {
            return self.goes_on(task);
        }
        let next = self.queue().remove(value - 1).expect("a value is below its bound");
        self.trace_event(TraceEvent::Preempted { before: operation, by: next });
        self.queue().hand_off(next);
        // At the head, so that this thread continues once the others block. So a default schedule has few switches.
        self.queue().push_front(task);
        self.tasks.borrow_mut()[task.index()].state = State::Ready;
        self.suspend(task);
    }

    /// Notes what the running thread is about to touch.
    fn note_object(&self, task: TaskId, object: impl FnOnce(HostIndex) -> Option<ObjectId>) {
        let entry = &mut self.tasks.borrow_mut()[task.index()];
        entry.object = object(entry.host);
    }

    /// Yields the processor: the running thread goes to the end of the ready list.
    pub(crate) fn yield_now(&self) {
        let Some(task) = self.running_thread() else { return };
        if self.may_not_suspend() || crate::trace::is_formatting() {
            return;
        }
        self.count_step(task);
        self.queue().set_last(task, Operation::new("yield"));
        self.note_object(task, |_| None);
        self.policy.borrow_mut().yielded(task);
        if self.being_torn_down() {
            return self.suspend(task);
        }
        if !self.stopped() && self.stop_if_paused(task) {
            return;
        }
        self.collect();
        if !self.queue().is_empty() || self.stopped() {
            self.queue().push_back(task);
            self.tasks.borrow_mut()[task.index()].state = State::Ready;
            self.suspend(task);
        }
    }

    /// Parks the running thread until it is woken or `until` has come. It may return spuriously.
    ///
    /// Returns `false` if the thread must not wait, because it is unwinding.
    ///
    /// # Panics
    ///
    /// If no simulated thread runs: a blocking call in an async task, or outside of the simulation's tasks.
    #[must_use]
    #[track_caller]
    pub(crate) fn block(&self, on: Wait, until: Option<Nanos>) -> bool {
        if self.may_not_suspend() {
            return false;
        }
        let Some(task) = self.running_thread() else {
            let who = self.current.get().map_or("code outside of all tasks".into(), |task| self.name(task));
            panic!(
                "a blocking call in {who}, which is not a thread: start one with `Threads::spawn`, or use `Runtime`"
            );
        };
        let timer = until.map(|until| {
            let host = self.tasks.host(task);
            self.arm(until, host, self.waker(task))
        });
        let now = self.now();
        {
            let mut tasks = self.tasks.borrow_mut();
            let entry = &mut tasks[task.index()];
            entry.object = on.object(entry.host);
            let waits = &mut entry.waits;
            waits.retain(|waiting| waiting.on == on);
            if waits.is_empty() {
                waits.push(Waiting { on, since: now });
                drop(tasks);
                self.trace_event(TraceEvent::Waits(on));
            }
        }
        self.queue().set_last(task, Operation::new("block"));
        let _disarm = Disarm { scheduler: self, timer };
        self.suspend(task);
        true
    }

    /// Notes that the running thread has what it waited for.
    pub(crate) fn unblocked(&self) {
        if let Some(task) = self.current.get() {
            self.tasks.borrow_mut()[task.index()].waits.clear();
        }
    }

    /// Returns `true` if the running code must not wait: it unwinds, or it is the destructor of something that is torn
    /// down.
    pub(super) fn may_not_suspend(&self) -> bool {
        std::thread::panicking() || (self.being_torn_down() && !self.has_caught_its_end())
    }

    /// Returns `true` if the running thread is torn down and has caught the unwind. It continues its program until it
    /// suspends and is unwound again.
    fn has_caught_its_end(&self) -> bool {
        let suspender =
            self.current.get().and_then(|task| self.tasks.borrow()[task.index()].suspender.clone());
        suspender.is_some_and(|suspender| suspender.is_inside())
    }

    pub(super) fn running_thread(&self) -> Option<TaskId> {
        let task = self.current.get()?;
        self.tasks.borrow()[task.index()].suspender.is_some().then_some(task)
    }

    /// Returns `true` if a thread runs now: only threads may block.
    pub(crate) fn can_block(&self) -> bool {
        self.running_thread().is_some()
    }

    pub(super) fn suspend(&self, task: TaskId) {
        if self.being_torn_down() {
            self.count_caught_unwind(task);
        }
        self.switch(task);
    }

    /// Gives control back from the running thread `task` to the scheduler.
    pub(super) fn switch(&self, task: TaskId) {
        let suspender = self.tasks.borrow()[task.index()].suspender.clone();
        let formats = crate::trace::set_formatting(false);
        suspender.expect("only threads suspend").suspend();
        crate::trace::set_formatting(formats);
    }
}

/// Disarms a timer also when the thread that waits for it is torn down.
struct Disarm<'a> {
    scheduler: &'a Scheduler,
    timer: Option<TimerKey>,
}

impl Drop for Disarm<'_> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.scheduler.disarm(timer);
        }
    }
}
