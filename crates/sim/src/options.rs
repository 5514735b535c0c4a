//! What a test says of its run: how the network is, what may go wrong, and how long is too long.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::fault::{Faults, HostLabel};
use crate::net::{LatencyRange, Network};
use crate::sched::{DELAY_TOTAL_MAX, Strategy};
use crate::time::{Nanos, nanos};
use crate::udp::Udp;

/// What a test says of its run. `Sim` and `TurmoilSim` share it.
#[derive(Debug)]
pub(crate) struct RunOptions {
    pub(crate) latency: LatencyRange,
    pub(crate) link_latencies: Vec<(String, String, LatencyRange)>,
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) udp: Udp,
    pub(crate) faults: Faults,
    pub(crate) strategy: Strategy,
    pub(crate) perturb: bool,
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

/// How large the stack of a thread may be: enough for a panic and its message, and what a machine may well have.
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
            perturb: true,
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

    /// What is wrong with a set-up, if anything. `sim` is what the test calls the type that it sets up.
    pub(crate) fn problem(&self, sim: &str, hosts: &[HostLabel<'_>]) -> Option<String> {
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
            let name = host.name;
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
            if name == "localhost" || hosts[..index].iter().any(|other| other.name == name) {
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

/// The longest latency, and by how much a link may be slowed: a round trip of both stays below the 127 s after which Linux
/// gives up on a SYN.
pub(crate) const LATENCY_MAX: Duration = Duration::from_secs(30);

pub(crate) fn latency_range(range: RangeInclusive<Duration>) -> LatencyRange {
    let (min, max) = range.into_inner();
    assert!(min <= max, "a latency range begins at its shortest latency: {min:?} is longer than {max:?}");
    assert!(
        max <= LATENCY_MAX,
        "a latency of {max:?}: at most {LATENCY_MAX:?}, as TCP gives up on longer ones"
    );
    LatencyRange { min, max }
}
