//! tokio 1.52.3: `OwnedPermit::release` wakes a receiver that waits until a closed channel is empty, but a reservation
//! that fails after it got room does not.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

// The same body as for the version with the bug.
#[path = "../../tokio-1.52.2/src/release_after_close.rs"]
mod release_after_close;
mod reserve_beside_close;

fn main() -> ExitCode {
    show(
        env!("CARGO_MANIFEST_DIR"),
        "tokio 1.52.3",
        &[
            Entry::fixed(
                "release_after_close",
                "release after close, fixed",
                release_after_close::a_worker_closes_its_queue_and_drains_it,
            ),
            Entry::bad(
                "reserve_beside_close",
                "`mpsc::Sender::reserve_owned` gets room as the channel closes: the receiver hangs (tokio#8260)",
                "deadlock: nothing can happen: client/main",
                reserve_beside_close::a_worker_with_waiting_producers_closes_its_queue_and_drains_it,
            ),
        ],
    )
}
