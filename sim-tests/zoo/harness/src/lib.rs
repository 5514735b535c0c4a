//! The zoo's table: published crates with known bugs, and what it takes to find them.
//!
//! Every version of a crate is a workspace of its own with a lock file of its own, so its `main` is a program of its
//! own. It calls [`show`] with its [`Entry`]s, and each becomes one row of the Markdown table on standard output.
//!
//! # Invariants
//!
//! - A bug that no strategy finds, another symptom than the expected one, and a failure of a fixed version end the
//!   program with an error: the table cannot be made up.
//! - Runs follow one another (one worker), so that the CPU time of the process is that of the sweep.
//!
//! - With `--check` nothing is measured: recordings are replayed, one sweep finds each bug anew or passes, and any other
//!   outcome ends the program with an error, too.
//!
//! # Not here
//!
//! The header of the table, and the order of the entries: the script `run`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use wavetank::{Found, Sim, Strategy, Sweep};

use crate::measure::{BASES, SEEDS_MAX, measure};

mod measure;

/// The strategies of the table, in the order of its columns.
pub const STRATEGIES: [Strategy; 5] = [
    Strategy::Fifo,
    Strategy::Random,
    Strategy::Sticky { every: 8 },
    Strategy::Pct { depth: 3 },
    Strategy::Swarm,
];

/// A bug of a published version, or its absence in the version that fixed it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    name: &'static str,
    bug: &'static str,
    body: fn(&mut Sim),
    finds: Option<&'static str>,
}

impl Entry {
    /// A version that has the bug. `name` names its recordings, `bug` the row of the table, and `symptom` is the part
    /// of a symptom that every strategy must find, see [`Sweep::finds`].
    pub const fn bad(
        name: &'static str,
        bug: &'static str,
        symptom: &'static str,
        body: fn(&mut Sim),
    ) -> Self {
        Self { name, bug, body, finds: Some(symptom) }
    }

    /// A version in which the bug is fixed: `body` must pass.
    pub const fn fixed(name: &'static str, bug: &'static str, body: fn(&mut Sim)) -> Self {
        Self { name, bug, body, finds: None }
    }

    /// Returns what names its recordings, and may name the snapshot of its trace.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Verifies it quickly, for a test: a bug is found and its recording replayed, and what it shrinks to is returned for
    /// review (`None` if the environment chose what is run); a body of a fixed version passes 100 seeds.
    ///
    /// # Panics
    ///
    /// With the report of the sweep, when it is not so.
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

    /// Returns the cells of the row behind the bug: one a strategy, then how far the failure shrinks.
    fn cells(&self, manifest_dir: &str) -> Result<Vec<String>, String> {
        match self.finds {
            Some(symptom) => self.cells_of_bad(manifest_dir, symptom),
            None => self.cells_of_fixed(manifest_dir),
        }
    }

    /// Replays the recordings and finds the bug once, from seeds alone, or passes as many seeds as a cell of the table.
    /// Returns how that went. A sweep that comes out otherwise panics with its report.
    fn check(&self, manifest_dir: &str) -> String {
        let sweep = self.sweep(manifest_dir).seeds(SEEDS_MAX);
        match self.finds {
            // The recording is as small as it gets.
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
                return Err(format!("{strategy:?} found `{other}` and not `{symptom}`"));
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
                return Err(format!("{strategy:?} is to pass, and seed {seed} fails: {symptom}"));
            }
            cells.push(format!("none in {SEEDS_MAX}"));
        }
        cells.extend(["–".to_owned(), "–".to_owned()]);
        Ok(cells)
    }
}

/// Prints one row of the table for each of `exhibits` of the version `version` ("yamux 0.14.0"). Recordings lie under
/// `seeds/` in `manifest_dir`.
///
/// Arguments of the program: `--check`, for a line that says whether the bug is found and no measurement, and a part of
/// the names of the exhibits that are wanted.
pub fn show(manifest_dir: &str, version: &str, exhibits: &[Entry]) -> ExitCode {
    let (options, names): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    let only_checks = match options.as_slice() {
        [] => false,
        [option] if option == "--check" => true,
        _ => {
            eprintln!("there is no option {}: the only one is --check", options.join(" "));
            return ExitCode::FAILURE;
        }
    };
    let is_wanted = |exhibit: &&Entry| names.iter().all(|name| exhibit.name.contains(name));
    let mut shown = 0;
    for exhibit in exhibits.iter().filter(is_wanted) {
        shown += 1;
        eprintln!("{version}: {}", exhibit.name);
        if only_checks {
            println!("{version}: {}: {}", exhibit.name, exhibit.check(manifest_dir));
            continue;
        }
        match exhibit.cells(manifest_dir) {
            Ok(cells) => println!("| {version} | {} | {} |", exhibit.bug, cells.join(" | ")),
            Err(error) => {
                eprintln!("{version}: {}: {error}", exhibit.name);
                return ExitCode::FAILURE;
            }
        }
    }
    if shown == 0 {
        eprintln!("{version}: no exhibit is named {}", names.join(" "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
