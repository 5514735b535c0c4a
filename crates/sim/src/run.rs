//! One run: a test's body, simulated once, from a seed or from recorded choices.
//!
//! [`run`] builds the hosts that the body asked for, drives the executor, the network and the clock (`drive`) until every
//! client's main has ended or an oracle objects, tears everything down and returns what happened.

mod clock;
mod drive;
#[cfg(test)]
mod hostile;
mod hosts;
mod link;
mod makers;
pub(crate) mod oracle;
mod refusals;
#[cfg(test)]
pub(crate) mod tests;
mod waiters;

use std::cell::{Cell, RefCell, RefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use wavetank_runtime::join::panic_message;

use crate::choices::{ChoiceLog, Choices, Divergence, Replay};
use crate::context;
use crate::executor::{Executor, HostIndex, Settings};
use crate::faults::Driver;
use crate::interpose;
use crate::net::{Nanos, Network, Ready};
use crate::panics;
use crate::probes::{Points, Probes};
pub(crate) use crate::progress::Progress;
use crate::sim::{Config, HostPlan, Sim, Start};
use crate::symptom::{Symptom, SymptomKind};
use crate::trace::{self, Trace, TraceEvent};

#[cfg(feature = "turmoil")]
pub(crate) use drive::fail;
use hosts::HostRole;
pub(crate) use hosts::Main;
use link::{LinkPoints, RunOutside};
use makers::Makers;
use refusals::Refusals;
use waiters::Waiters;

/// A test's body: builds the hosts of one run.
pub(crate) type Body = dyn Fn(&mut Sim) + Send + Sync;

/// Where a run's choices come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan<'a> {
    Seed(u64),
    Replay { seed: u64, log: &'a ChoiceLog, mode: Replay },
}

/// What a run did.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What failed, if anything did.
    pub(crate) symptom: Option<Symptom>,
    pub(crate) log: ChoiceLog,
    pub(crate) trace: Trace,
    /// Where a strict replay left its recording.
    pub(crate) divergence: Option<Divergence>,
    /// How many recorded values did not fit, in a lenient replay.
    pub(crate) mismatches: usize,
    pub(crate) steps: u64,
    pub(crate) virtual_time: Duration,
    /// Faults that happened.
    pub(crate) faults: usize,
    /// The source place of the last panic, or of the invariant that was broken.
    pub(crate) failed_at: Option<String>,
    /// The `sometimes!` that were evaluated.
    pub(crate) points: Points,
}

/// One run in progress. Everything that code under test holds finds it through `context`.
pub(crate) struct Run {
    pub(crate) number: u64,
    pub(crate) trace_level: tracing::Level,
    pub(crate) executor: Executor,
    pub(crate) probes: Probes,
    network: RefCell<Network>,
    faults: RefCell<Driver>,
    link_points: RefCell<LinkPoints>,
    waiters: RefCell<Waiters>,
    /// Room for wakers on their way from `waiters`, kept from call to call.
    woken: Cell<Vec<Waker>>,
    /// Names of what tasks wait for outside of the simulator's network.
    labels: RefCell<Vec<Arc<str>>>,
    makers: Makers,
    pub(crate) refusals: Refusals,
    config: Config,
    hosts: Vec<HostRole>,
    /// When the last fault ended: a stall counts from here.
    healed_at: Cell<Nanos>,
    /// Whether reads and writes of any host may be short.
    may_shorten: bool,
}

/// Simulates `body` once. Must be called on an OS thread that simulates nothing else, before or after.
pub(crate) fn run(body: &Body, plan: &Plan<'_>, progress: &Arc<Progress>) -> Outcome {
    let choices = match *plan {
        Plan::Seed(seed) => Choices::seeded(seed),
        Plan::Replay { seed, log, mode } => Choices::replayed(seed, log, mode),
    };
    Probes::install();
    let _interposed = interpose::enter(choices.side_stream("libc"));
    let number = context::next_run_number();
    let mut sim = Sim::new(choices);
    let built = catch_unwind(AssertUnwindSafe(|| body(&mut sim)));
    let (choices, config, plans) = sim.into_parts();
    let setup = match built {
        Err(payload) => Some(panic_message(&*payload)),
        Ok(()) => config.problem("Sim", &plans),
    };
    tracing::dispatcher::with_default(trace::dispatch(), || {
        simulate(number, choices, config, plans, setup, progress)
    })
}

