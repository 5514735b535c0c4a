//! The handle by which a test injects a certain fault at a certain moment.

use std::time::Duration;

use wavetank_runtime::Instant;

use super::act::{by_hand, undo};
use crate::fault::{Crash, Fault};
use crate::net::HostId;
use crate::options::LATENCY_MAX;
use crate::time::nanos;
use crate::world::{Run, context};

/// Injects faults when the test calls it, in addition to the drawn faults.
///
/// Get it from [`Host::inject`](crate::Host::inject). Hosts are given by name. Every method acts at once and adds a
/// line with `*` to the trace. It is not a scheduling point. An injected fault lasts until the test ends it. Methods
/// here do not end drawn faults. While an injected fault lasts, [`Sim::stall_after`](crate::Sim::stall_after) does not
/// count.
///
/// # Panics
///
/// All methods panic outside of their run, and for an unknown host name.
///
/// # Example: a partition in the middle of a conversation
///
/// ```
/// use std::time::Duration;
/// use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
/// use tokio::io::AsyncReadExt;
///
/// # wavetank::Sweep::new("doc", "").seeds(4).run(|sim| {
/// sim.server("server", async |host| {
///     let listener = host.listen("0.0.0.0:80".parse().unwrap(), ListenOptions::new()).await?;
///     listener.accept().await.map(drop)
/// });
/// sim.client("client", async |host| {
///     let inject = host.inject();
///     inject.partition("client", "server");
///     let server = host.resolve("server", 80).await?[0];
///     let connecting = host.spawn("connecting", async move { host.connect(server, SocketOptions::new()).await });
///     host.sleep(Duration::from_secs(5)).await;
///     inject.heal("client", "server");
///     connecting.await.expect("no panic")?.read_u8().await.expect_err("the server has closed it");
///     std::io::Result::Ok(())
/// });
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injector {
    run: u64,
}

impl Injector {
    pub(crate) const fn new(run: u64) -> Self {
        Self { run }
    }

    /// Cuts two hosts off from each other. Segments on their way are lost, and retransmitted after the partition has
    /// healed.
    #[track_caller]
    pub fn partition(&self, a: &str, b: &str) {
        self.between(a, b, |a, b| Fault::Partition { a, b });
    }

    /// Loses all segments from one host to another. The other direction stays open.
    #[track_caller]
    pub fn partition_one_way(&self, from: &str, to: &str) {
        self.between(from, to, |from, to| Fault::OneWayPartition { from, to });
    }

    /// Ends all injected faults between two hosts: partitions, paused, slow, lossy and narrow links.
    #[track_caller]
    pub fn heal(&self, a: &str, b: &str) {
        let run = context::expect_run(self.run);
        let (a, b) = (host(&run, a), host(&run, b));
        let link = crate::net::LinkId { from: a, to: b };
        undo(&run, |what| {
            let touches = |link| what.conditions(link) != crate::net::Conditions::default();
            !matches!(what, Fault::Clog { .. }) && (touches(link) || touches(link.reverse()))
        });
    }

    /// Ends all injected faults. Crashed servers are started again; crashed clients stay down.
    #[track_caller]
    pub fn heal_all(&self) {
        undo(&context::expect_run(self.run), |_| true);
    }

    /// Pauses the links between two hosts until [`resume_link`](Self::resume_link). Segments wait on their way and are
    /// not lost.
    #[track_caller]
    pub fn pause_link(&self, a: &str, b: &str) {
        self.between(a, b, |a, b| Fault::PausedLink { a, b });
    }

    /// Ends [`pause_link`](Self::pause_link). The waiting segments continue at once.
    #[track_caller]
    pub fn resume_link(&self, a: &str, b: &str) {
        let run = context::expect_run(self.run);
        let (a, b) = (host(&run, a), host(&run, b));
        undo(&run, |what| what == Fault::PausedLink { a, b } || what == Fault::PausedLink { a: b, b: a });
    }

    /// Makes segments between two hosts take longer by `by`, at most 30 s, until [`heal`](Self::heal).
    ///
    /// # Panics
    ///
    /// If `by` is longer. TCP gives up on slower segments, and that is not simulated. For a link on which nothing
    /// arrives, use [`pause_link`](Self::pause_link).
    #[track_caller]
    pub fn slow(&self, a: &str, b: &str, by: Duration) {
        assert!(
            by <= LATENCY_MAX,
            "`Injector::slow` by {by:?}: at most {LATENCY_MAX:?}; for longer, use `pause_link`"
        );
        self.between(a, b, |a, b| Fault::Slow { a, b, by: nanos(by) });
    }

