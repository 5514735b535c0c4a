//! The builder of a test inside of turmoil.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::{fmt, io, mem};

use super::TurmoilHost;
use super::faults::TurmoilFaults;
use crate::choice::{Choices, LaneKind};
use crate::host::{MainResult, thread_entry};
use crate::options::{RunOptions, shared_options};
use crate::time::Nanos;
use crate::wait::HostIndex;
use crate::world::{HostPlan, Run, Start};

/// See [`TurmoilSim::delay_max`].
const DELAY_MAX: Nanos = 100_000_000;

/// turmoil's simulation, as hooks get it.
pub type Inner = ::turmoil::Sim<'static>;

/// Builds one simulated run inside of turmoil: hosts, limits, faults. A test's body gets a new one for each run.
///
/// Set up the network (latencies, ticks, capacities) with [`builder`](Self::builder), which is turmoil's own.
///
/// # Defaults
///
/// turmoil's network: latencies up to 100 ms, ticks of 1 ms, 10 s of simulated time. No faults. Everything else as in
/// [`Sim`](crate::Sim).
pub struct TurmoilSim {
    pub(super) choices: Choices,
    pub(super) options: RunOptions,
    pub(super) builder: ::turmoil::Builder,
    pub(super) faults: TurmoilFaults,
    pub(super) hosts: Vec<TurmoilPlan>,
    pub(super) prepare: Vec<Prepare>,
    pub(super) before_step: Vec<BeforeStep>,
}

type Prepare = Box<dyn FnOnce(&mut Inner)>;
type BeforeStep = Box<dyn FnMut(&mut Inner)>;

/// Starts the main of a host, also after each crash.
pub(super) type StartMain = Rc<dyn Fn(&Run, HostIndex)>;

/// A host that a body has added.
pub(super) struct TurmoilPlan {
    pub(super) name: String,
    pub(super) client: bool,
    pub(super) start: StartMain,
}

impl TurmoilPlan {
    /// Returns the plan in the form of the run's own bookkeeping. turmoil starts the host.
    pub(super) fn role(&self) -> HostPlan {
        HostPlan {
            name: self.name.clone(),
            client: self.client,
            is_process: false,
            start: Start::Once(Box::new(|_, _| {})),
        }
    }
}

impl TurmoilSim {
    pub(super) fn new(mut choices: Choices) -> Self {
        let mut builder = ::turmoil::Builder::new();
        // The seed is a choice, so that a recording contains it. It makes no difference which of turmoil's seeds is the
        // default.
        let lane = choices.lane(LaneKind::Turmoil, "");
        let point = choices.point(lane, "turmoil rng-seed");
        builder.rng_seed(choices.choose_uniform(point, 1 << 31).into());
        Self {
            choices,
            // tokio's runtimes of other hosts run on the same OS thread.
            options: RunOptions { delay_max: DELAY_MAX, preempt_blocks: false, ..RunOptions::default() },
            builder,
            faults: TurmoilFaults::none(),
            hosts: Vec::new(),
            prepare: Vec::new(),
            before_step: Vec::new(),
        }
    }

    /// Returns turmoil's builder, to set up the network and the limit of simulated time. It already has a seed, a new
    /// one in every run.
    pub fn builder(&mut self) -> &mut ::turmoil::Builder {
        &mut self.builder
    }

    /// Adds a client: a host whose main is an async task and must end. The run ends when the mains of all clients have
    /// ended. An error that a main returns fails the run. `name` must not be an address: turmoil numbers hosts in the
    /// order in which they are added.
    pub fn client(&mut self, name: &str, main: impl AsyncFnOnce(TurmoilHost) -> ::turmoil::Result + 'static) {
        let main = Cell::new(Some(main));
        self.add(name, true, move |run, index| {
            let host = TurmoilHost::new(run.number, index);
            let Some(main) = main.take() else { return };
            let future = async move { host.main_ended(in_words(main(host).await)) };
            run.scheduler.start_task(index, "main", true, future);
        });
    }

