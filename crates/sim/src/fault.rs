//! Faults: what may go wrong in a run, and when it does.
//!
//! A test sets which kinds may happen ([`Faults`]). The fault lane draws how many, which, between which hosts, when,
//! and for how long (`draw`). All choices about one fault share a scope, so that shrinking drops a whole fault at once.
//! `what` describes each fault and its lines in the trace; `active` knows which faults of a run are active.
//!
//! # Invariants
//!
//! - The default choice is no fault.
//! - The conditions of a link depend only on the faults that are active now. Faults overlap freely; of two, the worse
//!   one counts.
//!
//! # Not here
//!
//! How faults begin and end in a run, and the handle that injects them: `inject`. What links do to segments: `net`.

mod active;
mod draw;
pub(crate) mod scale;
mod what;

use std::time::Duration;

pub(crate) use active::{Change, RunFaults};
pub use what::Crash;
pub(crate) use what::Fault;

/// Which faults may happen in a run.
///
/// Each run draws its faults from the seed: how many, of which kinds, between which hosts, when, and how long. If three
/// or more kinds are allowed, each seed uses a random part of them (swarm testing), because a fault often hides what
/// another would show.
///
/// # Phases
///
/// While faults happen a run shows *safety*. After the last one has ended (see [`until`](Self::until)) it shows
/// *liveness*: [`Sim::stall_after`](crate::Sim::stall_after) counts from there. If connections can be cut, give it more
/// than two minutes: Linux, and so this network, may wait that long for its next retransmission.
///
/// # Defaults
///
/// [`Faults::none`] has none. A run has up to 3 faults ([`Faults::all`]: 6), beginning within 30 s of virtual time and
/// lasting up to 30 minutes.
///
/// # Example: any faults, and peers that crash
///
/// ```
/// use std::time::Duration;
/// use wavetank::{Faults, Sim};
///
/// fn storm(sim: &mut Sim) {
///     sim.faults(Faults::all().crashes().until(Duration::from_secs(60))).stall_after(Duration::from_secs(300));
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    kinds: Vec<Kind>,
    short_transfers: bool,
    tiny_windows: bool,
    early_writes: bool,
    failing_accepts: bool,
    count_max: u32,
    begin_max: Duration,
    last_max: Duration,
    until: Option<Duration>,
}

/// What drawing a fault needs to know of a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostLabel<'a> {
    pub(crate) name: &'a str,
    pub(crate) client: bool,
}

/// A kind of fault that is drawn with a beginning and an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Partition,
    OneWayPartition,
    Reset,
    Silence,
    PausedLink,
    Slow,
    Lossy,
    Narrow,
    PausedHost,
    Swizzle,
    HalfOpen,
    ProcessCrash,
    MachineCrash,
}

