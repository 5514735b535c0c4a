//! Panics inside of simulated runs: quiet, because they are results.
//!
//! The process-wide hook prints nothing for a panic in a run, whose report says it better; it keeps the place of the
//! panic for that report. Panics elsewhere go to the hook that was there before.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

static INSTALL: Once = Once::new();

/// Installs the hook, once per process.
pub(crate) fn install_hook() {
    INSTALL.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !crate::interpose::inside() {
                return previous(info);
            }
            let place = place(info);
            if let Some(run) = crate::context::current()
                && run.executor.is_tearing_down_a_thread()
            {
                complain(&format!(
                    "wavetank: a destructor panicked at {place} while the simulated thread it belongs to was torn down \
                     (seed {}): {}. Rust ends the process for a panic in an unwind.",
                    run.seed,
                    info.payload_as_str().unwrap_or("no message"),
                ));
            }
            LAST.with(|last| *last.borrow_mut() = Some(place));
        }));
    });
}

fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string)
}

/// Returns the source place of the last panic on this OS thread, for a report (never for a trace: lines move).
pub(crate) fn take_place() -> Option<String> {
    LAST.with(|last| last.borrow_mut().take())
}

/// Prints a last word before the process ends.
pub(crate) fn complain(message: &str) {
    eprintln!("{message}");
}
