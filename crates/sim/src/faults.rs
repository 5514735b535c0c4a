//! Faults: what may go wrong with the network in a run, and when it does.
//!
//! A test says which kinds may happen ([`Faults`]); the fault lane draws how many, which, between whom, when, and for how
//! long. All choices about one fault share a scope, so that shrinking drops a whole fault at once.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use crate::choices::{Choices, SiteId, below};
use crate::net::{HostId, Nanos, Way};
use crate::run::Run;
use crate::sim::nanos;
use crate::trace::{Fact, milliseconds};

/// Which faults may happen in a run.
///
/// # Defaults
///
/// [`Faults::none`] has none. [`Faults::all`] has all kinds, up to 3 a run, beginning within 30 s of virtual time and
/// lasting up to 30 minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    kinds: Vec<Kind>,
    count_max: u32,
    begin_max: Duration,
    last_max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Partition,
    OneWayPartition,
    Reset,
    Silence,
}

impl Faults {
    /// A network in which nothing goes wrong.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            kinds: Vec::new(),
            count_max: 3,
            begin_max: Duration::from_secs(30),
            last_max: Duration::from_secs(1800),
        }
    }

    /// Every kind of fault.
    #[must_use]
    pub fn all() -> Self {
        Self::none().partitions().resets().silence()
    }

    /// Adds partitions between two hosts, both ways or one way. Nothing is lost in one: segments are retransmitted until
    /// it heals, or until the user timeout.
    #[must_use]
    pub fn partitions(mut self) -> Self {
        self.kinds.extend([Kind::Partition, Kind::OneWayPartition]);
        self
    }

    /// Adds resets: something on the way ends all connections between two hosts with RST.
    #[must_use]
    pub fn resets(mut self) -> Self {
        self.kinds.push(Kind::Reset);
        self
    }

    /// Adds silent peers: a host that neither sends nor receives anything for a while, and whose programs run on.
    #[must_use]
    pub fn silence(mut self) -> Self {
        self.kinds.push(Kind::Silence);
        self
    }

    /// Sets how many faults a run has at most, 1 to 16. Default 3.
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

    /// Sets how long faults last at most. Default 30 minutes, which outlasts every timeout. Drawn on a log scale.
    #[must_use]
    pub const fn last_max(mut self, last: Duration) -> Self {
        self.last_max = last;
        self
    }
}

/// A fault of this run.
#[derive(Clone, Copy, Debug)]
struct Fault {
    kind: Kind,
    a: HostId,
    b: HostId,
    begins: Nanos,
    ends: Nanos,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Coming,
    Active,
    Over,
}

/// The faults of one run, and which of them have happened.
#[derive(Debug)]
pub(crate) struct Driver {
    faults: Vec<Fault>,
    happened: usize,
}

/// Times are drawn in steps of a factor of about 1.19 (a quarter of an octave), so that shrinking has small numbers to
/// work on: pick 0 is the shortest.
const STEPS_PER_OCTAVE: u32 = 4;
const SHORTEST: Nanos = 50_000;

impl Driver {
    /// Draws the faults of a run with `hosts` hosts.
    pub(crate) fn new(faults: &Faults, choices: &mut Choices, hosts: usize) -> Self {
        let mut driver = Self { faults: Vec::new(), happened: 0 };
        let hosts = u32::try_from(hosts).expect("fewer than 2^32 hosts");
        if faults.kinds.is_empty() || hosts < 2 {
            return driver;
        }
        let lane = choices.lane("fault");
        for number in 1..=faults.count_max {
            let mut ask = |what: &str, bound: u32, draw: fn(&mut ChaCha8Rng, u32) -> u32| {
                let site: SiteId = choices.site(lane, &format!("fault#{number} {what}"));
                choices.pick(site, bound, |rng| draw(rng, bound))
            };
            // A fault that does not happen is the dull one, so each can be dropped alone.
            if ask("happens", 2, below) == 0 {
                continue;
            }
            let kinds = u32::try_from(faults.kinds.len()).expect("a handful of kinds");
            let kind = faults.kinds[ask("kind", kinds, below) as usize];
            let a = ask("host", hosts, below);
            let other = ask("peer", hosts - 1, below);
            let b = if other >= a { other + 1 } else { other };
            let begins = time(ask("begins", steps(faults.begin_max), below));
            let lasts = time(ask("lasts", steps(faults.last_max), below));
            driver.faults.push(Fault {
                kind,
                a: HostId::new(a as usize),
                b: HostId::new(b as usize),
                begins,
                ends: begins + lasts,
                state: State::Coming,
            });
        }
        driver
    }

