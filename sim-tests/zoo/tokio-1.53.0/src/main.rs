//! tokio 1.53.0: a reservation that fails after it got room wakes the receiver.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

// The same body as for the version with the bug.
#[path = "../../tokio-1.52.3/src/reserve_beside_close.rs"]
mod reserve_beside_close;

fn main() -> ExitCode {
    let body = reserve_beside_close::a_worker_with_waiting_producers_closes_its_queue_and_drains_it;
    show(
        env!("CARGO_MANIFEST_DIR"),
        "tokio 1.53.0",
        &[Entry::fixed("reserve_beside_close", "reservation beside close, fixed", body)],
    )
}
