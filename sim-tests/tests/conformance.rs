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
//! # Deviations
//!
//! What a world does otherwise than Linux, and why that is right. A behaviour named here is not run there.
//!
//! | World | Behaviour | Instead |
//! |---|---|---|
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
    (tank_tasks) => {
        async_behaviours!(in_tank_tasks);
    };
    (tank_threads) => {
        blocking_behaviours!(in_tank_threads);
    };
}

conformance!(tokio);
conformance!(std);
conformance!(tank_tasks);
conformance!(tank_threads);

// UDP and Unix sockets, in the worlds that have them.
async_udp_behaviours!(udp_on_tokio);
blocking_udp_behaviours!(udp_on_std);
async_udp_behaviours!(udp_in_tank_tasks);
blocking_udp_behaviours!(udp_in_tank_threads);
async_unix_behaviours!(unix_on_tokio);
blocking_unix_behaviours!(unix_on_std);
async_unix_behaviours!(unix_in_tank_tasks);
blocking_unix_behaviours!(unix_in_tank_threads);

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use conformance::extensions::{
    udp_in_tank_tasks, udp_in_tank_threads, udp_on_std, udp_on_tokio, unix_in_tank_tasks,
    unix_in_tank_threads, unix_on_std, unix_on_tokio,
};
use conformance::world::World;
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

/// Seeds of each behaviour in the tank: schedules differ, what is observed must not.
const SEEDS: u64 = 30;

/// Runs a behaviour on two hosts and, again, on the loopback of one.
fn in_tank(name: &str, body: impl Fn(&mut Sim, bool) + Copy + Send + Sync + 'static) {
    for (place, one_host) in [("two_hosts", false), ("one_host", true)] {
        sweep_in_tank(place, name, move |sim| {
            if !one_host {
                sim.server("server", async |_| {});
            }
            body(sim, one_host);
        });
    }
}

fn sweep_in_tank(place: &str, name: &str, body: impl Fn(&mut Sim) + Send + Sync + 'static) {
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

fn in_tank_tasks<F>(name: &str, behaviour: impl FnOnce(World<Host>) -> F + Copy + Send + Sync + 'static)
where
    F: Future<Output = ()> + 'static,
{
    in_tank(name, move |sim, one_host| {
        sim.client("client", async move |client: Host| behaviour(world(client, one_host)).await);
    });
}

fn in_tank_threads(name: &str, behaviour: fn(World<Host>)) {
    in_tank(name, move |sim, one_host| {
        sim.client_thread("client", move |client| behaviour(world(client, one_host)))
    });
}
