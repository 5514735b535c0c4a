//! Faults inside of turmoil: which of its faults may happen in a run, and when.
//!
//! They are drawn before the run, each in its own scope of the fault lane, and happen between turmoil's steps. turmoil
//! cannot combine faults of one link (a partition forgets that a link was held). So a fault does not happen if another
//! one has its link or its host at its beginning.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use super::sim::Inner;
use crate::choice::{Choices, LaneKind, below};
use crate::fault::scale::Scale;
use crate::time::Nanos;
use crate::time::milliseconds;
use crate::trace::TraceEvent;
use crate::world::Run;

/// Which of turmoil's faults may happen in a run.
///
/// # Defaults
///
/// [`TurmoilFaults::none`] has none. [`TurmoilFaults::all`] has all kinds. A run has up to 3, which begin within 5 s of
/// simulated time and last up to 10 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurmoilFaults {
    kinds: Vec<Kind>,
    count_max: u32,
    begin_max: Duration,
    last_max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    PausedLink,
    Partition,
    OneWayPartition,
    Crash,
    Bounce,
}

impl TurmoilFaults {
    /// No faults.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            kinds: Vec::new(),
            count_max: 3,
            begin_max: Duration::from_secs(5),
            last_max: Duration::from_secs(10),
        }
    }

    /// Every kind of fault.
    #[must_use]
    pub fn all() -> Self {
        Self::none().paused_links().partitions().crashes()
    }

    /// Adds paused links (`hold`, `release`): messages between two hosts wait, and arrive when the link is released.
    #[must_use]
    pub fn paused_links(self) -> Self {
        self.with(Kind::PausedLink)
    }

    /// Adds partitions (`partition`, `partition_oneway`, `repair`): messages between two hosts are lost for good. A TCP
    /// stream then stalls for ever, and a connect is refused at once.
    #[must_use]
    pub fn partitions(self) -> Self {
        self.with(Kind::Partition).with(Kind::OneWayPartition)
    }

    /// Adds crashes of hosts other than clients, with a restart later (`crash`, `bounce`) or at once (`bounce`). The
    /// peers of a crashed host see its streams end in good order.
    #[must_use]
    pub fn crashes(self) -> Self {
        self.with(Kind::Crash).with(Kind::Bounce)
    }

    fn with(mut self, kind: Kind) -> Self {
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
        self
    }

    /// Sets how many faults a run has at most: 1 to 16, other values are clamped. Default: 3.
    #[must_use]
    pub fn count_max(mut self, count: u32) -> Self {
        self.count_max = count.clamp(1, 16);
        self
    }

    /// Sets how long after the start faults may begin. Default: 5 s. Beginnings are drawn on a log scale and happen at
    /// turmoil's next step.
    #[must_use]
    pub const fn begin_max(mut self, begin: Duration) -> Self {
        self.begin_max = begin;
        self
    }

    /// Sets how long faults last at most. Default: 10 s. Lengths are drawn on a log scale.
    #[must_use]
    pub const fn last_max(mut self, last: Duration) -> Self {
        self.last_max = last;
        self
    }
}

/// A fault of this run, between two hosts or at the first of them.
#[derive(Clone, Copy, Debug)]
struct Fault {
    kind: Kind,
    a: usize,
    b: usize,
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

/// When faults begin and how long they last: from the length of turmoil's default tick on.
const TIMES: Scale = Scale::from(1_000_000);

/// The faults of one run.
#[derive(Debug)]
pub(super) struct FaultDriver {
    names: Vec<String>,
    faults: Vec<Fault>,
    happened: usize,
}

impl FaultDriver {
    /// Draws the faults of a run. `hosts` are all hosts, each with whether it may crash.
    pub(super) fn new(faults: &TurmoilFaults, choices: &mut Choices, hosts: &[(String, bool)]) -> Self {
        let names = hosts.iter().map(|(name, _)| name.clone()).collect();
        let mut driver = Self { names, faults: Vec::new(), happened: 0 };
        let count = u32::try_from(hosts.len()).expect("fewer than 2^32 hosts");
        if faults.kinds.is_empty() || count < 2 {
            return driver;
        }
        let lane = choices.lane(LaneKind::Fault, "");
        for number in 1..=faults.count_max {
            let mut ask = |what: &str, bound: u32| {
                let point = choices.point(lane, &format!("fault#{number} {what}"));
                choices.choose(point, bound, |rng: &mut ChaCha8Rng| below(rng, bound))
            };
            if ask("happens", 2) == 0 {
                continue;
            }
            let kinds = u32::try_from(faults.kinds.len()).expect("a handful of kinds");
            let kind = faults.kinds[ask("kind", kinds) as usize];
            let a = ask("host", count);
            let other = ask("peer", count - 1);
            let b = if other >= a { other + 1 } else { other };
            let begins = TIMES.time(ask("begins", TIMES.steps(faults.begin_max)));
            let ends = begins.saturating_add(TIMES.time(ask("lasts", TIMES.steps(faults.last_max))));
            let crashes = matches!(kind, Kind::Crash | Kind::Bounce);
            // A value that names a client crashes the first host that may crash, so that every value means something.
            let Some(a) = (if crashes && !hosts[a as usize].1 {
                hosts.iter().position(|(_, may_crash)| *may_crash)
            } else {
                Some(a as usize)
            }) else {
                continue;
            };
            driver.faults.push(Fault { kind, a, b: b as usize, begins, ends, state: State::Coming });
        }
        driver
    }

