//! Gets the trace of a run: from a file that holds one, or by replaying a recording or a seed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::arguments::Build;
use crate::cargo::Workspace;
use crate::error::Problem;
use crate::process::{self, Ended, Interrupt};
use crate::recording::Recording;
use crate::simulations::{self, Test};
use crate::trace::Trace;

/// A replayed run.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) trace: Option<Trace>,
    /// The entries `recording` and `failure` of the journal.
    pub(crate) recording: Option<Value>,
    pub(crate) failure: Option<Value>,
    pub(crate) ended: Ended,
}

/// Runs a test with variables that make it replay, and collects what its journal says.
pub(crate) fn replay(
    test: &Test,
    variables: &[(&str, String)],
    interrupt: &Interrupt,
) -> Result<Replayed, Problem> {
    let mut traces: Vec<Trace> = Vec::new();
    let (mut recording, mut failure) = (None, None);
    let ended = process::run(test, variables, interrupt, |entry| match entry["event"].as_str() {
        Some("trace") => traces.push(Trace::new(entry.clone())),
        Some("recording") => recording = Some(entry.clone()),
        Some("failure") => failure = Some(entry.clone()),
        Some(_) => {}
        None => {
            if let Some(trace) = traces.last_mut() {
                trace.add(entry);
            }
        }
    })?;
    // The last is the shrunk one.
    Ok(Replayed { trace: traces.pop(), recording, failure, ended })
}

/// The variables that replay the recording at `path`.
pub(crate) fn variables_of(path: &Path) -> Result<Vec<(&'static str, String)>, Problem> {
    let path = std::path::absolute(path)?;
    Ok(vec![("WAVETANK_REPLAY", path.to_string_lossy().into_owned()), ("WAVETANK_SHRINK", "0".to_owned())])
}

/// Returns the trace of `file`: what it holds, or the run that it records.
pub(crate) fn trace(file: &Path, build: &Build) -> Result<Trace, Problem> {
    if let Ok(text) = std::fs::read_to_string(file)
        && let Some(trace) = Trace::parse(&text)
    {
        return Ok(trace);
    }
    let recording = Recording::load(file)?;
    let workspace = Workspace::load(build)?;
    let test = simulations::named(&workspace, &recording.build(build), &recording.test)?;
    let replayed = replay(&test, &variables_of(file)?, &Interrupt::install())?;
    replayed.trace.ok_or_else(|| without_trace(file, &replayed.ended))
}

/// Why a replay has left no trace.
pub(crate) fn without_trace(file: &Path, ended: &Ended) -> Problem {
    let report = ended.end.as_ref().and_then(|end| end["report"].as_str()).map(str::to_owned);
    let said = report.unwrap_or_else(|| tail(&ended.output));
    Problem::new(format!("{} does not replay: the test ended with {}\n{said}", file.display(), ended.status))
}

/// The last lines of an output.
pub(crate) fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A path that a user has typed, below the current folder or the workspace's root.
pub(crate) fn existing(root: &Path, path: &Path) -> PathBuf {
    let below = root.join(path);
    if !path.exists() && below.exists() { below } else { path.to_owned() }
}