fn simulate(
    number: u64,
    choices: Choices,
    config: Config,
    plans: Vec<HostPlan>,
    setup: Option<String>,
    progress: &Arc<Progress>,
) -> Outcome {
    let runtime = tokio_runtime(choices.seed());
    // Hosts that the test cannot have are not made.
    let plans = if setup.is_some() { Vec::new() } else { plans };
    let run = Rc::new(Run::new(number, choices, config, &plans, progress.clone()));
    let entered = context::enter(run.clone());
    runtime.block_on(async {
        match setup {
            Some(problem) => run.executor.fail(Symptom::new(SymptomKind::Setup, problem)),
            None => {
                run.start(plans);
                drive::drive(&run).await;
            }
        }
        run.executor.tear_down();
        run.forget_mains();
    });
    // Tasks that third-party code spawned on tokio die here, while their sockets still find their run.
    drop(runtime);
    // What their destructors have started.
    run.executor.tear_down();
    drop(entered);
    let run = Rc::into_inner(run).expect("handles find their run through the context and keep none");
    run.into_outcome()
}

fn tokio_runtime(seed: u64) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(!interpose::INTERPOSED);
    seed_select(&mut builder, seed);
    builder.build().expect("a runtime without I/O takes nothing from the system")
}

#[cfg(tokio_unstable)]
fn seed_select(builder: &mut tokio::runtime::Builder, seed: u64) {
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
    // Tasks that bypass the runtime traits may arm timers at any time.
    builder.on_task_spawn(|_| interpose::observe());
}

#[cfg(not(tokio_unstable))]
fn seed_select(_: &mut tokio::runtime::Builder, _: u64) {
    unreachable!("sweeps look at the build first, see `settings::problem_of_build`");
}

impl Run {
    pub(crate) fn new(
        number: u64,
        mut choices: Choices,
        config: Config,
        plans: &[HostPlan],
        progress: Arc<Progress>,
    ) -> Self {
        let mut network = Network::new();
        config.apply(&mut network);
        let faults = Driver::new(&config.faults, &mut choices, plans);
        let settings = Settings {
            strategy: config.strategy,
            stack_bytes: config.stack_bytes,
            steps_max: config.steps_max,
            perturb: config.perturb,
            delay_max: config.delay_max,
            tolerate_panics: config.tolerate_panics,
        };
        let executor = Executor::new(number, settings, choices, progress);
        let mut hosts = Vec::new();
        for plan in plans {
            executor.add_host(&plan.name);
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
        for (a, b, range) in &config.link_latencies {
            if let (Some(a), Some(b)) = (network.host_by_name(a), network.host_by_name(b)) {
                network.set_link_latency(a, b, *range);
            }
        }
        Self {
            number,
            trace_level: config.trace_level,
            executor,
            probes: Probes::default(),
            network: RefCell::new(network),
            may_shorten: faults.may_shorten(),
            faults: RefCell::new(faults),
            link_points: RefCell::default(),
            waiters: RefCell::default(),
            woken: Cell::default(),
            labels: RefCell::default(),
            makers: Makers::default(),
            refusals: Refusals::default(),
            config,
            hosts,
            healed_at: Cell::new(0),
        }
    }

    fn start(&self, plans: Vec<HostPlan>) {
        crate::faults::set_up(self);
        for (index, plan) in plans.into_iter().enumerate() {
            let start = || match plan.start {
                Start::Once(main) => main(self, index),
                Start::Again(main) => main(self, index),
            };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(start)) {
                let message = panic_message(&*payload);
                self.executor.trace_event(TraceEvent::Failed(message.as_str().into()));
                let detail = format!("{}, when it was started: {message}", plan.name);
                self.executor.fail(Symptom::new(SymptomKind::Panic, detail));
            }
        }
    }

