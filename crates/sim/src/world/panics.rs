//! What a run does when code under test panics: the trace shows it, and so does the process if it is about to end.

use super::{Run, context};
use crate::panics::{LastPanic, Watch, catcher, complain, run_name, take_last_two};
use crate::trace::TraceEvent;
use crate::{interpose, sched};

/// Reports panics to the current run.
pub(super) const WATCH: Watch = Watch {
    panicked,
    second_panic,
    #[cfg(all(feature = "process", not(miri)))]
    uncaught,
};

/// A thread of a process, or a task of its tokio, has panicked, and nothing in the program will look at it.
#[cfg(all(feature = "process", not(miri)))]
fn uncaught(message: &str) {
    let Some(run) = context::current() else { return };
    if !run.scheduler.tolerates_panics() {
        run.scheduler.fail_by_panic(&run.who_runs(), message);
    }
}

fn panicked(message: &str) {
    // No task stops while it unwinds. What follows takes the lock under which sites are looked up.
    interpose::blocks::stop();
    let Some(run) = context::current() else { return };
    run.scheduler.trace_event(TraceEvent::Panicked(message.into()));
    if !is_of_process(&run) && interpose::as_simulator(catcher::is_tokio) {
        run.swallowed_by_tokio(message);
    }
}

/// Whether a thread of an unmodified program runs now: the hook has looked at its stack already.
fn is_of_process(run: &Run) -> bool {
    #[cfg(all(feature = "process", not(miri)))]
    return run.scheduler.runs_program();
    #[cfg(not(all(feature = "process", not(miri))))]
    {
        let _ = run;
        false
    }
}

/// A destructor has panicked during an unwind. Fails the run and has the stack abandoned, or says what no report
/// will: the panics that end the process, and whose they are.
fn second_panic() {
    interpose::blocks::stop();
    let Some(run) = context::current() else { return };
    let [first, then] = take_last_two();
    match then {
        Some(then) if run.scheduler.can_abandon() => {
            run.scheduler.fail_by_abandoning(first, then);
            drop(run);
            interpose::leave_at_abort(sched::abandon);
        }
        then => complain_of_abort(&run, first, then),
    }
}

fn complain_of_abort(run: &Run, first: Option<LastPanic>, then: Option<LastPanic>) {
    let whose = run.scheduler.running_name().map_or_else(String::new, |name| format!(" of {name}"));
    let [first, then] = [first, then].map(|panic| panic.map_or_else(String::new, |panic| panic.whole));
    complain(&format!(
        "wavetank: a destructor{whose} panicked while the stack was unwound by another panic, and Rust ends \
         the process for that.\nfirst: {first}\nthen:  {then}\n{}",
        run_name(),
    ));
}
