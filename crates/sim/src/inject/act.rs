//! Begins and ends the faults of a run.
//!
//! # Invariants
//!
//! - The run's faults are not borrowed while a fault acts, because it may run code under test.

use crate::fault::{Change, Crash, Fault};
use crate::net::HostId;
use crate::time::Nanos;
use crate::trace::TraceEvent;
use crate::world::Run;

/// Sets what holds for the whole run, and says so in the trace.
pub(crate) fn set_up(run: &Run) {
    let (short, buffer_bytes_max) = run.faults().borrow().modes();
    for (host, _) in short.into_iter().enumerate().filter(|(_, short)| *short) {
        let name = run.host_name(host);
        run.scheduler
            .trace_event(TraceEvent::Fault(format!("reads and writes of {name} may be short").into()));
    }
    let failing = run.faults().borrow().failing_accepts();
    for (host, _) in failing.into_iter().enumerate().filter(|(_, fails)| *fails) {
        let name = run.host_name(host);
        run.scheduler.trace_event(TraceEvent::Fault(format!("accepts of {name} may fail").into()));
    }
    if let Some(bytes) = buffer_bytes_max {
        run.scheduler.trace_event(TraceEvent::Fault(format!("no socket buffers more than {bytes} B").into()));
        run.network(|network, _, _| network.set_buffer_bytes_max(bytes));
    }
}

/// Begins and ends the faults that are due.
pub(crate) fn act(run: &Run) {
    loop {
        let due = run.faults().borrow_mut().due(run.scheduler.now());
        match due {
            None => return,
            Some(Change::Begins(what, lasts)) => begin(run, what, Some(lasts)),
            Some(Change::Ends(what)) => end(run, what),
        }
    }
}

/// Begins an injected fault, which lasts until [`undo`].
pub(super) fn by_hand(run: &Run, what: Fault) {
    let is_down = matches!(what, Fault::Crash { host, .. } if run.is_down(host.index()));
    if is_down {
        return;
    }
    if !what.is_sudden() {
        let is_new = run.faults().borrow_mut().inject(what);
        if !is_new {
            return;
        }
    }
    run.faults().borrow_mut().count();
    begin(run, what, None);
}

/// Ends every injected fault that matches.
pub(super) fn undo(run: &Run, matches: impl Fn(Fault) -> bool) {
    loop {
        let ended = run.faults().borrow_mut().take_injected(&matches);
        let Some(what) = ended else { return };
        end(run, what);
    }
}

fn tell(run: &Run, line: String) {
    run.scheduler.trace_event(TraceEvent::Fault(line.into()));
}

fn begin(run: &Run, what: Fault, lasts: Option<Nanos>) {
    run.faults().borrow_mut().begins(what);
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
                None => run.faults().borrow_mut().uncount(),
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
            run.scheduler.pause_host(host.index());
        }
        Fault::Reset { a, b } => {
            tell(run, line);
            run.network(|network, now, outside| network.reset_connections(now, outside, a, b));
        }
        Fault::Silence { host } => {
            tell(run, line);
            run.network(|network, now, outside| network.silence(now, outside, host));
        }
        Fault::Partition { .. }
        | Fault::OneWayPartition { .. }
        | Fault::PausedLink { .. }
        | Fault::Clog { .. }
        | Fault::Slow { .. }
        | Fault::Lossy { .. }
        | Fault::Narrow { .. } => {
            tell(run, line);
            apply_links(run);
        }
    }
    run.faults().borrow_mut().has_begun();
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
                run.scheduler.resume_host(host.index());
            }
        }
        Fault::Crash { host, how } => {
            if how == Crash::Machine && !stays_down {
                hear(run, host);
            }
            run.restart(host.index());
        }
        Fault::Partition { .. }
        | Fault::OneWayPartition { .. }
        | Fault::PausedLink { .. }
        | Fault::Clog { .. }
        | Fault::Slow { .. }
        | Fault::Lossy { .. }
        | Fault::Narrow { .. }
        | Fault::Reset { .. }
        | Fault::HalfOpen { .. } => apply_links(run),
    }
}

fn hear(run: &Run, host: HostId) {
    if !run.faults().borrow().is_silent(host) {
        run.network(|network, now, outside| network.unsilence(now, outside, host));
    }
}

fn apply_links(run: &Run) {
    let links = run.faults().borrow().links();
    run.network(|network, now, outside| network.set_all_conditions(now, outside, &links));
}