impl Faults {
    /// No faults.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            kinds: Vec::new(),
            short_transfers: false,
            tiny_windows: false,
            early_writes: false,
            failing_accepts: false,
            count_max: 3,
            begin_max: Duration::from_secs(30),
            last_max: Duration::from_secs(1800),
            until: None,
        }
    }

    /// Returns every fault that keeps the memory of hosts and lets a sender detect a dead connection. Each connection
    /// recovers, or fails at the next send.
    ///
    /// The kinds are [`partitions`](Self::partitions), [`resets`](Self::resets), [`silence`](Self::silence),
    /// [`paused_links`](Self::paused_links), [`slow_links`](Self::slow_links), [`lossy_links`](Self::lossy_links),
    /// [`narrow_links`](Self::narrow_links), [`paused_hosts`](Self::paused_hosts), [`swizzles`](Self::swizzles),
    /// [`short_transfers`](Self::short_transfers) and [`tiny_windows`](Self::tiny_windows). A correct protocol
    /// implementation keeps its promises under all of them. Operations may fail, and a peer that only reads may wait
    /// for ever.
    ///
    /// It does not contain [`half_open`](Self::half_open) and [`crashes`](Self::crashes), because a protocol must do
    /// something about them: heartbeats or timeouts, and peers that have forgotten everything.
    #[must_use]
    pub fn all() -> Self {
        Self::none()
            .partitions()
            .resets()
            .silence()
            .paused_links()
            .slow_links()
            .lossy_links()
            .narrow_links()
            .paused_hosts()
            .swizzles()
            .short_transfers()
            .tiny_windows()
            .count_max(6)
    }

    /// Adds partitions between two hosts, in both directions or in one. No data is lost: segments are retransmitted
    /// until the partition heals, or until the user timeout.
    #[must_use]
    pub fn partitions(self) -> Self {
        self.with(Kind::Partition).with(Kind::OneWayPartition)
    }

    /// Adds resets: a device on the path ends all connections between two hosts with RST.
    #[must_use]
    pub fn resets(self) -> Self {
        self.with(Kind::Reset)
    }

    /// Adds silent peers: for a while a host neither sends nor receives. Its programs continue to run.
    #[must_use]
    pub fn silence(self) -> Self {
        self.with(Kind::Silence)
    }

    /// Adds paused links: segments between two hosts wait for a while. After that they continue at once, without the
    /// delay of a retransmission. Segments that wait longer than the user timeout time out.
    #[must_use]
    pub fn paused_links(self) -> Self {
        self.with(Kind::PausedLink)
    }

    /// Adds slow links: for a while segments between two hosts take up to 6.5 s longer.
    #[must_use]
    pub fn slow_links(self) -> Self {
        self.with(Kind::Slow)
    }

    /// Adds lossy links: for a while one segment in 64 to 2 between two hosts is lost, up to six times in a row. A lost
    /// segment arrives with its retransmission (after 0.2 s, 0.6 s, 1.4 s, ...; a segment of a handshake after 1 s, 3
    /// s, 7 s, ...), and later segments wait for it. Acknowledgements are not lost, because later ones would replace
    /// them.
    #[must_use]
    pub fn lossy_links(self) -> Self {
        self.with(Kind::Lossy)
    }

    /// Adds narrow links: for a while only 1 kB to 1 MB a second pass between two hosts, in each direction, for all
    /// connections together.
    #[must_use]
    pub fn narrow_links(self) -> Self {
        self.with(Kind::Narrow)
    }

    /// Adds paused hosts: for a while the tasks and threads of a host do not run (a suspended process, a long garbage
    /// collection). Its kernel continues, and its timers fire late.
    #[must_use]
    pub fn paused_hosts(self) -> Self {
        self.with(Kind::PausedHost)
    }

    /// Adds swizzle-clogs: all segments from and to a random part of the hosts wait, one host after the other, and are
    /// released in another order. The name is FoundationDB's. Its authors report more bugs found than by its parts.
    #[must_use]
    pub fn swizzles(self) -> Self {
        self.with(Kind::Swizzle)
    }

    /// Adds silent half-open connections: a device on the path forgets one connection, in both directions or in one,
    /// without a sign. From then on its segments are lost. An end that sends learns it by the user timeout. An end that
    /// only reads never learns it. The connection does not heal.
    #[must_use]
    pub fn half_open(self) -> Self {
        self.with(Kind::HalfOpen)
    }

    /// Adds crashes of servers, in two kinds. If a process is killed, its kernel closes its sockets: with RST if
    /// something was not yet read, otherwise with FIN. If a machine is lost, it is silent until it returns, and then it
    /// answers its old connections with RST. In both cases all tasks and threads of the host are gone, and its main
    /// starts again when the fault ends. Hosts with a client's main do not crash.
    ///
    /// Tasks of `tokio::spawn` survive a crash. Only tasks of the runtime traits belong to a host.
    #[must_use]
    pub fn crashes(self) -> Self {
        self.with(Kind::ProcessCrash).with(Kind::MachineCrash)
    }

    /// Adds short reads and writes: on some hosts, for the whole run, an operation may transfer fewer bytes than it
    /// could, down to one.
    #[must_use]
    pub const fn short_transfers(mut self) -> Self {
        self.short_transfers = true;
        self
    }

    /// Adds tiny windows: in some runs no socket buffers more than 16 KiB, 4 KiB, 1 KiB or 256 bytes in either
    /// direction, whatever its options say.
    #[must_use]
    pub const fn tiny_windows(mut self) -> Self {
        self.tiny_windows = true;
        self
    }

    /// Adds early writes, on all hosts: a task's write that is polled again after `Pending` succeeds as soon as there
    /// is any room, before the socket has woken its writer. Tokio's sockets wait until a third of the buffer is free.
    /// Other streams need not, and code breaks on them if it takes a later poll as proof of the wake-up. Not part of
    /// [`all`](Self::all).
    #[must_use]
    pub const fn early_writes(mut self) -> Self {
        self.early_writes = true;
        self
    }

    /// Adds accepts of TCP listeners that fail: on some hosts, for the whole run, an accept may fail although a
    /// connection waits. With `EMFILE` (too many open files) the connection keeps waiting, and a later accept may
    /// return it. With `ECONNABORTED` it is gone, and its client gets RST. A server that ends, or stops accepting, at
    /// such an error has a frequent bug. Not part of [`all`](Self::all).
    #[must_use]
    pub const fn failing_accepts(mut self) -> Self {
        self.failing_accepts = true;
        self
    }

    pub(crate) const fn writes_early(&self) -> bool {
        self.early_writes
    }

    fn with(mut self, kind: Kind) -> Self {
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
        self
    }

    /// Sets how many faults a run has at most: 1 to 16, other values are clamped. Default: 3, and 6 in [`Faults::all`].
    #[must_use]
    pub fn count_max(mut self, count: u32) -> Self {
        self.count_max = count.clamp(1, 16);
        self
    }

    /// Sets how long after the start faults may begin. Default: 30 s. Beginnings are drawn on a log scale, so that
    /// faults meet early handshakes as well as late requests.
    #[must_use]
    pub const fn begin_max(mut self, begin: Duration) -> Self {
        self.begin_max = begin;
        self
    }

    /// Sets how long faults last at most. Default: 30 minutes, longer than every timeout. Lengths are drawn on a log
    /// scale. A swizzle-clog lasts at most about 13 s, from its beginning until its last host is released.
    #[must_use]
    pub const fn last_max(mut self, last: Duration) -> Self {
        self.last_max = last;
        self
    }

    /// Sets when everything heals: no fault begins or lasts beyond this much virtual time. By default it is the end of
    /// the fault that happens to last longest in the run. [`Injector::heals_at`](crate::Injector::heals_at) returns it.
    ///
    /// Some faults have no end: forgotten connections, short transfers, tiny windows. Faults that a test injects end
    /// when it says so.
    #[must_use]
    pub const fn until(mut self, heal: Duration) -> Self {
        self.until = Some(heal);
        self
    }
}
