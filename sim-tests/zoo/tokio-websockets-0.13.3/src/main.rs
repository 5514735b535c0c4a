//! tokio-websockets 0.13.3: `close` loses messages and may never return, an end without a Close frame looks clean, and
//! the writer of a split stream may hang.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};
use wavetank_zoo_websocket::{close, pings, receive};

use crate::client::TokioWebsockets;

mod client;
mod split;

/// The bodies that fail with this client.
const BUGS: &[Entry] = &[
    Entry::bad(
        "end_without_close",
        "a connection that ends without a Close frame looks like a clean end",
        "an end without a Close frame is an error",
        receive::ending_without_a_close_frame_is_an_error::<TokioWebsockets>,
    ),
    Entry::bad(
        "close_twice",
        "`close` never returns if the peer does not answer, nor does a second call",
        "client/main waits to read client",
        close::closing_twice_sends_one_close_frame_and_ends::<TokioWebsockets>,
    ),
    Entry::bad(
        "close_under_way",
        "`close` loses the messages that are on their way",
        "messages before the peer's Close are received after our close",
        receive::messages_under_way_are_received_after_close::<TokioWebsockets>,
    ),
    Entry::bad(
        "close_stuck",
        "`close` after a stuck write never returns",
        "client/main waits to write client",
        close::closing_ends_when_a_write_is_stuck::<TokioWebsockets>,
    ),
    Entry::bad(
        "pings",
        "20,000 pings from a peer that does not read: the client keeps 20,000 pongs",
        "panic in server/main: on the wire: a pong for every ping, kept while nobody read",
        pings::pings_of_a_deaf_peer_cost_little::<TokioWebsockets>,
    ),
    Entry::bad(
        "split",
        "the reader of a split stream flushes for the writer and does not wake it: it hangs",
        "deadlock: nothing can happen: client/main",
        split::both_ends_talk_in_two_tasks_each,
    ),
];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "tokio-websockets 0.13.3", BUGS)
}

#[cfg(test)]
mod tests {
    use wavetank_zoo_websocket::send;

    use super::*;

    /// The bodies that pass.
    const SOUND: &[Entry] = &[
        Entry::fixed("cancelled_recv", "", receive::cancelled_receives_lose_nothing::<TokioWebsockets>),
        Entry::fixed(
            "send_after_close",
            "",
            close::no_message_is_sent_after_the_peers_close::<TokioWebsockets>,
        ),
        Entry::fixed("cancelled_send", "", send::a_cancelled_send_leaves_the_stream_whole::<TokioWebsockets>),
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
