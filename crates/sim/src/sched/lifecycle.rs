//! How tasks and threads start and end, and how a run is torn down.
//!
//! Teardown drops what is still alive. A suspended thread then unwinds: its destructors run, and every runtime call
//! that they make fails or acts at once, because nothing may suspend during an unwind. If such a destructor needs a
//! lock that another suspended thread holds, that thread is torn down first.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Waker;

use super::coroutine::ThreadBody;
use super::profile::Profile;
use super::stacks::TaskFuture;
use super::table::Suspends;
use super::{Body, HostIndex, Scheduler, State, TaskBody, TaskEntry, TaskId, TaskWaker, Waiting};
use crate::choice::Choices;
use crate::symptom::{Symptom, SymptomKind};
use crate::time::Nanos;
use crate::trace::{Trace, TraceEvent};

/// What a panic left: its message.
pub(super) struct Panic(String);

impl Panic {
    pub(super) const fn new(message: String) -> Self {
        Self(message)
    }

    pub(super) fn message(&self) -> &str {
        &self.0
    }
}

/// Runs `f` and catches its panic, if it panics.
pub(super) fn caught<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| Panic(crate::panics::take_message(payload)))
}

/// Returns `true` for the panic of a destructor that finds a poisoned lock. Threads are torn down by unwinding, which
/// poisons the locks of std that they hold; a process that ends poisons nothing.
pub(super) fn is_from_teardown(message: &str) -> bool {
    message.contains("PoisonError")
}

/// A task in a report: its name and what it waits for.
#[derive(Clone, Debug)]
pub(crate) struct Straggler {
    pub(crate) name: Arc<str>,
    pub(crate) host: HostIndex,
    pub(crate) main: bool,
    pub(crate) runnable: bool,
    /// It could run, and its host is paused.
    pub(crate) paused: bool,
    pub(crate) waits: Vec<Waiting>,
    pub(crate) parked_since: Nanos,
}

impl Scheduler {
    pub(crate) fn add_host(&self, name: &str) -> HostIndex {
        let mut hosts = self.hosts.borrow_mut();
        hosts.push(name.into());
        hosts.len() - 1
    }

    /// Starts an async task.
    pub(crate) fn start_task(
        &self,
        host: HostIndex,
        name: &str,
        main: bool,
        future: impl Future<Output = ()> + 'static,
    ) -> TaskId {
        let future: TaskFuture = Box::pin(future);
        let body = |waker: &Waker| {
            Ok(Body::Task(Box::new(TaskBody {
                future: Some(future),
                waker: waker.clone(),
                interrupted: None,
                overflow_message: None,
            })))
        };
        self.start(host, name, main, body).expect("only threads need memory from the system")
    }

    /// Starts a thread. `entry` must not unwind unless it is torn down.
    ///
    /// # Errors
    ///
    /// The system's, where there is no memory for its stack.
    pub(crate) fn start_thread(
        &self,
        host: HostIndex,
        name: &str,
        main: bool,
        entry: impl FnOnce() + 'static,
    ) -> std::io::Result<TaskId> {
        let stack_bytes = self.settings.stack_bytes;
        self.start(host, name, main, |_| Ok(Body::Thread(Box::new(ThreadBody::new(stack_bytes, entry)?))))
    }

    pub(super) fn start(
        &self,
        host: HostIndex,
        name: &str,
        main: bool,
        body: impl FnOnce(&Waker) -> std::io::Result<Body>,
    ) -> std::io::Result<TaskId> {
        let task = TaskId::new(self.tasks.borrow().len());
        let waker = TaskWaker::waker(self.run, task, self.mailbox.clone());
        let body = body(&waker)?;
        let name: Arc<str> = self.unique_name(host, name).into();
        let (suspender, overflow_message) = match &body {
            Body::Task(_) => (None, "".into()),
            Body::Thread(thread) => {
                let suspends = Suspends::Coroutine(thread.suspender());
                (Some(suspends), self.overflow_message(&name, thread).into())
            }
            #[cfg(all(feature = "process", not(miri)))]
            Body::User(body) => (Some(Suspends::User(body.thread())), "".into()),
        };
        self.progress.name(task.index() as u32, &name);
        self.count_start(task, &name);
        self.tasks.push(TaskEntry {
            body: Some(body),
            suspender,
            overflow_message,
            ..TaskEntry::new(name, host, main, waker, self.now())
        });
        self.trace_event(TraceEvent::Started { task });
        self.wake(task);
        Ok(task)
    }

    pub(super) fn overflow_message(&self, name: &str, thread: &ThreadBody) -> String {
        format!(
            "\nwavetank: the simulated thread `{name}` overflowed its stack of {} bytes.\n\
             Give threads more with `Sim::stack_bytes`, or recurse less. The process ends here.\n{}\n",
            thread.stack_bytes(),
            crate::panics::run_name(),
        )
    }

