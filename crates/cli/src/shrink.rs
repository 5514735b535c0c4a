//! `cargo wavetank shrink`: a recording, made smaller.

use std::time::Duration;

use serde_json::{Value, json};

use crate::arguments::{Build, Shrink};
use crate::cargo::Workspace;
use crate::error::Problem;
use crate::load::{self, tail};
use crate::process::Interrupt;
use crate::recording::Recording;
use crate::show;
use crate::simulations;

/// Runs the command.
pub(crate) fn run(arguments: &Shrink) -> Result<bool, Problem> {
    let shrunk = shrink(&arguments.file, arguments.time, &arguments.build, &Interrupt::install())?;
    if arguments.json {
        println!("{}", shrunk.json());
        return Ok(true);
    }
    print!("{}", shrunk.text);
    println!("\n{}: {} choices, before {}", arguments.file.display(), shrunk.after, shrunk.before);
    Ok(true)
}

/// What shrinking came to.
#[derive(Debug)]
struct Shrunk {
    before: u64,
    after: u64,
    symptom: Value,
    text: String,
    file: String,
}

impl Shrunk {
    fn json(&self) -> Value {
        json!({
            "file": self.file,
            "choices_before": self.before,
            "choices": self.after,
            "symptom": self.symptom,
        })
    }
}

fn shrink(
    file: &std::path::Path,
    time: Duration,
    build: &Build,
    interrupt: &Interrupt,
) -> Result<Shrunk, Problem> {
    let workspace = Workspace::load(build)?;
    let file = load::existing(&workspace.root, file);
    let before = Recording::load(&file)?;
    if before.symptom.is_none() {
        return Err(Problem::new(format!("{}: it records a run that passes", file.display()))
            .help("only a failure can be shrunk"));
    }
    let test = simulations::named(&workspace, &before.build(build), &before.test)?;
    let mut variables = load::variables_of(&file)?;
    variables.retain(|(name, _)| *name != "WAVETANK_SHRINK");
    variables.push(("WAVETANK_SHRINK", time.as_secs_f64().max(0.001).to_string()));
    let replayed = load::replay(&test, &variables, interrupt)?;
    let (Some(failure), Some(trace)) = (&replayed.failure, &replayed.trace) else {
        let report = replayed.ended.end.as_ref().and_then(|end| end["report"].as_str());
        let said = report.map_or_else(|| tail(&replayed.ended.output), str::to_owned);
        return Err(Problem::new(format!("{} cannot be shrunk\n{said}", file.display())));
    };
    Ok(Shrunk {
        before: before.choices,
        after: Recording::load(&file)?.choices,
        symptom: failure["symptom"].clone(),
        text: show::text(trace),
        file: file.display().to_string(),
    })
}
