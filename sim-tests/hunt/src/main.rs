//! The hunt: widely used crates in their newest versions, under general workloads in the simulator.
//!
//! `subjects` has one file for each crate under test. Channels, locks and pools share their workloads (`workloads`): a
//! subject then only says how its crate sends, locks or takes. `sweep` runs the seeds and makes the rows of the table.
//!
//! # Invariants
//!
//! - A subject says what a user may rely on, and nothing about how the crate does it.
//! - A failure that is not known makes the program fail.

use std::process::ExitCode;

mod ledger;
mod subject;
mod subjects;
mod sweep;
mod workloads;

fn main() -> ExitCode {
    match sweep::Options::parse(std::env::args().skip(1)) {
        Ok(options) => sweep::run(&options),
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}
