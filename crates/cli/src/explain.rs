//! `cargo wavetank explain`: after which choice of a recording its failure is certain.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::arguments::{Build, Explain};
use crate::cargo::Workspace;
use crate::error::Problem;
use crate::load::{self, tail};
use crate::process::{self, Ended, Interrupt};
use crate::recording::Recording;
use crate::simulations;

/// Runs the command.
pub(crate) fn run(arguments: &Explain) -> Result<bool, Problem> {
    let (file, curve) = measure(&arguments.build, &arguments.file, arguments.runs, &Interrupt::install())?;
    if arguments.json {
        println!("{}", curve.json(&file));
    } else {
        print!("{}", curve.text());
    }
    Ok(true)
}

/// The curve of a recording as one object of JSON.
pub(crate) fn json(
    build: &Build,
    file: &Path,
    runs: NonZeroU32,
    interrupt: &Interrupt,
) -> Result<Value, Problem> {
    let (file, curve) = measure(build, file, runs, interrupt)?;
    Ok(curve.json(&file))
}

/// Measures the curve of a recording with so many runs at each point. Returns where the recording was found, too.
fn measure(
    build: &Build,
    file: &Path,
    runs: NonZeroU32,
    interrupt: &Interrupt,
) -> Result<(PathBuf, Curve), Problem> {
    let workspace = Workspace::load(build)?;
    let file = load::existing(&workspace.root, file);
    let recording = Recording::load(&file)?;
    let Some(symptom) = recording.symptom.clone() else {
        return Err(Problem::new(format!("{}: it records a run that passes", file.display()))
            .help("only a failure can be explained"));
    };
    let test = simulations::named(&workspace, &recording.build(build), &recording.test)?;
    let mut variables = load::variables_of(&file)?;
    variables.push(("WAVETANK_EXPLAIN", runs.to_string()));
    let mut points = Vec::new();
    let ended = process::run(&test, &variables, interrupt, |entry| {
        if entry["event"] == "causality" {
            points.push(Point::of(entry));
        }
    })?;
    if points.is_empty() {
        return Err(without_points(&file, &ended));
    }
    Ok((file, Curve { test: recording.test, symptom, points }))
}

/// Why a replay has left no curve.
fn without_points(file: &Path, ended: &Ended) -> Problem {
    if ended.status.success() {
        return Problem::new(format!("{}: it does not fail any more", file.display()))
            .help("`cargo wavetank seeds` says of each recording whether it still fails");
    }
    let report = ended.end.as_ref().and_then(|end| end["report"].as_str());
    let said = report.map_or_else(|| tail(&ended.output), str::to_owned);
    Problem::new(format!("{} cannot be explained\n{said}", file.display()))
}

/// How many of so many runs fail that keep the first choices of a recording and draw the others anew.
#[derive(Debug)]
struct Point {
    kept: u64,
    choices: u64,
    failures: u64,
    runs: u64,
    /// The last choice that is kept. Empty if none is.
    last: String,
}

impl Point {
    /// Reads an entry of the journal.
    fn of(entry: &Value) -> Self {
        let number = |name: &str| entry[name].as_u64().unwrap_or(0);
        Self {
            kept: number("kept"),
            choices: number("choices"),
            failures: number("failures"),
            runs: number("runs"),
            last: entry["last"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// The causality curve of a recording.
#[derive(Debug)]
struct Curve {
    test: String,
    symptom: String,
    /// In ascending order of what is kept.
    points: Vec<Point>,
}

impl Curve {
    /// Returns the first point from which on every run failed.
    fn certain(&self) -> Option<&Point> {
        self.points.iter().rev().take_while(|point| point.failures == point.runs).last()
    }

    fn json(&self, file: &Path) -> Value {
        let points: Vec<Value> = self
            .points
            .iter()
            .map(|point| json!({"kept": point.kept, "last": point.last, "failures": point.failures}))
            .collect();
        json!({
            "file": file.display().to_string(),
            "test": self.test,
            "symptom": self.symptom,
            "choices": self.points.first().map(|point| point.choices),
            "runs": self.points.first().map(|point| point.runs),
            "points": points,
            "certain": self.certain().map(|point| point.kept),
        })
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n{}\n\n", self.test, self.symptom);
        for Point { kept, failures, runs, last, .. } in &self.points {
            let last = if last.is_empty() { "nothing is kept" } else { last };
            let _ = writeln!(text, "{failures:>4} of {runs} fail after choice {kept:>5}  {last}");
        }
        text.push('\n');
        let _ = match self.certain() {
            Some(Point { kept: 0, .. }) => writeln!(text, "every run fails"),
            Some(Point { kept, choices, runs, last, .. }) => {
                writeln!(text, "certain after choice {kept} of {choices}, as far as {runs} runs show: {last}")
            }
            None => writeln!(text, "never certain: it also depends on what no choice decides"),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(failures: &[u64]) -> Curve {
        let point = |(kept, &failures): (u64, &u64)| {
            let last = if kept == 0 { String::new() } else { format!("schedule: main lock = {kept}") };
            Point { kept, choices: 4, failures, runs: 20, last }
        };
        let points = (0..).zip(failures).map(point).collect();
        Curve { test: "chat::closes".to_owned(), symptom: "deadlock".to_owned(), points }
    }

    #[test]
    fn certain_is_what_no_later_point_contradicts() {
        assert_eq!(curve(&[3, 20, 12, 20, 20]).certain().map(|point| point.kept), Some(3));
        assert!(curve(&[3, 20, 19]).certain().is_none());
    }

    #[test]
    fn the_text_ends_with_the_decisive_choice() {
        let text = curve(&[3, 20]).text();
        assert!(text.contains("   3 of 20 fail after choice     0  nothing is kept\n"), "{text}");
        assert!(
            text.ends_with("certain after choice 1 of 4, as far as 20 runs show: schedule: main lock = 1\n")
        );
        assert!(curve(&[20, 20]).text().ends_with("every run fails\n"));
        assert!(curve(&[20, 1]).text().ends_with("what no choice decides\n"));
    }

    #[test]
    fn the_curve_is_one_object() {
        let json = curve(&[3, 20]).json(Path::new("a.seed"));
        assert_eq!(
            (json["certain"].as_u64(), json["choices"].as_u64(), json["runs"].as_u64()),
            (Some(1), Some(4), Some(20))
        );
        assert_eq!(json["points"][0], json!({"kept": 0, "last": "", "failures": 3}));
        assert_eq!(curve(&[3]).json(Path::new("a.seed"))["certain"], Value::Null);
    }
}
