//! The harness of the zoo: it measures how many seeds it takes to find known bugs of published crates.
//!
//! Every version of a crate is a workspace with its own lock file and its own `main`. That `main` calls [`show`] with
//! its [`Entry`]s. Each entry becomes one row of the Markdown table on standard output.
//!
//! # Invariants
//!
//! - The program fails if no strategy finds a bug, if a symptom is not the expected one, or if a fixed version fails.
//! - Runs follow one another (one worker), so the CPU time of the process is that of the sweep.
//! - With `--check` nothing is measured: recordings are replayed, and one sweep finds each bug or passes. Any other
//!   outcome fails the program.
//!
//! # Not here
//!
//! The header of the table and the order of the versions: see the script `run`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use wavetank::{Found, Sim, Strategy, Sweep};

use crate::measure::{BASES, SEEDS_MAX, measure};

mod measure;

/// The strategies of the table, in the order of its columns.
pub const STRATEGIES: [Strategy; 8] = [
    Strategy::Fifo,
    Strategy::Random,
    Strategy::Sticky { every: 8 },
    Strategy::Pct { depth: 3 },
    Strategy::Pos,
    Strategy::Urw,
    Strategy::Surw,
    Strategy::Swarm,
];

/// The name of a test and what it does.
pub type Body = (&'static str, fn(&mut Sim));

/// A bug of a published version, or its absence in the version that fixed it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    name: &'static str,
    bug: &'static str,
    body: fn(&mut Sim),
    finds: Option<&'static str>,
}

impl Entry {
    /// Makes an entry for a version with the bug. `name` is the name of its recordings, `bug` the text of its row, and
    /// `symptom` the part of a symptom that every strategy must find; see [`Sweep::finds`].
    pub const fn bad(
        name: &'static str,
        bug: &'static str,
        symptom: &'static str,
        body: fn(&mut Sim),
    ) -> Self {
        Self { name, bug, body, finds: Some(symptom) }
    }

    /// Makes an entry for a version without the bug: `body` must pass.
    pub const fn fixed(name: &'static str, bug: &'static str, body: fn(&mut Sim)) -> Self {
        Self { name, bug, body, finds: None }
    }

    /// Returns the name of its recordings. The snapshot of its trace may have the same name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Verifies the entry quickly, for a test. Replays the recordings and finds the bug, and returns the shrunk trace
    /// for review, or `None` if the environment chose the seeds. For a fixed version, runs 100 seeds.
    ///
    /// # Panics
    ///
    /// With the report of the sweep, if the bug is not found or a fixed version fails.
    pub fn verify(&self, manifest_dir: &str) -> Option<String> {
        let sweep = self.sweep(manifest_dir);
        match self.finds {
            Some(symptom) => Self::find(sweep, symptom, self.body).trace_to_review(),
            None => {
                sweep.run(self.body);
                None
            }
        }
    }

    /// Verifies that a handler or client has no other bugs: each of `bodies` whose name is not that of one of `bugs`
    /// passes 100 seeds.
    ///
    /// # Panics
    ///
    /// With the report of the sweep, if one fails.
    pub fn verify_others(manifest_dir: &str, bugs: &[Self], bodies: &[Body]) {
        for (name, body) in bodies {
            if !bugs.iter().any(|bug| bug.name == *name) {
                Self::fixed(name, "", *body).verify(manifest_dir);
            }
        }
    }

    /// Verifies that our own passes each of `bodies`, with 100 seeds. Recordings of bugs are not replayed.
    ///
    /// # Panics
    ///
    /// With the report of the sweep, if one fails.
    pub fn verify_ours(manifest_dir: &str, bodies: &[Body]) {
        for (name, body) in bodies {
            Sweep::new(format!("zoo::ours_{name}"), Path::new(manifest_dir)).workers(1).run(*body);
        }
    }

    fn find(sweep: Sweep, symptom: &str, body: fn(&mut Sim)) -> Found {
        let sweep = sweep.seeds(BASES * SEEDS_MAX).finds(symptom);
        sweep.shrink_at_most(2_000, Duration::from_secs(60)).find(body)
    }

    fn sweep(&self, manifest_dir: &str) -> Sweep {
        Sweep::new(format!("zoo::{}", self.name), Path::new(manifest_dir)).workers(1)
    }

