//! Draws the faults of a run from the fault lane.
//!
//! # Invariants
//!
//! - Everything about one fault is asked in its scope, "fault#N"; a fault that does not happen asks nothing more.
//! - The kinds that a seed uses (the swarm) only affect what is drawn, like a strategy. The values record what
//!   happened, so a replay needs no swarm.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use super::active::{ScheduledFault, State};
use super::scale::Scale;
use super::what::{Crash, Fault};
use super::{Faults, HostLabel, Kind};
use crate::choice::{Choices, LaneId, LaneKind, below};
use crate::net::HostId;
use crate::time::Nanos;
use crate::time::nanos;

/// When faults begin and how long they last.
const TIMES: Scale = Scale::from(50_000);

/// In a swizzle, hosts are clogged within this time, and released within another.
const SWIZZLE_MAX: Duration = Duration::from_millis(6_554);

/// How much slower a slow link is: 1.6 ms, times 4 each.
const DELAYS: [Nanos; 7] =
    [1_600_000, 6_400_000, 25_600_000, 102_400_000, 409_600_000, 1_638_400_000, 6_553_600_000];

/// A lossy link loses one segment in this many.
const ONE_LOST_IN: [u32; 6] = [64, 32, 16, 8, 4, 2];

/// Bytes a second on a narrow link.
const RATES: [u64; 4] = [1_000_000, 100_000, 10_000, 1_000];

/// The largest socket buffers of a run with tiny windows.
const TINY_WINDOWS: [u32; 4] = [16_384, 4_096, 1_024, 256];

/// One seed in this many has tiny windows; one host in this many transfers short.
const MODES_ONE_IN: u32 = 4;

/// What was drawn.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    pub(super) scheduled: Vec<ScheduledFault>,
    pub(super) buffer_bytes_max: Option<u32>,
    /// By host.
    pub(super) short: Vec<bool>,
    /// By host.
    pub(super) accepts_fail: Vec<bool>,
    /// Whether writes may succeed early.
    pub(super) writes_early: bool,
}

/// Draws the faults of a run with these hosts.
pub(super) fn draw(faults: &Faults, choices: &mut Choices, hosts: &[HostLabel<'_>]) -> Drawn {
    let mut drawn =
        Drawn { short: vec![false; hosts.len()], writes_early: faults.writes_early(), ..Drawn::default() };
    let servers: Vec<usize> = (0..hosts.len()).filter(|&host| !hosts[host].client).collect();
    let kinds: Vec<Kind> =
        faults.kinds.iter().copied().filter(|kind| kind.is_possible(hosts.len(), servers.len())).collect();
    let lane = choices.lane(LaneKind::Fault, "");
    if !kinds.is_empty() {
        let mix = mix(kinds.len(), &mut choices.side_stream("fault mix"));
        for number in 1..=faults.count_max {
            let scope = format!("fault#{number}");
            let asking = Asking { choices, lane, scope: &scope };
            drawn.scheduled.extend(Draft { faults, hosts, servers: &servers, asking }.draw(&kinds, &mix));
        }
    }
    if faults.short_transfers {
        for (host, plan) in hosts.iter().enumerate() {
            let scope = format!("short#{}", plan.name);
            let mut asking = Asking { choices, lane, scope: &scope };
            drawn.short[host] =
                asking.ask_with("happens", 2, |rng| u32::from(below(rng, MODES_ONE_IN) == 0)) == 1;
        }
    }
    if faults.failing_accepts {
        for plan in hosts {
            let scope = format!("accepts#{}", plan.name);
            let mut asking = Asking { choices, lane, scope: &scope };
            let fails = asking.ask_with("happens", 2, |rng| u32::from(below(rng, MODES_ONE_IN) == 0)) == 1;
            drawn.accepts_fail.push(fails);
        }
    }
    if faults.tiny_windows {
        let mut asking = Asking { choices, lane, scope: "windows#1" };
        if asking.ask_with("happens", 2, |rng| u32::from(below(rng, MODES_ONE_IN) == 0)) == 1 {
            drawn.buffer_bytes_max = Some(asking.one_of("size", &TINY_WINDOWS));
        }
    }
    drawn
}

/// Returns the kinds that a seed uses, by index. With three or more kinds, each is used with probability one half.
fn mix(kinds: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let kinds = u32::try_from(kinds).expect("a handful of kinds");
    let used: Vec<u32> = (0..kinds).filter(|_| kinds < 3 || below(rng, 2) == 1).collect();
    if used.is_empty() { (0..kinds).collect() } else { used }
}

impl Kind {
    const fn is_possible(self, hosts: usize, servers: usize) -> bool {
        match self {
            Self::PausedHost => true,
            Self::ProcessCrash | Self::MachineCrash => servers > 0,
            _ => hosts > 1,
        }
    }
}

/// Asks the questions of one scope.
struct Asking<'a> {
    choices: &'a mut Choices,
    lane: LaneId,
    scope: &'a str,
}

