//! hyper 1.12.0: a client connection whose upload is answered early takes no further request.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod early_answer;

const BUGS: &[Entry] = &[Entry::bad(
    "early_answer",
    "HTTP/1 client: the answer comes before the upload is written: the connection never takes another request",
    "deadlock: nothing can happen: client/main",
    early_answer::a_server_answers_before_it_has_read,
)];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "hyper 1.12.0", BUGS)
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