    /// Calls into the network and wakes whom the call made ready.
    pub(crate) fn network<T>(&self, f: impl FnOnce(&mut Network, Nanos, &mut RunOutside<'_>) -> T) -> T {
        let mut network = self.network.borrow_mut();
        let result = f(&mut network, self.executor.now(), &mut RunOutside { run: self });
        if network.has_ready() {
            self.wake_ready(network);
        }
        result
    }

    /// Wakes whom the last call into the network made ready.
    fn wake_ready(&self, mut network: RefMut<'_, Network>) {
        let mut wakers = self.woken.take();
        let mut waiters = self.waiters.borrow_mut();
        network.take_ready().for_each(|ready| waiters.take(ready, &mut wakers));
        drop((network, waiters));
        // Woken without a borrow: a waker may be anybody's code.
        wakers.drain(..).for_each(|waker| self.executor.wake_up(waker));
        self.woken.set(wakers);
    }

    /// Has `waker` woken once `ready` may have changed.
    pub(crate) fn when_ready(&self, ready: Ready, waker: &Waker) {
        if !self.waiters.borrow_mut().has(ready, waker) {
            // Cloned without a borrow.
            let waker = waker.clone();
            self.waiters.borrow_mut().add(ready, waker);
        }
    }

    /// Has `waker` woken once `ready` may have changed, and nobody who asked before: streams of tokio's remember the last
    /// who polled them, and code that forgets somebody over it is to be found.
    pub(crate) fn when_ready_only(&self, ready: Ready, waker: &Waker) {
        if !self.waiters.borrow_mut().has_only(ready, waker) {
            // Cloned and dropped without a borrow.
            let waker = waker.clone();
            let others = self.waiters.borrow_mut().replace(ready, waker);
            drop(others);
        }
    }

    /// Forgets who waits for a socket or listener that is gone.
    pub(crate) fn forget(&self, ready: Ready) {
        let forgotten = self.waiters.borrow_mut().forget(ready);
        drop(forgotten);
    }

    /// Describes what a task waits for outside of the executor.
    pub(crate) fn describe_object(&self, verb: &str, object: u64) -> String {
        if let Some(label) = trace::label_of(&self.labels.borrow(), object) {
            return format!("to {verb} {label}");
        }
        format!("to {verb} {}", self.network.borrow().describe_object(object))
    }

    /// Names something outside of the simulator's network that tasks may wait for.
    #[cfg(feature = "turmoil")]
    pub(crate) fn label(&self, label: Arc<str>) -> u64 {
        let mut labels = self.labels.borrow_mut();
        labels.push(label);
        trace::FIRST_LABEL + labels.len() as u64 - 1
    }

    /// How much simulated time clients have to leave nothing behind.
    #[cfg(feature = "turmoil")]
    pub(crate) fn leak_grace(&self) -> Nanos {
        self.config.leak_grace
    }

    pub(crate) fn host_name(&self, host: HostIndex) -> Arc<str> {
        self.hosts[host].name.clone()
    }

    pub(crate) fn host_names(&self) -> Vec<Arc<str>> {
        self.hosts.iter().map(|host| host.name.clone()).collect()
    }

    /// What to say of a name that no host has.
    pub(crate) fn no_such_host(&self, name: &str) -> String {
        format!("no host of this simulation is called `{name}`; its hosts: {}", self.host_names().join(", "))
    }

    pub(crate) fn host_index(&self, name: &str) -> Option<HostIndex> {
        self.hosts.iter().position(|host| *host.name == *name)
    }

    pub(crate) fn faults(&self) -> &RefCell<Driver> {
        &self.faults
    }

    /// Whether `buggify!` may be true in this run.
    pub(crate) const fn buggifies(&self) -> bool {
        self.config.perturb
    }

    pub(crate) const fn may_shorten(&self) -> bool {
        self.may_shorten
    }

    pub(crate) fn note_heal(&self) {
        self.healed_at.set(self.executor.now());
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        let symptom = self.executor.verdict();
        let steps = self.executor.steps();
        let virtual_time = Duration::from_nanos(self.executor.now());
        let (points, broken_at) = self.probes.into_parts();
        let is_broken = symptom.as_ref().is_some_and(|symptom| symptom.kind() == SymptomKind::Invariant);
        let panicked_at = self.executor.panicked_at().or_else(panics::take_place);
        let failed_at = if is_broken { broken_at.map(str::to_owned) } else { panicked_at };
        let names = self.executor.task_names();
        let (choices, mut trace) = self.executor.into_parts();
        trace.keep_names(names, self.network.into_inner());
        trace.keep_labels(self.labels.into_inner());
        Outcome {
            symptom,
            divergence: choices.divergence().cloned(),
            mismatches: choices.mismatches(),
            log: choices.into_log(),
            trace,
            steps,
            virtual_time,
            faults: self.faults.into_inner().happened(),
            failed_at,
            points,
        }
    }
}
