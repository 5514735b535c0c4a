//! Deterministic simulation testing of network protocol code: tasks and blocking threads, on a simulated network where
//! every choice comes from one seed.
//!
//! Protocol code is written against the two traits of [`runtime`]: `Runtime` for tasks, `Threads` for blocking threads.
//! In a test both are a [`Host`] of a [`Sim`]. With the feature `process` a host may also be an unmodified program on
//! `std` or tokio: `Sim::process`. The attribute [`macro@test`] runs a test with many seeds, records and
//! shrinks the first failure, and prints its trace and the command that replays it. [`Sweep`] does the same for
//! programs of your own.
//!
//! # Example: a client that must not wait for ever
//!
//! ```
//! use std::time::Duration;
//!
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::time::timeout;
//! use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
//! use wavetank::{Faults, Sim};
//!
//! #[wavetank::test(seeds = 500)]
//! fn a_question_is_answered_or_given_up(sim: &mut Sim) {
//!     // Partitions, resets, slow links and more, drawn from each seed.
//!     sim.faults(Faults::all());
//!     sim.server("server", async |host| {
//!         let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
//!         while let Ok((mut stream, _)) = listener.accept().await {
//!             host.spawn("connection", async move {
//!                 while let Ok(question) = stream.read_u8().await {
//!                     if stream.write_u8(question).await.is_err() {
//!                         break;
//!                     }
//!                 }
//!             });
//!         }
//!         wavetank::Ok(())
//!     });
//!     sim.client("client", async |host| {
//!         let asking = async {
//!             let server = host.resolve("server", 80).await?[0];
//!             let mut stream = host.connect(server, SocketOptions::new()).await?;
//!             stream.write_u8(7).await?;
//!             stream.read_u8().await
//!         };
//!         // The call always ends in time. It never returns another answer.
//!         if let Ok(Ok(answer)) = timeout(Duration::from_secs(5), asking).await {
//!             assert_eq!(answer, 7);
//!         }
//!     });
//! }
//! ```
//!
#![doc = include_str!("../guide/src/writing-tests.md")]
//!
#![doc = include_str!("../guide/src/reading.md")]
//!
#![doc = include_str!("../guide/src/strategies.md")]
//!
//! # Settings
//!
//! These variables of the environment change how every test runs:
//!
#![doc = include_str!("settings.md")]
//!
//! # Modules
//!
//! This section is for contributors. Each module imports only from modules that are listed before it. A test checks
//! this.
//!
//! ```text
//! printable, json, time  text on one line; objects of JSON; nanoseconds
//! wire                   bytes on their way between OS processes of the simulator
//! choice, order          the only source of randomness: lanes, choice points, values; which of two logs is simpler
//! symptom                what failed, normalised
//! interrupt, progress    Ctrl-C; what the watchdog sees of a run
//! os_backtrace           where the OS thread of a run is stuck
//! original               libc's own symbols
//! thread_memory          what an OS thread keeps in thread-local values
//! wall_clock             how long shrinking may take
//! process_end            the last message of a process that a run ends (exit, abort)
//! panics                 panics are noted and not printed
//! interpose              the clock and the entropy of libc
//! net, udp               sans-I/O TCP, UDP and Unix sockets, links and their conditions. Knows no scheduler
//! wait, trace            what a task waits for; events, and how they are rendered
//! sched                  tasks and threads, which of them runs next, timers, delays. Knows no network
//! fault, options         kinds of faults and how they are drawn; what a test says of its run
//! world                  the state of one run, and how code under test finds it
//! inject                 faults begin and end; the handle that injects them
//! host, tls              the runtime traits of a simulated host; TLS that follows the seed
//! third_party            a host as published crates want it
//! probe, adversary       always!, sometimes!, buggify!; awkward streams and futures
//! run                    the main loop, the clock, the oracles, teardown
//! sim, turmoil           what a test sets up: on our network, inside of turmoil
//! isolated               runs in OS processes of their own, for unmodified programs
//! recording, shrink      recordings on disk; smaller ones
//! report, settings       what a failure prints; the environment
//! journal                what sweeps do, for programs
//! pool, sweep            the workers; many seeds
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(
    feature = "process",
    not(all(
        target_os = "linux",
        target_arch = "x86_64",
        target_env = "gnu",
        not(target_feature = "crt-static")
    ))
))]
compile_error!(
    "the feature `process` of `wavetank` needs Linux on x86-64 with glibc, linked dynamically: turn it on for that \
     target alone, as `[target.'cfg(all(target_os = \"linux\", target_arch = \"x86_64\", target_env = \"gnu\"))'\
     .dev-dependencies]`"
);

mod adversary;
mod choice;
mod fault;
pub mod host;
mod inject;
mod interpose;
mod interrupt;
mod isolated;
mod journal;
mod json;
mod net;
mod options;
mod order;
mod original;
mod os_backtrace;
mod panics;
mod pool;
mod printable;
mod probe;
mod process_end;
mod progress;
mod recording;
mod report;
mod run;
mod sched;
mod settings;
mod shrink;
mod sim;
mod sweep;
mod symptom;
#[cfg(test)]
mod test_folder;
#[cfg(any(feature = "axum", feature = "hyper", feature = "quinn", feature = "tonic", feature = "tower"))]
pub mod third_party;
mod thread_memory;
mod time;
#[cfg(feature = "rustls")]
pub mod tls;
#[cfg(test)]
mod toy;
mod trace;
#[cfg(feature = "turmoil")]
pub mod turmoil;
mod udp;
mod wait;
mod wall_clock;
mod wire;
mod world;

