//! `cargo wavetank seeds`: what is recorded, whether it still fails, and what is of no use any more.

use std::fs;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::arguments::{Build, Seeds};
use crate::cargo::{Scope, Workspace};
use crate::error::Problem;
use crate::load;
use crate::process::Interrupt;
use crate::recording::{Recording, all_below, shown};
use crate::simulations::{self, Test};

/// What a recording is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was not run.
    Unknown,
    /// It fails as it expects, or passes as it expects.
    AsRecorded,
    /// It fails, in another way.
    FailsOtherwise,
    /// Its bug was fixed: it guards against its return.
    Passes,
    /// Its test does not exist.
    Orphan,
    /// The file is not a recording.
    Broken,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "not run",
            Self::AsRecorded => "as recorded",
            Self::FailsOtherwise => "fails otherwise",
            Self::Passes => "passes",
            Self::Orphan => "orphan",
            Self::Broken => "broken",
        }
    }
}

/// A file and what is known about it.
struct Entry {
    path: PathBuf,
    recording: Option<Recording>,
    state: State,
    note: String,
}

/// Runs the command. Returns whether no recording is broken, without a test, or fails in another way.
pub(crate) fn run(arguments: &Seeds) -> Result<bool, Problem> {
    let workspace = Workspace::load(&arguments.build)?;
    let interrupt = Interrupt::install();
    let mut entries = entries(&workspace.root, &arguments.filters);
    if entries.is_empty() && !arguments.json {
        println!("no recordings below {}", workspace.root.join("seeds").display());
    }
    // Of an ordinary build and of one with preemption at basic blocks, once a recording needs it.
    let mut tests: [Option<Vec<Test>>; 2] = [None, None];
    let mut heading = String::new();
    for entry in &mut entries {
        if interrupt.is_raised() {
            break;
        }
        if !arguments.no_run {
            let is_instrumented = entry.recording.as_ref().is_some_and(|found| found.is_instrumented);
            let fine = arguments.build.fine || is_instrumented;
            let tests = &mut tests[usize::from(fine)];
            if tests.is_none() {
                *tests = Some(tests_of(&workspace, arguments, fine)?);
            }
            judge(entry, tests.as_deref().unwrap_or_default(), &interrupt)?;
        }
        print(entry, &workspace.root, &mut heading, arguments.json);
    }
    if arguments.prune || arguments.prune_passing {
        prune(&mut entries, &workspace.root, arguments)?;
    }
    let is_bad = |entry: &Entry| matches!(entry.state, State::Orphan | State::Broken | State::FailsOtherwise);
    Ok(!entries.iter().any(is_bad))
}

/// Builds only the packages that have recordings.
fn tests_of(workspace: &Workspace, arguments: &Seeds, fine: bool) -> Result<Vec<Test>, Problem> {
    let mut build = Build { fine, ..arguments.build.clone() };
    if build.packages.is_empty() && !build.workspace {
        let is_recorded = |name: &&str| workspace.root.join("seeds").join(name).is_dir();
        let names = workspace.packages.iter().map(|package| &*package.name).filter(is_recorded);
        build.packages = names.map(str::to_owned).collect();
    }
    simulations::build(workspace, &build, &Scope::default())
}

