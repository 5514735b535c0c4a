//! yamux 0.14.0: split streams hang.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod both_ways;
mod session;
mod split_bursts;
mod split_streams;

fn main() -> ExitCode {
    show(
        env!("CARGO_MANIFEST_DIR"),
        "yamux 0.14.0",
        &[
            Entry::bad(
                "split_streams",
                "the halves of a split stream lose a waker, both ways over small buffers: hang (rust-yamux#232)",
                "deadlock: nothing can happen: client/",
                split_streams::both_ends_stream_through_split_halves,
            ),
            Entry::bad(
                "split_bursts",
                "the same, bursts of small messages over large buffers",
                "deadlock: nothing can happen: client/",
                split_bursts::both_ends_send_bursts_through_split_halves,
            ),
        ],
    )
}