    /// When the next fault begins or ends.
    pub(crate) fn next(&self) -> Option<Nanos> {
        let times = self.faults.iter().filter_map(|fault| match fault.state {
            State::Coming => Some(fault.begins),
            State::Active => Some(fault.ends),
            State::Over => None,
        });
        times.min()
    }

    pub(crate) fn is_active(&self) -> bool {
        self.faults.iter().any(|fault| fault.state == State::Active)
    }

    /// Counts the faults that have begun.
    pub(crate) const fn happened(&self) -> usize {
        self.happened
    }

    fn due(&mut self, now: Nanos) -> Option<Fault> {
        let fault = self.faults.iter_mut().find(|fault| match fault.state {
            State::Coming => fault.begins <= now,
            State::Active => fault.ends <= now,
            State::Over => false,
        })?;
        let before = *fault;
        fault.state = match fault.state {
            State::Coming if fault.kind != Kind::Reset => State::Active,
            _ => State::Over,
        };
        if before.state == State::Coming {
            self.happened += 1;
        }
        Some(before)
    }

    /// Whether another active fault of the same kind still holds between the same hosts.
    fn still_held(&self, ended: &Fault) -> bool {
        let same = |other: &&Fault| match ended.kind {
            Kind::Silence => other.kind == Kind::Silence && other.a == ended.a,
            _ => {
                matches!(other.kind, Kind::Partition | Kind::OneWayPartition)
                    && (other.a, other.b) == (ended.a, ended.b)
                    || (other.b, other.a) == (ended.a, ended.b)
            }
        };
        self.faults.iter().filter(|fault| fault.state == State::Active).any(|fault| same(&fault))
    }
}

fn steps(max: Duration) -> u32 {
    let octaves = (nanos(max).max(SHORTEST) / SHORTEST).ilog2();
    octaves * STEPS_PER_OCTAVE + 1
}

fn time(step: u32) -> Nanos {
    let octave = SHORTEST << (step / STEPS_PER_OCTAVE);
    octave + octave * Nanos::from(step % STEPS_PER_OCTAVE) / Nanos::from(STEPS_PER_OCTAVE)
}

/// Begins and ends the faults that are due.
pub(crate) fn act(run: &Run) {
    loop {
        let due = run.faults().borrow_mut().due(run.executor.now());
        let Some(fault) = due else { return };
        match fault.state {
            State::Coming => begin(run, &fault),
            State::Active | State::Over => end(run, &fault),
        }
    }
}

fn begin(run: &Run, fault: &Fault) {
    let (a, b) = (run.host_name(fault.a.index()), run.host_name(fault.b.index()));
    let lasts = milliseconds(fault.ends - fault.begins);
    let what = match fault.kind {
        Kind::Partition => format!("{a} and {b} are cut off from each other for {lasts}"),
        Kind::OneWayPartition => format!("nothing from {a} reaches {b} for {lasts}"),
        Kind::Reset => format!("something resets the connections between {a} and {b}"),
        Kind::Silence => format!("{a} falls silent for {lasts}"),
    };
    run.executor.fact(Fact::Fault(what.into()));
    run.network(|network, now, link| match fault.kind {
        Kind::Partition => network.partition(now, link, fault.a, fault.b, Way::Both),
        Kind::OneWayPartition => network.partition(now, link, fault.a, fault.b, Way::OneWay),
        Kind::Reset => network.reset_connections(now, link, fault.a, fault.b),
        Kind::Silence => network.silence(now, link, fault.a),
    });
    run.note_heal();
}

fn end(run: &Run, fault: &Fault) {
    let (a, b) = (run.host_name(fault.a.index()), run.host_name(fault.b.index()));
    if run.faults().borrow().still_held(fault) {
        return;
    }
    let what = match fault.kind {
        Kind::Silence => format!("{a} is heard again"),
        _ => format!("{a} and {b} reach each other again"),
    };
    run.executor.fact(Fact::Fault(what.into()));
    run.network(|network, now, link| match fault.kind {
        Kind::Silence => network.unsilence(now, link, fault.a),
        _ => network.heal(now, link, fault.a, fault.b),
    });
    run.note_heal();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dull_choice_is_no_fault() {
        let mut choices = Choices::replayed(0, &Default::default(), crate::choices::Replay::Lenient);
        assert_eq!(Driver::new(&Faults::all(), &mut choices, 2).next(), None);
    }

    #[test]
    fn times_grow_with_their_pick_and_stay_below_the_bound() {
        let max = Duration::from_secs(30);
        let times: Vec<Nanos> = (0..steps(max)).map(time).collect();
        assert!(times.is_sorted());
        assert_eq!(times[0], SHORTEST);
        assert!(*times.last().expect("at least one") <= nanos(max));
        assert!(*times.last().expect("at least one") > nanos(max) / 2);
    }
}
