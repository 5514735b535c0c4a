//! yamux 0.14.1: split streams are fixed, but a ping stops two loaded ends, a half-closed stream stops its
//! writer, and the local limit of streams ends the connection.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod half_close;
mod ping_under_load;
mod stream_limit;
// The same bodies as for the version with the bug.
#[path = "../../yamux-0.14.0/src/both_ways.rs"]
mod both_ways;
#[path = "../../yamux-0.14.0/src/session.rs"]
mod session;
#[path = "../../yamux-0.14.0/src/split_bursts.rs"]
mod split_bursts;
#[path = "../../yamux-0.14.0/src/split_streams.rs"]
mod split_streams;

const STREAM_LIMIT: Entry = Entry::bad(
    "stream_limit",
    "one stream more than the local limit ends the connection, and all open streams",
    "error in client: an open stream is lost",
    stream_limit::a_client_opens_one_stream_more_than_its_limit,
);

fn main() -> ExitCode {
    show(
        env!("CARGO_MANIFEST_DIR"),
        "yamux 0.14.1",
        &[
            Entry::fixed(
                "split_streams",
                "split halves over small buffers, fixed",
                split_streams::both_ends_stream_through_split_halves,
            ),
            Entry::fixed(
                "split_bursts",
                "split halves in bursts, fixed",
                split_bursts::both_ends_send_bursts_through_split_halves,
            ),
            Entry::bad(
                "ping_under_load",
                "while a pong waits to be written, reading stops: two loaded ends deadlock (rust-yamux#227)",
                "deadlock: nothing can happen: client/",
                ping_under_load::both_ends_stream_for_longer_than_a_ping_interval,
            ),
            Entry::bad(
                "half_close",
                "the reader closes a stream and drops it: its peer's write never ends (as hashicorp/yamux#133)",
                "deadlock: nothing can happen: client/",
                half_close::a_server_closes_a_stream_that_a_client_writes_to,
            ),
            STREAM_LIMIT,
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bug_is_found_with_its_reviewed_trace() {
        if let Some(trace) = STREAM_LIMIT.verify(env!("CARGO_MANIFEST_DIR")) {
            insta::assert_snapshot!(STREAM_LIMIT.name(), trace);
        }
    }
}
