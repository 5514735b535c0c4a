//! What a test's body says: which hosts there are, how the network is, what may go wrong, and how long is too long.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use crate::choices::Choices;
use crate::executor::Strategy;
use crate::faults::Faults;
use crate::host::Host;
use crate::net::{LatencyRange, Nanos, Network};
use crate::run::{Main, Run};
use crate::udp::Udp;

/// Builds one simulated run: hosts, network, limits. A test's body gets one a run.
///
/// # Example: a client that waits for an answer
///
/// ```
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
///
/// # wavetank::Sweep::new("doc", "").seeds(4).run(|sim| {
/// sim.server("server", async |host| {
///     let listener = host.listen("0.0.0.0:80".parse().unwrap(), ListenOptions::new()).await?;
///     let (mut stream, _) = listener.accept().await?;
///     stream.write_all(b"hello").await
/// });
/// sim.client("client", async |host| {
///     let server = host.resolve("server", 80).await?[0];
///     let mut stream = host.connect(server, SocketOptions::new()).await?;
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer).await?;
///     assert_eq!(answer, "hello");
///     std::io::Result::Ok(())
/// });
/// # });
/// ```
///
/// # Defaults
///
/// Links of 0.5 to 2 ms, no faults, a strategy drawn from the seed, perturbation on, 1 MiB stacks, one hour of virtual
/// time, ten million steps, no bound on stalls, ten seconds for clients to leave nothing behind, `tracing` events of level
/// `INFO` and above.
#[derive(Debug)]
pub struct Sim {
    choices: Choices,
    config: Config,
    hosts: Vec<HostPlan>,
}

/// What a main returns: nothing, or a result whose error fails the run.
pub trait MainResult {
    /// The error's text, if it is one.
    fn failure(self) -> Option<String>;
}

impl MainResult for () {
    fn failure(self) -> Option<String> {
        None
    }
}

/// The type of `loop {}`, which has no name of its own in stable Rust: a server that never ends needs no result.
type Never = <fn() -> ! as Returns>::Output;

/// Names what a function pointer returns.
#[doc(hidden)]
pub trait Returns {
    /// What the function returns.
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

impl MainResult for Never {
    fn failure(self) -> Option<String> {
        self
    }
}

impl<T, E: Display> MainResult for Result<T, E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// A host that a body asked for.
pub(crate) struct HostPlan {
    pub(crate) name: String,
    pub(crate) client: bool,
    pub(crate) start: Start,
}

/// Starts the main of a host, given its number, once.
type MainOnce = Box<dyn FnOnce(&Run, usize)>;

/// Starts the main of a host.
pub(crate) enum Start {
    Once(MainOnce),
    /// Also after a crash.
    Again(Main),
}

impl std::fmt::Debug for HostPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostPlan")
            .field("name", &self.name)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// A run's settings.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) latency: LatencyRange,
    pub(crate) link_latencies: Vec<(String, String, LatencyRange)>,
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) udp: Udp,
    pub(crate) faults: Faults,
    pub(crate) strategy: Strategy,
    pub(crate) perturb: bool,
    pub(crate) delay_max: Nanos,
    pub(crate) tolerate_panics: bool,
    pub(crate) stack_bytes: usize,
    pub(crate) time_limit: Nanos,
    pub(crate) steps_max: u64,
    pub(crate) stall_after: Option<Nanos>,
    pub(crate) leak_grace: Nanos,
    pub(crate) trace_level: tracing::Level,
}

/// How large the stack of a thread may be: enough for a panic and its message, and what a machine may well have.
const STACK_BYTES: RangeInclusive<usize> = 16 << 10..=1 << 30;

impl Default for Config {
    fn default() -> Self {
        Self {
            latency: LatencyRange { min: Duration::from_micros(500), max: Duration::from_millis(2) },
            link_latencies: Vec::new(),
            user_timeout: None,
            udp: Udp::reliable(),
            faults: Faults::none(),
            strategy: Strategy::Swarm,
            perturb: true,
            delay_max: Nanos::MAX,
            tolerate_panics: false,
            stack_bytes: 1 << 20,
            time_limit: nanos(Duration::from_secs(3600)),
            steps_max: 10_000_000,
            stall_after: None,
            leak_grace: nanos(Duration::from_secs(10)),
            trace_level: tracing::Level::INFO,
        }
    }
}