impl Asking<'_> {
    fn ask_with(&mut self, what: &str, bound: u32, draw: impl FnOnce(&mut ChaCha8Rng) -> u32) -> u32 {
        let point = self.choices.point(self.lane, &format!("{} {what}", self.scope));
        self.choices.choose(point, bound, draw)
    }

    fn ask(&mut self, what: &str, bound: u32) -> u32 {
        self.ask_with(what, bound, |rng| below(rng, bound))
    }

    fn one_of<T: Copy>(&mut self, what: &str, values: &[T]) -> T {
        let bound = u32::try_from(values.len()).expect("a short list");
        values[self.ask(what, bound) as usize]
    }
}

/// One fault that is being drawn.
struct Draft<'a> {
    faults: &'a Faults,
    hosts: &'a [HostLabel<'a>],
    servers: &'a [usize],
    asking: Asking<'a>,
}

impl Draft<'_> {
    fn draw(mut self, kinds: &[Kind], mix: &[u32]) -> Vec<ScheduledFault> {
        // Not happening is the default, so that each fault can be dropped alone.
        if self.asking.ask("happens", 2) == 0 {
            return Vec::new();
        }
        let bound = u32::try_from(kinds.len()).expect("a handful of kinds");
        let kind = self.asking.ask_with("kind", bound, |rng| {
            mix[below(rng, u32::try_from(mix.len()).expect("a handful of kinds")) as usize]
        });
        let kind = kinds[kind as usize];
        if kind == Kind::Swizzle {
            return self.swizzle();
        }
        let what = self.what(kind);
        let begins = self.begins();
        let lasts = match what.is_sudden() {
            true => 0,
            false => TIMES.time(self.asking.ask("lasts", TIMES.steps(self.faults.last_max))),
        };
        vec![self.scheduled_fault(what, begins, begins.saturating_add(lasts))]
    }

    fn what(&mut self, kind: Kind) -> Fault {
        match kind {
            Kind::PausedHost => return Fault::PausedHost { host: self.host() },
            Kind::ProcessCrash => return Fault::Crash { host: self.server(), how: Crash::Process },
            Kind::MachineCrash => return Fault::Crash { host: self.server(), how: Crash::Machine },
            _ => {}
        }
        let a = self.host();
        let other = self.asking.ask("peer", self.count() - 1) as usize;
        let b = HostId::new(if other >= a.index() { other + 1 } else { other });
        match kind {
            Kind::Partition => Fault::Partition { a, b },
            Kind::OneWayPartition => Fault::OneWayPartition { from: a, to: b },
            Kind::Reset => Fault::Reset { a, b },
            Kind::Silence => Fault::Silence { host: a },
            Kind::PausedLink => Fault::PausedLink { a, b },
            Kind::Slow => Fault::Slow { a, b, by: self.asking.one_of("delay", &DELAYS) },
            Kind::Lossy => Fault::Lossy { a, b, one_in: self.asking.one_of("loses one in", &ONE_LOST_IN) },
            Kind::Narrow => {
                Fault::Narrow { a, b, bytes_per_second: self.asking.one_of("bytes a second", &RATES) }
            }
            Kind::HalfOpen => {
                let ways = self.asking.one_of("ways", &[[true, true], [true, false], [false, true]]);
                Fault::HalfOpen { a, b, ways, index: self.asking.ask("connection", 4) as usize }
            }
            Kind::PausedHost | Kind::ProcessCrash | Kind::MachineCrash | Kind::Swizzle => {
                unreachable!("drawn elsewhere")
            }
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.hosts.len()).expect("fewer than 2^32 hosts")
    }

    fn host(&mut self) -> HostId {
        HostId::new(self.asking.ask("host", self.count()) as usize)
    }

    fn server(&mut self) -> HostId {
        HostId::new(self.asking.one_of("server", self.servers))
    }

    fn begins(&mut self) -> Nanos {
        let max = self.faults.until.map_or(self.faults.begin_max, |until| until.min(self.faults.begin_max));
        TIMES.time(self.asking.ask("begins", TIMES.steps(max)))
    }

    fn scheduled_fault(&self, what: Fault, begins: Nanos, ends: Nanos) -> ScheduledFault {
        let ends = self.faults.until.map_or(ends, |until| ends.min(nanos(until)));
        ScheduledFault { what, begins, ends: ends.max(begins), state: State::Coming }
    }

    /// Clogs a part of the hosts, one after the other, and releases them in another order. Each phase takes at most
    /// half of the longest time of a fault.
    fn swizzle(mut self) -> Vec<ScheduledFault> {
        let clogged: Vec<usize> = (0..self.hosts.len())
            .filter(|&host| self.asking.ask(&format!("clogs {}", self.hosts[host].name), 2) == 1)
            .collect();
        let begins = self.begins();
        let steps = TIMES.steps((self.faults.last_max / 2).min(SWIZZLE_MAX));
        let mut after = |what: &str, host: usize| {
            TIMES.time(self.asking.ask(&format!("{what} {}", self.hosts[host].name), steps))
        };
        let stops: Vec<Nanos> =
            clogged.iter().map(|&host| begins.saturating_add(after("stops", host))).collect();
        let last = stops.iter().copied().max().unwrap_or(begins);
        let goes_on: Vec<Nanos> =
            clogged.iter().map(|&host| last.saturating_add(after("restores", host))).collect();
        let times = stops.into_iter().zip(goes_on);
        let scheduled = clogged.into_iter().zip(times).map(|(host, (stops, goes_on))| {
            self.scheduled_fault(Fault::Clog { host: HostId::new(host) }, stops, goes_on)
        });
        scheduled.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::{ChoiceLog, Replay};

    fn hosts() -> [HostLabel<'static>; 3] {
        let server = |name| HostLabel { name, client: false };
        [HostLabel { name: "client", client: true }, server("one"), server("two")]
    }

    fn seeded(faults: &Faults, seed: u64) -> Drawn {
        draw(faults, &mut Choices::seeded(seed), &hosts())
    }

    #[test]
    fn the_default_choice_is_no_fault() {
        let mut choices = Choices::replayed(0, &ChoiceLog::default(), Replay::Lenient);
        let drawn = draw(&Faults::all().half_open().crashes(), &mut choices, &hosts());
        assert!(drawn.scheduled.is_empty() && drawn.buffer_bytes_max.is_none());
        assert_eq!(drawn.short, [false; 3]);
    }

    #[test]
    fn a_replay_draws_the_same_faults() {
        for seed in 0..200 {
            let faults = Faults::all().half_open().crashes();
            let mut choices = Choices::seeded(seed);
            let drawn = draw(&faults, &mut choices, &hosts());
            let log = choices.into_log();
            let mut choices = Choices::replayed(!seed, &log, Replay::Strict);
            let again = draw(&faults, &mut choices, &hosts());
            assert_eq!(format!("{drawn:?}"), format!("{again:?}"));
            assert_eq!(choices.divergence(), None);
            assert_eq!(choices.into_log(), log);
        }
    }

    #[test]
    fn one_seed_uses_some_kinds_many_use_all() {
        let faults = Faults::all().half_open().crashes().count_max(16);
        let mut seen = Vec::new();
        for seed in 0..300 {
            let mut of_seed: Vec<_> = seeded(&faults, seed)
                .scheduled
                .iter()
                .map(|scheduled_fault| std::mem::discriminant(&scheduled_fault.what))
                .collect();
            of_seed.dedup();
            assert!(of_seed.len() < 12, "seed {seed} uses every kind");
            of_seed.into_iter().filter(|kind| !seen.contains(kind)).collect::<Vec<_>>().into_iter().for_each(
                |kind| {
                    if !seen.contains(&kind) {
                        seen.push(kind);
                    }
                },
            );
        }
        assert_eq!(seen.len(), 12, "both crashes are one kind of `Fault`");
    }

    #[test]
    fn everything_heals_at_the_time_that_was_set() {
        let until = Duration::from_secs(3);
        for seed in 0..200 {
            for scheduled_fault in seeded(&Faults::all().crashes().until(until), seed).scheduled {
                assert!(
                    scheduled_fault.begins <= scheduled_fault.ends
                        && scheduled_fault.ends <= nanos(until).max(scheduled_fault.begins)
                );
            }
        }
    }

    #[test]
    fn faults_respect_the_latest_begin_and_longest_duration() {
        let (begin, last) = (Duration::from_millis(10), Duration::from_millis(20));
        for seed in 0..300 {
            let faults = Faults::all().half_open().crashes().begin_max(begin).last_max(last);
            let scheduled = seeded(&faults, seed).scheduled;
            let is_clog =
                |scheduled_fault: &&ScheduledFault| matches!(scheduled_fault.what, Fault::Clog { .. });
            for scheduled_fault in scheduled.iter().filter(|scheduled_fault| !is_clog(scheduled_fault)) {
                assert!(
                    scheduled_fault.begins <= nanos(begin)
                        && scheduled_fault.ends - scheduled_fault.begins <= nanos(last),
                    "{scheduled_fault:?}"
                );
            }
            // The hosts of a swizzle are clogged one by one: it is a fault as a whole.
            for scheduled_fault in scheduled.iter().filter(is_clog) {
                assert!(scheduled_fault.ends <= nanos(begin + last), "{scheduled_fault:?}");
            }
        }
    }

    #[test]
    fn the_longest_times_there_are_can_be_drawn() {
        let faults = Faults::all().half_open().crashes().begin_max(Duration::MAX).last_max(Duration::MAX);
        for seed in 0..1000 {
            assert!(
                seeded(&faults, seed)
                    .scheduled
                    .iter()
                    .all(|scheduled_fault| scheduled_fault.begins <= scheduled_fault.ends)
            );
        }
    }

    #[test]
    fn only_servers_crash() {
        for seed in 0..100 {
            for scheduled_fault in seeded(&Faults::none().crashes(), seed).scheduled {
                assert!(
                    matches!(scheduled_fault.what, Fault::Crash { host, .. } if host.index() > 0),
                    "{scheduled_fault:?}"
                );
            }
        }
    }

    #[test]
    fn a_host_alone_knows_pauses_only() {
        let faults = Faults::all().half_open().crashes();
        let alone = [HostLabel { name: "client", client: true }];
        let scheduled = (0..50).flat_map(|seed| draw(&faults, &mut Choices::seeded(seed), &alone).scheduled);
        assert!(
            scheduled
                .into_iter()
                .all(|scheduled_fault| matches!(scheduled_fault.what, Fault::PausedHost { .. }))
        );
    }
}
