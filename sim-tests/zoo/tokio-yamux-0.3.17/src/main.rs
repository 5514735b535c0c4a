//! tokio-yamux 0.3.17: split streams hang, but a writer without a reader does not.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod session;
mod split_streams;
// The same body as for the version with the bug. The fix of the other bug introduced it.
#[path = "../../tokio-yamux-0.3.20/src/write_only.rs"]
mod write_only;

fn main() -> ExitCode {
    show(
        env!("CARGO_MANIFEST_DIR"),
        "tokio-yamux 0.3.17",
        &[
            Entry::bad(
                "split_streams",
                "a write replaces the waker of the reading half, which hangs (tentacle#424)",
                "deadlock: nothing can happen: client/main",
                split_streams::a_client_writes_and_reads_in_two_tasks,
            ),
            Entry::fixed(
                "write_only",
                "write only, not yet broken",
                write_only::a_client_sends_a_megabyte_and_reads_nothing,
            ),
        ],
    )
}