impl Config {
    pub(crate) fn apply(&self, network: &mut Network) {
        network.set_latency(self.latency);
        network.set_fates(self.udp.clone().into_fates());
        if let Some(timeout) = self.user_timeout {
            network.set_user_timeout(timeout);
        }
    }

    pub(crate) fn time_limit(&self) -> Duration {
        Duration::from_nanos(self.time_limit)
    }

    /// What is wrong with a set-up, if anything. `sim` is what the test calls the type that it sets up.
    pub(crate) fn problem(&self, sim: &str, hosts: &[HostPlan]) -> Option<String> {
        if !STACK_BYTES.contains(&self.stack_bytes) {
            return Some(format!(
                "`{sim}::stack_bytes({})`: a stack has {} bytes to {}",
                self.stack_bytes,
                STACK_BYTES.start(),
                STACK_BYTES.end()
            ));
        }
        if !hosts.iter().any(|host| host.client) {
            return Some(format!(
                "the test has no client, so nothing says when it has ended: add one with `{sim}::client`"
            ));
        }
        for (index, host) in hosts.iter().enumerate() {
            let name = &host.name;
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.parse::<std::net::IpAddr>().is_ok() {
                return Some(format!(
                    "`{name}` is an address and no host name: hosts get their addresses by themselves"
                ));
            }
            if name.is_empty() || !name.chars().all(plain) {
                return Some(format!(
                    "`{name}` is no host name: use ASCII letters, digits, `-`, `_` and `.`"
                ));
            }
            if name == "localhost" || hosts[..index].iter().any(|other| other.name == *name) {
                return Some(format!("the host name `{name}` is taken: every host needs one of its own"));
            }
        }
        for name in self.link_latencies.iter().flat_map(|(a, b, _)| [a, b]) {
            if !hosts.iter().any(|host| host.name == *name) {
                return Some(format!(
                    "`Sim::link_latency` names the host `{name}`, which the test does not have"
                ));
            }
        }
        None
    }
}

pub(crate) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

impl Sim {
    pub(crate) fn new(choices: Choices) -> Self {
        Self { choices, config: Config::default(), hosts: Vec::new() }
    }

    pub(crate) fn into_parts(self) -> (Choices, Config, Vec<HostPlan>) {
        (self.choices, self.config, self.hosts)
    }

