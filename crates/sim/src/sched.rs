//! The scheduler: tasks and threads of all hosts in one ready list, from which a seed chooses.
//!
//! A host's async tasks are boxed futures. Its threads are coroutines that suspend wherever production code would
//! block. The scheduler steps one of them at a time. It knows no network: it learns what a parked task waits for as a
//! [`Wait`], and what drives the scheduler decides when time passes.
//!
//! # Parts
//!
//! The state is in parts, each in its own file:
//!
//! - `table`: every task and thread ([`TaskTable`]).
//! - `processor`: a clock, a run queue (`queue`) and timers (`timers`) for all hosts together, or one for each host of
//!   turmoil (`domain`).
//! - `policy`: which ready task runs next. To add a strategy, begin there. `profile` is what it may know of the test.
//! - `perturb`: delays, spurious wake-ups and spurious `Pending` ([`Perturber`]); `delay` and `allowance` bound them.
//! - `blocks`: preemption at basic blocks of an instrumented build.
//! - `grant`: how many operations a task may finish in a step (`budget` sets tokio's, `deferred` sees what tokio kept).
//! - `verdict`: the first failure, and the limits of steps.
//!
//! The operations on them: `ready` and `schedule` (how tasks become ready, and which one is next), `coroutine`,
//! `stacks`, `threads` and `overflow` (stacks of threads and of interrupted polls), `lifecycle`, `held_locks` and
//! `abandoned` (start, end, teardown), `hosts` (what happens to all tasks of one host), `waker` and `current` (how
//! wake-ups find the scheduler). `handover` counts distinct schedules, and `advice` words the remedies of reports. What
//! a thread does when a lock of the simulator blocks it stands in `host::locks`; a lock of std is freed by
//! `world::real`.
//!
//! # Invariants
//!
//! - One task runs at a time, and only inside of [`Scheduler::step`].
//! - Every decision is a value in a lane. Value 0 continues the same task, or takes the one that has been ready
//!   longest.
//! - No `RefCell` of this module is borrowed while code under test runs.

mod abandoned;
mod advice;
mod allowance;
mod blocks;
mod budget;
mod coroutine;
mod current;
mod deferred;
mod delay;
#[cfg(feature = "turmoil")]
mod domain;
mod grant;
mod handover;
mod held_locks;
mod hosts;
mod lifecycle;
mod overflow;
mod perturb;
mod policy;
mod processor;
mod profile;
mod queue;
mod ready;
mod schedule;
mod stacks;
mod strategy;
mod table;
mod threads;
mod timers;
mod user;
mod verdict;
mod waker;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::choice::{Choices, LaneId, LaneKind, PointId, below};
use crate::interpose;
use crate::progress::Progress;
use crate::symptom::{Symptom, SymptomKind};
use crate::time::Nanos;
use crate::trace::{Trace, TraceEvent};
use crate::wait::{HostIndex, Operation, TaskId, Wait, Waiting};

pub(crate) use allowance::DELAY_TOTAL_MAX;
use coroutine::{Resumed, ThreadBody};
pub(crate) use coroutine::{abandon, reclaim_abandoned, sole};
pub(crate) use current::enter;
use deferred::Deferred;
use grant::Grant;
use handover::Handovers;
pub(crate) use lifecycle::Straggler;
use perturb::Perturber;
pub(crate) use perturb::{LATER_BOUND, NO_HOST, draw_later, later};
use policy::{Policy, policy};
use processor::{Processor, Processors};
pub(crate) use profile::Profile;
use profile::Recorder;
use queue::RunQueue;
use stacks::{Polled, Stacks};
pub use strategy::Strategy;
use table::{Body, State, TaskBody, TaskEntry, TaskTable};
pub(crate) use timers::TimerKey;
use verdict::{Limits, Verdict};
pub(crate) use waker::Waiter;
use waker::{Mailbox, TaskWaker};

/// Initialises the thread-local values that every run uses.
pub(crate) fn touch_thread_locals() {
    coroutine::touch();
    current::is_entered();
}

