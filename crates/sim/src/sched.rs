//! The scheduler: tasks and threads of all hosts in one ready list, from which a seed chooses.
//!
//! A host's async tasks are boxed futures; its threads are coroutines that suspend wherever production code would
//! block. The scheduler steps one of them at a time and knows nothing of networks: what a parked task waits for is told
//! to it as a [`Wait`], and whoever drives it decides when time passes.
//!
//! The files: `waker` and `ready` (how tasks become ready), `schedule` and `strategy` (who runs next), `coroutine` and
//! `threads` (threads), `timers` (the clock), `budget` (how far a task gets in a step), `deferred` (wake-ups that tokio
//! keeps), `wait` (what parked tasks wait for), `perturb` (late and spurious wake-ups), `hold` (who is preempted is held
//! back), `overflow` (stack overflows), `lifecycle` (start, end, teardown), `locks` (what a task holds when it ends),
//! `verdict` (what ends a run), `hosts` (what happens to all tasks of one host), `domain` (hosts that another simulation
//! steps one by one).
//!
//! # Invariants
//!
//! - One task runs at a time; nothing runs but by [`Scheduler::step`].
//! - Every decision is a value in a lane; value 0 keeps running the same task, or takes the one that is ready longest.
//! - No `RefCell` of this module is borrowed while code under test runs.

mod advice;
mod allowance;
mod budget;
mod coroutine;
mod current;
mod deferred;
mod delay;
#[cfg(feature = "turmoil")]
mod domain;
mod hosts;
mod lifecycle;
mod locks;
mod overflow;
mod perturb;
mod ready;
mod schedule;
mod stacks;
mod strategy;
mod threads;
mod timers;
mod verdict;
mod waker;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::coop::has_budget_remaining;

use crate::choice::{Choices, LaneId, PointId, below};
use crate::interpose;
use crate::progress::Progress;
use crate::symptom::{Symptom, SymptomKind};
use crate::time::Nanos;
use crate::trace::{Next, Trace, TraceEvent};
use crate::wait::{HostIndex, Operation, TaskId, Wait, Waiting};

pub(crate) use allowance::DELAY_TOTAL_MAX;
use allowance::Spent;
use budget::{BUDGETS, Budgets};
use coroutine::{Resumed, Suspender, ThreadBody};
pub(crate) use current::enter;
use deferred::Deferred;
use delay::Delays;
pub(crate) use lifecycle::{Straggler, describe_wait};
pub(crate) use perturb::{LATER_BOUND, NOBODY, draw_later, later};
use stacks::{Interrupted, Polled, Stacks, TaskFuture};
use strategy::Chooser;
pub use strategy::Strategy;
use timers::Timer;
pub(crate) use timers::TimerKey;
use waker::{Mailbox, TaskWaker};

/// What a scheduler needs to know before it starts.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) strategy: Strategy,
    pub(crate) stack_bytes: usize,
    pub(crate) steps_max: u64,
    /// Whether seeds may withhold ready tasks, preempt and defer operations, and wake tasks for nothing.
    pub(crate) perturb: bool,
    /// How long a ready task may be delayed at most.
    pub(crate) delay_max: Nanos,
    /// Below what all delays of the run stay together.
    pub(crate) delay_total_max: Nanos,
    /// Whether a panic fails the run only if it is a main's.
    pub(crate) tolerate_panics: bool,
}

enum Body {
    Task(TaskBody),
    Thread(ThreadBody),
}

struct TaskBody {
    /// None while it is polled on a stack of its own.
    future: Option<TaskFuture>,
    waker: Waker,
    interrupted: Option<Interrupted>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Running,
    Parked,
    /// Able to run, on a host that is paused.
    Frozen,
    Ended,
}

struct TaskEntry {
    name: Arc<str>,
    host: HostIndex,
    state: State,
    main: bool,
    body: Option<Body>,
    suspender: Option<Suspender>,
    waker: Waker,
    woken: bool,
    /// It aborted itself: its future is dropped when it suspends.
    aborted: bool,
    /// Its poll is interrupted, or was, and has not ended.
    interrupted: bool,
    /// It was woken meanwhile.
    woken_meanwhile: bool,
    /// The main of a host, which nobody joins.
    host_main: bool,
    waits: Vec<Waiting>,
    /// What an async task waited for before its present step.
    waits_before: Vec<Waiting>,
    parked_since: Nanos,
    points: Vec<(Operation, PointId)>,
    overflow_message: Arc<str>,
    spans: Vec<tracing::Id>,
    locks_held: u32,
    /// The timer that ends the stretch for which it is delayed.
    delayed_until: Option<TimerKey>,
    /// For how long it is delayed when it could go on after its present step.
    delay_next: Nanos,
}

