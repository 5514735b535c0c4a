//! hyper-util 0.1.21: `client::pool::singleton` forgets users that wait for a connection.

use std::process::ExitCode;

use wavetank_zoo_harness::{Entry, show};

mod connections;
mod reaped;
mod stale_error;

const BUGS: &[Entry] = &[
    Entry::bad(
        "reaped",
        "`pool::singleton`: a finished waiter removes one of the next connection: it hangs",
        "deadlock: nothing can happen: client/main",
        reaped::users_share_a_connection_that_is_reaped,
    ),
    Entry::bad(
        "stale_error",
        "`pool::singleton`: an error of the old connection discards the new one that a user waits for",
        // A deadlock, or a panic of the user.
        "client/",
        stale_error::two_users_notice_the_end_of_their_connection,
    ),
];

fn main() -> ExitCode {
    show(env!("CARGO_MANIFEST_DIR"), "hyper-util 0.1.21", BUGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_is_found_with_its_reviewed_trace() {
        for bug in BUGS {
            if let Some(trace) = bug.verify(env!("CARGO_MANIFEST_DIR")) {
                insta::assert_snapshot!(bug.name(), trace);
            }
        }
    }
}
