//! Compares strategies by known concurrency bugs: how many schedules, and how much CPU time, until the first failure.
//!
//! ```text
//! finding                 measures everything and prints the tables
//! finding NAME...         the same for programs whose names contain one of the texts
//! finding --check         finds every bug once with the default strategy; fixed versions pass
//! finding --row NAME      measures one program and prints its cells for the process that asked
//! finding --limit SECONDS the CPU time that a cell may take; 2 by default
//! ```

use std::process::ExitCode;
use std::time::Duration;

use crate::subject::Subject;
use crate::table::Table;

mod budget;
mod cell;
mod check;
mod contenders;
mod kernels;
mod machine;
mod memory;
mod programs;
mod subject;
mod table;

/// What the command line asks for.
struct Arguments {
    names: Vec<String>,
    limit: Duration,
    only_checks: bool,
    /// The program whose cells to print.
    row: Option<String>,
}

impl Arguments {
    fn parse() -> Result<Self, String> {
        let limit = Duration::from_secs(2);
        let mut arguments = Self { names: Vec::new(), limit, only_checks: false, row: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--check" => arguments.only_checks = true,
                "--row" => arguments.row = Some(words.next().ok_or("--row needs a name")?),
                "--limit" => {
                    let seconds = words.next().and_then(|seconds| seconds.parse().ok());
                    arguments.limit =
                        Duration::from_secs(seconds.ok_or("--limit needs a number of seconds")?);
                }
                option if option.starts_with('-') => return Err(format!("unknown option {option}")),
                _ => arguments.names.push(word),
            }
        }
        Ok(arguments)
    }

    fn wanted(&self, subjects: Vec<Subject>) -> Vec<Subject> {
        let is_wanted = |subject: &Subject| {
            self.names.is_empty() || self.names.iter().any(|name| subject.name.contains(name.as_str()))
        };
        subjects.into_iter().filter(is_wanted).collect()
    }
}

fn run() -> Result<(), String> {
    let arguments = Arguments::parse()?;
    let tables = [("SCTBench", programs::programs()), ("GoKer", kernels::kernels())];
    if let Some(name) = &arguments.row {
        contenders::silence_shuttle();
        let mut subjects = tables.into_iter().flat_map(|(_, subjects)| subjects);
        let subject = subjects.find(|subject| subject.name == name).ok_or("no program has this name")?;
        println!("{}", table::measure_row(&subject, arguments.limit)?);
        return Ok(());
    }
    for (heading, subjects) in tables {
        let subjects = arguments.wanted(subjects);
        if subjects.is_empty() {
            continue;
        }
        if arguments.only_checks {
            check::check(&subjects)?;
        } else {
            println!("\n### {heading}\n\n{}", Table::measure(subjects, arguments.limit)?);
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("finding: {error}");
            ExitCode::FAILURE
        }
    }
}