#[derive(Clone, Copy)]
struct Lanes {
    schedule: LaneId,
    woken: LaneId,
    budget: LaneId,
    pending: LaneId,
    spurious: LaneId,
    preempted: LaneId,
}

/// See the module.
pub(crate) struct Scheduler {
    run: u64,
    settings: Settings,
    clock: Cell<Nanos>,
    pub(crate) choices: RefCell<Choices>,
    pub(crate) trace: RefCell<Trace>,
    lanes: Cell<Lanes>,
    chooser: RefCell<Chooser>,
    hosts: RefCell<Vec<Arc<str>>>,
    names: RefCell<BTreeMap<String, u32>>,
    tasks: RefCell<Vec<TaskEntry>>,
    ready: RefCell<VecDeque<TaskId>>,
    inbox: RefCell<VecDeque<TaskId>>,
    timers: RefCell<BTreeMap<TimerKey, Timer>>,
    timers_armed: Cell<u64>,
    current: Cell<Option<TaskId>>,
    last: Cell<Option<(TaskId, Operation)>>,
    handoff: Cell<Option<TaskId>>,
    halted: hosts::Halted,
    steps: Cell<u64>,
    /// The time it was when the clock last moved, and the steps by then.
    instant: Cell<(Nanos, u64)>,
    mains_left: Cell<usize>,
    delays_wake_ups: bool,
    preempts: bool,
    /// Operations of tasks may be told `Pending` though they could go on.
    gives_spurious_pending: bool,
    /// Parked tasks may be woken for nothing.
    wakes_spuriously: bool,
    /// What is preempted may be delayed.
    delays: Option<Delays>,
    spent: Spent,
    stacks: Stacks,
    budgets: RefCell<Budgets>,
    /// No task was polled since tokio renewed its budget.
    budget_is_whole: Cell<bool>,
    /// Whether the budget of the running step is less than the whole.
    is_budget_limited: Cell<bool>,
    /// How many it was granted; 0 if that is no limit, or it was already told that there are no more.
    operations_granted: Cell<u32>,
    /// How often the mark of `deferred` lay there when the step began, if operations were granted.
    marks_before: Cell<usize>,
    pub(crate) deferred: Deferred,
    verdict: RefCell<Option<Symptom>>,
    /// What becomes the verdict after this step, unless the step itself fails.
    pending_verdict: RefCell<Option<Symptom>>,
    /// The source place of the panic that is the verdict.
    panicked_at: RefCell<Option<String>>,
    tearing_down: Cell<bool>,
    /// How often threads that are torn down have caught the unwind and gone on.
    unwinds_caught: Cell<u32>,
    /// Wakes the root future when it has parked in tokio.
    root: RefCell<Option<Waker>>,
    #[cfg(feature = "turmoil")]
    domains: domain::Domains,
    mailbox: Arc<Mailbox>,
    pub(crate) progress: Arc<Progress>,
}

/// Stretches for which a ready task may be delayed: a slow CPU, a page fault, a GC pause.
const DELAYS: [Nanos; 8] =
    [0, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000];