fn entries(root: &Path, filters: &[String]) -> Vec<Entry> {
    let all = all_below(&root.join("seeds")).into_iter().map(|path| match Recording::load(&path) {
        Ok(recording) => {
            Entry { path, recording: Some(recording), state: State::Unknown, note: String::new() }
        }
        Err(problem) => Entry { path, recording: None, state: State::Broken, note: problem.to_string() },
    });
    let is_meant = |entry: &Entry| {
        let name =
            entry.recording.as_ref().map_or_else(|| shown(root, &entry.path), |found| found.test.clone());
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    all.filter(is_meant).collect()
}

fn judge(entry: &mut Entry, tests: &[Test], interrupt: &Interrupt) -> Result<(), Problem> {
    let Some(recording) = &entry.recording else { return Ok(()) };
    let Some(test) = tests.iter().find(|test| test.name == recording.test) else {
        entry.state = State::Orphan;
        entry.note =
            Problem::unknown("simulation", &recording.test, tests.iter().map(|test| &*test.name)).to_string();
        return Ok(());
    };
    let replayed = load::replay(test, &load::variables_of(&entry.path)?, interrupt)?;
    let result = replayed.recording.as_ref().and_then(|entry| entry["result"].as_str().map(str::to_owned));
    let symptom = replayed.recording.as_ref().and_then(|entry| entry["symptom"].as_str());
    entry.note = symptom.unwrap_or_default().to_owned();
    entry.state = match (result.as_deref(), &recording.symptom) {
        (Some("failed"), _) | (Some("passed"), None) => State::AsRecorded,
        (Some("passed"), Some(_)) => State::Passes,
        (Some(_), _) => State::FailsOtherwise,
        (None, _) => {
            let report = replayed.ended.end.as_ref().and_then(|end| end["report"].as_str());
            entry.note = report.map_or_else(|| load::tail(&replayed.ended.output), str::to_owned);
            State::Broken
        }
    };
    Ok(())
}

fn print(entry: &Entry, root: &Path, heading: &mut String, as_json: bool) {
    let file = shown(root, &entry.path);
    if as_json {
        let mut line =
            entry.recording.as_ref().map_or_else(|| json!({"file": file}), |found| found.json(root));
        line["state"] = json!(entry.state.word());
        line["note"] = json!(entry.note);
        println!("{line}");
        return;
    }
    let test = entry.recording.as_ref().map_or("", |recording| &*recording.test);
    if heading != test {
        println!("{test}");
        test.clone_into(heading);
    }
    let facts = entry.recording.as_ref().map(|found| {
        let expected = found.symptom.as_deref().unwrap_or("a run that passes");
        format!("{expected}  ({} choices, seed {})", found.choices, found.seed)
    });
    println!("  {:<15}  {}", entry.state.word(), facts.unwrap_or_default());
    println!("  {:<15}  {file}", "");
    if matches!(entry.state, State::Orphan | State::Broken | State::FailsOtherwise) {
        entry.note.lines().for_each(|line| println!("  {:<15}  {line}", ""));
    }
}

/// Deletes what is of no use, after a question.
fn prune(entries: &mut Vec<Entry>, root: &Path, arguments: &Seeds) -> Result<(), Problem> {
    let is_useless = |entry: &Entry| match entry.state {
        State::Orphan | State::Broken => true,
        State::Passes => arguments.prune_passing,
        State::Unknown | State::AsRecorded | State::FailsOtherwise => false,
    };
    let useless: Vec<&Entry> = entries.iter().filter(|entry| is_useless(entry)).collect();
    if useless.is_empty() {
        eprintln!("nothing to prune");
        return Ok(());
    }
    eprintln!("\nto delete:");
    for entry in &useless {
        eprintln!("  {:<15}  {}", entry.state.word(), shown(root, &entry.path));
    }
    if !arguments.yes && !confirmed(&format!("delete {} files?", useless.len()))? {
        eprintln!("nothing was deleted");
        return Ok(());
    }
    for entry in &useless {
        fs::remove_file(&entry.path).map_err(|error| Problem::of_file(&entry.path, "delete", &error))?;
        // A folder of one test that is empty now.
        if let Some(folder) = entry.path.parent() {
            let _ = fs::remove_dir(folder);
        }
    }
    entries.retain(|entry| !is_useless(entry));
    Ok(())
}

/// Asks a question. Without a terminal the answer is no.
pub(crate) fn confirmed(question: &str) -> Result<bool, Problem> {
    if !std::io::stdin().is_terminal() {
        return Err(Problem::new(format!("{question} There is no terminal to ask on")).help("say --yes"));
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
