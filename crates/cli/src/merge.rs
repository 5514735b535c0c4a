//! `cargo wavetank merge`: the results of shards, joined as if one machine had run them all.

use std::fs;
use std::time::Duration;

use crate::arguments::Merge;
use crate::error::Problem;
use crate::results::{self, Outcome};

/// Runs the command. Returns whether every test did what it should on every shard.
pub(crate) fn run(arguments: &Merge) -> Result<bool, Problem> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for path in &arguments.files {
        let text = fs::read_to_string(path).map_err(|error| Problem::of_file(path, "read", &error))?;
        outcomes.extend(results::parse(&path.display().to_string(), &text)?);
    }
    let joined = results::join(outcomes);
    if let Some(path) = &arguments.junit {
        fs::write(path, results::junit(&joined)).map_err(|error| Problem::of_file(path, "write", &error))?;
    }
    // The shards ran side by side, so this is the time of all machines together.
    let time: Duration = joined.iter().map(|outcome| outcome.time).sum();
    if arguments.json {
        joined.iter().for_each(|outcome| println!("{}", outcome.json()));
        println!("{}", results::summary(&joined, time));
    } else {
        print!("{}", results::table(&joined));
        for outcome in &joined {
            for failure in &outcome.failures {
                println!("\n  {}: {}", outcome.test, failure.symptom);
                if let Some(command) = &failure.command {
                    println!("    {command}");
                }
            }
        }
    }
    Ok(joined.iter().all(|outcome| outcome.verdict.is_good()))
}
