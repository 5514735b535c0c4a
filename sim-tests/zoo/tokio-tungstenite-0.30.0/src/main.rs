//! tokio-tungstenite 0.30.0: cancelling is safe, but `close` after a stuck write never returns, and it keeps a pong for
//! every ping.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};
use wavetank_zoo_websocket::{close, pings};

use crate::client::TokioTungstenite;

mod client;

/// The bodies that fail with this client.
const BUGS: &[Entry] = &[
    Entry::bad(
        "close_stuck",
        "`close` after a stuck write never returns",
        "client/main waits to write client",
        close::closing_ends_when_a_write_is_stuck::<TokioTungstenite>,
    ),
    Entry::bad(
        "pings",
        "20,000 pings from a peer that does not read: the client keeps 20,000 pongs",
        "panic in server/main: on the wire: a pong for every ping, kept while nobody read",
        pings::pings_of_a_deaf_peer_cost_little::<TokioTungstenite>,
    ),
];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "tokio-tungstenite 0.30.0", BUGS)
}

#[cfg(test)]
mod tests {
    use wavetank_zoo_websocket::{receive, send};

    use super::*;

    /// The bodies that pass.
    const SOUND: &[Entry] = &[
        Entry::fixed("cancelled_recv", "", receive::cancelled_receives_lose_nothing::<TokioTungstenite>),
        Entry::fixed(
            "end_without_close",
            "",
            receive::ending_without_a_close_frame_is_an_error::<TokioTungstenite>,
        ),
        Entry::fixed(
            "close_under_way",
            "",
            receive::messages_under_way_are_received_after_close::<TokioTungstenite>,
        ),
        Entry::fixed(
            "close_twice",
            "",
            close::closing_twice_sends_one_close_frame_and_ends::<TokioTungstenite>,
        ),
        Entry::fixed(
            "send_after_close",
            "",
            close::no_message_is_sent_after_the_peers_close::<TokioTungstenite>,
        ),
        Entry::fixed(
            "cancelled_send",
            "",
            send::a_cancelled_send_leaves_the_stream_whole::<TokioTungstenite>,
        ),
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
