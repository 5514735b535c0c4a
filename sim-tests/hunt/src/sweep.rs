//! Sweeps of subjects, and the rows of the table.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use wavetank::Sweep;

use crate::subject::Subject;
use crate::subjects;

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    seeds: u64,
    names: Vec<String>,
}

impl Options {
    /// Parses the arguments: `--seeds COUNT`, and parts of names of subjects.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { seeds: 1_000, names: Vec::new() };
        while let Some(word) = words.next() {
            if word == "--seeds" {
                let count = words.next().unwrap_or_default();
                options.seeds = count.parse().map_err(|_| format!("`--seeds {count}`: give a number"))?;
            } else if word.starts_with('-') {
                return Err(format!("unknown option {word}: the only option is --seeds COUNT"));
            } else {
                options.names.push(word);
            }
        }
        Ok(options)
    }

    fn wants(&self, subject: &Subject) -> bool {
        let name = format!("{}::{}", subject.package, subject.name);
        self.names.is_empty() || self.names.iter().any(|part| name.contains(part.as_str()))
    }
}

/// Sweeps all subjects that `options` names, and prints the row of each.
pub(crate) fn run(options: &Options) -> ExitCode {
    let wanted: Vec<Subject> = subjects::all().into_iter().filter(|subject| options.wants(subject)).collect();
    if wanted.is_empty() {
        eprintln!("no subject is named {}", options.names.join(" or "));
        return ExitCode::from(2);
    }
    let mut is_clean = true;
    for subject in wanted {
        let begin = Instant::now();
        let row = subject.sweep(options.seeds);
        is_clean &= row.is_some();
        let row = row.unwrap_or_else(|| "– | – | **not followed yet**".to_owned());
        println!("| {} | {} | {} | {row} |", subject.package, subject.version(), subject.workload);
        eprintln!("{}::{}: {:.0?}", subject.package, subject.name, begin.elapsed());
    }
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Subject {
    /// Returns the last cells of the row, or `None` after a failure that is not known; its report has been printed.
    fn sweep(&self, seeds: u64) -> Option<String> {
        let name = format!("hunt::{}::{}", self.package.replace('-', "_"), self.name);
        let mut sweep = Sweep::new(name, env!("CARGO_MANIFEST_DIR"))
            .package("hunt")
            .seeds(seeds)
            .without_recordings()
            .shrink_at_most(2_000, Duration::from_secs(20));
        for known in self.known {
            sweep = sweep.past(known.symptom);
        }
        let body = self.body;
        let passed = catch_unwind(AssertUnwindSafe(|| sweep.run(body))).ok()?;
        let verdict = match self.known {
            [] => "no failure".to_owned(),
            known => known.iter().map(|known| known.verdict).collect::<Vec<_>>().join("; "),
        };
        Some(format!("{} | {} | {verdict}", thousands(passed.seeds() + passed.known()), passed.known()))
    }

    /// Returns the version in the lock file.
    fn version(&self) -> &'static str {
        let lock = include_str!("../Cargo.lock");
        let name = format!("name = \"{}\"\n", self.package);
        let after = lock.split(name.as_str()).nth(1).unwrap_or_default();
        after.split('"').nth(1).unwrap_or("?")
    }
}

/// Formats a count with commas.
fn thousands(count: u64) -> String {
    match count / 1_000 {
        0 => count.to_string(),
        more => format!("{},{:03}", thousands(more), count % 1_000),
    }
}