    /// Adds a host whose main is an async task and must end: the run ends when the mains of all clients have ended.
    ///
    /// An error that it returns fails the run. What it leaves behind (tasks, threads, sockets, timers) ten seconds after
    /// the last main has ended is a leak, see [`leak_grace`](Self::leak_grace).
    pub fn client<O: MainResult + 'static>(
        &mut self,
        name: &str,
        main: impl AsyncFnOnce(Host) -> O + 'static,
    ) {
        let start = move |run: &Run, index: usize| {
            let host = Host::new(run.number, index);
            let future = async move { host.main_ended(main(host).await) };
            run.executor.start_task(index, "main", true, future);
        };
        self.add(name, true, Start::Once(Box::new(start)));
    }

    /// Adds a host whose main is an async task and may run for ever. An error that it returns fails the run.
    ///
    /// Faults may crash the host and start it again ([`Faults::crashes`]): `main` is called once each time, and what it has
    /// captured survives, as a disk would.
    pub fn server<O: MainResult + 'static>(&mut self, name: &str, main: impl AsyncFn(Host) -> O + 'static) {
        let main = Rc::new(main);
        let start = move |run: &Run, index: usize| {
            let host = Host::new(run.number, index);
            let main = main.clone();
            let future = async move { host.main_ended(main(host).await) };
            let task = run.executor.start_task(index, "main", false, future);
            run.executor.mark_host_main(task);
        };
        self.add(name, false, Start::Again(Rc::new(start)));
    }

    /// Adds a host whose main is a blocking thread and must end, as [`client`](Self::client).
    pub fn client_thread<O: MainResult + 'static>(
        &mut self,
        name: &str,
        main: impl FnOnce(Host) -> O + 'static,
    ) {
        let start = move |run: &Run, index: usize| start_thread(run, index, true, main);
        self.add(name, true, Start::Once(Box::new(start)));
    }

    /// Adds a host whose main is a blocking thread and may run for ever, as [`server`](Self::server).
    pub fn server_thread<O: MainResult + 'static>(&mut self, name: &str, main: impl Fn(Host) -> O + 'static) {
        let main = Rc::new(main);
        let start = move |run: &Run, index: usize| {
            let main = main.clone();
            start_thread(run, index, false, move |host| main(host));
        };
        self.add(name, false, Start::Again(Rc::new(start)));
    }

    fn add(&mut self, name: &str, client: bool, start: Start) {
        self.hosts.push(HostPlan { name: name.to_owned(), client, start });
    }

    /// Sets how long a segment takes from host to host. Each draws from the range; the default choice is its beginning.
    /// At most 30 s. Default: 0.5 to 2 ms. A range of one value asks no choice.
    ///
    /// # Panics
    ///
    /// Where the range ends before it begins, or beyond 30 s: TCP would give up on what is on its way for so long, and
    /// that is not simulated.
    pub fn latency(&mut self, range: RangeInclusive<Duration>) -> &mut Self {
        self.config.latency = latency_range(range);
        self
    }

    /// Sets how long a segment takes between two hosts, both ways; otherwise as [`latency`](Self::latency).
    ///
    /// # Panics
    ///
    /// As [`latency`](Self::latency).
    pub fn link_latency(&mut self, a: &str, b: &str, range: RangeInclusive<Duration>) -> &mut Self {
        self.config.link_latencies.push((a.to_owned(), b.to_owned(), latency_range(range)));
        self
    }

    /// Sets how long sent data may stay unacknowledged before its connection fails with `TimedOut`. Default: Linux's,
    /// about 15 minutes (924.6 s). What is merely on its way, however slowly, does not count: keep it above a round trip.
    pub fn user_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.config.user_timeout = Some(timeout);
        self
    }

    /// Says what may befall UDP's datagrams. Default: [`Udp::reliable`].
    pub fn udp(&mut self, udp: Udp) -> &mut Self {
        self.config.udp = udp;
        self
    }

    /// Says which faults may happen. Default: none.
    pub fn faults(&mut self, faults: Faults) -> &mut Self {
        self.config.faults = faults;
        self
    }

    /// Says how the next task is chosen. Default: [`Strategy::Swarm`].
    pub fn strategy(&mut self, strategy: Strategy) -> &mut Self {
        self.config.strategy = strategy;
        self
    }

    /// Says whether seeds may perturb what code under test must not rely on. Default: yes. In a run that has it,
    ///
    /// - ready tasks and threads are delayed for a while (a slow CPU);
    /// - tasks are preempted between operations that are ready (tokio's own `sync` and `time` operations too);
    /// - tasks and threads are preempted there and then delayed, so that what others do much later still comes between;
    /// - an operation of a task (connect, accept, read, write, sleep) is told `Pending` first, and woken at once or late;
    /// - parked tasks are woken for nothing;
    /// - [`buggify!`](crate::buggify) is true now and then.
    ///
    /// What a test asks for itself ([`Adversary`](crate::Adversary), [`cancellable`](crate::cancellable),
    /// [`choose`](Self::choose)) does not depend on it.
    pub fn perturb(&mut self, perturb: bool) -> &mut Self {
        self.config.perturb = perturb;
        self
    }

    /// Sets how long a ready task, or an operation that could go on, may be delayed at a time, at most. Default: no bound;
    /// what is drawn is up to ten seconds, for what is preempted up to one, and ten of those in a run. For protocols that
    /// break, rightly, when a peer does not answer for so long. 0 delays nothing.
    pub fn delay_max(&mut self, longest: Duration) -> &mut Self {
        self.config.delay_max = nanos(longest);
        self
    }

    /// Says whether a panic of a spawned task or thread is only a result for whoever joins it, as in production, and not
    /// a failure of the run: for tests of code that supervises. Default: no. A panic of a main always fails the run.
    pub fn tolerate_panics(&mut self, tolerate: bool) -> &mut Self {
        self.config.tolerate_panics = tolerate;
        self
    }

    /// Sets the stack of each thread in bytes, rounded up to whole pages: 16 KiB to 1 GiB. Default 1 MiB; at least 64 KiB
    /// is sensible. Only touched pages cost memory.
    pub fn stack_bytes(&mut self, bytes: usize) -> &mut Self {
        self.config.stack_bytes = bytes;
        self
    }

    /// Sets how much virtual time a run may take before it fails. Default: one hour.
    pub fn time_limit(&mut self, limit: Duration) -> &mut Self {
        self.config.time_limit = nanos(limit);
        self
    }

    /// Sets how many steps (polls and scheduling points) a run may take before it fails. Default: ten million. Without time
    /// passing it may take a tenth of them, but always a million.
    pub fn steps_max(&mut self, steps: u64) -> &mut Self {
        self.config.steps_max = steps;
        self
    }

    /// Fails a run in which an operation of a client waits longer than `bound` while no fault is active, counted from the
    /// last fault's end. Waits for connections to accept, for timers, and with timeouts of their own do not count.
    /// Default: no bound.
    pub fn stall_after(&mut self, bound: Duration) -> &mut Self {
        self.config.stall_after = Some(nanos(bound));
        self
    }

    /// Sets how much virtual time clients have, once every main has ended, until nothing of theirs may be left. Default:
    /// ten seconds.
    pub fn leak_grace(&mut self, grace: Duration) -> &mut Self {
        self.config.leak_grace = nanos(grace);
        self
    }

    /// Sets the level of `tracing` events that the trace keeps. Default: `INFO`.
    pub fn trace_level(&mut self, level: tracing::Level) -> &mut Self {
        self.config.trace_level = level;
        self
    }

    /// Draws a number below `bound` for the test itself: a size, an order, a variant. The default choice is 0.
    ///
    /// # Panics
    ///
    /// Where `bound` is 0.
    ///
    /// # Determinism
    ///
    /// Asks the point `name` of the lane `test`.
    pub fn choose(&mut self, name: &str, bound: u32) -> u32 {
        assert!(bound > 0, "`Sim::choose(\"{name}\", 0)`: there is no number below 0");
        let lane = self.choices.lane("test");
        let point = self.choices.point(lane, &format!("test {name}"));
        self.choices.choose_uniform(point, bound)
    }
}

fn start_thread<O: MainResult>(
    run: &Run,
    index: usize,
    client: bool,
    main: impl FnOnce(Host) -> O + 'static,
) {
    let host = Host::new(run.number, index);
    let entry = crate::host::thread_entry(run.number, move || host.main_ended(main(host)));
    let task = run.executor.start_thread(index, "main", client, entry);
    run.executor.mark_host_main(task.expect("memory for the stack of a main"));
}

/// The longest latency, and by how much a link may be slowed: a round trip of both stays below the 127 s after which Linux
/// gives up on a SYN.
pub(crate) const LATENCY_MAX: Duration = Duration::from_secs(30);

fn latency_range(range: RangeInclusive<Duration>) -> LatencyRange {
    let (min, max) = range.into_inner();
    assert!(min <= max, "a latency range begins at its shortest latency: {min:?} is longer than {max:?}");
    assert!(
        max <= LATENCY_MAX,
        "a latency of {max:?}: at most {LATENCY_MAX:?}, as TCP gives up on longer ones"
    );
    LatencyRange { min, max }
}
