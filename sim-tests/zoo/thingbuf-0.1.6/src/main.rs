//! thingbuf 0.1.6: a send that is cancelled after its wake-up passes the wake-up to no other sender.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod cancelled_send;

const BUGS: &[Entry] = &[Entry::bad(
    "cancelled_send",
    "a `send` that is dropped after its wake-up keeps it: the next sender and the receiver hang",
    "deadlock: nothing can happen: client/main",
    cancelled_send::a_producer_gives_up_sends_beside_patient_ones,
)];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "thingbuf 0.1.6", BUGS)
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