/// The options of a scheduler.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) strategy: Strategy,
    /// What the warm-up of the sweep has counted.
    pub(crate) profile: Arc<Profile>,
    /// Whether this run is to count.
    pub(crate) counts: bool,
    pub(crate) stack_bytes: usize,
    pub(crate) steps_max: u64,
    /// Whether seeds may delay ready tasks, preempt tasks, and make spurious `Pending` and wake-ups.
    pub(crate) perturb: bool,
    /// Whether a task may be delayed between an effect and its next statement.
    pub(crate) interrupt_polls: bool,
    /// Whether tasks and threads may be preempted at basic blocks, in an instrumented build.
    pub(crate) preempt_blocks: bool,
    /// How long a ready task may be delayed at most.
    pub(crate) delay_max: Nanos,
    /// The limit for the sum of all delays of the run.
    pub(crate) delay_total_max: Nanos,
    /// Whether a panic fails the run only if it is a main's.
    pub(crate) tolerate_panics: bool,
}

#[derive(Clone, Copy)]
struct Lanes {
    schedule: LaneId,
    woken: LaneId,
    budget: LaneId,
    pending: LaneId,
    spurious: LaneId,
    preempted: LaneId,
    /// Of an instrumented build.
    block: Option<LaneId>,
}

impl Lanes {
    /// Returns the lanes that belong to `scope`: a host, or the run if it is empty.
    fn of(choices: &mut Choices, scope: &str) -> Self {
        Self {
            schedule: choices.lane(LaneKind::Schedule, scope),
            woken: choices.lane(LaneKind::WokenDelay, scope),
            budget: choices.lane(LaneKind::Budget, scope),
            pending: choices.lane(LaneKind::Pending, scope),
            spurious: choices.lane(LaneKind::Spurious, scope),
            preempted: choices.lane(LaneKind::PreemptedDelay, scope),
            block: interpose::blocks::is_instrumented().then(|| choices.lane(LaneKind::Block, scope)),
        }
    }
}

/// See the module.
pub(crate) struct Scheduler {
    run: u64,
    settings: Settings,
    pub(crate) choices: RefCell<Choices>,
    pub(crate) trace: RefCell<Trace>,
    hosts: RefCell<Vec<Arc<str>>>,
    tasks: TaskTable,
    processors: Processors,
    policy: RefCell<Box<dyn Policy>>,
    recorder: Option<RefCell<Recorder>>,
    handovers: RefCell<Handovers>,
    perturber: Perturber,
    grant: Grant,
    stacks: Stacks,
    halted: hosts::Halted,
    limits: Limits,
    verdict: Verdict,
    timers_armed: Cell<u64>,
    current: Cell<Option<TaskId>>,
    tearing_down: Cell<bool>,
    /// How often threads that are torn down have caught the unwind and continued.
    unwinds_caught: Cell<u32>,
    pub(crate) deferred: Deferred,
    mailbox: Arc<Mailbox>,
    pub(crate) progress: Arc<Progress>,
}

/// The delays that a ready task may have: a slow CPU, a page fault, a GC pause.
const DELAYS: [Nanos; 8] =
    [0, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000];

impl Scheduler {
    pub(crate) fn new(run: u64, settings: Settings, mut choices: Choices, progress: Arc<Progress>) -> Self {
        let lanes = Lanes::of(&mut choices, "");
        let perturber = Perturber::draw(&mut choices, &settings);
        let interrupts = perturber.stacks && settings.interrupt_polls;
        let is_on_stacks = interrupts || perturber.blocks.is_some();
        // A replay asks no policy.
        let strategy = if choices.is_replay() { Strategy::Fifo } else { settings.strategy };
        let policy = policy(strategy, choices.side_stream("strategy"), &settings.profile);
        Self {
            run,
            choices: RefCell::new(choices),
            trace: RefCell::new(Trace::new()),
            hosts: RefCell::default(),
            tasks: TaskTable::default(),
            processors: Processors::new(Processor::new(lanes)),
            policy: RefCell::new(policy),
            recorder: settings.counts.then(RefCell::default),
            handovers: RefCell::default(),
            settings,
            perturber,
            grant: Grant::new(),
            stacks: Stacks::new(is_on_stacks, interrupts),
            halted: hosts::Halted::default(),
            limits: Limits::default(),
            verdict: Verdict::default(),
            timers_armed: Cell::new(0),
            current: Cell::new(None),
            tearing_down: Cell::new(false),
            unwinds_caught: Cell::new(0),
            deferred: Deferred::new(),
            mailbox: Arc::default(),
            progress,
        }
    }

