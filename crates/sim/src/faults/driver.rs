//! Begins and ends the faults of a run.
//!
//! # Invariants
//!
//! - What hosts and links suffer from is what the active faults say now: [`Driver::sky`], and the like for hosts.
//! - The driver is not borrowed while a fault acts: what it does may run code under test.

use super::Faults;
use super::draw::{Drawn, draw};
use super::what::{Crash, Fault};
use crate::choices::Choices;
use crate::net::{Conditions, HostId, LinkId, Nanos};
use crate::run::Run;
use crate::sim::HostPlan;
use crate::trace::TraceEvent;

/// One thing that goes wrong, from when to when.
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
pub(crate) struct Driver {
    drawn: Drawn,
    /// What the test does itself.
    by_hand: Vec<Fault>,
    happened: usize,
}

impl Driver {
    /// Draws the faults of a run with these hosts.
    pub(crate) fn new(faults: &Faults, choices: &mut Choices, hosts: &[HostPlan]) -> Self {
        Self { drawn: draw(faults, choices, hosts), by_hand: Vec::new(), happened: 0 }
    }

    /// When the next fault begins or ends.
    pub(crate) fn next(&self) -> Option<Nanos> {
        let times = self.drawn.scheduled.iter().filter_map(|scheduled_fault| match scheduled_fault.state {
            State::Coming => Some(scheduled_fault.begins),
            State::Active => Some(scheduled_fault.ends),
            State::Over => None,
        });
        times.min()
    }

    /// When the last fault that was drawn ends.
    pub(super) fn heals_at(&self) -> Nanos {
        self.drawn.scheduled.iter().map(|scheduled_fault| scheduled_fault.ends).max().unwrap_or(0)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active().next().is_some()
    }

    /// Counts the faults that have begun.
    pub(crate) const fn happened(&self) -> usize {
        self.happened
    }

    /// Whether transfers of any host may be short.
    pub(crate) fn may_shorten(&self) -> bool {
        self.drawn.short.contains(&true)
    }

    /// Whether transfers of `host` may be short.
    pub(super) fn is_short(&self, host: HostId) -> bool {
        self.drawn.short.get(host.index()).is_some_and(|&short| short)
    }

    fn active(&self) -> impl Iterator<Item = Fault> {
        let drawn =
            self.drawn.scheduled.iter().filter(|scheduled_fault| scheduled_fault.state == State::Active);
        drawn.map(|scheduled_fault| scheduled_fault.what).chain(self.by_hand.iter().copied())
    }

    /// What every link is like now.
    fn sky(&self) -> Vec<(LinkId, Conditions)> {
        let hosts = || (0..self.drawn.short.len()).map(HostId::new);
        let links = hosts().flat_map(|from| hosts().map(move |to| LinkId { from, to }));
        links.map(|link| (link, self.conditions(link))).collect()
    }

    fn conditions(&self, link: LinkId) -> Conditions {
        self.active().fold(Conditions::default(), |conditions, what| conditions.and(what.conditions(link)))
    }

    fn is_silent(&self, host: HostId) -> bool {
        self.active().any(|what| what.silences() == Some(host))
    }

    fn is_paused(&self, host: HostId) -> bool {
        self.active().any(|what| what == Fault::PausedHost { host })
    }

    /// Whether something active still does what `ended` did to a part of what that touched.
    fn lingers(&self, ended: Fault) -> bool {
        let touched = |link: &LinkId| {
            ended.conditions(*link) != Conditions::default()
                || ended.conditions(link.reverse()) != Conditions::default()
        };
        match ended {
            Fault::Silence { host } => self.is_silent(host),
            Fault::PausedHost { host } => self.is_paused(host),
            _ => self.sky().iter().any(|(link, conditions)| touched(link) && ended.lingers_in(conditions)),
        }
    }

