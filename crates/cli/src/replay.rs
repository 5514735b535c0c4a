//! `cargo wavetank replay`: one run again, shown, or stopped under a debugger.

use std::io::{IsTerminal, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::arguments::{Build, Replay, seed};
use crate::cargo::{Scope, Workspace};
use crate::error::Problem;
use crate::load::{self, Replayed, tail};
use crate::process::{self, Interrupt, Scratch};
use crate::recording::Recording;
use crate::show;
use crate::simulations::{self, Test};

/// What to replay.
#[derive(Debug)]
enum What {
    Seed(u64),
    File(PathBuf),
    /// The inline form of a recording.
    Word(String),
}

/// Runs the command. Returns whether the run passed.
pub(crate) fn run(arguments: &Replay) -> Result<bool, Problem> {
    let interrupt = Interrupt::install();
    let scratch = Scratch::make()?;
    let (what, filter) = what(&arguments.what, &scratch)?;
    let filter = arguments.test.clone().or(filter);
    let test = test_of(&what, filter, &arguments.build)?;
    let variables = variables(&what, arguments)?;
    if arguments.gdb {
        return debug(&test, &variables);
    }
    let replayed = load::replay(&test, &variables, &interrupt)?;
    print(&replayed, arguments)
}

fn print(replayed: &Replayed, arguments: &Replay) -> Result<bool, Problem> {
    let Some(trace) = &replayed.trace else {
        let report = replayed.ended.end.as_ref().and_then(|end| end["report"].as_str());
        let said = report.map_or_else(|| tail(&replayed.ended.output), str::to_owned);
        return Err(Problem::new(format!("there is no run to show: {}\n{said}", replayed.ended.status)));
    };
    if arguments.json {
        print!("{}", trace.lines());
        return Ok(trace.symptom().is_none());
    }
    print!("{}", show::text(trace));
    if let Some(recorded) = replayed.failure.as_ref().and_then(|failure| failure["recording"].as_str()) {
        println!("\nrecording   {recorded}");
    }
    if let Some(report) = replayed.ended.end.as_ref().and_then(|end| end["report"].as_str()) {
        // The notes of a report, without the trace that is above.
        let notes: Vec<&str> = report.lines().filter(|line| line.starts_with("note: ")).collect();
        notes.iter().for_each(|note| println!("{note}"));
    }
    Ok(trace.symptom().is_none())
}

/// Reads the argument: a seed, a word, a file, or `-`. Also returns the test that a pasted report names.
fn what(text: &str, scratch: &Scratch) -> Result<(What, Option<String>), Problem> {
    if text == "-" {
        let mut input = String::new();
        std::io::stdin().read_to_string(&mut input)?;
        return pasted(&input, scratch);
    }
    let path = Path::new(text);
    if text.starts_with("v1:") {
        return Ok((What::Word(text.to_owned()), None));
    }
    if let (Ok(seed), false) = (seed(text), path.exists()) {
        return Ok((What::Seed(seed), None));
    }
    Ok((What::File(path.to_owned()), None))
}

/// Finds what to replay in a recording or in a report that was pasted.
fn pasted(input: &str, scratch: &Scratch) -> Result<(What, Option<String>), Problem> {
    if input.starts_with("wavetank recording ") {
        let path = scratch.path("pasted.seed");
        std::fs::write(&path, input)?;
        return Ok((What::File(path), None));
    }
    let line =
        input.lines().rev().find(|line| line.contains("WAVETANK_SEED=") || line.contains("WAVETANK_REPLAY="));
    let value = |line: &str, name: &str| {
        let (_, rest) = line.split_once(name)?;
        rest.split_whitespace().next().map(str::to_owned)
    };
    let test = line.and_then(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let end = words.iter().position(|word| *word == "--")?;
        Some(words.get(end.checked_sub(1)?)?.trim_matches('\'').to_owned())
    });
    if let Some(word) = line.and_then(|line| value(line, "WAVETANK_REPLAY=")) {
        let what = if word.starts_with("v1:") { What::Word(word) } else { What::File(word.into()) };
        return Ok((what, test));
    }
    if let Some(Ok(seed)) = line.and_then(|line| value(line, "WAVETANK_SEED=")).map(|text| seed(&text)) {
        return Ok((What::Seed(seed), test));
    }
    let word = input.trim();
    if word.starts_with("v1:") && !word.contains(char::is_whitespace) {
        return Ok((What::Word(word.to_owned()), None));
    }
    Err(Problem::new("standard input has nothing to replay")
        .help("paste a recording, a report with its last line, or a word `v1:…`"))
}

