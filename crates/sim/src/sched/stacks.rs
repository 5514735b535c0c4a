//! Polls tasks on their own stacks, so that a task can be delayed between an effect and its next statement.
//!
//! The next statement of a task runs in the same poll: after `write_all(..).await` nothing else runs before it. On a
//! runtime with several threads other tasks do run there, and their effects may come first: the answer to a request
//! whose sender has not yet noted that it waits. In a drawn share of the runs each poll is a coroutine, and an
//! operation of the runtime traits may suspend it after its effect.
//!
//! # Invariants
//!
//! - An operation that has had its effect returns it: it never becomes `Pending`.
//! - At most one poll is interrupted at a time. So thread-local values that polls set for their duration (task-locals,
//!   contexts) are restored in reverse order, as in any run.
//! - A wake-up that comes while a poll is interrupted counts after the poll.
//! - A real lock that an interrupted poll holds blocks nothing: a task that waits for it lets the poll finish first
//!   ([`Scheduler::finish_interrupted`]).

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::panics;

use super::coroutine::{Resumed, Suspender, ThreadBody};
use super::delay::AFTER_EFFECT_ONE_IN;
use super::hosts::Killed;
use super::lifecycle::Panic;
use super::schedule::OwnPoint;
use super::{Body, Operation, Scheduler, TaskBody, TaskId, TraceEvent, current, overflow};

/// The size of an OS thread's stack, on which tasks run otherwise.
const STACK_BYTES: usize = 2 << 20;

pub(super) type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

/// The result of a poll.
pub(super) type Polled = Result<Poll<()>, Panic>;

/// The polls of a run that may be interrupted.
#[derive(Default)]
pub(super) struct Stacks {
    on: bool,
    /// Tasks may be delayed after an effect.
    after_effects: bool,
    /// The task whose poll runs on a stack of its own now, and what suspends it.
    running: RefCell<Option<(TaskId, Suspender)>>,
    interrupted: Cell<Option<TaskId>>,
    /// An interrupted poll runs to its end.
    finishing: Cell<bool>,
    /// Stacks that wait for the next poll. Making one costs more than most polls.
    #[expect(clippy::vec_box, reason = "they move in and out with every poll")]
    idle: RefCell<Vec<Box<OnStack>>>,
}

impl Stacks {
    pub(super) fn new(on: bool, after_effects: bool) -> Self {
        Self { on, after_effects, ..Self::default() }
    }

    pub(super) const fn are_on(&self) -> bool {
        self.on
    }

    /// Returns `true` if the poll of `task` runs now on a stack of its own, and may be interrupted.
    pub(super) fn can_interrupt(&self, task: TaskId) -> bool {
        let running = self.running.borrow();
        running.as_ref().is_some_and(|(running, suspender)| *running == task && suspender.is_running())
            && self.interrupted.get().is_none()
            && !self.finishing.get()
    }

    /// Ends the idle stacks, because the run has ended.
    pub(super) fn end_idle(&self) {
        let idle = self.idle.take();
        drop(idle);
    }
}

/// A poll that was interrupted.
pub(super) enum Interrupted {
    Suspended(Box<OnStack>),
    /// It has run to its end meanwhile.
    Finished(Polled),
}

/// A stack on which one poll runs after the other.
pub(super) struct OnStack {
    coroutine: ThreadBody,
    desk: Rc<Desk>,
}

/// What a stack gets and gives back.
#[derive(Default)]
struct Desk {
    /// The next poll. The stack ends if there is none.
    poll: Cell<Option<(TaskFuture, Waker)>>,
    /// The future and its result, once its poll has ended.
    output: Cell<Option<(TaskFuture, Polled)>>,
    /// Lets the stack wait for its next poll.
    suspender: OnceCell<Suspender>,
    /// The stack waits for its next poll.
    is_idle: Cell<bool>,
}

impl OnStack {
    fn new(run: u64) -> Self {
        let desk = Rc::<Desk>::default();
        let inside = Rc::clone(&desk);
        let polls = move || {
            while let Some((future, waker)) = inside.poll.take() {
                inside.output.set(Some(poll_to_end(run, future, &waker)));
                drop(waker);
                inside.suspender.get().expect("it is set before the first poll").suspend();
            }
        };
        let coroutine = ThreadBody::new(STACK_BYTES, polls).expect("memory for the stack of a task");
        let _ = desk.suspender.set(coroutine.suspender());
        Self { coroutine, desk }
    }
}