    /// Returns the active processor.
    fn processor(&self) -> &Processor {
        self.processors.current()
    }

    /// Returns the run queue of the active processor.
    fn queue(&self) -> &RunQueue {
        &self.processor().queue
    }

    fn lanes(&self) -> Lanes {
        self.processor().lanes
    }

    // What runs.

    pub(crate) fn current(&self) -> Option<TaskId> {
        self.current.get()
    }

    pub(crate) fn name(&self, task: TaskId) -> Arc<str> {
        self.tasks.name(task)
    }

    /// The name of the task that runs now.
    pub(crate) fn running_name(&self) -> Option<Arc<str>> {
        self.current.get().map(|task| self.name(task))
    }

    /// The host of the task that runs now.
    pub(crate) fn running_host(&self) -> Option<HostIndex> {
        self.current.get().map(|task| self.tasks.host(task))
    }

    pub(crate) fn waker(&self, task: TaskId) -> Waker {
        self.tasks.waker(task)
    }

    /// Returns the running task if `waker` is its own.
    pub(crate) fn task_of(&self, waker: &Waker) -> Option<TaskId> {
        let task = self.current.get()?;
        self.tasks.borrow()[task.index()].waker.will_wake(waker).then_some(task)
    }

    // Steps.

    /// Returns `true` if stepping `task` polls a future (which may use up tokio's budget).
    pub(crate) fn is_async(&self, task: TaskId) -> bool {
        matches!(self.tasks.borrow()[task.index()].body, Some(Body::Task(_)))
    }

    /// Runs `task` until it parks, ends or is preempted.
    pub(crate) fn step(&self, task: TaskId) {
        self.count_step(task);
        let body = {
            let mut tasks = self.tasks.borrow_mut();
            let entry = &mut tasks[task.index()];
            entry.state = State::Running;
            entry.woken = false;
            entry.body.take().expect("a ready task has a body")
        };
        self.current.set(Some(task));
        interpose::set_polling(true);
        let body = match body {
            Body::Task(body) => self.poll(task, body).map(Body::Task),
            Body::Thread(thread) => self.resume(task, thread).map(Body::Thread),
            #[cfg(all(feature = "process", not(miri)))]
            Body::User(thread) => self.resume_user(task, thread),
        };
        interpose::set_polling(false);
        self.current.set(None);
        match self.survive_step(task, body) {
            Ok(Some(body)) => self.park(task, body),
            Ok(None) => self.end(task),
            Err(()) => {}
        }
    }

    fn poll(&self, task: TaskId, mut body: Box<TaskBody>) -> Option<Box<TaskBody>> {
        let polled = match body.interrupted.take() {
            Some(interrupted) => self.go_on(task, &mut body, *interrupted),
            None => {
                self.begin_waits(task);
                self.grant_budget(task);
                self.poll_once(task, &mut body)
            }
        };
        let Some(polled) = polled else { return Some(body) };
        self.count_meanwhile(task);
        self.grant.is_limited.set(false);
        self.end_budget(matches!(polled, Ok(Poll::Pending)));
        self.keep_since(task);
        self.queue().set_last(task, Operation::new("step"));
        match polled {
            Ok(Poll::Pending) if !self.tasks.borrow()[task.index()].aborted => Some(body),
            Ok(Poll::Pending) => {
                self.drop_aborted(task, Body::Task(body));
                None
            }
            Ok(Poll::Ready(())) => {
                self.drop_body(task, Body::Task(body));
                None
            }
            Err(_) if self.was_killed(task) => Some(body),
            Err(panic) => {
                self.panicked(task, &panic);
                self.drop_body(task, Body::Task(body));
                None
            }
        }
    }