    /// Adds a host whose main is an async task and may run for ever. It starts again after each crash. An error that it
    /// returns fails the run.
    pub fn host(&mut self, name: &str, main: impl AsyncFn(TurmoilHost) -> ::turmoil::Result + 'static) {
        let main = Rc::new(main);
        self.add(name, false, move |run, index| {
            let (host, main) = (TurmoilHost::new(run.number, index), main.clone());
            let future = async move { host.main_ended(in_words(main(host).await)) };
            let task = run.scheduler.start_task(index, "main", false, future);
            run.scheduler.mark_host_main(task);
        });
    }

    /// Adds a client, like [`client`](Self::client), whose main is a blocking thread.
    pub fn client_thread<O: MainResult + 'static>(
        &mut self,
        name: &str,
        main: impl FnOnce(TurmoilHost) -> O + 'static,
    ) {
        let main = Cell::new(Some(main));
        self.add(name, true, move |run, index| {
            let host = TurmoilHost::new(run.number, index);
            let Some(main) = main.take() else { return };
            start_thread(run, index, true, move || host.main_ended(main(host)));
        });
    }

    /// Adds a host, like [`host`](Self::host), whose main is a blocking thread.
    pub fn host_thread<O: MainResult + 'static>(
        &mut self,
        name: &str,
        main: impl Fn(TurmoilHost) -> O + 'static,
    ) {
        let main = Rc::new(main);
        self.add(name, false, move |run, index| {
            let (host, main) = (TurmoilHost::new(run.number, index), main.clone());
            start_thread(run, index, false, move || host.main_ended(main(host)));
        });
    }

    fn add(&mut self, name: &str, client: bool, start: impl Fn(&Run, HostIndex) + 'static) {
        self.hosts.push(TurmoilPlan { name: name.to_owned(), client, start: Rc::new(start) });
    }

    /// Calls `f` with turmoil's simulation after all hosts were added, for settings that only it has, such as
    /// `set_link_latency`. `f` must not step the simulation.
    pub fn prepare(&mut self, f: impl FnOnce(&mut Inner) + 'static) -> &mut Self {
        self.prepare.push(Box::new(f));
        self
    }

    /// Calls `f` with turmoil's simulation before each of its steps, for faults that the test times itself. `f` must
    /// not step the simulation. It should decide only by [`choose`](Self::choose) and simulated time.
    pub fn before_each_step(&mut self, f: impl FnMut(&mut Inner) + 'static) -> &mut Self {
        self.before_step.push(Box::new(f));
        self
    }

    /// Sets which faults may happen. Default: none.
    pub fn faults(&mut self, faults: TurmoilFaults) -> &mut Self {
        self.faults = faults;
        self
    }

    /// Takes the choices out, for the run. The rest stays.
    pub(super) fn take_choices(&mut self) -> Choices {
        mem::replace(&mut self.choices, Choices::seeded(0))
    }
}

shared_options!(
    TurmoilSim,
    "Default: 100 ms, as long as turmoil's longest latency. In the 10 s that a simulation has by default, \
    longer delays \
     would fail tests that only need more time."
);

impl fmt::Debug for TurmoilSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.hosts.iter().map(|host| host.name.as_str()).collect();
        f.debug_struct("TurmoilSim")
            .field("hosts", &names)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Adds what is wrong to the errors of turmoil's own sockets, which contain only an address.
fn in_words(result: ::turmoil::Result) -> Result<(), String> {
    result.map_err(|error| match error.downcast_ref::<io::Error>() {
        Some(io) if io.to_string().parse::<SocketAddr>().is_ok() => format!("{}: {io}", io.kind()),
        _ => error.to_string(),
    })
}

fn start_thread(run: &Run, index: HostIndex, client: bool, main: impl FnOnce() + 'static) {
    let entry = thread_entry(run.number, main);
    let task = run.scheduler.start_thread(index, "main", client, entry);
    run.scheduler.mark_host_main(task.expect("memory for the stack of a main"));
}
