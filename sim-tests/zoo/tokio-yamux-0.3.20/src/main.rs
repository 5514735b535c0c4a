//! tokio-yamux 0.3.20: split streams are fixed, but a task that only writes hangs, and so does a writer to a
//! half-closed stream.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod half_close;
mod head_of_line;
mod write_only;
// The same bodies as for the version with the bug.
#[path = "../../tokio-yamux-0.3.17/src/session.rs"]
mod session;
#[path = "../../tokio-yamux-0.3.17/src/split_streams.rs"]
mod split_streams;

const HEAD_OF_LINE: Entry = Entry::bad(
    "head_of_line",
    "a stream that is not read stops all others of its session, after twenty small frames",
    "deadlock: nothing can happen: client/main",
    head_of_line::a_server_reads_one_of_two_streams,
);

fn main() -> ExitCode {
    show(
        env!("CARGO_MANIFEST_DIR"),
        "tokio-yamux 0.3.20",
        &[
            Entry::fixed(
                "split_streams",
                "split halves, fixed",
                split_streams::a_client_writes_and_reads_in_two_tasks,
            ),
            Entry::bad(
                "write_only",
                "a writer without a reader beside it is not woken when the window opens (tentacle#33, #455)",
                "deadlock: nothing can happen: client/main",
                write_only::a_client_sends_a_megabyte_and_reads_nothing,
            ),
            Entry::bad(
                "half_close",
                "the reader closes a stream and drops it: its peer's write never ends (as hashicorp/yamux#133)",
                "deadlock: nothing can happen: client/main",
                half_close::a_server_closes_a_stream_that_a_client_writes_to,
            ),
            HEAD_OF_LINE,
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bug_is_found_with_its_reviewed_trace() {
        if let Some(trace) = HEAD_OF_LINE.verify(env!("CARGO_MANIFEST_DIR")) {
            insta::assert_snapshot!(HEAD_OF_LINE.name(), trace);
        }
    }
}