    /// Takes the next change that is due.
    fn due(&mut self, now: Nanos) -> Option<Change> {
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

    /// A crash of a host that is down already does not happen.
    fn drop_crash(&mut self, crash: Fault) {
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

enum Change {
    Begins(Fault, Nanos),
    Ends(Fault),
}

/// Says, and makes so, what holds for the whole of a run.
pub(crate) fn set_up(run: &Run) {
    let (short, buffer_bytes_max) = {
        let driver = run.faults().borrow();
        (driver.drawn.short.clone(), driver.drawn.buffer_bytes_max)
    };
    for (host, _) in short.into_iter().enumerate().filter(|(_, short)| *short) {
        let name = run.host_name(host);
        run.executor
            .trace_event(TraceEvent::Fault(format!("reads and writes of {name} may be short").into()));
    }
    if let Some(bytes) = buffer_bytes_max {
        run.executor.trace_event(TraceEvent::Fault(format!("no socket buffers more than {bytes} B").into()));
        run.network(|network, _, _| network.set_buffer_bytes_max(bytes));
    }
}

/// Begins and ends the faults that are due.
pub(crate) fn act(run: &Run) {
    loop {
        let due = run.faults().borrow_mut().due(run.executor.now());
        match due {
            None => return,
            Some(Change::Begins(what, lasts)) => begin(run, what, Some(lasts)),
            Some(Change::Ends(what)) => end(run, what),
        }
    }
}

/// Does by hand what lasts until [`undo`].
pub(super) fn by_hand(run: &Run, what: Fault) {
    let is_down = matches!(what, Fault::Crash { host, .. } if run.is_down(host.index()));
    if is_down {
        return;
    }
    if !what.is_sudden() {
        let mut driver = run.faults().borrow_mut();
        if driver.by_hand.contains(&what) {
            return;
        }
        driver.by_hand.push(what);
    }
    run.faults().borrow_mut().happened += 1;
    begin(run, what, None);
}

/// Ends what was done by hand and is meant.
pub(super) fn undo(run: &Run, is_meant: impl Fn(Fault) -> bool) {
    loop {
        let ended = {
            let by_hand = &mut run.faults().borrow_mut().by_hand;
            by_hand.iter().position(|&what| is_meant(what)).map(|index| by_hand.remove(index))
        };
        let Some(what) = ended else { return };
        end(run, what);
    }
}

fn tell(run: &Run, line: String) {
    run.executor.trace_event(TraceEvent::Fault(line.into()));
}

fn begin(run: &Run, what: Fault, lasts: Option<Nanos>) {
    let name = |host: HostId| run.host_name(host.index()).to_string();
    let line = what.beginning(name, lasts);
    match what {
        Fault::HalfOpen { a, b, ways, index } => {
            let severed =
                run.network(|network, now, outside| network.sever(now, outside, [a, b], ways, index));
            match severed {
                Some(connection) => {
                    tell(run, format!("something forgets the connection {connection}, {line}"));
                }
                None => run.faults().borrow_mut().happened -= 1,
            }
        }
        Fault::Crash { host, .. } if run.is_down(host.index()) => {
            run.faults().borrow_mut().drop_crash(what);
        }
        Fault::Crash { host, how } => {
            tell(run, line);
            run.note_heal();
            run.crash(host.index(), how);
        }
        Fault::PausedHost { host } => {
            tell(run, line);
            run.executor.pause_host(host.index());
        }
        Fault::Reset { a, b } => {
            tell(run, line);
            run.network(|network, now, outside| network.reset_connections(now, outside, a, b));
        }
        Fault::Silence { host } => {
            tell(run, line);
            run.network(|network, now, outside| network.silence(now, outside, host));
        }
        _ => {
            tell(run, line);
            apply_sky(run);
        }
    }
    run.note_heal();
}

fn end(run: &Run, what: Fault) {
    let name = |host: HostId| run.host_name(host.index()).to_string();
    let stays_down = matches!(what, Fault::Crash { host, .. } if !run.can_restart(host.index()));
    if !stays_down && !run.faults().borrow().lingers(what) {
        tell(run, what.end(name));
    }
    run.note_heal();
    match what {
        Fault::Silence { host } => hear(run, host),
        Fault::PausedHost { host } => {
            if !run.faults().borrow().is_paused(host) {
                run.executor.resume_host(host.index());
            }
        }
        Fault::Crash { host, how } => {
            if how == Crash::Machine && !stays_down {
                hear(run, host);
            }
            run.restart(host.index());
        }
        _ => apply_sky(run),
    }
}

fn hear(run: &Run, host: HostId) {
    if !run.faults().borrow().is_silent(host) {
        run.network(|network, now, outside| network.unsilence(now, outside, host));
    }
}

fn apply_sky(run: &Run) {
    let sky = run.faults().borrow().sky();
    run.network(|network, now, outside| network.set_conditions(now, outside, &sky));
}