impl Scheduler {
    pub(crate) fn new(run: u64, settings: Settings, mut choices: Choices, progress: Arc<Progress>) -> Self {
        let lanes = Lanes {
            schedule: choices.lane("schedule"),
            woken: choices.lane("withhold"),
            budget: choices.lane("budget"),
            pending: choices.lane("pending"),
            spurious: choices.lane("spurious"),
            preempted: choices.lane("hold"),
        };
        // Which perturbations a run has is a choice of its own, so that a replay asks the same questions.
        let swarm = choices.lane("swarm");
        let mut drawn = |name: &str, one_in: u32| {
            let point = choices.point(swarm, name);
            settings.perturb && choices.choose(point, 2, |rng| u32::from(below(rng, one_in) == 0)) == 1
        };
        let (delays_wake_ups, preempts) = (drawn("swarm withhold", 3), drawn("swarm preempt", 3));
        let (gives_spurious_pending, wakes_spuriously) =
            (drawn("swarm pending", 3), drawn("swarm spurious", 3));
        let is_on_stacks = drawn("swarm stacks", 3);
        let delays = drawn("swarm hold", 2).then(|| Delays::draw(&choices));
        let chooser = Chooser::new(settings.strategy, choices.side_stream("strategy"));
        Self {
            run,
            settings,
            clock: Cell::new(0),
            choices: RefCell::new(choices),
            trace: RefCell::new(Trace::new()),
            lanes: Cell::new(lanes),
            chooser: RefCell::new(chooser),
            hosts: RefCell::default(),
            names: RefCell::default(),
            tasks: RefCell::default(),
            ready: RefCell::default(),
            inbox: RefCell::default(),
            timers: RefCell::default(),
            timers_armed: Cell::new(0),
            current: Cell::new(None),
            last: Cell::new(None),
            handoff: Cell::new(None),
            halted: hosts::Halted::default(),
            steps: Cell::new(0),
            instant: Cell::new((0, 0)),
            mains_left: Cell::new(0),
            delays_wake_ups,
            preempts,
            gives_spurious_pending,
            wakes_spuriously,
            delays,
            spent: Spent::default(),
            stacks: Stacks::new(is_on_stacks),
            budgets: RefCell::new(Budgets::new()),
            budget_is_whole: Cell::new(false),
            is_budget_limited: Cell::new(false),
            operations_granted: Cell::new(0),
            marks_before: Cell::new(0),
            deferred: Deferred::new(),
            verdict: RefCell::default(),
            pending_verdict: RefCell::default(),
            panicked_at: RefCell::default(),
            tearing_down: Cell::new(false),
            unwinds_caught: Cell::new(0),
            root: RefCell::default(),
            #[cfg(feature = "turmoil")]
            domains: domain::Domains::default(),
            mailbox: Arc::default(),
            progress,
        }
    }

    // Who runs.

    pub(crate) fn current(&self) -> Option<TaskId> {
        self.current.get()
    }

    pub(crate) fn name(&self, task: TaskId) -> Arc<str> {
        self.tasks.borrow()[task.index()].name.clone()
    }

    /// The name of the task that runs now.
    pub(crate) fn running_name(&self) -> Option<Arc<str>> {
        self.current.get().map(|task| self.name(task))
    }

    /// The host of the task that runs now.
    pub(crate) fn running_host(&self) -> Option<HostIndex> {
        self.current.get().map(|task| self.tasks.borrow()[task.index()].host)
    }

    pub(crate) fn waker(&self, task: TaskId) -> Waker {
        self.tasks.borrow()[task.index()].waker.clone()
    }

    // Steps.

