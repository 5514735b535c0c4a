//! tokio 1.52.2: `OwnedPermit::release` does not wake a receiver that waits until a closed channel is empty.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod release_after_close;

fn main() -> ExitCode {
    let body = release_after_close::a_worker_closes_its_queue_and_drains_it;
    show(
        env!("CARGO_MANIFEST_DIR"),
        "tokio 1.52.2",
        &[Entry::bad(
            "release_after_close",
            "`mpsc::OwnedPermit::release` after `close`: the receiver hangs (tokio#8075)",
            "deadlock: nothing can happen: client/main",
            body,
        )],
    )
}
