//! One run: a test's body, simulated once, from a seed or from recorded choices.
//!
//! [`run`] builds the hosts that the body asked for, drives the executor, the network and the clock (`drive`) until every
//! client's main has ended or an oracle objects, tears everything down and returns what happened.

mod clock;
mod drive;
pub(crate) mod oracle;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
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
use crate::net::{HostId, LinkId, Nanos, NetEvent, Network, Outside, Ready};
use crate::panics;
pub(crate) use crate::progress::Progress;
use crate::sim::{Config, HostPlan, Sim};
use crate::symptom::{Symptom, SymptomKind};
use crate::trace::{self, Fact, Trace};

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
    /// How many recorded picks did not fit, in a lenient replay.
    pub(crate) mismatches: usize,
    pub(crate) steps: u64,
    pub(crate) virtual_time: Duration,
    /// Faults that happened.
    pub(crate) faults: usize,
    /// The source place of the last panic.
    pub(crate) panicked_at: Option<String>,
}

/// One run in progress. Everything that code under test holds finds it through `context`.
pub(crate) struct Run {
    pub(crate) number: u64,
    pub(crate) seed: u64,
    pub(crate) trace_level: tracing::Level,
    pub(crate) executor: Executor,
    network: RefCell<Network>,
    faults: RefCell<Driver>,
    link_sites: RefCell<BTreeMap<LinkId, crate::choices::SiteId>>,
    waiters: RefCell<BTreeMap<Ready, Vec<Waker>>>,
    /// Names of what tasks wait for outside of the tank's network.
    labels: RefCell<Vec<Arc<str>>>,
    config: Config,
    hosts: Vec<HostRole>,
    /// When the last fault ended: a stall counts from here.
    healed_at: Cell<Nanos>,
}

struct HostRole {
    name: Arc<str>,
    client: bool,
}

/// Simulates `body` once. Must be called on an OS thread that simulates nothing else, before or after.
pub(crate) fn run(body: &Body, plan: &Plan<'_>, progress: &Arc<Progress>) -> Outcome {
    let choices = match *plan {
        Plan::Seed(seed) => Choices::seeded(seed),
        Plan::Replay { seed, log, mode } => Choices::replayed(seed, log, mode),
    };
    let _interposed = interpose::enter(choices.side_stream("libc"));
    let number = context::next_run_number();
    let mut sim = Sim::new(choices);
    let built = catch_unwind(AssertUnwindSafe(|| body(&mut sim)));
    let (choices, config, plans) = sim.into_parts();
    let setup = match built {
        Err(payload) => Some(panic_message(&*payload)),
        Ok(()) => config.problem(&plans),
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
    });
    // Tasks that third-party code spawned on tokio die here, while their sockets still find their run.
    drop(runtime);
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
    // Tasks that bypass the seam may arm timers at any time.
    builder.on_task_spawn(|_| interpose::observe());
}

