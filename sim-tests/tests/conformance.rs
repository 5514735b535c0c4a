//! How sockets, timers, tasks, threads and locks behave, written once and run in every world.
//!
//! **Linux is the judge.** Each behaviour is a generic function that asserts what Linux does, down to the kind of each
//! error; it runs on the real loopback here (`tokio` and `std`), and a simulated world is trusted because it passes the
//! same functions. A behaviour gets a [`World`](conformance::world::World): two machines, which on Linux are one.
//!
//! # To add a world
//!
//! An arm of `conformance!` that names the list (tasks or threads) and a function at the root, and that function: it
//! makes the world and runs one behaviour in it.
//!
#![doc = include_str!("conformance/deviations.md")]
//!
//! # Not here
//!
//! What only one implementation does (its own tests), and what a test of a simulation can provoke but Linux cannot show
//! on one machine: partitions, loss, crashes.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "these are tests")]

#[macro_use]
mod conformance {
    #[macro_use]
    pub(crate) mod behaviours;
    pub(crate) mod deviations;
    #[macro_use]
    pub(crate) mod extensions;
    pub(crate) mod tasks;
    pub(crate) mod threads;
    pub(crate) mod world;
}

/// Runs the behaviours that a world can show: `conformance!(tokio)`.
macro_rules! conformance {
    (tokio) => {
        async_behaviours!(on_tokio);
    };
    (std) => {
        blocking_behaviours!(on_std);
    };
    (simulation_tasks) => {
        async_behaviours!(in_simulation_tasks);
    };
    (simulation_threads) => {
        blocking_behaviours!(in_simulation_threads);
    };
    (process_tasks) => {
        async_behaviours!(in_process_tasks);
    };
    (process_threads) => {
        blocking_behaviours!(in_process_threads);
    };
    (turmoil_tasks) => {
        async_behaviours!(in_turmoil_tasks);
    };
    (turmoil_threads) => {
        blocking_behaviours!(in_turmoil_threads);
    };
}

conformance!(tokio);
conformance!(std);
conformance!(simulation_tasks);
conformance!(simulation_threads);
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
conformance!(process_tasks);
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
conformance!(process_threads);
conformance!(turmoil_tasks);
conformance!(turmoil_threads);

// UDP and Unix sockets.
async_udp_behaviours!(udp_on_tokio);
blocking_udp_behaviours!(udp_on_std);
async_udp_behaviours!(udp_in_simulation_tasks);
blocking_udp_behaviours!(udp_in_simulation_threads);
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
async_udp_behaviours!(udp_in_process_tasks);
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
blocking_udp_behaviours!(udp_in_process_threads);
async_udp_behaviours!(udp_in_turmoil_tasks);
blocking_udp_behaviours!(udp_in_turmoil_threads);
async_unix_behaviours!(unix_on_tokio);
blocking_unix_behaviours!(unix_on_std);
async_unix_behaviours!(unix_in_simulation_tasks);
blocking_unix_behaviours!(unix_in_simulation_threads);
async_unix_behaviours!(unix_in_turmoil_tasks);
blocking_unix_behaviours!(unix_in_turmoil_threads);

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use conformance::deviations;
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
use conformance::extensions::{udp_in_process_tasks, udp_in_process_threads};
use conformance::extensions::{
    udp_in_simulation_tasks, udp_in_simulation_threads, udp_in_turmoil_tasks, udp_in_turmoil_threads,
    udp_on_std, udp_on_tokio, unix_in_simulation_tasks, unix_in_simulation_threads, unix_in_turmoil_tasks,
    unix_in_turmoil_threads, unix_on_std, unix_on_tokio,
};
use conformance::world::World;
use wavetank::turmoil::{TurmoilHost, TurmoilSim};
use wavetank::{Host, Sim, Sweep};
use wavetank_runtime::{Std, ThreadHandle, Threads, Tokio};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A behaviour that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn on_tokio<F>(name: &str, behaviour: impl FnOnce(World<Tokio>) -> F)
where
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("the system has threads left");
    let world = World { server: Tokio, client: Tokio, server_ip: LOOPBACK };
    let in_time = runtime.block_on(async { tokio::time::timeout(PATIENCE, behaviour(world)).await });
    assert!(in_time.is_ok(), "{name} hangs");
}

