//! The faults of one run, and which of them are active.
//!
//! # Invariants
//!
//! - The conditions of hosts and links depend only on the faults that are active now: [`RunFaults::links`] and similar.

use std::collections::{BTreeMap, BTreeSet};

use super::draw::{Drawn, draw};
use super::what::Fault;
use super::{Faults, HostLabel};
use crate::choice::Choices;
use crate::net::{Conditions, HostId, LinkId};
use crate::time::Nanos;

/// One fault with its beginning and end.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScheduledFault {
    pub(super) what: Fault,
    pub(super) begins: Nanos,
    pub(super) ends: Nanos,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Coming,
    Active,
    Over,
}

/// The faults of one run, and which of them have happened.
#[derive(Debug)]
pub(crate) struct RunFaults {
    drawn: Drawn,
    /// Faults that the test injected.
    by_hand: Vec<Fault>,
    /// Faults that happen at one moment.
    sudden: Option<Fault>,
    happened: usize,
    /// The points of faults that should meet something, and whether they did.
    met: BTreeMap<&'static str, bool>,
}

impl RunFaults {
    /// Draws the faults of a run with these hosts.
    pub(crate) fn new(faults: &Faults, choices: &mut Choices, hosts: &[HostLabel<'_>]) -> Self {
        Self {
            drawn: draw(faults, choices, hosts),
            by_hand: Vec::new(),
            sudden: None,
            happened: 0,
            met: BTreeMap::new(),
        }
    }

    /// Returns when the next fault begins or ends.
    pub(crate) fn next(&self) -> Option<Nanos> {
        let times = self.drawn.scheduled.iter().filter_map(|scheduled_fault| match scheduled_fault.state {
            State::Coming => Some(scheduled_fault.begins),
            State::Active => Some(scheduled_fault.ends),
            State::Over => None,
        });
        times.min()
    }

    /// Notes that a segment passes on `link`, or would pass without a fault.
    #[inline]
    pub(crate) fn meet(&mut self, link: LinkId) {
        if !self.met.is_empty() {
            self.meet_some(link);
        }
    }

    fn meet_some(&mut self, link: LinkId) {
        if self.met.values().all(|&met| met) {
            return;
        }
        let touching = self.active().chain(self.sudden).filter(|what| what.touches(link));
        let met: Vec<&str> = touching.filter_map(Fault::meets).collect();
        self.met.extend(met.into_iter().map(|what| (what, true)));
    }

    /// Returns the points of the faults that happened, and whether each was reached.
    pub(crate) const fn met(&self) -> &BTreeMap<&'static str, bool> {
        &self.met
    }

    /// Notes that a fault begins.
    pub(crate) fn begins(&mut self, what: Fault) {
        if let Some(meets) = what.meets() {
            self.met.entry(meets).or_default();
        }
        self.sudden = Some(what).filter(|what| what.is_sudden());
    }

    /// Notes that a sudden fault has happened.
    pub(crate) fn has_begun(&mut self) {
        self.sudden = None;
    }

    /// Returns when the last drawn fault ends.
    pub(crate) fn heals_at(&self) -> Nanos {
        self.drawn.scheduled.iter().map(|scheduled_fault| scheduled_fault.ends).max().unwrap_or(0)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active().next().is_some()
    }

    /// Counts the faults that have begun.
    pub(crate) const fn happened(&self) -> usize {
        self.happened
    }

    /// Returns `true` if a write may succeed before the socket has woken its writer.
    pub(crate) const fn writes_early(&self) -> bool {
        self.drawn.writes_early
    }

    /// Returns `true` if transfers of any host may be short.
    pub(crate) fn may_shorten(&self) -> bool {
        self.drawn.short.contains(&true)
    }

    /// Returns `true` if transfers of `host` may be short.
    pub(crate) fn is_short(&self, host: HostId) -> bool {
        self.drawn.short.get(host.index()).is_some_and(|&short| short)
    }

    /// Returns `true` if accepts of `host` may fail.
    pub(crate) fn fails_accepts(&self, host: HostId) -> bool {
        self.drawn.accepts_fail.get(host.index()).is_some_and(|&fails| fails)
    }