#[cfg(not(tokio_unstable))]
fn seed_select(_: &mut tokio::runtime::Builder, _: u64) {
    panic!(
        "wavetank needs `--cfg tokio_unstable`, or the branch order of `tokio::select!` does not follow the seed. Put it \
         into `.cargo/config.toml` (`[build] rustflags = [\"--cfg\", \"tokio_unstable\"]`); a RUSTFLAGS variable in the \
         environment replaces that file silently and must carry it too"
    );
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
        let faults = Driver::new(&config.faults, &mut choices, plans.len());
        let settings = Settings {
            strategy: config.strategy,
            stack_bytes: config.stack_bytes,
            steps_max: config.steps_max,
            perturb: config.perturb,
            withhold_max: config.withhold_max,
            tolerate_panics: config.tolerate_panics,
        };
        let seed = choices.seed();
        let executor = Executor::new(number, settings, choices, progress);
        let mut hosts = Vec::new();
        for plan in plans {
            executor.add_host(&plan.name);
            network.add_host(&plan.name).expect("names were checked when the set-up ended");
            hosts.push(HostRole { name: plan.name.as_str().into(), client: plan.client });
        }
        for (a, b, range) in &config.link_latencies {
            if let (Some(a), Some(b)) = (network.host_by_name(a), network.host_by_name(b)) {
                network.set_link_latency(a, b, *range);
            }
        }
        Self {
            number,
            seed,
            trace_level: config.trace_level,
            executor,
            network: RefCell::new(network),
            faults: RefCell::new(faults),
            link_sites: RefCell::default(),
            waiters: RefCell::default(),
            labels: RefCell::default(),
            config,
            hosts,
            healed_at: Cell::new(0),
        }
    }

    fn start(&self, plans: Vec<HostPlan>) {
        for (index, plan) in plans.into_iter().enumerate() {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (plan.start)(self, index))) {
                let message = panic_message(&*payload);
                self.executor.fact(Fact::Failed(message.as_str().into()));
                let detail = format!("{}, when it was started: {message}", plan.name);
                self.executor.fail(Symptom::new(SymptomKind::Panic, detail));
            }
        }
    }

    /// Calls into the network and wakes whom the call made ready.
    pub(crate) fn network<T>(&self, f: impl FnOnce(&mut Network, Nanos, &mut Link<'_>) -> T) -> T {
        let mut wakers = Vec::new();
        let result = {
            let mut network = self.network.borrow_mut();
            let result = f(&mut network, self.executor.now(), &mut Link { run: self });
            let mut waiters = self.waiters.borrow_mut();
            for ready in network.take_ready() {
                if let Some(waiting) = waiters.get_mut(&ready) {
                    wakers.append(waiting);
                }
            }
            result
        };
        // Woken without a borrow: a waker may be anybody's code.
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Has `waker` woken once `ready` may have changed.
    pub(crate) fn when_ready(&self, ready: Ready, waker: &Waker) {
        let mut waiters = self.waiters.borrow_mut();
        let waiting = waiters.entry(ready).or_default();
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    /// Forgets who waits for a socket or listener that is gone.
    pub(crate) fn forget(&self, ready: Ready) {
        self.waiters.borrow_mut().remove(&ready);
    }

    /// Describes what a task waits for outside of the executor.
    pub(crate) fn describe_object(&self, verb: &str, object: u64) -> String {
        if let Some(label) = trace::label_of(&self.labels.borrow(), object) {
            return format!("to {verb} {label}");
        }
        format!("to {verb} {}", self.network.borrow().describe_object(object))
    }

    /// Names something outside of the tank's network that tasks may wait for.
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

    pub(crate) fn host_index(&self, name: &str) -> Option<HostIndex> {
        self.hosts.iter().position(|host| *host.name == *name)
    }

    pub(crate) fn faults(&self) -> &RefCell<Driver> {
        &self.faults
    }

    pub(crate) fn note_heal(&self) {
        self.healed_at.set(self.executor.now());
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        let symptom = self.executor.verdict();
        let steps = self.executor.steps();
        let virtual_time = Duration::from_nanos(self.executor.now());
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
            panicked_at: panics::take_place(),
        }
    }
}

/// What the network needs from outside: the lanes of its links and the trace.
pub(crate) struct Link<'a> {
    run: &'a Run,
}

impl Outside for Link<'_> {
    fn pick_latency(&mut self, link: LinkId, bound: u32) -> u32 {
        let mut sites = self.run.link_sites.borrow_mut();
        let mut choices = self.run.executor.choices.borrow_mut();
        let site = *sites.entry(link).or_insert_with(|| {
            let LinkId { from, to } = link;
            let name = |host: HostId| &self.run.hosts[host.index()].name;
            let lane = choices.lane(&format!("link {}>{}", name(from), name(to)));
            choices.site(lane, &format!("{}>{} latency", name(from), name(to)))
        });
        choices.pick_uniform(site, bound)
    }

    fn event(&mut self, event: NetEvent) {
        self.run.executor.fact(Fact::Network(event));
    }
}