    /// Tells whether stepping `task` polls a future (which may use up tokio's budget).
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
        };
        interpose::set_polling(false);
        self.current.set(None);
        match self.survive_step(task, body) {
            Ok(Some(body)) => self.park(task, body),
            Ok(None) => self.end(task),
            Err(()) => {}
        }
    }

    fn poll(&self, task: TaskId, mut body: TaskBody) -> Option<TaskBody> {
        let polled = match body.interrupted.take() {
            Some(interrupted) => self.go_on(task, &mut body, interrupted),
            None => {
                self.begin_waits(task);
                self.grant_budget(task);
                self.poll_once(task, &mut body)
            }
        };
        let Some(polled) = polled else { return Some(body) };
        self.count_meanwhile(task);
        self.is_budget_limited.set(false);
        self.end_budget(matches!(polled, Ok(Poll::Pending)));
        self.keep_since(task);
        self.last.set(Some((task, Operation::new("step"))));
        match polled {
            Ok(Poll::Pending) if !self.tasks.borrow()[task.index()].aborted => Some(body),
            Ok(Poll::Pending) => {
                self.drop_body(task, Body::Task(body));
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

    /// The poll has ended: counts a wake-up that came while it was interrupted.
    fn count_meanwhile(&self, task: TaskId) {
        let entry = &mut self.tasks.borrow_mut()[task.index()];
        entry.interrupted = false;
        entry.woken |= std::mem::take(&mut entry.woken_meanwhile);
    }

    /// A step begins: the task will say again what it waits for.
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

    /// Makes ready for steps. Must be called within tokio, before the first.
    pub(crate) fn begin(&self) {
        self.budgets.borrow_mut().prepare(self.preempts || self.delays.is_some());
        self.budget_is_whole.set(false);
    }

    /// Notes that tokio has renewed its budget, as it does whenever it polls the root future.
    pub(crate) fn budget_is_renewed(&self) {
        self.budget_is_whole.set(true);
    }

    /// Draws how many operations a task may finish in this step, of the runtime traits and of tokio.
    fn grant_budget(&self, task: TaskId) {
        let is_whole = self.budget_is_whole.take();
        let held_after = self.plan_delay(task);
        let value = if held_after == 0 { self.draw_budget(task) } else { held_after };
        if value != 0 {
            self.is_budget_limited.set(true);
            self.operations_granted.set(BUDGETS[value]);
            self.marks_before.set(self.deferred.lay());
        }
        if value != 0 || !is_whole {
            self.budgets.borrow_mut().grant(value);
        }
    }

    /// Draws an index of [`BUDGETS`].
    fn draw_budget(&self, task: TaskId) -> usize {
        if !self.preempts {
            return 0;
        }
        let point = self.point(self.lanes.get().budget, task, Operation::new("budget"));
        let bound = BUDGETS.len() as u32;
        let draw = |rng: &mut _| if below(rng, 2) == 0 { below(rng, bound) } else { 0 };
        self.choices.borrow_mut().choose(point, bound, draw) as usize
    }

    /// Tells the trace that the budget of the running task has ended before what it was about to do: once a step.
    fn out_of_budget(&self, before: Next) {
        let operations = self.operations_granted.replace(0);
        if operations != 0 {
            self.trace.borrow_mut().record_preemption(self.now(), self.current(), operations, before);
        }
    }

    /// Takes the budget back after a step. Tokio does not tell that it had an operation wait for the next step, but it
    /// has budget left otherwise, and defers a wake-up then. (So does `yield_now`: a task that yields by itself just when
    /// its budget has ended counts as preempted.)
    fn end_budget(&self, is_pending: bool) {
        let is_spent = self.operations_granted.get() != 0 && is_pending && !has_budget_remaining();
        if is_spent && self.deferred.lay() != self.marks_before.get() {
            self.out_of_budget(Next::OfTokio);
        }
        self.operations_granted.set(0);
    }

    /// Notes what the running task waits for, for reports.
    pub(crate) fn note_wait(&self, on: Wait) {
        let Some(task) = self.current.get() else { return };
        let since = self.now();
        let mut tasks = self.tasks.borrow_mut();
        let waits = &mut tasks[task.index()].waits;
        if !waits.iter().any(|waiting| waiting.on == on) {
            waits.push(Waiting { on, since });
        }
    }

    fn resume(&self, task: TaskId, mut thread: ThreadBody) -> Option<ThreadBody> {
        let (message, spans) = {
            let tasks = self.tasks.borrow();
            let entry = &tasks[task.index()];
            (entry.overflow_message.clone(), entry.spans.clone())
        };
        crate::trace::reenter_spans(&spans);
        let resumed = overflow::watched(thread.guard(), &message, || thread.resume());
        let spans = self.tasks.borrow()[task.index()].spans.clone();
        crate::trace::leave_spans(&spans);
        match resumed {
            Resumed::Suspended => Some(thread),
            Resumed::Ended => {
                self.last.set(Some((task, Operation::new("end"))));
                self.drop_body(task, Body::Thread(thread));
                None
            }
        }
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
            // Preempted: it stands at the head of the ready list, or among the frozen.
            return;
        }
        entry.parked_since = self.now();
        if entry.park_if_delayed() {
            return;
        }
        entry.state = State::Parked;
        let (woken, is_async) = (entry.woken, entry.suspender.is_none());
        drop(tasks);
        if !woken && is_async {
            self.perhaps_wake_spuriously(task);
        } else if woken {
            // Its mail may have been collected while it ran.
            let mut inbox = self.inbox.borrow_mut();
            if !inbox.contains(&task) {
                inbox.push_back(task);
            }
        }
    }
}
