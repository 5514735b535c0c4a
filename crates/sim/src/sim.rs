//! The builder that a test's body fills in: hosts, network, faults and limits of one run.

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::__private::panic_message;

use crate::choice::Choices;
use crate::fault::Faults;
use crate::host::{Host, MainResult, thread_entry};
use crate::options::{RunOptions, latency_range, shared_options};
use crate::run::{self, Outcome, Plan, Progress};
use crate::time::nanos;
use crate::udp::Udp;
use crate::world::{HostPlan, Run, Start};

/// Builds one simulated run: hosts, network, faults, limits. A test's body gets a new one for each run.
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
/// Links of 0.5 to 2 ms, no faults, a strategy drawn from the seed, perturbation on, 1 MiB stacks, one hour of
/// virtual time, ten million steps, no bound on stalls, ten seconds for clients to leave nothing behind, `tracing`
/// events of level `INFO` and above.
#[derive(Debug)]
pub struct Sim {
    choices: Choices,
    options: RunOptions,
    hosts: Vec<HostPlan>,
}

/// The body of a test, which sets up one run.
pub(crate) type Body = dyn Fn(&mut Sim) + Send + Sync;

/// Simulates `body` once. Must be called on an OS thread that simulates nothing else, before or after.
///
/// `None`: it has unmodified programs, for which the run must have an OS process of its own.
pub(crate) fn run(body: &Body, plan: &Plan<'_>, progress: &Arc<Progress>) -> Option<Outcome> {
    run::in_libc(plan.choices(), |choices| {
        let mut sim = Sim::new(choices);
        let built = catch_unwind(AssertUnwindSafe(|| body(&mut sim)));
        let (choices, mut options, plans) = sim.into_parts();
        #[cfg(all(feature = "process", not(miri)))]
        if !crate::interpose::user::is_of_one_run() && plans.iter().any(|plan| plan.is_process) {
            return None;
        }
        plan.tell(&mut options);
        let setup = match built {
            Err(payload) => Some(panic_message(&*payload)),
            Ok(()) => options.problem("Sim", &HostPlan::labels(&plans)),
        };
        Some(run::simulate(choices, options, plans, setup, progress))
    })
}

impl Sim {
    pub(crate) fn new(choices: Choices) -> Self {
        Self { choices, options: RunOptions::default(), hosts: Vec::new() }
    }

    pub(crate) fn into_parts(self) -> (Choices, RunOptions, Vec<HostPlan>) {
        (self.choices, self.options, self.hosts)
    }

