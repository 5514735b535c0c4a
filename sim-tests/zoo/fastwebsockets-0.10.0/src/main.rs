//! fastwebsockets 0.10.0: cancelling corrupts the stream in both directions, and the caller must do the closing.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};
use wavetank_zoo_websocket::{close, pings, receive, send};

use crate::client::Fastwebsockets;

mod client;

/// The bodies that fail with this client.
const BUGS: &[Entry] = &[
    Entry::bad(
        "cancelled_recv",
        "a `read_frame` cancelled after a header loses its place in the stream (fastwebsockets#64)",
        "every message is received, once and whole",
        receive::cancelled_receives_lose_nothing::<Fastwebsockets>,
    ),
    Entry::bad(
        "cancelled_send",
        "a cancelled `write_frame` leaves half a frame, and the next one is written into it",
        "panic in server/main: on the wire: ",
        send::a_cancelled_send_leaves_the_stream_whole::<Fastwebsockets>,
    ),
    Entry::bad(
        "close_twice",
        "closing twice sends two Close frames (fastwebsockets#116)",
        "panic in server/main: on the wire: a frame after the Close frame",
        close::closing_twice_sends_one_close_frame_and_ends::<Fastwebsockets>,
    ),
    Entry::bad(
        "close_under_way",
        "messages on their way to a closing client are lost: `read_frame` fails",
        "messages before the peer's Close are received after our close",
        receive::messages_under_way_are_received_after_close::<Fastwebsockets>,
    ),
    Entry::bad(
        "close_stuck",
        "`close` after a stuck write never returns",
        "client/main waits to write client",
        close::closing_ends_when_a_write_is_stuck::<Fastwebsockets>,
    ),
    Entry::bad(
        "pings",
        "20,000 pings from a peer that does not read: `read_frame` waits to write a pong and stops reading: deadlock",
        "client/main waits to write client",
        pings::pings_of_a_deaf_peer_cost_little::<Fastwebsockets>,
    ),
];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "fastwebsockets 0.10.0", BUGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bodies that pass.
    const SOUND: &[Entry] = &[
        Entry::fixed(
            "end_without_close",
            "",
            receive::ending_without_a_close_frame_is_an_error::<Fastwebsockets>,
        ),
        Entry::fixed(
            "send_after_close",
            "",
            close::no_message_is_sent_after_the_peers_close::<Fastwebsockets>,
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
