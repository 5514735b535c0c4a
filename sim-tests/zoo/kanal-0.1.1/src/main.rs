//! kanal 0.1.1: a `send` that is polled with a new waker still wakes the old one.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod moved_send;

const BUGS: &[Entry] = &[Entry::bad(
    "moved_send",
    "a `send` that waits is moved into another task: nothing wakes that task, it hangs",
    "deadlock: nothing can happen: client/main",
    moved_send::a_send_that_takes_long_moves_into_a_task,
)];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "kanal 0.1.1", BUGS)
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
