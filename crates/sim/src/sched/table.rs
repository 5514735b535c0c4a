//! The task table: every task and thread of a run, in the order of their starts, with its state.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use super::blocks::Spin;
use super::coroutine::{Suspender, ThreadBody};
use super::schedule::OWN_POINTS;
use super::stacks::{Interrupted, TaskFuture};
use super::timers::TimerKey;
#[cfg(all(feature = "process", not(miri)))]
use super::user::UserBody;
use crate::choice::PointId;
#[cfg(all(feature = "process", not(miri)))]
use crate::interpose::user::UserThread;
use crate::time::Nanos;
use crate::wait::{HostIndex, ObjectId, Operation, TaskId, Waiting};

pub(super) enum Body {
    Task(Box<TaskBody>),
    Thread(Box<ThreadBody>),
    #[cfg(all(feature = "process", not(miri)))]
    User(UserBody),
}

/// Suspends a thread.
#[derive(Clone)]
pub(super) enum Suspends {
    Coroutine(Suspender),
    #[cfg(all(feature = "process", not(miri)))]
    User(&'static UserThread),
}

impl Suspends {
    /// Gives control back to the scheduler until it resumes this thread.
    ///
    /// # Panics
    ///
    /// Unwinds if the thread is torn down while it is suspended.
    pub(super) fn suspend(&self) {
        match self {
            Self::Coroutine(suspender) => suspender.suspend(),
            #[cfg(all(feature = "process", not(miri)))]
            Self::User(thread) => thread.suspend(),
        }
    }

    /// Returns what suspends the coroutine of a thread on the runtime traits.
    pub(super) const fn coroutine(&self) -> Option<&Suspender> {
        match self {
            Self::Coroutine(suspender) => Some(suspender),
            #[cfg(all(feature = "process", not(miri)))]
            Self::User(_) => None,
        }
    }

    /// Returns `true` if the thread can have caught the unwind that tears it down.
    pub(super) fn is_inside(&self) -> bool {
        match self {
            Self::Coroutine(suspender) => suspender.is_inside(),
            #[cfg(all(feature = "process", not(miri)))]
            Self::User(_) => false,
        }
    }
}

pub(super) struct TaskBody {
    /// None while it is polled on a stack of its own.
    pub(super) future: Option<TaskFuture>,
    pub(super) waker: Waker,
    pub(super) interrupted: Option<Box<Interrupted>>,
    /// What to say if a stack of its own overflows. Made for the first such stack.
    pub(super) overflow_message: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Running,
    Parked,
    /// Able to run, on a paused host.
    Frozen,
    Ended,
}

pub(super) struct TaskEntry {
    pub(super) name: Arc<str>,
    pub(super) host: HostIndex,
    pub(super) state: State,
    pub(super) main: bool,
    pub(super) body: Option<Body>,
    pub(super) suspender: Option<Suspends>,
    pub(super) waker: Waker,
    pub(super) woken: bool,
    /// It aborted itself. Its future is dropped when it suspends.
    pub(super) aborted: bool,
    /// Its poll is interrupted, or was, and has not ended.
    pub(super) interrupted: bool,
    /// It was woken meanwhile.
    pub(super) woken_meanwhile: bool,
    /// The main of a host. No task joins it.
    pub(super) host_main: bool,
    pub(super) waits: Vec<Waiting>,
    /// What an async task waited for before its present step.
    pub(super) waits_before: Vec<Waiting>,
    pub(super) parked_since: Nanos,
    /// What it touches when it goes on, if that is known.
    pub(super) object: Option<ObjectId>,
    /// The points that the scheduler itself asks, by [`OwnPoint`](super::schedule::OwnPoint).
    pub(super) own_points: [Option<PointId>; OWN_POINTS],
    pub(super) points: Vec<(Operation, PointId)>,
    pub(super) overflow_message: Arc<str>,
    pub(super) spans: Vec<tracing::Id>,
    pub(super) locks_held: u32,
    pub(super) spin: Spin,
    /// The timer that ends its delay.
    pub(super) delayed_until: Option<TimerKey>,
    /// How long it is delayed when it could continue after its present step.
    pub(super) delay_next: Nanos,
}

impl TaskEntry {
    /// A task that has just been started.
    pub(super) fn new(name: Arc<str>, host: HostIndex, main: bool, waker: Waker, now: Nanos) -> Self {
        Self {
            name,
            host,
            state: State::Parked,
            main,
            body: None,
            suspender: None,
            waker,
            woken: false,
            aborted: false,
            interrupted: false,
            woken_meanwhile: false,
            host_main: main,
            waits: Vec::new(),
            waits_before: Vec::new(),
            parked_since: now,
            object: None,
            own_points: [None; OWN_POINTS],
            points: Vec::new(),
            overflow_message: "".into(),
            spans: Vec::new(),
            locks_held: 0,
            spin: Spin::default(),
            delayed_until: None,
            delay_next: 0,
        }
    }

    /// A task without a body, for tests of policies.
    #[cfg(test)]
    pub(super) fn idle() -> Self {
        Self::new("host/main".into(), 0, true, Waker::noop().clone(), 0)
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct TaskTable {
    entries: RefCell<Vec<TaskEntry>>,
    /// How many tasks have each name, without the distinguishing number.
    names: RefCell<BTreeMap<String, u32>>,
    /// Mains of clients that have not ended.
    mains_left: Cell<usize>,
}

impl TaskTable {
    pub(super) fn borrow(&self) -> Ref<'_, Vec<TaskEntry>> {
        self.entries.borrow()
    }

    pub(super) fn borrow_mut(&self) -> RefMut<'_, Vec<TaskEntry>> {
        self.entries.borrow_mut()
    }

    /// Adds a task, under the next number.
    pub(super) fn push(&self, entry: TaskEntry) {
        self.mains_left.set(self.mains_left.get() + usize::from(entry.main));
        self.entries.borrow_mut().push(entry);
    }

    /// Returns "name", and "name#2" for the second of that name in the run.
    pub(super) fn numbered(&self, name: &str) -> String {
        let mut names = self.names.borrow_mut();
        let count = names.entry(name.to_owned()).or_insert(0);
        *count += 1;
        if *count == 1 { name.to_owned() } else { format!("{name}#{count}") }
    }

    pub(super) fn name(&self, task: TaskId) -> Arc<str> {
        self.entries.borrow()[task.index()].name.clone()
    }

    pub(super) fn host(&self, task: TaskId) -> HostIndex {
        self.entries.borrow()[task.index()].host
    }

    pub(super) fn waker(&self, task: TaskId) -> Waker {
        self.entries.borrow()[task.index()].waker.clone()
    }

    /// Counts the mains of clients that have not ended.
    pub(super) fn mains_left(&self) -> usize {
        self.mains_left.get()
    }

    /// Notes that the main of a client has ended.
    pub(super) fn main_ended(&self) {
        self.mains_left.set(self.mains_left.get() - 1);
    }
}
