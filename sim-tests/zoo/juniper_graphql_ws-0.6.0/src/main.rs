//! juniper_graphql_ws 0.6.0: ids are free when they have completed, but a healthy client is closed after 15 seconds.

use std::process::ExitCode;

use wavetank_zoo_graphql::{connection, operations};
use wavetank_zoo_harness::{Entry, show};

use crate::served::{CLIENT_COMPLETE, ERROR, Juniper, SECOND_INIT};

#[path = "../../juniper_graphql_ws-0.5.0/src/served.rs"]
mod served;

/// The bodies that fail with this handler, and the one that it fixed.
const BUGS: &[Entry] = &[
    Entry::fixed(
        "reused_id",
        "reuse of an id, fixed",
        operations::a_completed_id_may_be_used_again::<Juniper>,
    ),
    Entry::bad(
        "keepalive",
        "a client that sends no pings is closed after 15 s, whatever it receives and answers",
        "error in client: a client that answers is closed",
        connection::a_client_that_answers_is_kept::<Juniper>,
    ),
    ERROR,
    CLIENT_COMPLETE,
    SECOND_INIT,
];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "juniper_graphql_ws 0.6.0", BUGS)
}

#[cfg(test)]
mod tests {
    use wavetank::Host;
    use wavetank_graphql::engine::juniper::Juniper as Engine;
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
        Entry::verify_others(env!("CARGO_MANIFEST_DIR"), BUGS, &bodies::<Juniper>());
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
