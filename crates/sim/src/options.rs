//! The options of one run: network, faults, scheduling and limits.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::fault::{Faults, HostLabel};
use crate::net::{LatencyRange, Network};
use crate::sched::{DELAY_TOTAL_MAX, Profile, Strategy};
use crate::time::{Nanos, nanos};
use crate::udp::Udp;

/// The options of one run. `Sim` and `TurmoilSim` share them.
#[derive(Debug)]
pub(crate) struct RunOptions {
    pub(crate) latency: LatencyRange,
    pub(crate) link_latencies: Vec<(String, String, LatencyRange)>,
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) udp: Udp,
    pub(crate) faults: Faults,
    pub(crate) strategy: Strategy,
    /// What the warm-up of the sweep has counted.
    pub(crate) profile: Arc<Profile>,
    /// Whether this run is to count.
    pub(crate) counts: bool,
    pub(crate) perturb: bool,
    pub(crate) interrupt_polls: bool,
    /// Whether tasks and threads may be preempted at basic blocks, in an instrumented build.
    pub(crate) preempt_blocks: bool,
    pub(crate) delay_max: Nanos,
    pub(crate) delay_total_max: Nanos,
    pub(crate) tolerate_panics: bool,
    pub(crate) stack_bytes: usize,
    pub(crate) time_limit: Nanos,
    pub(crate) steps_max: u64,
    pub(crate) stall_after: Option<Nanos>,
    pub(crate) leak_grace: Nanos,
    pub(crate) trace_level: tracing::Level,
}

/// The allowed sizes of a thread's stack. A panic and its message fit into the smallest; most machines have the
/// largest.
const STACK_BYTES: RangeInclusive<usize> = 16 << 10..=1 << 30;

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            latency: LatencyRange { min: Duration::from_micros(500), max: Duration::from_millis(2) },
            link_latencies: Vec::new(),
            user_timeout: None,
            udp: Udp::reliable(),
            faults: Faults::none(),
            strategy: Strategy::Swarm,
            profile: Arc::default(),
            counts: false,
            perturb: true,
            interrupt_polls: true,
            preempt_blocks: true,
            delay_max: Nanos::MAX,
            delay_total_max: DELAY_TOTAL_MAX,
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

impl RunOptions {
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

