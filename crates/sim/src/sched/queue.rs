//! The run queue: which tasks are ready, which were woken, and what ran last.
//!
//! A run has one queue. Inside of turmoil each host has its own, because turmoil runs one host after the other.
//!
//! # Invariants
//!
//! - A task is in the ready list at most once.
//! - The task that was handed the processor is not in the list.

use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::task::Waker;

use crate::wait::{Operation, TaskId};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RunQueue {
    /// Tasks that can run, longest ready first.
    ready: RefCell<VecDeque<TaskId>>,
    /// Tasks that were woken since the scheduler last looked.
    inbox: RefCell<VecDeque<TaskId>>,
    /// A task that runs next without a choice: a thread was preempted for it.
    handoff: Cell<Option<TaskId>>,
    /// The task that ran last, and the operation at which it stopped.
    last: Cell<Option<(TaskId, Operation)>>,
    /// Wakes the root future when it has parked in tokio.
    root: RefCell<Option<Waker>>,
}

impl RunQueue {
    // The ready tasks.

    pub(super) fn push_back(&self, task: TaskId) {
        self.ready.borrow_mut().push_back(task);
    }

    pub(super) fn push_front(&self, task: TaskId) {
        self.ready.borrow_mut().push_front(task);
    }

    pub(super) fn len(&self) -> usize {
        self.ready.borrow().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.borrow().is_empty()
    }

    /// Returns the task that is ready longest.
    pub(super) fn first(&self) -> Option<TaskId> {
        self.ready.borrow().front().copied()
    }

    /// Takes a task out by its place.
    pub(super) fn remove(&self, index: usize) -> Option<TaskId> {
        let mut ready = self.ready.borrow_mut();
        if index == 0 { ready.pop_front() } else { ready.remove(index) }
    }

    /// Returns the ready tasks, longest ready first.
    pub(super) fn ready(&self) -> Ref<'_, VecDeque<TaskId>> {
        self.ready.borrow()
    }

    /// Takes out all tasks that could run, the one that was handed the processor first.
    pub(super) fn take_all(&self) -> Vec<TaskId> {
        self.handoff.take().into_iter().chain(self.ready.take()).collect()
    }

    // Hand-offs.

    pub(super) fn hand_off(&self, task: TaskId) {
        self.handoff.set(Some(task));
    }

    pub(super) fn take_handoff(&self) -> Option<TaskId> {
        self.handoff.take()
    }

    pub(super) fn has_handoff(&self) -> bool {
        self.handoff.get().is_some()
    }

    // Wake-ups.

    /// Notes that a task was woken. A task that is already there is woken once.
    pub(super) fn push_mail(&self, task: TaskId) {
        self.inbox.borrow_mut().push_back(task);
    }

    /// Notes a wake-up that may already be noted.
    pub(super) fn push_mail_once(&self, task: TaskId) {
        let mut inbox = self.inbox.borrow_mut();
        if !inbox.contains(&task) {
            inbox.push_back(task);
        }
    }

    pub(super) fn pop_mail(&self) -> Option<TaskId> {
        self.inbox.borrow_mut().pop_front()
    }

    pub(super) fn has_mail(&self) -> bool {
        !self.inbox.borrow().is_empty()
    }

    /// Wakes the root future if it has parked in tokio.
    pub(super) fn wake_root(&self) {
        let root = self.root.borrow_mut().take();
        if let Some(root) = root {
            root.wake();
        }
    }

    pub(super) fn park_root(&self, waker: Option<Waker>) {
        *self.root.borrow_mut() = waker;
    }

    // What ran last.

    pub(super) fn set_last(&self, task: TaskId, operation: Operation) {
        self.last.set(Some((task, operation)));
    }

    pub(super) fn last(&self) -> Option<(TaskId, Operation)> {
        self.last.get()
    }

    /// Forgets the tasks that have ended.
    pub(super) fn forget(&self, is_gone: impl Fn(TaskId) -> bool) {
        self.ready.borrow_mut().retain(|&task| !is_gone(task));
        self.inbox.borrow_mut().retain(|&task| !is_gone(task));
        if self.handoff.get().is_some_and(&is_gone) {
            self.handoff.set(None);
        }
    }

    /// Removes one task from the ready list.
    pub(super) fn forget_ready(&self, task: TaskId) {
        self.ready.borrow_mut().retain(|&ready| ready != task);
    }
}
