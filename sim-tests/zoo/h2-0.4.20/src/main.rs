//! h2 0.4.20: a server that lowers the initial window of streams may never ask for the rest of an upload.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod smaller_window;

const BUGS: &[Entry] = &[Entry::bad(
    "smaller_window",
    "an upload begins before SETTINGS with a smaller initial window arrive: no WINDOW_UPDATE follows, it hangs",
    "deadlock: nothing can happen: client/main",
    smaller_window::a_client_uploads_before_the_settings_arrive,
)];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "h2 0.4.20", BUGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_is_found_with_its_reviewed_trace() {
        for bug in BUGS {
            if let Some(trace) = bug.verify(env!("CARGO_MANIFEST_DIR")) {
                insta::assert_snapshot!(bug.name(), trace);
            }
        }
    }
}