impl Drop for OnStack {
    fn drop(&mut self) {
        // An idle stack finds no poll and ends. One that is interrupted unwinds when its coroutine is dropped.
        if self.desk.is_idle.get() {
            self.coroutine.resume();
        }
    }
}

/// Polls a future on the stack that runs now.
fn poll_to_end(run: u64, mut future: TaskFuture, waker: &Waker) -> (TaskFuture, Polled) {
    let mut context = Context::from_waker(waker);
    let polled = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))) {
        Ok(polled) => Ok(polled),
        // A task that has crashed its own host ends here, as it does on the shared stack.
        Err(payload)
            if !payload.is::<Killed>() && current::with(run, Scheduler::ends_polls).unwrap_or(true) =>
        {
            resume_unwind(payload)
        }
        Err(payload) => Err(Panic::new(panics::take_message(payload))),
    };
    (future, polled)
}

impl Scheduler {
    /// Polls `task` on its own stack. Returns `None` if it was interrupted.
    pub(super) fn poll_on_stack(&self, task: TaskId, body: &mut TaskBody) -> Option<Polled> {
        let idle = self.stacks.idle.borrow_mut().pop();
        let stack = idle.unwrap_or_else(|| Box::new(OnStack::new(self.run)));
        let future = body.future.take().expect("a task that is not polled has its future");
        stack.desk.is_idle.set(false);
        stack.desk.poll.set(Some((future, body.waker.clone())));
        self.run_poll(task, body, stack)
    }

    /// Continues an interrupted poll. Returns `None` if it was interrupted again.
    pub(super) fn go_on(
        &self,
        task: TaskId,
        body: &mut TaskBody,
        interrupted: Interrupted,
    ) -> Option<Polled> {
        match interrupted {
            Interrupted::Finished(polled) => Some(polled),
            Interrupted::Suspended(poll) => {
                self.grant.is_whole.set(false);
                self.grant.budgets.borrow_mut().grant(0);
                self.run_poll(task, body, poll)
            }
        }
    }

    #[inline]
    fn run_poll(&self, task: TaskId, body: &mut TaskBody, mut poll: Box<OnStack>) -> Option<Polled> {
        let write_message = || self.overflow_message(&self.name(task), &poll.coroutine).into();
        let message = Arc::clone(body.overflow_message.get_or_insert_with(write_message));
        let spans = self.spans_of(task);
        let outer = self.stacks.running.replace(Some((task, poll.coroutine.suspender())));
        crate::trace::reenter_spans(&spans);
        if !self.tasks.borrow()[task.index()].interrupted {
            self.grant_sites(task);
        }
        let resumed = overflow::watched(poll.coroutine.guard(), &message, || poll.coroutine.resume());
        self.end_grant_of_sites();
        crate::trace::leave_spans(&self.spans_of(task));
        self.stacks.running.replace(outer);
        match resumed {
            Resumed::Suspended => match poll.desk.output.take() {
                Some((future, polled)) => {
                    body.future = Some(future);
                    poll.desk.is_idle.set(true);
                    self.stacks.idle.borrow_mut().push(poll);
                    Some(polled)
                }
                None => {
                    body.interrupted = Some(Box::new(Interrupted::Suspended(poll)));
                    None
                }
            },
            // The run has failed, and the future is gone with the stack.
            Resumed::Abandoned => Some(Err(Panic::new(String::new()))),
            Resumed::Ended => unreachable!("a stack ends only where it finds no poll"),
        }
    }

    /// Returns `true` if a panic on the stack of a poll ends the poll itself: its task is torn down.
    fn ends_polls(&self) -> bool {
        self.tearing_down.get() || self.being_torn_down()
    }

    /// Returns the task whose poll may be interrupted now.
    fn interruptible(&self) -> Option<TaskId> {
        let task = self.stacks.running.borrow().as_ref()?.0;
        let is_calm = self.stacks.interrupted.get().is_none()
            && !self.stacks.finishing.get()
            && self.current() == Some(task)
            && !self.stopped()
            && self.now() > 0
            && self.may_perturb()
            && !self.ends_polls()
            && !std::thread::panicking()
            && !crate::trace::is_formatting();
        is_calm.then_some(task)
    }

