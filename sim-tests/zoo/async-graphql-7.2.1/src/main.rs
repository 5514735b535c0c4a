//! async-graphql 7.2.1: `http::WebSocket` starves operations beside a busy subscription.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod busy_subscription;

fn main() -> ExitCode {
    show(
        env!("CARGO_MANIFEST_DIR"),
        "async-graphql 7.2.1",
        &[Entry::bad(
            "busy_subscription",
            "`http::WebSocket` polls its operations from the first of a `HashMap`: a busy one starves the others \
             (compare async-graphql#892)",
            "error in client: the query has no answer",
            busy_subscription::a_query_is_answered_beside_a_busy_subscription,
        )],
    )
}
