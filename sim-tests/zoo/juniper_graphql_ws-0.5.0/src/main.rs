//! juniper_graphql_ws 0.5.0: ids that have completed are refused, and `complete` follows `error`.

use std::process::ExitCode;

use wavetank_zoo_graphql::{connection, operations};
use wavetank_zoo_harness::{Entry, show};

use crate::served::Juniper;

mod served;

/// The bodies that fail with this handler.
const BUGS: &[Entry] = &[
    Entry::bad(
        "reused_id",
        "an id that has completed is refused with 4409 when it is used again at once (juniper#1368)",
        "error in client: the server closes: # Subscriber for # already exists",
        operations::a_completed_id_may_be_used_again::<Juniper>,
    ),
    Entry::bad(
        "error",
        "`complete` follows `error`",
        "error in client: complete after error",
        operations::an_error_is_the_last_message::<Juniper>,
    ),
    Entry::bad(
        "client_complete",
        "the client's `complete` is answered with `complete`",
        "error in client: complete answers the client's complete",
        operations::nothing_follows_the_complete_of_a_client::<Juniper>,
    ),
    Entry::bad(
        "second_init",
        "a second `connection_init` is ignored, instead of closing with 4429",
        "error in client: a second connection_init is ignored",
        connection::a_second_init_closes_with_4429::<Juniper>,
    ),
];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "juniper_graphql_ws 0.5.0", BUGS)
}

#[cfg(test)]
mod tests {
    use wavetank_zoo_graphql::fairness;

    use super::*;

    /// The bodies that pass.
    const SOUND: &[Entry] = &[
        Entry::fixed(
            "busy_subscription",
            "",
            fairness::a_query_is_answered_beside_a_busy_subscription::<Juniper>,
        ),
        Entry::fixed("taken_id", "", operations::a_taken_id_closes_with_4409::<Juniper>),
        Entry::fixed("keepalive", "", connection::a_client_that_answers_is_kept::<Juniper>),
    ];

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
        for body in SOUND {
            assert_eq!(body.verify(env!("CARGO_MANIFEST_DIR")), None);
        }
    }
}
