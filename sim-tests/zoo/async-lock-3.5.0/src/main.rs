//! async-lock 3.5.0: two readers that wait for a `RwLock` wake each other in a loop.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod waiting_readers;

const BUGS: &[Entry] = &[Entry::bad(
    "waiting_readers",
    "two readers wait for a `RwLock` and one writer follows another: the readers wake each other in a loop",
    "panic in client/reader",
    waiting_readers::readers_wait_while_writers_follow_each_other,
)];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "async-lock 3.5.0", BUGS)
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