    /// "host/name", and "host/name#2" for the second of that name.
    pub(super) fn unique_name(&self, host: HostIndex, name: &str) -> String {
        self.numbered(&[&*self.hosts.borrow()[host], "/", name].concat())
    }

    /// "name", and "name#2" for the second of that name in the run.
    pub(crate) fn numbered(&self, name: &str) -> String {
        self.tasks.numbered(name)
    }

    /// Marks `task` as the main of its host: no task joins it, so its panics are never tolerated. A client's main needs
    /// no mark.
    pub(crate) fn mark_host_main(&self, task: TaskId) {
        self.tasks.borrow_mut()[task.index()].host_main = true;
    }

    pub(super) fn end(&self, task: TaskId) {
        let delayed = self.tasks.borrow_mut()[task.index()].delayed_until.take();
        if let Some(timer) = delayed {
            self.disarm(timer);
        }
        let main = {
            let mut tasks = self.tasks.borrow_mut();
            let entry = &mut tasks[task.index()];
            entry.state = State::Ended;
            entry.suspender = None;
            entry.waits = Vec::new();
            entry.waits_before = Vec::new();
            entry.points = Vec::new();
            entry.spans = Vec::new();
            entry.main
        };
        if main {
            self.tasks.main_ended();
        }
        self.policy.borrow_mut().ended(task);
        self.trace_event_of(task, TraceEvent::Ended);
    }

    /// Drops the future or coroutine of a task; a panic in a destructor counts as the task's.
    pub(super) fn drop_body(&self, task: TaskId, body: Body) {
        if let Err(panic) = caught(|| drop(body)) {
            self.panicked(task, &panic);
        }
    }

    /// Drops the future of a task that was aborted.
    pub(super) fn drop_aborted(&self, task: TaskId, body: Body) {
        if let Err(panic) = self.drop_unfinished(body) {
            self.panicked(task, &panic);
        }
    }

    pub(super) fn panicked(&self, task: TaskId, panic: &Panic) {
        self.panicked_with(task, &panic.0);
    }

    /// Records that `task` panicked: a failure of the run.
    pub(crate) fn panicked_with(&self, task: TaskId, message: &str) {
        let (name, is_main) = {
            let tasks = self.tasks.borrow();
            (tasks[task.index()].name.clone(), tasks[task.index()].host_main)
        };
        if is_main || !self.settings.tolerate_panics {
            self.fail_by_panic(&name, message);
        }
    }

    /// Returns `true` if a panic fails nothing but the task or thread it happens in.
    pub(crate) fn tolerates_panics(&self) -> bool {
        self.settings.tolerate_panics
    }

    /// Ends a thread's entry: passes a forced unwind on, reports any other panic, returns its message.
    pub(crate) fn thread_panicked(&self, payload: Box<dyn Any + Send>) -> String {
        if self.tearing_down.get() || self.being_torn_down() {
            resume_unwind(payload);
        }
        let message = crate::panics::take_message(payload);
        if let Some(task) = self.current.get() {
            self.panicked_with(task, &message);
        }
        message
    }

    /// Returns `true` if the running task or thread is torn down: its destructors run.
    pub(crate) fn being_torn_down(&self) -> bool {
        self.current.get().is_some_and(|task| self.tasks.borrow()[task.index()].state == State::Ended)
    }

    /// Aborts a task: drops its future, at once or, if it runs now, when it suspends. Returns `false` if it has ended
    /// or runs now.
    pub(crate) fn abort(&self, task: TaskId) -> bool {
        let body = {
            let mut tasks = self.tasks.borrow_mut();
            let entry = &mut tasks[task.index()];
            entry.aborted = true;
            // An interrupted poll continues to its end, as on any runtime.
            if entry.interrupted
                || !matches!(entry.state, State::Ready | State::Parked | State::Frozen)
                || !matches!(entry.body, Some(Body::Task(_)))
            {
                return false;
            }
            entry.body.take()
        };
        self.queue().forget_ready(task);
        self.thaw(task);
        let outer = self.current.replace(Some(task));
        if let Some(body) = body {
            self.drop_aborted(task, body);
        }
        self.current.set(outer);
        self.end(task);
        true
    }

    pub(crate) fn mains_left(&self) -> usize {
        self.tasks.mains_left()
    }

    /// Returns `true` if the run must end: it has a verdict, or was asked to stop.
    pub(crate) fn must_stop(&self) -> bool {
        let is_noted = !self.mailbox.is_offended()
            && self.verdict.pending.borrow().is_none()
            && self.choices.borrow().divergence().is_none();
        if !is_noted {
            self.note_reasons_to_stop();
        }
        self.stopped()
    }