pub use adversary::{Adversary, Cancellable, Pausable, cancellable, pausable};
pub use fault::{Crash, Faults};
pub use host::{Host, MainResult};
pub use inject::Injector;
pub use report::Counts;
pub use sched::Strategy;
pub use sim::Sim;
pub use sweep::{CausalityPoint, Explanation, FirstFailure, Found, Passed, Sweep};
pub use symptom::{Symptom, SymptomKind};
pub use trace::Trace;
pub use udp::Udp;

/// Turns `fn name(sim: &mut Sim)` into a test. The function builds the hosts. The test replays its recordings under
/// `seeds/` and then runs many seeds.
///
/// Each seed is another order of tasks and threads, other latencies and other faults. The first seed that fails is
/// recorded under `seeds/`, shrunk to the few choices that matter, and reported with its trace and, as the last line,
/// the command that replays it. Other attributes (`#[should_panic]`, `#[cfg(...)]`, lints) stay as they are.
///
/// # Options
///
/// - `seeds = NUMBER`: how many seeds to run, by default 100.
/// - `base_seed = NUMBER`: the first seed, from 0 to 2^64 - 1; the others follow it. By default a hash of the package's
///   name and the test's path, so renaming a test changes its seeds. Set it to keep the seeds of the old name.
/// - `finds = "PART OF A SYMPTOM"`: the test passes if it *finds* this bug. Some seed must show a symptom that contains
///   this text; numbers are ignored. No earlier seed may show another symptom. Every recording must still fail. The
///   trace of the shrunk run must equal the reviewed `insta` snapshot in `snapshots/`, next to the test's file.
/// - `deviations = NUMBER`: enumerates runs instead of drawing seeds: every run with at most this many non-default
///   choices. See [`Sweep::deviations`].
/// - `past = "PART OF A SYMPTOM"`: counts failures with this known symptom and continues with other seeds. May be given
///   several times. See [`Sweep::past`].
/// - `sometimes = "required"`: the test fails unless every [`sometimes!`] point that a seed evaluated is reached by
///   some seed. By default, what was not reached is a note on stderr.
/// - `reaches = "POINT"`: the test fails unless some seed reaches this `sometimes!` point. A point that no seed
///   evaluates counts as not reached. May be given several times.
///
/// # Example: a connection that must be closed
///
/// ```
/// #[wavetank::test(seeds = 1_000)]
/// fn the_client_closes_its_connection(sim: &mut wavetank::Sim) {
///     // Build the hosts here.
/// #   let _ = sim;
/// }
/// ```
pub use wavetank_macros::test;
pub use wavetank_runtime as runtime;
pub use wavetank_runtime::{always, buggify, sometimes};

/// Returns `Ok(value)` with a boxed error type. Use it as the last line of a main that uses `?`.
///
/// A closure that ends with a bare `Ok(())` does not say which error it returns, so it does not compile.
///
/// # Example
///
/// ```
/// #[wavetank::test]
/// fn client_resolves_server(sim: &mut wavetank::Sim) {
///     use wavetank::runtime::Runtime;
///
///     sim.server("server", async |_| {});
///     sim.client("client", async |host| {
///         host.resolve("server", 80).await?;
///         wavetank::Ok(())
///     });
/// }
/// ```
///
/// # Errors
///
/// None: the result is always `Ok`.
#[expect(non_snake_case, reason = "it stands for the variant")]
pub fn Ok<T>(value: T) -> Result<T, Box<dyn std::error::Error + Send + Sync>> {
    Result::Ok(value)
}

/// Used by the expansion of [`macro@test`]. Not part of the public API.
#[doc(hidden)]
pub mod __private {
    pub use crate::report::Built;
    pub use insta;
}

/// The README's code is compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

/// The code of the guide is, too. Other chapters with code are part of the docs of this crate.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../guide/src/first-test.md")]
    mod first_test {}
    #[doc = include_str!("../guide/src/threads.md")]
    mod threads {}
    #[cfg(feature = "process")]
    #[doc = include_str!("../guide/src/processes.md")]
    mod processes {}
    #[doc = include_str!("../guide/src/faults.md")]
    mod faults {}
    #[doc = include_str!("../guide/src/controlled.md")]
    mod controlled {}
    #[doc = include_str!("../guide/src/turmoil.md")]
    mod turmoil {}
    #[doc = include_str!("../guide/src/ci.md")]
    mod ci {}
    #[doc = include_str!("../guide/src/how-it-works.md")]
    mod how_it_works {}
    #[doc = include_str!("../guide/src/comparison.md")]
    mod comparison {}
    #[doc = include_str!("../guide/src/benchmarks.md")]
    mod benchmarks {}
}

/// Calls `f`, in which code under test may open real sockets, look up real names and start OS threads.
///
/// Elsewhere in a task or thread of a simulated host these fail the run (Linux), because real I/O cannot be replayed.
/// Make sure that `f` returns the same results in every run of a seed. What `f` starts must not touch the simulation,
/// and `f` must not wait by the runtime traits: meanwhile all tasks and threads could do the same.
///
/// The clock and the entropy in `f` stay those of the run, so waits of std with a time limit do not work in it. OS
/// threads that it starts see the real ones.
///
/// # Example: an address of this machine
///
/// ```
/// let any = wavetank::unsimulated(|| std::net::UdpSocket::bind("127.0.0.1:0"));
/// # drop(any);
/// ```
pub fn unsimulated<T>(f: impl FnOnce() -> T) -> T {
    interpose::unsimulated(f)
}