    /// Adds a host whose main is an async task and must end: the run ends when the mains of all clients have ended.
    ///
    /// An error that it returns fails the run. Tasks, threads, sockets and timers that it leaves behind are a leak.
    /// They have ten seconds to end after the last main; see [`leak_grace`](Self::leak_grace).
    pub fn client<O: MainResult + 'static>(
        &mut self,
        name: &str,
        main: impl AsyncFnOnce(Host) -> O + 'static,
    ) {
        let start = move |run: &Run, index: usize| {
            let host = Host::new(run.number, index);
            let future = async move { host.main_ended(main(host).await) };
            run.scheduler.start_task(index, "main", true, future);
        };
        self.add(name, true, Start::Once(Box::new(start)));
    }

    /// Adds a host whose main is an async task and may run for ever. An error that it returns fails the run.
    ///
    /// Faults may crash the host and start it again ([`Faults::crashes`]). `main` is then called again. What it has
    /// captured survives, as a disk would.
    pub fn server<O: MainResult + 'static>(&mut self, name: &str, main: impl AsyncFn(Host) -> O + 'static) {
        let main = Rc::new(main);
        let start = move |run: &Run, index: usize| {
            let host = Host::new(run.number, index);
            let main = main.clone();
            let future = async move { host.main_ended(main(host).await) };
            let task = run.scheduler.start_task(index, "main", false, future);
            run.scheduler.mark_host_main(task);
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

    /// Adds a host that runs an unmodified program, and may run for ever, as [`server`](Self::server). `main` is what
    /// the program's `main` would call: ordinary code on `std::{net, thread, sync, time}`, on tokio, on whatever stands
    /// on those.
    ///
    /// An error that it returns, an exit status other than 0, a panic that nothing in the program catches, and an abort
    /// fail the run. When `main` returns, the process ends as any: its threads with it, and its sockets are closed.
    /// Faults may crash the host and start it again; `main` is then called again.
    ///
    /// What its threads ask of libc is answered by the simulation: TCP and UDP of IPv4 and `::1`, `poll`, `epoll`,
    /// pipes, event counters, locks and threads, clocks and sleep, entropy, names of hosts, the number of processors
    /// (2) and the process id. What it writes to its standard output is in the trace. Files, and the environment, are
    /// those of the machine. A call that is not simulated fails the run and names itself.
    ///
    /// Each run of such a test is an OS process of its own, forked from the test's. So what the body of the test does
    /// to statics, or to what it has captured, is not seen after the run. The program's own statics begin anew in each
    /// run, and all processes of a run share them.
    ///
    /// # Example: an echo server on `std::net`
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// # wavetank::Sweep::new("doc", "").seeds(4).run(|sim| {
    /// sim.process("server", || {
    ///     let listener = TcpListener::bind("0.0.0.0:80")?;
    ///     for stream in listener.incoming() {
    ///         let mut stream = stream?;
    ///         std::thread::spawn(move || std::io::copy(&mut stream.try_clone()?, &mut stream));
    ///     }
    ///     std::io::Result::Ok(())
    /// });
    /// sim.process_client("client", || {
    ///     let mut stream = TcpStream::connect("server:80")?;
    ///     stream.write_all(b"hello")?;
    ///     let mut answer = [0; 5];
    ///     stream.read_exact(&mut answer)?;
    ///     assert_eq!(&answer, b"hello");
    ///     std::io::Result::Ok(())
    /// });
    /// # });
    /// ```
    #[cfg(all(feature = "process", not(miri)))]
    #[cfg_attr(docsrs, doc(cfg(feature = "process")))]
    pub fn process<O: MainResult + 'static>(
        &mut self,
        name: &str,
        main: impl Fn() -> O + Send + Sync + 'static,
    ) {
        let main = Arc::new(main);
        let start = move |run: &Run, index: usize| {
            let main = Arc::clone(&main);
            crate::host::process::start_main(run, index, false, Box::new(move || main().failure()));
        };
        self.add_process(name, false, Start::Again(Rc::new(start)));
    }

    /// Adds a host that runs an unmodified program, and must end, as [`client`](Self::client). See
    /// [`process`](Self::process).
    #[cfg(all(feature = "process", not(miri)))]
    #[cfg_attr(docsrs, doc(cfg(feature = "process")))]
    pub fn process_client<O: MainResult + 'static>(
        &mut self,
        name: &str,
        main: impl FnOnce() -> O + Send + 'static,
    ) {
        let start = move |run: &Run, index: usize| {
            crate::host::process::start_main(run, index, true, Box::new(move || main().failure()));
        };
        self.add_process(name, true, Start::Once(Box::new(start)));
    }

    #[cfg(all(feature = "process", not(miri)))]
    fn add_process(&mut self, name: &str, client: bool, start: Start) {
        self.hosts.push(HostPlan { name: name.to_owned(), client, is_process: true, start });
    }

    fn add(&mut self, name: &str, client: bool, start: Start) {
        self.hosts.push(HostPlan { name: name.to_owned(), client, is_process: false, start });
    }

    /// Sets how long a segment takes from one host to another: at most 30 s. Default: 0.5 to 2 ms. Each segment draws
    /// from the range. The default choice is its beginning; a range of one value draws nothing.
    ///
    /// # Panics
    ///
    /// If the range ends before it begins, or beyond 30 s. TCP gives up on slower segments, and that is not simulated.
    pub fn latency(&mut self, range: RangeInclusive<Duration>) -> &mut Self {
        self.options.latency = latency_range(range);
        self
    }

    /// Sets how long a segment takes between two hosts, in both directions. See [`latency`](Self::latency).
    ///
    /// # Panics
    ///
    /// Those of [`latency`](Self::latency).
    pub fn link_latency(&mut self, a: &str, b: &str, range: RangeInclusive<Duration>) -> &mut Self {
        self.options.link_latencies.push((a.to_owned(), b.to_owned(), latency_range(range)));
        self
    }

    /// Sets how long sent data may stay unacknowledged before its connection fails with `TimedOut`. Default: Linux's,
    /// about 15 minutes (924.6 s). Data that is only slow on its way does not count. Use a timeout above a round trip.
    pub fn user_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.options.user_timeout = Some(timeout);
        self
    }

    /// Sets which datagram faults may happen. Default: [`Udp::reliable`].
    pub fn udp(&mut self, udp: Udp) -> &mut Self {
        self.options.udp = udp;
        self
    }

    /// Sets which faults may happen. Default: none.
    pub fn faults(&mut self, faults: Faults) -> &mut Self {
        self.options.faults = faults;
        self
    }

    /// Sets how much virtual time a run may take before it fails. Default: one hour.
    pub fn time_limit(&mut self, limit: Duration) -> &mut Self {
        self.options.time_limit = nanos(limit);
        self
    }
}

shared_options!(Sim, "Default: no limit but that of [`delay_total_max`](Self::delay_total_max).");

fn start_thread<O: MainResult>(
    run: &Run,
    index: usize,
    client: bool,
    main: impl FnOnce(Host) -> O + 'static,
) {
    let host = Host::new(run.number, index);
    let entry = thread_entry(run.number, move || host.main_ended(main(host)));
    let task = run.scheduler.start_thread(index, "main", client, entry);
    run.scheduler.mark_host_main(task.expect("memory for the stack of a main"));
}
