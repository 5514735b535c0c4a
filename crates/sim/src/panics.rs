//! Panics on the threads of runs: collected for the report instead of printed.
//!
//! A simulated panic is a finding, and the shrinker repeats it a thousand times. The default hook would bury the report
//! under backtraces. So one hook, installed over the hook of the process, notes the panics of run threads and passes
//! all others on.

pub(crate) mod catcher;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Once, OnceLock};

use crate::printable;
use crate::thread_memory::place_of;

/// The message of a panic payload, cut if it is very long.
pub(crate) fn message_of(payload: &dyn Any) -> String {
    printable::cut(wavetank_runtime::__private::panic_message(payload))
}

/// The message of a panic payload, which is dropped. A payload that panics when it is dropped is no fault of the
/// simulator.
pub(crate) fn take_message(payload: Box<dyn Any + Send>) -> String {
    let message = message_of(&*payload);
    // What the second panic left may do the same.
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    message
}

/// What a run does when code under test panics.
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    /// Takes the message of a panic that has just begun.
    pub(crate) panicked: fn(&str),
    /// Called when a second panic is about to end the process; the hook is the last that runs.
    pub(crate) second_panic: fn(),
    /// Takes the message of a panic of an unmodified program that the program itself does not catch.
    #[cfg(all(feature = "process", not(miri)))]
    pub(crate) uncaught: fn(&str),
}

thread_local! {
    static IS_RUN_THREAD: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<Option<LastPanic>> = const { RefCell::new(None) };
    /// Which run this is, and how to see it again.
    static RUN_NAME: RefCell<String> = const { RefCell::new(String::new()) };
    /// The run of this OS thread.
    static WATCH: Cell<Option<Watch>> = const { Cell::new(None) };
    /// The one before.
    static BEFORE: RefCell<Option<LastPanic>> = const { RefCell::new(None) };
}

/// A panic that has begun.
#[derive(Debug)]
pub(crate) struct LastPanic {
    pub(crate) place: String,
    pub(crate) message: String,
    /// The message with the place.
    pub(crate) whole: String,
}

/// Takes a panic, if it is one of an unmodified program.
type Note = fn(&PanicHookInfo<'_>) -> bool;

/// What takes the panics of unmodified programs.
static OF_PROGRAMS: OnceLock<Note> = OnceLock::new();

/// Sets what takes the panics of unmodified programs.
#[cfg(all(feature = "process", not(miri)))]
pub(crate) fn on_panic_of_program(note: Note) {
    let _ = OF_PROGRAMS.set(note);
}

/// Runs `f` as the work of a run's thread: its panics are not printed.
///
/// # Errors
///
/// The message and place of the panic that ended `f`.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    static INSTALL: Once = Once::new();
    crate::process_end::install();
    INSTALL.call_once(|| {
        let outer = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if OF_PROGRAMS.get().is_some_and(|note| note(info)) {
                return;
            }
            if IS_RUN_THREAD.try_with(Cell::get).unwrap_or(false) { note(info) } else { outer(info) }
        }));
    });
    IS_RUN_THREAD.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    IS_RUN_THREAD.set(false);
    result.map_err(|payload| LAST_PANIC.take().map_or_else(|| message_of(&*payload), |last| last.whole))
}

/// Where the thread-local values of this module are that a run changes.
pub(crate) fn thread_locals() -> Vec<Range<usize>> {
    let plain = [IS_RUN_THREAD.with(place_of), WATCH.with(place_of), RUN_NAME.with(place_of)];
    let panics = [LAST_PANIC.with(place_of), BEFORE.with(place_of), catcher::known()];
    [plain, panics].concat()
}

/// Forgets what a run has left on this OS thread.
pub(crate) fn forget_all() {
    drop(take_last_two());
    WATCH.set(None);
    RUN_NAME.take();
}

/// Sets what is called when code under test panics on this OS thread.
pub(crate) fn watch(watch: Option<Watch>) {
    WATCH.set(watch);
}

/// Takes the last two panics of this OS thread, the earlier one first.
pub(crate) fn take_last_two() -> [Option<LastPanic>; 2] {
    [&BEFORE, &LAST_PANIC].map(|panic| panic.try_with(RefCell::take).ok().flatten())
}

/// Says which run this OS thread does, in lines for its last words.
pub(crate) fn name_run(name: String) {
    crate::process_end::set_name(&name);
    RUN_NAME.set(name);
}

/// Which run this OS thread does, and how to see it again, in lines.
pub(crate) fn run_name() -> String {
    RUN_NAME.try_with(|name| name.borrow().clone()).unwrap_or_default()
}

/// How a tokio runtime ends that shuts down when a task panics, as turmoil's do: the panic before this one is the news.
const TOKIO_SHUTS_DOWN: &str = "configured to shut down on unhandled panic";

/// Returns the message of the last panic on this OS thread that was not taken yet.
pub(crate) fn last_message() -> Option<String> {
    LAST_PANIC.try_with(|last| last.borrow().as_ref().map(|last| last.message.clone())).ok().flatten()
}

fn note(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let message = message_of(info.payload());
    let is_echo = message.contains(TOKIO_SHUTS_DOWN);
    if is_echo && LAST_PANIC.try_with(|last| last.borrow().is_some()).unwrap_or(false) {
        return;
    }
    let watch = WATCH.try_with(Cell::get).ok().flatten();
    if let Some(watch) = watch
        && message.starts_with(DURING_CLEANUP)
    {
        return (watch.second_panic)();
    }
    let whole = printable::cut(info.to_string());
    let last = LastPanic { place, message: message.clone(), whole };
    let before = LAST_PANIC.try_with(|one| one.replace(Some(last)));
    let _ = BEFORE.try_with(|one| one.replace(before.ok().flatten()));
    if let Some(watch) = watch {
        // Now and not when the unwind has ended: what destructors do comes after it.
        (watch.panicked)(&message);
    }
}

/// Notes a panic of an unmodified program, on the OS thread of its run.
#[cfg(all(feature = "process", not(miri)))]
pub(crate) fn note_of_program(info: &PanicHookInfo<'_>, is_caught: bool) {
    note(info);
    if !is_caught && let Some(watch) = WATCH.get() {
        (watch.uncaught)(&message_of(info.payload()));
    }
}

/// How Rust begins to end a process in which a destructor panicked in an unwind: nothing can be caught any more.
const DURING_CLEANUP: &str = "panic in a destructor during cleanup";

/// Forgets the last panic on this OS thread: it was caught.
pub(crate) fn forget() {
    drop(LAST_PANIC.take());
}

/// Returns the source place of the last panic on this OS thread, for a report (never for a trace: lines move).
pub(crate) fn take_place() -> Option<String> {
    LAST_PANIC.take().map(|last| last.place)
}

/// Prints a last word before the process ends, past the test harness: it would keep it until the test has failed.
pub(crate) fn complain(message: &str) {
    crate::process_end::said();
    // There is no better place to say it.
    let _ = writeln!(std::io::stderr(), "{}", printable::lines(message));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_panic_has_its_message_and_place() {
        let message = catch(|| panic!("the hull is {}", "open")).expect_err("it panics");
        assert!(message.contains("the hull is open") && message.contains("panics.rs"), "{message}");
        assert_eq!(catch(|| 7), Ok(7));
    }

    #[test]
    fn a_payload_that_bypassed_the_hook_is_read() {
        let message = catch(|| panic::resume_unwind(Box::new("quietly".to_owned())));
        assert_eq!(message, Err::<(), _>("quietly".to_owned()));
    }
}