/// Builds and returns the test to replay.
fn test_of(what: &What, filter: Option<String>, build: &Build) -> Result<Test, Problem> {
    let workspace = Workspace::load(build)?;
    if let What::File(path) = what {
        let recording = Recording::load(&load::existing(&workspace.root, path))?;
        return simulations::named(&workspace, &recording.build(build), &recording.test);
    }
    // A lane of the word that only an instrumented build has.
    let is_instrumented = matches!(what, What::Word(word) if word.contains(":block,"));
    let build = &Build { fine: build.fine || is_instrumented, ..build.clone() };
    let found = simulations::build(&workspace, build, &Scope::default())?;
    let filters: Vec<String> = filter.into_iter().collect();
    let mut found = simulations::select(found, &filters)?;
    if found.len() > 1 {
        let names: Vec<&str> = found.iter().map(|test| &*test.path).take(8).collect();
        let many = Problem::new(format!("{} simulations match: {}", found.len(), names.join(", ")));
        return Err(many.help("name the test after the seed: cargo wavetank replay SEED TEST"));
    }
    found.pop().ok_or_else(|| Problem::new("no simulation matches"))
}

fn variables(what: &What, arguments: &Replay) -> Result<Vec<(&'static str, String)>, Problem> {
    let mut variables = match what {
        What::Seed(seed) => vec![("WAVETANK_SEED", format!("{seed:#x}"))],
        What::Word(word) => vec![("WAVETANK_REPLAY", word.clone()), ("WAVETANK_SHRINK", "0".to_owned())],
        What::File(path) => load::variables_of(&load::existing(&std::env::current_dir()?, path))?,
    };
    if arguments.strict {
        variables.push(("WAVETANK_STRICT", "1".to_owned()));
    }
    if let Some(event) = arguments.until {
        variables.push(("WAVETANK_UNTIL", event.to_string()));
    }
    Ok(variables)
}

/// Runs the test under gdb. Without a terminal it shows where it stopped, and ends.
fn debug(test: &Test, variables: &[(&'static str, String)]) -> Result<bool, Problem> {
    let mut command = Command::new("gdb");
    command.args(["-q", "-ex", "set confirm off", "-ex", "handle SIGTRAP stop nopass", "-ex", "run"]);
    if !std::io::stdin().is_terminal() {
        command.args(["-batch", "-ex", "backtrace 30"]);
    }
    command.arg("--args").arg(&test.executable);
    command.args([&*test.path, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"]);
    process::environment(&mut command, test, variables);
    let status = command.status().map_err(|error| {
        Problem::new(format!("cannot run gdb: {error}")).help("install gdb, or leave --gdb out")
    })?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_report_names_seed_and_test() {
        let scratch = Scratch::make().expect("makes");
        let report = "wavetank: …\nreplay it with:\nWAVETANK_REPLAY=v1:2a:1:0 cargo test -p chat --test t \
                      deep::closes -- --exact --nocapture\n";
        let (what, test) = pasted(report, &scratch).expect("found");
        assert!(matches!(what, What::Word(word) if word == "v1:2a:1:0"));
        assert_eq!(test.as_deref(), Some("deep::closes"));
        let (what, _) = pasted("WAVETANK_SEED=0x2a cargo test x -- --exact", &scratch).expect("found");
        assert!(matches!(what, What::Seed(42)));
        assert!(pasted("nothing", &scratch).is_err());
    }
}