    /// Polls the future of a task. `None`: its poll was interrupted.
    fn poll_once(&self, task: TaskId, body: &mut TaskBody) -> Option<Polled> {
        if self.stacks.are_on() {
            return self.poll_on_stack(task, body);
        }
        let mut context = Context::from_waker(&body.waker);
        let future = body.future.as_mut().expect("a task that is not polled has its future");
        Some(lifecycle::caught(|| future.as_mut().poll(&mut context)))
    }

    /// Ends a poll: counts a wake-up that came while it was interrupted.
    fn count_meanwhile(&self, task: TaskId) {
        let entry = &mut self.tasks.borrow_mut()[task.index()];
        entry.interrupted = false;
        entry.woken |= std::mem::take(&mut entry.woken_meanwhile);
    }

    /// Begins a step: the task will say again what it waits for.
    fn begin_waits(&self, task: TaskId) {
        let mut tasks = self.tasks.borrow_mut();
        let entry = &mut tasks[task.index()];
        std::mem::swap(&mut entry.waits, &mut entry.waits_before);
        entry.waits.clear();
    }

    /// A wait that a task has taken up again in this step began when it was first taken up.
    fn keep_since(&self, task: TaskId) {
        let mut tasks = self.tasks.borrow_mut();
        let TaskEntry { waits, waits_before, .. } = &mut tasks[task.index()];
        for waiting in waits {
            if let Some(earlier) = waits_before.iter().find(|earlier| earlier.on == waiting.on) {
                waiting.since = earlier.since;
            }
        }
    }

    /// Notes what the running task waits for, for reports.
    #[inline]
    pub(crate) fn note_wait(&self, on: Wait) {
        let Some(task) = self.current.get() else { return };
        let since = self.now();
        let mut tasks = self.tasks.borrow_mut();
        let waits = &mut tasks[task.index()].waits;
        if !waits.iter().any(|waiting| waiting.on == on) {
            waits.push(Waiting { on, since });
        }
    }

    fn resume(&self, task: TaskId, mut thread: Box<ThreadBody>) -> Option<Box<ThreadBody>> {
        let message = self.tasks.borrow()[task.index()].overflow_message.clone();
        crate::trace::reenter_spans(&self.spans_of(task));
        self.grant_sites(task);
        let resumed = overflow::watched(thread.guard(), &message, || thread.resume());
        self.end_grant_of_sites();
        crate::trace::leave_spans(&self.spans_of(task));
        match resumed {
            Resumed::Suspended => Some(thread),
            Resumed::Ended | Resumed::Abandoned => {
                self.queue().set_last(task, Operation::new("end"));
                self.drop_body(task, Body::Thread(thread));
                None
            }
        }
    }

    /// Returns the spans that `task` has entered.
    fn spans_of(&self, task: TaskId) -> Vec<tracing::Id> {
        self.tasks.borrow()[task.index()].spans.clone()
    }

    /// Remembers the spans that the running task has entered.
    pub(crate) fn with_spans<T>(&self, f: impl FnOnce(&mut Vec<tracing::Id>) -> T) -> Option<T> {
        let task = self.current.get()?;
        Some(f(&mut self.tasks.borrow_mut()[task.index()].spans))
    }

    /// Puts a task back after a step: ready again if it was handed off or woken meanwhile, else parked.
    fn park(&self, task: TaskId, body: Body) {
        let mut tasks = self.tasks.borrow_mut();
        let entry = &mut tasks[task.index()];
        entry.body = Some(body);
        if matches!(entry.state, State::Ready | State::Frozen) {
            // It was preempted: it is at the head of the ready list, or among the frozen tasks.
            return;
        }
        entry.parked_since = self.now();
        if entry.park_if_delayed() {
            return;
        }
        entry.state = State::Parked;
        let (woken, is_async) = (entry.woken, entry.suspender.is_none());
        if is_async {
            entry.object = entry.waits.first().and_then(|waiting| waiting.on.object(entry.host));
        }
        drop(tasks);
        if !woken && is_async {
            self.perhaps_wake_spuriously(task);
        } else if woken {
            // Its mail may have been collected while it ran.
            self.queue().push_mail_once(task);
        }
    }
}
