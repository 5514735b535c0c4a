//! `cargo wavetank`: sweeps, replays and shows the simulations of a package.
//!
//! The command builds test binaries with cargo, finds the tests with `#[wavetank::test]` in them, and runs each in a
//! process of its own, with variables of the environment that the simulator reads and a journal that it writes. Nothing
//! here simulates.
//!
//! # Exit status
//!
//! 0 if all is well, 1 if a run failed or two runs differ, 2 if the command could not do its work, 130 after Ctrl-C.

mod arguments;
mod cargo;
mod clock;
mod diff;
mod error;
mod explain;
mod list;
mod load;
mod merge;
mod new;
mod process;
mod recording;
mod replay;
mod results;
mod seeds;
mod serve;
mod show;
mod shrink;
mod simulations;
mod sweep;
mod trace;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    // Cargo runs `cargo-wavetank wavetank …`; an alias or a user runs it without that word.
    let mut words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "wavetank") {
        words.remove(1);
    }
    let done = match Arguments::parse_from(words).command {
        Command::Sweep(arguments) => sweep::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Shrink(arguments) => shrink::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Seeds(arguments) => seeds::run(&arguments),
        Command::Merge(arguments) => merge::run(&arguments),
        Command::New(arguments) => new::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(2)
        }
    }
}