    /// Notes that an operation of the running task (not a thread) has had its effect. Others may run before the task
    /// continues.
    #[inline]
    pub(crate) fn after_effect(&self, operation: Operation) {
        if self.stacks.after_effects {
            self.perhaps_interrupt(operation);
        }
    }

    #[inline]
    fn perhaps_interrupt(&self, operation: Operation) {
        let Some(task) = self.interruptible() else { return };
        let nanos = self.choose_stretch(self.own_point(OwnPoint::Effect, task), AFTER_EFFECT_ONE_IN);
        if nanos == 0 {
            return;
        }
        self.trace_event_of(task, TraceEvent::DelayedAfter { after: operation, nanos });
        // A wake-up that came earlier in this poll counts after it, too: the delay would swallow it.
        let woken = self.tasks.borrow()[task.index()].woken;
        self.delay(task, nanos);
        self.tasks.borrow_mut()[task.index()].woken_meanwhile |= woken;
        self.interrupt(task, |suspender| suspender.suspend());
    }

    /// Interrupts the poll of `task`, which runs now, by `suspend`. Returns when it continues.
    pub(super) fn interrupt(&self, task: TaskId, suspend: impl FnOnce(&Suspender)) {
        let suspender = self.stacks.running.borrow().as_ref().map(|(_, suspender)| suspender.clone());
        {
            let entry = &mut self.tasks.borrow_mut()[task.index()];
            entry.interrupted = true;
            entry.woken_meanwhile |= entry.woken && entry.delayed_until.is_none();
        }
        self.stacks.interrupted.set(Some(task));
        let operations = (self.grant.is_limited.replace(false), self.grant.granted.replace(0));
        let formats = crate::trace::set_formatting(false);
        // Also when the task is torn down: nothing is interrupted then.
        let gone_on = GoneOn(self);
        if let Some(suspender) = suspender {
            suspend(&suspender);
        }
        drop(gone_on);
        crate::trace::set_formatting(formats);
        self.grant.is_limited.set(operations.0);
        self.grant.granted.set(operations.1);
        if operations.1 != 0 {
            self.grant.marks_before.set(self.deferred.lay());
        }
    }

    /// Runs the interrupted poll, if there is one, to its end: code that runs now waits for a real lock, and
    /// the interrupted task may hold it. Returns `true` if there was one.
    pub(crate) fn finish_interrupted(&self) -> bool {
        let Some(task) = self.stacks.interrupted.get() else { return false };
        let body = self.tasks.borrow_mut()[task.index()].body.take();
        let mut body = match body {
            Some(Body::Task(body)) => body,
            other => {
                self.tasks.borrow_mut()[task.index()].body = other;
                return false;
            }
        };
        if let Some(interrupted) = body.interrupted.take() {
            let poll = match *interrupted {
                Interrupted::Suspended(poll) => poll,
                Interrupted::Finished(_) => unreachable!("a finished poll is not the interrupted one"),
            };
            let outer = self.current.replace(Some(task));
            let operations = (self.grant.is_limited.get(), self.grant.granted.get());
            let marks = self.grant.marks_before.get();
            let sites = self.set_sites_aside();
            self.stacks.finishing.set(true);
            if let Some(polled) = self.run_poll(task, &mut body, poll) {
                body.interrupted = Some(Box::new(Interrupted::Finished(polled)));
            }
            self.stacks.finishing.set(false);
            drop(sites);
            self.grant.is_limited.set(operations.0);
            self.grant.granted.set(operations.1);
            self.grant.marks_before.set(marks);
            self.current.set(outer);
        }
        self.tasks.borrow_mut()[task.index()].body = Some(Body::Task(body));
        true
    }

    /// Returns `true` if a poll is interrupted now.
    pub(crate) fn has_interrupted(&self) -> bool {
        self.stacks.interrupted.get().is_some()
    }
}

/// Notes that no poll is interrupted any more. What wakes its task counts as before until the poll has ended.
struct GoneOn<'a>(&'a Scheduler);

impl Drop for GoneOn<'_> {
    fn drop(&mut self) {
        self.0.stacks.interrupted.set(None);
    }
}
