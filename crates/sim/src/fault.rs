//! Faults: what may go wrong in a run, and when it does.
//!
//! A test says which kinds may happen ([`Faults`]). The fault lane draws how many, which, between which hosts, when,
//! and for how long (`draw`). All choices about one fault share a scope, so that shrinking drops a whole fault at
//! once. `what` says what each fault is and how the trace shows it; `active` knows which faults of a run are active.
//!
//! # Invariants
//!
//! - The default choice is no fault.
//! - What links are like follows from the faults that are active now, whatever began or ended before: faults overlap
//!   freely, and of two the worse counts.
//!
//! # Not here
//!
//! How faults begin and end in a run, and the handle that injects them (`inject`); what links do to segments (`net`).

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
/// Each run draws its faults from the seed: how many, of which kinds, between which hosts, when, and how long. A run
/// has a mix of its own (swarm testing): where three or more kinds are allowed, each seed uses a random part of them,
/// because a fault often hides what another would show.
///
/// # Phases
///
/// While faults happen a run shows *safety*. When the last one has ended (see [`until`](Self::until)) it shows
/// *liveness*: [`Sim::stall_after`](crate::Sim::stall_after) counts from there. Give it more than two minutes where
/// connections can be cut: that is how long Linux, and so this network, may wait for its next retransmission.
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
    count_max: u32,
    begin_max: Duration,
    last_max: Duration,
    until: Option<Duration>,
}

