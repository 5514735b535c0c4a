//! juniper_graphql_ws 0.5.0: ids that have completed are refused, and `complete` follows `error`.

use std::process::ExitCode;

use wavetank_zoo_graphql::operations;
use wavetank_zoo_harness::{Entry, show};

use crate::served::{CLIENT_COMPLETE, ERROR, Juniper, SECOND_INIT};

mod served;

/// The bodies that fail with this handler.
const BUGS: &[Entry] = &[
    Entry::bad(
        "reused_id",
        "an id that has completed is refused with 4409 when it is used again at once (juniper#1368)",
        "error in client: the server closes: # Subscriber for # already exists",
        operations::a_completed_id_may_be_used_again::<Juniper>,
    ),
    ERROR,
    CLIENT_COMPLETE,
    SECOND_INIT,
];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "juniper_graphql_ws 0.5.0", BUGS)
}

#[cfg(test)]
mod tests {
    use wavetank_zoo_graphql::bodies;

    use super::*;

    #[test]
    fn every_bug_is_found_with_its_reviewed_trace() {
        for bug in BUGS {
            if let Some(trace) = bug.verify(env!("CARGO_MANIFEST_DIR")) {
                insta::assert_snapshot!(bug.name(), trace);
            }
        }
    }

    #[test]
    fn the_other_bodies_pass() {
        Entry::verify_others(env!("CARGO_MANIFEST_DIR"), BUGS, &bodies::<Juniper>());
    }
}