    /// Counts the faults that have begun.
    pub(super) const fn happened(&self) -> usize {
        self.happened
    }

    pub(super) fn is_active(&self) -> bool {
        self.faults.iter().any(|fault| fault.state == State::Active)
    }

    /// Begins and ends the faults that are due.
    pub(super) fn act(&mut self, run: &Run, sim: &mut Inner) {
        let now = run.scheduler.now();
        for index in 0..self.faults.len() {
            let fault = self.faults[index];
            if fault.state == State::Active && fault.ends <= now {
                self.faults[index].state = State::Over;
                self.end(run, sim, fault);
            }
        }
        for index in 0..self.faults.len() {
            let fault = self.faults[index];
            if fault.state == State::Coming && fault.begins <= now {
                let collides = self.collides(fault);
                let lasts = fault.kind != Kind::Bounce && !collides;
                self.faults[index].state = if lasts { State::Active } else { State::Over };
                if !collides {
                    self.happened += 1;
                    self.begin(run, sim, fault);
                }
            }
        }
    }

    /// Returns `true` if another active fault has the link or the host of `fault`.
    fn collides(&self, fault: Fault) -> bool {
        let crashes = |fault: &Fault| matches!(fault.kind, Kind::Crash | Kind::Bounce);
        self.faults.iter().filter(|other| other.state == State::Active).any(|other| {
            if crashes(&fault) || crashes(other) {
                return crashes(&fault) && crashes(other) && fault.a == other.a;
            }
            (fault.a, fault.b) == (other.a, other.b) || (fault.a, fault.b) == (other.b, other.a)
        })
    }

    fn begin(&self, run: &Run, sim: &mut Inner, fault: Fault) {
        let (a, b) = (self.names[fault.a].as_str(), self.names[fault.b].as_str());
        let lasts = milliseconds(fault.ends - fault.begins);
        let what = match fault.kind {
            Kind::PausedLink => format!("what {a} and {b} send each other waits for {lasts}"),
            Kind::Partition => format!("{a} and {b} are cut off from each other for {lasts}"),
            Kind::OneWayPartition => format!("what {a} sends to {b} is lost for {lasts}"),
            Kind::Crash => format!("{a} crashes, and restarts after {lasts}"),
            Kind::Bounce => format!("{a} crashes and restarts"),
        };
        run.scheduler.trace_event(TraceEvent::Fault(what.into()));
        match fault.kind {
            Kind::PausedLink => sim.hold(a, b),
            Kind::Partition => sim.partition(a, b),
            Kind::OneWayPartition => sim.partition_oneway(a, b),
            Kind::Crash => sim.crash(a),
            Kind::Bounce => sim.bounce(a),
        }
        run.note_heal();
    }

    fn end(&self, run: &Run, sim: &mut Inner, fault: Fault) {
        let (a, b) = (self.names[fault.a].as_str(), self.names[fault.b].as_str());
        let what = match fault.kind {
            Kind::PausedLink => format!("what {a} and {b} sent each other is released"),
            Kind::Partition => format!("{a} and {b} reach each other again"),
            Kind::OneWayPartition => format!("{a} reaches {b} again"),
            Kind::Crash | Kind::Bounce => format!("{a} restarts"),
        };
        run.scheduler.trace_event(TraceEvent::Fault(what.into()));
        match fault.kind {
            Kind::PausedLink => sim.release(a, b),
            Kind::Partition => sim.repair(a, b),
            Kind::OneWayPartition => sim.repair_oneway(a, b),
            Kind::Crash | Kind::Bounce => sim.bounce(a),
        }
        run.note_heal();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Replay;

    fn hosts() -> Vec<(String, bool)> {
        vec![("client".to_owned(), false), ("server".to_owned(), true)]
    }

    #[test]
    fn the_default_choice_is_no_fault() {
        let mut choices = Choices::replayed(0, &Default::default(), Replay::Lenient);
        let driver = FaultDriver::new(&TurmoilFaults::all(), &mut choices, &hosts());
        assert!(driver.faults.is_empty());
    }

    #[test]
    fn only_hosts_that_may_crash_are_chosen() {
        let only_crashes = TurmoilFaults::none().crashes();
        for seed in 0..50 {
            let driver = FaultDriver::new(&only_crashes, &mut Choices::seeded(seed), &hosts());
            assert!(driver.faults.iter().all(|fault| fault.a == 1));
            let clients = [("one".to_owned(), false), ("other".to_owned(), false)];
            let driver = FaultDriver::new(&only_crashes, &mut Choices::seeded(seed), &clients);
            assert!(driver.faults.is_empty());
        }
    }

    #[test]
    fn only_overlapping_faults_collide() {
        let fault = |kind, a, b, state| Fault { kind, a, b, begins: 0, ends: 1, state };
        let names = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let active = vec![
            fault(Kind::PausedLink, 0, 1, State::Active),
            fault(Kind::Crash, 2, 0, State::Active),
            fault(Kind::Partition, 1, 2, State::Over),
        ];
        let driver = FaultDriver { names, faults: active, happened: 0 };
        let collides = |kind, a, b| driver.collides(fault(kind, a, b, State::Coming));
        assert!(collides(Kind::Partition, 1, 0) && collides(Kind::Bounce, 2, 1));
        assert!(
            !collides(Kind::Partition, 1, 2)
                && !collides(Kind::Crash, 0, 1)
                && !collides(Kind::PausedLink, 2, 0)
        );
    }
}
