//! The state of one run: the scheduler, the network, the faults, the hosts. Code under test finds it through
//! [`context`].
//!
//! # Not here
//!
//! The loop of a run (`run`). How faults act (`inject`). What hosts offer to code under test (`host`).

pub(crate) mod context;
pub(crate) mod foreign;
mod hosts;
mod layer;
mod makers;
mod outcome;
mod outside;
mod panics;
mod probes;
mod processes;
pub(crate) mod real;
mod refusals;
mod waiters;

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use crate::choice::Choices;
use crate::fault::RunFaults;
use crate::net::{Network, Ready};
use crate::options::RunOptions;
use crate::progress::Progress;
use crate::sched::{Scheduler, Settings, Waiter};
use crate::time::Nanos;
use crate::trace;
use crate::wait::{HostIndex, Names, TaskId};

use foreign::Foreign;
use hosts::HostRole;
pub(crate) use hosts::{HostPlan, Start};
pub(crate) use layer::dispatch;
use makers::Makers;
pub(crate) use outcome::Outcome;
use outside::{LinkPoints, RunOutside};
pub(crate) use probes::{Buggified, Points, Probes};
pub(crate) use processes::Processes;
use refusals::Refusals;
use waiters::Waiters;

/// One run in progress. Everything that code under test holds finds it through `context`.
pub(crate) struct Run {
    pub(crate) number: u64,
    pub(crate) trace_level: tracing::Level,
    pub(crate) scheduler: Rc<Scheduler>,
    pub(crate) probes: Probes,
    pub(crate) network: RefCell<Network>,
    pub(crate) faults: RefCell<RunFaults>,
    link_points: RefCell<LinkPoints>,
    waiters: RefCell<Waiters>,
    /// Room for what is on its way from `waiters`, kept from call to call.
    woken: Cell<Vec<Waiter>>,
    /// Hears of what is ready, if the run has unmodified programs.
    processes: RefCell<Option<Rc<dyn Processes>>>,
    /// Names of what tasks wait for outside of the simulator's network.
    pub(crate) labels: RefCell<Vec<Arc<str>>>,
    pub(crate) foreign: Foreign,
    pub(crate) os_threads: real::OsThreads,
    makers: Makers,
    pub(crate) refusals: Refusals,
    pub(crate) options: RunOptions,
    pub(crate) hosts: Vec<HostRole>,
    /// Of `hosts`, by name.
    host_indices: BTreeMap<Arc<str>, HostIndex>,
    /// When the last fault ended: a stall counts from here.
    pub(crate) healed_at: Cell<Nanos>,
    /// Whether reads and writes of any host may be short.
    may_shorten: bool,
    /// Whether a write may succeed before the socket has woken its writer.
    pub(crate) writes_early: bool,
    /// What each task waited for when the run was stopped to look at it.
    pub(crate) waits: RefCell<Vec<String>>,
}

impl Run {
    pub(crate) fn new(
        number: u64,
        mut choices: Choices,
        options: RunOptions,
        plans: &[HostPlan],
        progress: Arc<Progress>,
    ) -> Self {
        let mut network = Network::new();
        options.apply(&mut network);
        let faults = RunFaults::new(&options.faults, &mut choices, &HostPlan::labels(plans));
        let settings = Settings {
            strategy: options.strategy,
            profile: Arc::clone(&options.profile),
            counts: options.counts,
            stack_bytes: options.stack_bytes,
            steps_max: options.steps_max,
            perturb: options.perturb,
            interrupt_polls: options.interrupt_polls,
            preempt_blocks: options.preempt_blocks,
            delay_max: options.delay_max,
            delay_total_max: options.delay_total_max,
            tolerate_panics: options.tolerate_panics,
        };
        let scheduler = Rc::new(Scheduler::new(number, settings, choices, progress));
        let mut hosts = Vec::new();
        for plan in plans {
            scheduler.progress.tick();
            scheduler.add_host(&plan.name);
            network.add_host(&plan.name).expect("names were checked when the set-up ended");
            hosts.push(HostRole {
                name: plan.name.as_str().into(),
                client: plan.client,
                down: Cell::new(false),
                main: RefCell::new(match &plan.start {
                    Start::Once(_) => None,
                    Start::Again(main) => Some(main.clone()),
                }),
            });
        }
        for (a, b, range) in &options.link_latencies {
            if let (Some(a), Some(b)) = (network.host_by_name(a), network.host_by_name(b)) {
                network.set_link_latency(a, b, *range);
            }
        }
        Self {
            number,
            trace_level: options.trace_level,
            scheduler,
            probes: Probes::default(),
            network: RefCell::new(network),
            may_shorten: faults.may_shorten(),
            writes_early: faults.writes_early(),
            waits: RefCell::default(),
            faults: RefCell::new(faults),
            link_points: RefCell::default(),
            waiters: RefCell::default(),
            woken: Cell::default(),
            processes: RefCell::default(),
            labels: RefCell::default(),
            foreign: Foreign::default(),
            os_threads: real::OsThreads::default(),
            makers: Makers::default(),
            refusals: Refusals::default(),
            options,
            host_indices: hosts.iter().enumerate().map(|(index, host)| (host.name.clone(), index)).collect(),
            hosts,
            healed_at: Cell::new(0),
        }
    }

