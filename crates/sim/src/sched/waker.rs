//! The waker of a simulated task or thread.
//!
//! A wake-up is a note in the run's inbox, and the scheduler decides when the task runs. Wakers are `Send + Sync`, as
//! `std::task::Waker` demands, but a simulation has one OS thread. A wake-up from another OS thread could come at any
//! moment of the run. So it has no effect except that it is reported, with the name of the OS thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use super::{TaskId, current};

/// What an event wakes: a task by its own waker, which nothing has to clone or call, or the waker of a wrapper (a
/// timeout, a set of futures).
#[derive(Debug)]
pub(crate) enum Waiter {
    Task(TaskId),
    Wrapper(Waker),
}

impl Waiter {
    /// Returns `true` if this is `waker`, which is that of `task` if one is given.
    pub(crate) fn is(&self, waker: &Waker, task: Option<TaskId>) -> bool {
        match self {
            Self::Task(own) => Some(*own) == task,
            Self::Wrapper(known) => known.will_wake(waker),
        }
    }
}

/// What the wakers of a run share with it.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    /// Set by a wake-up from another OS thread. The scheduler looks at it between steps.
    foreign: AtomicBool,
    /// The first such wake-up: the task, and the name of the OS thread.
    offender: Mutex<Option<(TaskId, String)>>,
    /// The run has ended, and late wake-ups are allowed.
    over: AtomicBool,
}

impl Mailbox {
    pub(crate) fn close(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(crate) fn is_offended(&self) -> bool {
        self.foreign.load(Ordering::Acquire)
    }

    pub(crate) fn offender(&self) -> Option<(TaskId, String)> {
        self.offender.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn report(&self, task: TaskId) {
        if self.over.load(Ordering::Acquire) {
            return;
        }
        let who = if current::is_entered() {
            "another run, which shares a static or a thread-local with this one".to_owned()
        } else {
            format!("the real OS thread `{}`", std::thread::current().name().unwrap_or("unnamed"))
        };
        self.offender.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((task, who));
        self.foreign.store(true, Ordering::Release);
    }
}

pub(crate) struct TaskWaker {
    run: u64,
    task: TaskId,
    mailbox: Arc<Mailbox>,
}

impl TaskWaker {
    pub(crate) fn waker(run: u64, task: TaskId, mailbox: Arc<Mailbox>) -> Waker {
        Waker::from(Arc::new(Self { run, task, mailbox }))
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let delivered = current::with(self.run, |scheduler| scheduler.wake(self.task));
        if delivered.is_none() {
            self.mailbox.report(self.task);
        }
    }
}