    fn body(&self, strategy: Strategy) -> impl Fn(&mut Sim) + Send + Sync + 'static {
        let body = self.body;
        move |sim| {
            body(sim);
            sim.strategy(strategy);
        }
    }

    /// Returns the cells of the row after the bug: one for each strategy, then how far the failure shrinks.
    fn cells(&self, manifest_dir: &str) -> Result<Vec<String>, String> {
        match self.finds {
            Some(symptom) => self.cells_of_bad(manifest_dir, symptom),
            None => self.cells_of_fixed(manifest_dir),
        }
    }

    /// Replays the recordings and finds the bug once from seeds alone. For a fixed version, runs as many seeds as for a
    /// cell of the table. Returns a line about the result. Any other outcome panics with the report of the sweep.
    fn check(&self, manifest_dir: &str) -> String {
        let sweep = self.sweep(manifest_dir).seeds(SEEDS_MAX);
        match self.finds {
            // The recording is already shrunk.
            Some(symptom) => {
                let found = sweep.finds(symptom).shrink_at_most(0, Duration::ZERO).find(self.body);
                format!("found after {} seeds: {}", found.runs(), found.symptom())
            }
            None => sweep.run(self.body).to_string(),
        }
    }

    fn cells_of_bad(&self, manifest_dir: &str, symptom: &str) -> Result<Vec<String>, String> {
        let mut cells = Vec::new();
        let mut is_found = false;
        for strategy in STRATEGIES {
            let measured =
                measure(|| self.sweep(manifest_dir), |sweep| sweep.first_failure(self.body(strategy)));
            if let Some(other) = measured.symptoms.iter().find(|found| !found.matches(symptom)) {
                return Err(format!("{strategy:?} found `{other}` instead of `{symptom}`"));
            }
            eprintln!("  {strategy:?}: {}", measured.details());
            is_found |= !measured.symptoms.is_empty();
            cells.push(measured.to_string());
        }
        if !is_found {
            return Err(format!("no strategy found `{symptom}` in {BASES} times {SEEDS_MAX} seeds"));
        }
        let found = Self::find(self.sweep(manifest_dir), symptom, self.body);
        eprintln!(
            "  shrunk in {} runs: {}\n{}",
            found.shrink_runs(),
            found.symptom(),
            found.trace().render()
        );
        let (before, after) = (found.before(), found.after());
        cells.push(format!("{} of {}", before.nondefault(), before.choices()));
        cells.push(format!("{} of {}", after.nondefault(), after.choices()));
        Ok(cells)
    }

    fn cells_of_fixed(&self, manifest_dir: &str) -> Result<Vec<String>, String> {
        let mut cells = Vec::new();
        for strategy in STRATEGIES {
            if let Some(failure) =
                self.sweep(manifest_dir).seeds(SEEDS_MAX).base_seed(0).first_failure(self.body(strategy))
            {
                let (seed, symptom) = (failure.seed(), failure.symptom());
                return Err(format!("{strategy:?} should pass, but seed {seed} fails: {symptom}"));
            }
            cells.push(format!("none in {SEEDS_MAX}"));
        }
        cells.extend(["–".to_owned(), "–".to_owned()]);
        Ok(cells)
    }
}

/// Prints one row of the table for each of `entries` of `version` ("yamux 0.14.0"). Recordings are under `seeds/` in
/// `manifest_dir`.
///
/// The program takes two arguments. `--check` checks the bugs without measuring. Any other text selects the entries
/// whose names contain it.
pub fn show(manifest_dir: &str, version: &str, entries: &[Entry]) -> ExitCode {
    let (options, names): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    let only_checks = match options.as_slice() {
        [] => false,
        [option] if option == "--check" => true,
        _ => {
            eprintln!("unknown option {}: the only option is --check", options.join(" "));
            return ExitCode::FAILURE;
        }
    };
    let is_wanted = |entry: &&Entry| names.iter().all(|name| entry.name.contains(name));
    let mut shown = 0;
    for entry in entries.iter().filter(is_wanted) {
        shown += 1;
        eprintln!("{version}: {}", entry.name);
        if only_checks {
            println!("{version}: {}: {}", entry.name, entry.check(manifest_dir));
            continue;
        }
        match entry.cells(manifest_dir) {
            Ok(cells) => println!("| {version} | {} | {} |", entry.bug, cells.join(" | ")),
            Err(error) => {
                eprintln!("{version}: {}: {error}", entry.name);
                return ExitCode::FAILURE;
            }
        }
    }
    if shown == 0 {
        eprintln!("{version}: no entry is named {}", names.join(" "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