    #[cold]
    fn note_reasons_to_stop(&self) {
        if let Some((task, who)) = self.mailbox.offender() {
            let detail = format!(
                "{} was woken by {who}: what runs outside of the simulation cannot be replayed",
                self.name(task)
            );
            self.fail(Symptom::new(SymptomKind::ForeignWake, detail));
        }
        let pending = self.verdict.pending.borrow_mut().take();
        if let Some(symptom) = pending {
            self.fail(symptom);
        }
        if let Some(divergence) = self.choices.borrow().divergence() {
            self.fail(Symptom::new(SymptomKind::Diverged, divergence.to_string()));
        }
    }

    // Reports.

    /// Whether `task` is a thread that has ended.
    pub(crate) fn is_ended_thread(&self, task: TaskId) -> bool {
        let tasks = self.tasks.borrow();
        let entry = &tasks[task.index()];
        // Only threads have a stack that can overflow.
        entry.state == State::Ended && !entry.overflow_message.is_empty()
    }

    /// Everything that has not ended, in the order of starts.
    pub(crate) fn stragglers(&self) -> Vec<Straggler> {
        let tasks = self.tasks.borrow();
        let alive = tasks.iter().filter(|entry| entry.state != State::Ended);
        alive
            .map(|entry| Straggler {
                name: entry.name.clone(),
                host: entry.host,
                main: entry.main,
                runnable: entry.state != State::Parked || entry.delayed_until.is_some(),
                paused: entry.state == State::Frozen,
                waits: entry.waits.clone(),
                parked_since: entry.parked_since,
            })
            .collect()
    }

    /// Returns one clause that says what has not ended and is able to run.
    pub(super) fn still_running(&self) -> String {
        let current = self.current.get().map(|task| self.name(task));
        let names: Vec<Arc<str>> = self
            .stragglers()
            .into_iter()
            .filter(|straggler| straggler.runnable && current.as_ref() != Some(&straggler.name))
            .map(|straggler| straggler.name)
            .collect();
        match current {
            Some(current) if names.is_empty() => format!("{current} was running"),
            Some(current) => format!("{current} was running; able to run: {}", names.join(", ")),
            None => format!("able to run: {}", names.join(", ")),
        }
    }

    // Teardown.

    /// Returns `true` if the run has ended and is being dropped.
    pub(crate) fn is_tearing_down(&self) -> bool {
        self.tearing_down.get()
    }

    /// The names of all tasks, by number.
    pub(crate) fn task_names(&self) -> Vec<Arc<str>> {
        self.tasks.borrow().iter().map(|entry| entry.name.clone()).collect()
    }

    /// Returns a number that distinguishes the run's schedule from others (see `handover`).
    pub(crate) fn fingerprint(&self) -> u64 {
        self.handovers.borrow().fingerprint()
    }

    /// Returns what this run has counted, if it was to count.
    pub(crate) fn take_profile(&self) -> Option<Profile> {
        self.recorder.as_ref().map(|recorder| recorder.take().into_profile())
    }

    /// Ends the scheduler and returns what outlives it.
    pub(crate) fn into_parts(self) -> (Choices, Trace) {
        (self.choices.into_inner(), self.trace.into_inner())
    }

    /// Drops everything that is still alive. Must run on the run's OS thread, while the run is current.
    pub(crate) fn tear_down(&self) {
        self.tearing_down.set(true);
        self.mailbox.close();
        self.trace.borrow_mut().close();
        // Holders of locks first, so that destructors of the others find them free.
        for locks in [true, false] {
            let mut index = 0;
            // Destructors may start tasks: the list is walked as it grows.
            while index < self.tasks.borrow().len() {
                self.tear_down_one(TaskId::new(index), locks);
                index += 1;
            }
        }
        self.processor().timers.clear();
        self.stacks.end_idle();
    }

    /// A destructor of `task` panicked as it was dropped. At the end of a run that is the failure of one that had none;
    /// a process that was killed runs no destructors.
    fn panicked_in_teardown(&self, task: TaskId, message: &str) {
        if self.is_at_the_end() && !is_from_teardown(message) {
            let detail = format!("{}, when it was dropped at the end of the run: {message}", self.name(task));
            self.fail_at_the_end(Symptom::new(SymptomKind::Panic, detail));
        }
    }

    pub(super) fn tear_down_one(&self, task: TaskId, holders_only: bool) {
        let body = {
            let mut tasks = self.tasks.borrow_mut();
            let entry = &mut tasks[task.index()];
            if holders_only && entry.locks_held == 0 {
                return;
            }
            entry.state = State::Ended;
            entry.body.take()
        };
        let Some(body) = body else { return };
        self.current.set(Some(task));
        // One that loops is what the watchdog names.
        self.progress.step(self.steps(), task.index() as u32);
        let dropped = self.drop_unfinished(body);
        self.current.set(None);
        if let Err(panic) = dropped {
            self.panicked_in_teardown(task, panic.message());
        }
    }
}
