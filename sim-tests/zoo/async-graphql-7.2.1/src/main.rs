//! async-graphql 7.2.1: `http::WebSocket` replaces operations, starves them, and never sends `error`.

use std::process::ExitCode;

use wavetank_zoo_graphql::{connection, fairness, operations};
use wavetank_zoo_harness::{Entry, show};

use crate::served::AsyncGraphql;

mod served;

/// The bodies that fail with this handler.
const BUGS: &[Entry] = &[
    Entry::bad(
        "busy_subscription",
        "`http::WebSocket` polls its operations from the first of a `HashMap`: a busy one starves the others \
         (compare async-graphql#892)",
        "error in client: the query has no answer",
        fairness::a_query_is_answered_beside_a_busy_subscription::<AsyncGraphql>,
    ),
    Entry::bad(
        "taken_id",
        "a second operation with the id of a running one replaces it, instead of closing with 4409",
        "error in client: the id of a running operation is taken by another",
        operations::a_taken_id_closes_with_4409::<AsyncGraphql>,
    ),
    Entry::bad(
        "error",
        "an invalid request is answered with `next` and `complete`: `error` is never sent",
        "error in client: an invalid request is answered with \"next\"",
        operations::an_error_is_the_last_message::<AsyncGraphql>,
    ),
    Entry::bad(
        "client_complete",
        "the client's `complete` is answered with `complete`",
        "error in client: complete answers the client's complete",
        operations::nothing_follows_the_complete_of_a_client::<AsyncGraphql>,
    ),
    Entry::bad(
        "keepalive",
        "`keepalive_timeout`, here 15 s, sends no ping and closes a client that would answer",
        "error in client: a client that answers is closed",
        connection::a_client_that_answers_is_kept::<AsyncGraphql<15>>,
    ),
];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "async-graphql 7.2.1", BUGS)
}

#[cfg(test)]
mod tests {
    use wavetank::Host;
    use wavetank_graphql::engine::async_graphql::AsyncGraphql as Engine;
    use wavetank_zoo_graphql::{Handler, Line, bodies, ours};

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
        let directory = env!("CARGO_MANIFEST_DIR");
        Entry::verify_others(directory, BUGS, &bodies::<AsyncGraphql>());
        let no_keepalive = connection::a_client_that_answers_is_kept::<AsyncGraphql>;
        Entry::verify_others(directory, BUGS, &[("no_keepalive", no_keepalive)]);
    }

    /// Our handler, with the same engine and the same schema.
    struct Ours;

    impl Handler for Ours {
        async fn serve(host: Host, line: Line) -> Result<(), String> {
            ours::serve(host, line, Engine::new(served::schema())).await
        }
    }

    #[test]
    fn ours_passes_every_body() {
        Entry::verify_ours(env!("CARGO_MANIFEST_DIR"), &bodies::<Ours>());
    }
}