    /// Loses one segment in `one_in` between two hosts until [`heal`](Self::heal). 0 counts as 1, which loses each
    /// segment up to six times.
    #[track_caller]
    pub fn lose(&self, a: &str, b: &str, one_in: u32) {
        self.between(a, b, |a, b| Fault::Lossy { a, b, one_in: one_in.max(1) });
    }

    /// Lets only this many bytes a second pass between two hosts, in each direction, until [`heal`](Self::heal). 0
    /// counts as 1.
    #[track_caller]
    pub fn narrow(&self, a: &str, b: &str, bytes_per_second: u64) {
        self.between(a, b, |a, b| Fault::Narrow { a, b, bytes_per_second: bytes_per_second.max(1) });
    }

    /// Ends all connections between two hosts with RST, as a device on the path might.
    #[track_caller]
    pub fn reset(&self, a: &str, b: &str) {
        self.between(a, b, |a, b| Fault::Reset { a, b });
    }

    /// Forgets the youngest connection between two hosts for good, as a device on the path might. Its segments are lost
    /// from now on, and neither end learns it. Does nothing if there is no connection.
    #[track_caller]
    pub fn forget(&self, a: &str, b: &str) {
        self.between(a, b, |a, b| Fault::HalfOpen { a, b, ways: [true; 2], index: 0 });
    }

    /// Forgets the youngest connection, like [`forget`](Self::forget), for segments from `from` to `to` only. The
    /// others still arrive.
    #[track_caller]
    pub fn forget_one_way(&self, from: &str, to: &str) {
        self.between(from, to, |a, b| Fault::HalfOpen { a, b, ways: [true, false], index: 0 });
    }

    /// Silences a host until [`unsilence`](Self::unsilence): it neither sends nor receives. Its programs continue to
    /// run.
    #[track_caller]
    pub fn silence(&self, name: &str) {
        self.at(name, |host| Fault::Silence { host });
    }

    /// Ends [`silence`](Self::silence).
    #[track_caller]
    pub fn unsilence(&self, name: &str) {
        let run = context::expect_run(self.run);
        let host = host(&run, name);
        undo(&run, |what| what == Fault::Silence { host });
    }

    /// Stops all tasks and threads of a host until [`resume_host`](Self::resume_host). Its kernel continues. A host
    /// that pauses itself stops at its next scheduling point.
    #[track_caller]
    pub fn pause_host(&self, name: &str) {
        self.at(name, |host| Fault::PausedHost { host });
    }

    /// Ends [`pause_host`](Self::pause_host).
    #[track_caller]
    pub fn resume_host(&self, name: &str) {
        let run = context::expect_run(self.run);
        let host = host(&run, name);
        undo(&run, |what| what == Fault::PausedHost { host });
    }

    /// Crashes a host. All its tasks and threads are gone. Only their destructors still run, and their calls have no
    /// effect. A client's main then counts as ended. A task that crashes its own host runs to its next `await`; a
    /// thread stops at once.
    ///
    /// Does nothing if the host is already down.
    #[track_caller]
    pub fn crash(&self, name: &str, how: Crash) {
        self.at(name, |host| Fault::Crash { host, how });
    }

    /// Starts the main of a crashed host again, with empty memory.
    ///
    /// # Panics
    ///
    /// If the host is a client. Its main can run only once.
    #[track_caller]
    pub fn restart(&self, name: &str) {
        let run = context::expect_run(self.run);
        let host = host(&run, name);
        assert!(
            !run.is_down(host.index()) || run.can_restart(host.index()),
            "`{name}` is a client, and its main can run only once: make it a server to start it again"
        );
        undo(&run, |what| matches!(what, Fault::Crash { host: crashed, .. } if crashed == host));
    }

    /// Returns when the last drawn fault of this run ends. From then on a test may require liveness.
    #[must_use]
    #[track_caller]
    pub fn heals_at(&self) -> Instant {
        Instant::from_nanos(context::expect_run(self.run).faults().borrow().heals_at())
    }

    #[track_caller]
    fn at(&self, name: &str, what: impl FnOnce(HostId) -> Fault) {
        let run = context::expect_run(self.run);
        let host = host(&run, name);
        by_hand(&run, what(host));
    }

    #[track_caller]
    fn between(&self, a: &str, b: &str, what: impl FnOnce(HostId, HostId) -> Fault) {
        let run = context::expect_run(self.run);
        let (a, b) = (host(&run, a), host(&run, b));
        by_hand(&run, what(a, b));
    }
}

#[track_caller]
fn host(run: &Run, name: &str) -> HostId {
    match run.host_index(name) {
        Some(index) => HostId::new(index),
        None => panic!("{}", run.no_such_host(name)),
    }
}