fn on_std(name: &'static str, behaviour: impl FnOnce(World<Std>) + Send + 'static) {
    let (ending, end) = mpsc::channel::<()>();
    let world = World { server: Std, client: Std, server_ip: LOOPBACK };
    let thread = Std.spawn(name, move || {
        let _dropped_at_the_end = ending;
        behaviour(world);
    });
    let thread = thread.expect("the system has a thread left");
    assert_eq!(end.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "{name} hangs");
    thread.join().expect("the behaviour is as on Linux");
}

/// Seeds of each behaviour in the simulation: schedules differ, results must not.
const SEEDS: u64 = 30;

/// Runs a behaviour on two hosts and, again, on the loopback of one.
fn in_simulation(name: &str, body: impl Fn(&mut Sim, bool) + Copy + Send + Sync + 'static) {
    for (place, one_host) in [("two_hosts", false), ("one_host", true)] {
        sweep_in_simulation(place, name, move |sim| {
            if !one_host {
                sim.server("server", async |_| {});
            }
            body(sim, one_host);
        });
    }
}

fn sweep_in_simulation(place: &str, name: &str, body: impl Fn(&mut Sim) + Send + Sync + 'static) {
    let sweep = Sweep::new(format!("conformance::{place}::{name}"), env!("CARGO_MANIFEST_DIR"));
    sweep.seeds(SEEDS).run(move |sim| {
        // The behaviours order events by pauses of tens of milliseconds, as a real machine would keep them.
        sim.perturb(false).tolerate_panics(true);
        body(sim);
    });
}

fn world(client: Host, one_host: bool) -> World<Host> {
    if one_host {
        return World { server: client, client, server_ip: LOOPBACK };
    }
    let server = client.host("server").expect("the set-up has added it");
    World { server, client, server_ip: server.ip() }
}