/// What drawing a fault must know of a host.
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
    /// A world in which nothing goes wrong.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            kinds: Vec::new(),
            short_transfers: false,
            tiny_windows: false,
            early_writes: false,
            count_max: 3,
            begin_max: Duration::from_secs(30),
            last_max: Duration::from_secs(1800),
            until: None,
        }
    }

    /// Every fault after which no host has lost its memory, and no connection is dead without a sign: each connection
    /// goes on in the end, or one of its ends learns that it does not as soon as it sends something.
    ///
    /// That is [`partitions`](Self::partitions), [`resets`](Self::resets), [`silence`](Self::silence),
    /// [`paused_links`](Self::paused_links), [`slow_links`](Self::slow_links), [`lossy_links`](Self::lossy_links),
    /// [`narrow_links`](Self::narrow_links), [`paused_hosts`](Self::paused_hosts), [`swizzles`](Self::swizzles),
    /// [`short_transfers`](Self::short_transfers) and [`tiny_windows`](Self::tiny_windows). A correct implementation
    /// of a protocol keeps its promises under all of them; an operation may fail, and a peer that only reads may wait
    /// for ever.
    ///
    /// Not in it, because a protocol must do something about them: [`half_open`](Self::half_open) (heartbeats or
    /// timeouts) and [`crashes`](Self::crashes) (a peer that has forgotten everything).
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

    /// Adds partitions between two hosts, both ways or one way. Nothing is lost in one: segments are retransmitted
    /// until it heals, or until the user timeout.
    #[must_use]
    pub fn partitions(self) -> Self {
        self.with(Kind::Partition).with(Kind::OneWayPartition)
    }

    /// Adds resets: something on the way ends all connections between two hosts with RST.
    #[must_use]
    pub fn resets(self) -> Self {
        self.with(Kind::Reset)
    }

    /// Adds silent peers: a host that neither sends nor receives anything for a while, and whose programs run on.
    #[must_use]
    pub fn silence(self) -> Self {
        self.with(Kind::Silence)
    }

    /// Adds holds: segments between two hosts wait for a while, and go on at once when released, without the delay of a
    /// retransmission. What is held for longer than the user timeout times out.
    #[must_use]
    pub fn paused_links(self) -> Self {
        self.with(Kind::PausedLink)
    }

    /// Adds slow links: segments between two hosts take longer for a while, by up to 6.5 s.
    #[must_use]
    pub fn slow_links(self) -> Self {
        self.with(Kind::Slow)
    }

    /// Adds lossy links: one segment in 64 to 2 between two hosts is lost for a while, up to six times in a row. A
    /// lost one comes with its retransmission (after 0.2 s, 0.6 s, 1.4 s, ...; one of a handshake after 1 s, 3 s, 7
    /// s, ...), and what follows it waits. Acknowledgements are not lost: later ones would stand for them.
    #[must_use]
    pub fn lossy_links(self) -> Self {
        self.with(Kind::Lossy)
    }

    /// Adds narrow links: 1 MB to 1 kB a second pass between two hosts for a while, each way, for all connections
    /// together.
    #[must_use]
    pub fn narrow_links(self) -> Self {
        self.with(Kind::Narrow)
    }

    /// Adds pauses: the tasks and threads of a host do not run for a while (a suspended process, a long collection of
    /// garbage); its kernel goes on, and its timers are found late.
    #[must_use]
    pub fn paused_hosts(self) -> Self {
        self.with(Kind::PausedHost)
    }

    /// Adds swizzle-clogs: all segments from and to a random part of the hosts are held, one host after the other,
    /// and then released in another order. (The name is FoundationDB's, and so is the experience that it finds more
    /// than its parts.)
    #[must_use]
    pub fn swizzles(self) -> Self {
        self.with(Kind::Swizzle)
    }

    /// Adds silent half-open connections: something on the way forgets one connection, for both directions or for
    /// one, and does not say so. Its segments are lost from then on, for good. An end that sends learns it by the
    /// user timeout; an end that only reads never learns it. It does not heal.
    #[must_use]
    pub fn half_open(self) -> Self {
        self.with(Kind::HalfOpen)
    }

    /// Adds crashes of servers, in two kinds. A process is killed: its kernel closes its sockets, with RST where
    /// something was not yet read and with FIN elsewhere. A machine is lost: it is silent until it returns, and then
    /// answers its old connections with RST. In both, all tasks and threads of the host are gone, and its main starts
    /// again when the fault ends. Hosts with a main that is a client are not crashed.
    ///
    /// Tasks that code of a host has started with `tokio::spawn` and not through the runtime traits survive.
    #[must_use]
    pub fn crashes(self) -> Self {
        self.with(Kind::ProcessCrash).with(Kind::MachineCrash)
    }

    /// Adds short reads and writes: on hosts drawn at the beginning of the run, for the whole of it, an operation may
    /// transfer fewer bytes than it could, down to one.
    #[must_use]
    pub const fn short_transfers(mut self) -> Self {
        self.short_transfers = true;
        self
    }

    /// Adds tiny windows: in a run that draws so, no socket buffers more than 16 KiB, 4 KiB, 1 KiB or 256 bytes in
    /// either direction, whatever its options ask for.
    #[must_use]
    pub const fn tiny_windows(mut self) -> Self {
        self.tiny_windows = true;
        self
    }

    /// Adds early writes, on all hosts: a task's write that is polled again after `Pending` succeeds as soon as there
    /// is any room, before the socket has woken its writer. Tokio's sockets wait until a third of the buffer is free;
    /// other streams need not, and code that takes a later poll for a proof of the wake-up breaks on them. Not in
    /// [`all`](Self::all).
    #[must_use]
    pub const fn early_writes(mut self) -> Self {
        self.early_writes = true;
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

    /// Sets how many faults a run has at most, 1 to 16; other values are clamped. Default 3; [`Faults::all`] says
    /// 6.
    #[must_use]
    pub fn count_max(mut self, count: u32) -> Self {
        self.count_max = count.clamp(1, 16);
        self
    }

    /// Sets how long after the start faults may begin. Default 30 s. Beginnings are drawn on a log scale, so that early
    /// handshakes are hit as well as late requests.
    #[must_use]
    pub const fn begin_max(mut self, begin: Duration) -> Self {
        self.begin_max = begin;
        self
    }

    /// Sets how long faults last at most. Default 30 minutes, which outlasts every timeout. Drawn on a log scale. A
    /// swizzle-clog lasts about 13 s at most, from its beginning until its last host is let go.
    #[must_use]
    pub const fn last_max(mut self, last: Duration) -> Self {
        self.last_max = last;
        self
    }

    /// Sets when everything heals: no fault begins or lasts beyond this much virtual time. By default each run draws
    /// it: it is the end of the fault that happens to last longest. [`Injector::heals_at`](crate::Injector::heals_at)
    /// tells it.
    ///
    /// What has no end stays: forgotten connections, short transfers, tiny windows, and what a test has done by hand.
    #[must_use]
    pub const fn until(mut self, heal: Duration) -> Self {
        self.until = Some(heal);
        self
    }
}