    pub(crate) fn active(&self) -> impl Iterator<Item = Fault> {
        let drawn =
            self.drawn.scheduled.iter().filter(|scheduled_fault| scheduled_fault.state == State::Active);
        drawn.map(|scheduled_fault| scheduled_fault.what).chain(self.by_hand.iter().copied())
    }

    /// Returns the conditions of the links that an active fault touches, in order.
    pub(crate) fn links(&self) -> Vec<(LinkId, Conditions)> {
        let hosts = self.drawn.short.len();
        let touched: BTreeSet<LinkId> = self.active().flat_map(|fault| fault.links(hosts)).collect();
        touched.into_iter().map(|link| (link, self.conditions(link))).collect()
    }

    pub(crate) fn conditions(&self, link: LinkId) -> Conditions {
        self.active().fold(Conditions::default(), |conditions, what| conditions.and(what.conditions(link)))
    }

    pub(crate) fn is_silent(&self, host: HostId) -> bool {
        self.active().any(|what| what.silences() == Some(host))
    }

    pub(crate) fn is_paused(&self, host: HostId) -> bool {
        self.active().any(|what| what == Fault::PausedHost { host })
    }

    /// Returns `true` if an active fault still does to a part of the touched links what `ended` did.
    pub(crate) fn lingers(&self, ended: Fault) -> bool {
        match ended {
            Fault::Silence { host } => self.is_silent(host),
            Fault::PausedHost { host } => self.is_paused(host),
            _ => {
                let touched = ended.links(self.drawn.short.len()).into_iter();
                let mut touched = touched.flat_map(|link| [link, link.reverse()]);
                touched.any(|link| ended.lingers_in(&self.conditions(link)))
            }
        }
    }

    /// Counts a fault that happens.
    pub(crate) fn count(&mut self) {
        self.happened += 1;
    }

    /// Takes back that a fault happens, because it had nothing to act on.
    pub(crate) fn uncount(&mut self) {
        self.happened -= 1;
    }

    /// Notes a fault that the test injects. Returns `false` if it is active already.
    pub(crate) fn inject(&mut self, fault: Fault) -> bool {
        let is_new = !self.by_hand.contains(&fault);
        if is_new {
            self.by_hand.push(fault);
        }
        is_new
    }

    /// Ends the first injected fault that matches, and returns it.
    pub(crate) fn take_injected(&mut self, matches: impl Fn(Fault) -> bool) -> Option<Fault> {
        let index = self.by_hand.iter().position(|&fault| matches(fault))?;
        Some(self.by_hand.remove(index))
    }

    /// Returns which hosts may transfer short, and the most that socket buffers may hold, if that is limited.
    pub(crate) fn modes(&self) -> (Vec<bool>, Option<u32>) {
        (self.drawn.short.clone(), self.drawn.buffer_bytes_max)
    }

    /// Returns on which hosts accepts may fail.
    pub(crate) fn failing_accepts(&self) -> Vec<bool> {
        self.drawn.accepts_fail.clone()
    }

    /// Takes the next due change.
    pub(crate) fn due(&mut self, now: Nanos) -> Option<Change> {
        let scheduled_fault =
            self.drawn.scheduled.iter_mut().find(|scheduled_fault| match scheduled_fault.state {
                State::Coming => scheduled_fault.begins <= now,
                State::Active => scheduled_fault.ends <= now,
                State::Over => false,
            })?;
        if scheduled_fault.state == State::Active {
            scheduled_fault.state = State::Over;
            return Some(Change::Ends(scheduled_fault.what));
        }
        scheduled_fault.state = if scheduled_fault.what.is_sudden() { State::Over } else { State::Active };
        self.happened += 1;
        Some(Change::Begins(scheduled_fault.what, scheduled_fault.ends - scheduled_fault.begins))
    }

    /// A host that is already down does not crash.
    pub(crate) fn drop_crash(&mut self, crash: Fault) {
        let found =
            self.drawn.scheduled.iter_mut().rfind(|scheduled_fault| {
                scheduled_fault.state == State::Active && scheduled_fault.what == crash
            });
        if let Some(scheduled_fault) = found {
            scheduled_fault.state = State::Over;
            self.happened -= 1;
        }
    }
}

pub(crate) enum Change {
    Begins(Fault, Nanos),
    Ends(Fault),
}
