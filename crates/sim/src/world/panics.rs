//! What a run does when code under test panics: the trace shows it, and so does the process if it is about to end.

use super::{Run, context};
use crate::panics::{Watch, complain, run_name, take_last_two};
use crate::trace::TraceEvent;

/// Reports panics to the current run.
pub(super) const WATCH: Watch = Watch { panicked, last_words };

fn panicked(message: &str, place: &str) {
    let Some(run) = context::current() else { return };
    run.scheduler.trace_event(TraceEvent::Panicked(message.into()));
    warn_of_abort(&run, message, place);
}

/// Says what no report will: the two panics that end the process, and whose they are. Of a thread in teardown that was
/// said when its destructor panicked.
fn last_words() {
    let Some(run) = context::current() else { return };
    if run.scheduler.is_tearing_down_a_thread() {
        return;
    }
    let whose = run.scheduler.running_name().map_or_else(String::new, |name| format!(" of {name}"));
    let [first, then] = take_last_two();
    complain(&format!(
        "wavetank: a destructor{whose} panicked while the stack was unwound by another panic, and Rust ends \
        the process for \
         that.\nfirst: {first}\nthen:  {then}\n{}",
        run_name(),
    ));
}

/// Says what no report can say any more: a second panic in a forced unwind ends the process.
fn warn_of_abort(run: &Run, message: &str, place: &str) {
    if run.scheduler.is_tearing_down_a_thread() {
        let whose = run.scheduler.running_name().unwrap_or_default();
        complain(&format!(
            "wavetank: a destructor of the thread {whose} panicked at {place} while the thread was torn \
            down, by an unwind, \
             and Rust ends the process for that: {message}\n{}",
            run_name(),
        ));
    }
}
