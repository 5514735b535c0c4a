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
}

conformance!(tokio);
conformance!(std);

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use conformance::world::World;
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

fn on_std(name: &'static str, behaviour: fn(World<Std>)) {
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