fn in_simulation_tasks<F>(name: &str, behaviour: impl FnOnce(World<Host>) -> F + Copy + Send + Sync + 'static)
where
    F: Future<Output = ()> + 'static,
{
    in_simulation(name, move |sim, one_host| {
        sim.client("client", async move |client: Host| behaviour(world(client, one_host)).await);
    });
}

fn in_simulation_threads(name: &str, behaviour: fn(World<Host>)) {
    in_simulation(name, move |sim, one_host| {
        sim.client_thread("client", move |client| behaviour(world(client, one_host)))
    });
}

/// Runs the body of the test that this thread runs in a copy of this program that runs no other.
///
/// Processes of a simulation are forks of the test's. A fork finds statics as other tests have left them, and a lock of
/// std that another thread has at that moment stays locked in it.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
#[expect(clippy::disallowed_methods, reason = "tells the copy what it is")]
fn beside_no_other_test(body: impl FnOnce()) {
    const COPY: &str = "CONFORMANCE_BESIDE_NO_OTHER_TEST";
    let thread = std::thread::current();
    let test = thread.name().expect("the harness names the thread of a test");
    // A harness with one thread runs tests on its main thread.
    if test == "main" || std::env::var(COPY).is_ok() {
        return body();
    }
    let mut copy = std::process::Command::new(std::env::current_exe().expect("this is a program"));
    let output = copy.args([test, "--exact"]).env(COPY, "1").output().expect("the copy starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Runs a behaviour of [`on_tokio`], as it is, as the main of an unmodified program.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
fn in_process_tasks<F>(
    name: &'static str,
    behaviour: impl FnOnce(World<Tokio>) -> F + Copy + Send + Sync + 'static,
) where
    F: Future<Output = ()>,
{
    beside_no_other_test(|| {
        sweep_in_simulation("process_tasks", name, move |sim| {
            sim.process_client("machine", move || on_tokio(name, behaviour));
        });
    });
}

/// Runs a behaviour of [`on_std`], as it is, as the main of an unmodified program.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
fn in_process_threads(name: &'static str, behaviour: fn(World<Std>)) {
    beside_no_other_test(|| {
        sweep_in_simulation("process_threads", name, move |sim| {
            sim.process_client("machine", move || on_std(name, behaviour));
        });
    });
}

/// Runs a behaviour on one host of turmoil and its loopback. A behaviour of the table of deviations must fail as it
/// says.
///
/// Not on two hosts: turmoil acts on the host that it is running, and behaviours act on two from one task. What its
/// network does between hosts is in the tests of `tests/turmoil.rs`.
fn in_turmoil(world: &str, name: &str, body: impl Fn(&mut TurmoilSim) + Send + Sync + 'static) {
    let body = move |sim: &mut TurmoilSim| {
        sim.perturb(false).tolerate_panics(true);
        sim.builder().simulation_duration(PATIENCE);
        body(sim);
    };
    let sweep = |folder| Sweep::new(format!("conformance::{world}::{name}"), folder);
    let Some(deviation) = deviations::of("turmoil", name) else {
        sweep(env!("CARGO_MANIFEST_DIR").into()).seeds(SEEDS).run_turmoil(body);
        return;
    };
    // What is expected to fail is no finding: it is recorded out of the way, and forgotten.
    let folder = std::env::temp_dir().join(format!("wavetank-{world}-{name}-{}", std::process::id()));
    let found = sweep(folder.clone()).seeds(1).shrink_at_most(0, Duration::ZERO).find_turmoil(body);
    let _ = std::fs::remove_dir_all(folder);
    let seen = found.symptom().to_string();
    assert!(seen.contains(deviation.seen), "{name} fails otherwise than the table says: {seen}");
}

fn on_one_turmoil_host(host: TurmoilHost) -> World<TurmoilHost> {
    World { server: host, client: host, server_ip: LOOPBACK }
}

fn in_turmoil_tasks<F>(
    name: &str,
    behaviour: impl FnOnce(World<TurmoilHost>) -> F + Copy + Send + Sync + 'static,
) where
    F: Future<Output = ()> + 'static,
{
    in_turmoil("turmoil_tasks", name, move |sim| {
        sim.client("machine", async move |host| {
            behaviour(on_one_turmoil_host(host)).await;
            Ok(())
        });
    });
}

fn in_turmoil_threads(name: &str, behaviour: fn(World<TurmoilHost>)) {
    in_turmoil("turmoil_threads", name, move |sim| {
        sim.client_thread("machine", move |host| behaviour(on_one_turmoil_host(host)));
    });
}

#[test]
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
fn processes_run_the_same_behaviours() {
    let pairs = [
        [on_tokio::NAMES, in_process_tasks::NAMES],
        [on_std::NAMES, in_process_threads::NAMES],
        [udp_on_tokio::NAMES, udp_in_process_tasks::NAMES],
        [udp_on_std::NAMES, udp_in_process_threads::NAMES],
    ];
    assert!(pairs.iter().all(|[linux, process]| linux == process));
}

#[test]
fn every_deviation_names_a_behaviour_and_a_world() {
    let tasks = [on_tokio::NAMES, in_simulation_tasks::NAMES, in_turmoil_tasks::NAMES];
    let threads = [on_std::NAMES, in_simulation_threads::NAMES, in_turmoil_threads::NAMES];
    let udp_tasks = [udp_on_tokio::NAMES, udp_in_simulation_tasks::NAMES, udp_in_turmoil_tasks::NAMES];
    let udp_threads = [udp_on_std::NAMES, udp_in_simulation_threads::NAMES, udp_in_turmoil_threads::NAMES];
    let unix_tasks = [unix_on_tokio::NAMES, unix_in_simulation_tasks::NAMES, unix_in_turmoil_tasks::NAMES];
    let unix_threads =
        [unix_on_std::NAMES, unix_in_simulation_threads::NAMES, unix_in_turmoil_threads::NAMES];
    for same in [tasks, threads, udp_tasks, udp_threads, unix_tasks, unix_threads] {
        assert!(same.iter().all(|names| *names == same[0]), "every world runs the same behaviours");
    }
    let lists = [("", tasks), ("", threads), ("udp::", udp_tasks), ("udp::", udp_threads)];
    let lists = lists.into_iter().chain([("unix::", unix_tasks), ("unix::", unix_threads)]);
    let names: Vec<String> =
        lists.flat_map(|(of, [names, ..])| names.iter().map(move |name| format!("{of}{name}"))).collect();
    let mut seen = std::collections::BTreeSet::new();
    for deviation in deviations::all() {
        assert_eq!(deviation.world, "turmoil", "the only world that deviates");
        assert!(
            names.iter().any(|name| name == deviation.behaviour),
            "no behaviour is called `{}`",
            deviation.behaviour
        );
        assert!(seen.insert(deviation.behaviour), "`{}` stands there twice", deviation.behaviour);
    }
    assert!(!seen.is_empty());
}