    /// Drops what is left of tasks and threads, and what mains have captured.
    pub(crate) fn tear_down(&self) {
        self.scheduler.tear_down();
        self.forget_processes();
        self.forget_mains();
    }

    /// Calls into the network and wakes the tasks that the call made ready.
    #[inline]
    pub(crate) fn network<T>(&self, f: impl FnOnce(&mut Network, Nanos, &mut RunOutside<'_>) -> T) -> T {
        let mut network = self.network.borrow_mut();
        let result = f(&mut network, self.scheduler.now(), &mut RunOutside { run: self });
        if network.has_ready() {
            self.wake_ready(network);
        }
        result
    }

    /// Wakes the tasks that the last call into the network made ready.
    #[inline]
    fn wake_ready(&self, mut network: RefMut<'_, Network>) {
        let mut woken = self.woken.take();
        let mut waiters = self.waiters.borrow_mut();
        let mut ready_again = Vec::new();
        let has_processes = self.processes.borrow().is_some();
        network.take_ready().for_each(|ready| {
            waiters.take(ready, &mut woken);
            if has_processes {
                ready_again.push(ready);
            }
        });
        drop((network, waiters));
        if has_processes {
            self.tell_processes(&ready_again);
        }
        // Woken without a borrow: a waker may be code under test.
        woken.drain(..).for_each(|waiter| match waiter {
            Waiter::Task(task) => self.scheduler.wake(task),
            Waiter::Wrapper(waker) => self.scheduler.wake_up(waker),
        });
        self.woken.set(woken);
    }

    /// Wakes `waker` once `ready` may have changed.
    pub(crate) fn when_ready(&self, ready: Ready, waker: &Waker) {
        let task = self.scheduler.task_of(waker);
        if !self.waiters.borrow_mut().has(ready, waker, task) {
            let waiter = Self::waiter(waker, task);
            self.waiters.borrow_mut().add(ready, waiter);
        }
    }

    /// Wakes `waker`, and no earlier one, once `ready` may have changed. Only the most recent poller of a tokio stream
    /// is woken. This finds code that loses a waker.
    #[inline]
    pub(crate) fn when_ready_only(&self, ready: Ready, waker: &Waker) {
        let task = self.scheduler.task_of(waker);
        if !self.waiters.borrow_mut().has_only(ready, waker, task) {
            let waiter = Self::waiter(waker, task);
            let others = self.waiters.borrow_mut().replace(ready, waiter);
            // Dropped without a borrow.
            drop(others);
        }
    }

    /// Clones a waker, which may call back, unless it is that of `task`.
    fn waiter(waker: &Waker, task: Option<TaskId>) -> Waiter {
        task.map_or_else(|| Waiter::Wrapper(waker.clone()), Waiter::Task)
    }

    /// Forgets the tasks that wait for a closed socket or listener.
    pub(crate) fn forget(&self, ready: Ready) {
        let forgotten = self.waiters.borrow_mut().forget(ready);
        drop(forgotten);
    }

    pub(crate) fn host_name(&self, host: HostIndex) -> Arc<str> {
        self.hosts[host].name.clone()
    }

    pub(crate) fn host_names(&self) -> Vec<Arc<str>> {
        self.hosts.iter().map(|host| host.name.clone()).collect()
    }

    /// Returns the error text for an unknown host name.
    pub(crate) fn no_such_host(&self, name: &str) -> String {
        format!("no host of this simulation is called `{name}`; its hosts: {}", self.host_names().join(", "))
    }

    pub(crate) fn host_index(&self, name: &str) -> Option<HostIndex> {
        self.host_indices.get(name).copied()
    }

    pub(crate) fn faults(&self) -> &RefCell<RunFaults> {
        &self.faults
    }

    /// Returns `true` if `buggify!` may be true in this run.
    pub(crate) const fn buggifies(&self) -> bool {
        self.options.perturb
    }

    pub(crate) const fn may_shorten(&self) -> bool {
        self.may_shorten
    }

    pub(crate) fn note_heal(&self) {
        self.healed_at.set(self.scheduler.now());
    }
}

impl Names for Run {
    fn task(&self, task: TaskId) -> Arc<str> {
        self.scheduler.name(task)
    }

    fn object(&self, object: u64) -> String {
        let label = trace::label_of(&self.labels.borrow(), object).map(ToString::to_string);
        label.unwrap_or_else(|| self.network.borrow().describe_object(object))
    }
}