    /// Returns what is wrong with a set-up, if anything. `sim` is the name of the type that the test sets up.
    pub(crate) fn problem(&self, sim: &str, hosts: &[HostLabel<'_>]) -> Option<String> {
        if !STACK_BYTES.contains(&self.stack_bytes) {
            return Some(format!(
                "`{sim}::stack_bytes({})`: a stack must have {} to {} bytes",
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
        // A search among all earlier hosts for each would be most of the set-up of 10,000.
        let mut names = BTreeSet::new();
        for host in hosts {
            let name = host.name;
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.parse::<std::net::IpAddr>().is_ok() {
                return Some(format!(
                    "invalid host name `{name}`: it is an address, and hosts get their addresses automatically"
                ));
            }
            if name.is_empty() || !name.chars().all(plain) {
                return Some(format!(
                    "invalid host name `{name}`: use ASCII letters, digits, `-`, `_` and `.`"
                ));
            }
            if name == "localhost" || !names.insert(name) {
                return Some(format!("the host name `{name}` is taken: give each host its own name"));
            }
        }
        for name in self.link_latencies.iter().flat_map(|(a, b, _)| [a, b]) {
            if !names.contains(name.as_str()) {
                return Some(format!(
                    "`Sim::link_latency` names the host `{name}`, which the test does not have"
                ));
            }
        }
        None
    }
}

/// The longest latency, and the most by which a link may be slowed. A round trip of both stays below the 131 s after
/// which a SYN is given up.
pub(crate) const LATENCY_MAX: Duration = Duration::from_secs(30);

pub(crate) fn latency_range(range: RangeInclusive<Duration>) -> LatencyRange {
    let (min, max) = range.into_inner();
    assert!(min <= max, "a latency range must begin with its shorter end: {min:?} is longer than {max:?}");
    assert!(
        max <= LATENCY_MAX,
        "a latency of {max:?}: at most {LATENCY_MAX:?}, as TCP gives up on longer ones"
    );
    LatencyRange { min, max }
}

/// Gives a builder the setters that `Sim` and `TurmoilSim` share. It has the fields `options` and `choices`.
macro_rules! shared_options {
    ($builder:ident, $delay_max:literal) => {
        impl $builder {
            /// Sets how the next task is chosen. Default: [`Strategy::Swarm`](crate::Strategy::Swarm).
            pub fn strategy(&mut self, strategy: $crate::sched::Strategy) -> &mut Self {
                self.options.strategy = strategy;
                self
            }

            /// Sets whether seeds may perturb a run. Default: `true`. Correct code must not rely on the absence of
            /// these perturbations:
            ///
            /// - Ready tasks and threads are delayed for a while (a slow CPU).
            /// - Tasks are preempted between operations that are ready, including tokio's own `sync` and `time`
            ///   operations.
            /// - Tasks and threads are preempted there and then delayed, so that others run whole sections in between.
            /// - An operation of a task (connect, accept, read, write, sleep) gets a spurious `Pending`. Its wake-up
            ///   comes at once or late.
            /// - Parked tasks get spurious wake-ups.
            /// - [`buggify!`](crate::buggify) is sometimes `true`.
            ///
            /// It does not affect what the test itself asks for: [`Adversary`](crate::Adversary),
            /// [`cancellable`](crate::cancellable), [`choose`](Self::choose).
            pub fn perturb(&mut self, perturb: bool) -> &mut Self {
                self.options.perturb = perturb;
                self
            }

            /// Sets whether a task may be delayed between an effect (a write, a spawn) and its next statement, as on a
            /// runtime with several threads. Default: `true`, in a third of the perturbed runs. Use `false` for tasks
            /// that share one thread in production (tokio's current-thread runtime, a `LocalSet`). There nothing else
            /// runs between two awaits. In an instrumented build tasks stop between statements all the same, unless
            /// [`perturb`](Self::perturb) is `false`.
            pub fn interrupt_polls(&mut self, interrupt: bool) -> &mut Self {
                self.options.interrupt_polls = interrupt;
                self
            }

            /// Sets the longest single delay of a ready task or operation. 0 delays nothing. Use it for protocols that
            /// correctly fail when a peer does not answer for that long.
            ///
            #[doc = $delay_max]
            pub fn delay_max(&mut self, longest: std::time::Duration) -> &mut Self {
                self.options.delay_max = $crate::time::nanos(longest);
                self
            }

            /// Sets the limit for the sum of all delays of a run: delayed tasks and threads, late wake-ups, spurious
            /// `Pending`. Default: 400 ms. While no fault is injected, a timeout then holds that leaves 400 ms more
            /// than the answer takes without delays. A single delay lasts at most 100 ms. Pauses that the test asks
            /// for ([`Adversary`](crate::Adversary), [`pausable`](crate::pausable)) come on top. With a larger limit
            /// a single delay lasts up to ten seconds, and up to one second after a preemption.
            pub fn delay_total_max(&mut self, total: std::time::Duration) -> &mut Self {
                self.options.delay_total_max = $crate::time::nanos(total);
                self
            }

            /// Sets whether a panic of a spawned task or thread only goes to the task or thread that joins it, as in
            /// production. Default: `false`, and the panic fails the run. Use `true` to test code that supervises. A
            /// panic of a main always fails the run.
            pub fn tolerate_panics(&mut self, tolerate: bool) -> &mut Self {
                self.options.tolerate_panics = tolerate;
                self
            }

            /// Sets the stack of each thread in bytes, from 16 KiB to 1 GiB. It is rounded up to whole pages. Default:
            /// 1 MiB. Use at least 64 KiB. Only touched pages cost memory.
            pub fn stack_bytes(&mut self, bytes: usize) -> &mut Self {
                self.options.stack_bytes = bytes;
                self
            }

            /// Sets how many steps (polls and scheduling points) a run may take before it fails. Default: ten million.
            /// While time does not pass the limit is a tenth of that, but at least a million.
            pub fn steps_max(&mut self, steps: u64) -> &mut Self {
                self.options.steps_max = steps;
                self
            }

            /// Fails a run in which an operation of a client waits longer than `bound` while no fault is active. The
            /// bound counts from the end of the last fault. These waits do not count: accepting a connection, a timer,
            /// and any wait with a timeout of its own. Default: no bound.
            pub fn stall_after(&mut self, bound: std::time::Duration) -> &mut Self {
                self.options.stall_after = Some($crate::time::nanos(bound));
                self
            }

            /// Sets how much virtual time clients have to clean up after every main has ended. After that time,
            /// everything that clients still have is a leak. Default: ten seconds.
            pub fn leak_grace(&mut self, grace: std::time::Duration) -> &mut Self {
                self.options.leak_grace = $crate::time::nanos(grace);
                self
            }

            /// Sets the level of `tracing` events that the trace keeps. Default: `INFO`. Inside of turmoil this
            /// includes turmoil's events: at `INFO` what is bound, at `TRACE` what happens to each message.
            pub fn trace_level(&mut self, level: tracing::Level) -> &mut Self {
                self.options.trace_level = level;
                self
            }

            /// Draws a number below `bound` for the test: a size, an order, a variant. The default choice is 0.
            ///
            /// # Panics
            ///
            /// If `bound` is 0.
            ///
            /// # Determinism
            ///
            /// Asks the choice point `name` of the lane `test`.
            pub fn choose(&mut self, name: &str, bound: u32) -> u32 {
                assert!(
                    bound > 0,
                    "`{}::choose(\"{name}\", 0)`: there is no number below 0",
                    stringify!($builder)
                );
                let lane = self.choices.lane($crate::choice::LaneKind::Test, "");
                let point = self.choices.point(lane, &format!("test {name}"));
                self.choices.choose_uniform(point, bound)
            }
        }
    };
}

pub(crate) use shared_options;
