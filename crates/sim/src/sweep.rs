//! Sweeps: a test run with its recordings, then with many seeds.
//!
//! `#[wavetank::test]` expands to a [`Sweep`]; programs may build their own. The order of the work:
//!
//! 1. a warm-up, to initialise what a process has once (`warm_up`);
//! 2. every recording of the test under `seeds/` (`recordings`);
//! 3. seeds, in parallel, until one fails (`hunt`); each run is judged by `examine`; or what a test has instead or
//!    besides (`supply`): enumerated `deviations`, and `guided` runs that begin like others;
//! 4. the failure is recorded, shrunk, replayed once more and recorded again (`case`), and reported (`report`).
//!
//! # Invariants
//!
//! - The failing seed with the lowest index is reported, at any parallelism.
//! - Seeds that passed leave nothing: memory does not grow with the number of seeds.
//! - A failure is on disk before it is shrunk.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::choice::fnv1a;
use crate::interrupt::{Interrupt, RunningSweep};
use crate::journal::Journal;
use crate::pool::{BodyRunner, Pool, Runner};
use crate::recording::store::Store;
use crate::report::{Built, Counts, Identity, Report};
use crate::sched::Profile;
use crate::settings::{self, Settings, Shard};
use crate::sim::Sim;
use crate::symptom::Symptom;
use crate::trace::{self, Trace};

pub use explain::{CausalityPoint, Explanation};
pub use first_failure::FirstFailure;
pub use passed::Passed;

mod case;
mod deviations;
mod examine;
mod explain;
mod first_failure;
mod guided;
mod hunt;
#[cfg(feature = "turmoil")]
mod in_turmoil;
mod known;
mod named;
mod pace;
mod passed;
mod reach;
mod recordings;
mod second_process;
mod simulated;
mod supply;
#[cfg(test)]
mod tests;
mod variety;
mod warm_up;

/// Runs a test with its recordings and then with many seeds.
///
/// `#[wavetank::test]` makes one. Build one by hand to sweep from your own program. The environment overrides the seeds
/// and the workers; see the table of variables in the crate's documentation.
///
/// # Defaults
///
/// 100 seeds, from a base that is a hash of the package's and the test's name. As many workers as cores. One passing
/// seed in 64 runs twice. Shrinking takes at most 2000 runs and 20 s. A run is given up after 10 s of real time without
/// a step. Beyond the first thousand, half of the seeds begin like an earlier run ([`guided`](Sweep::guided)).
///
/// # Determinism
///
/// A sweep begins with a warm-up: the default run (every value is 0) of seed 0. Its result is ignored, unless it does
/// not end or only the first run of the process fails. It initialises what the code under test has once per process (a
/// `LazyLock`, a cached table), so that the first seed meets the same state as all others. State that only some seeds
/// reach is initialised by the first of them. If that changes the run, it is reported as nondeterminism. Initialise
/// such a static in the test's body, before the hosts.
#[derive(Clone, Debug)]
pub struct Sweep {
    identity: Identity,
    seeds: u64,
    base_seed: Option<u64>,
    finds: Option<String>,
    sometimes_required: bool,
    records: bool,
    reaches: Vec<String>,
    workers: Option<NonZeroUsize>,
    check_every: u64,
    patience: Duration,
    shrink_runs_max: usize,
    shrink_time_max: Duration,
    deviations: u32,
    past: Vec<String>,
    guided: bool,
}

impl Sweep {
    /// Starts to describe a sweep.
    ///
    /// `test_name` is the test's name with its module path (`crate::module::name`). With the [package](Self::package)
    /// it names the folder of the recordings. The seeds are a hash of both unless [`base_seed`](Self::base_seed) is
    /// set. `manifest_dir` is the folder of the crate, usually `env!("CARGO_MANIFEST_DIR")`. Recordings are under
    /// `seeds/` in the workspace around it.
    pub fn new(test_name: impl Into<String>, manifest_dir: impl Into<PathBuf>) -> Self {
        let identity = Identity {
            test: test_name.into(),
            manifest_dir: manifest_dir.into(),
            package: None,
            built: None,
            executable: std::env::current_exe().unwrap_or_default(),
        };
        Self {
            base_seed: None,
            identity,
            seeds: 100,
            finds: None,
            sometimes_required: false,
            records: true,
            reaches: Vec::new(),
            workers: None,
            check_every: 64,
            patience: Duration::from_secs(10),
            shrink_runs_max: 2_000,
            shrink_time_max: Duration::from_secs(20),
            deviations: 0,
            past: Vec::new(),
            guided: true,
        }
    }

    /// Sets the package. It is part of the folder of the recordings (`seeds/PACKAGE/TEST`) and of the command that
    /// replays a failure. Without it, the command searches all packages.
    #[must_use]
    pub fn package(mut self, name: impl Into<String>) -> Self {
        self.identity.package = Some(name.into());
        self
    }

    /// Records no failures. For tests that must fail.
    #[must_use]
    pub const fn without_recordings(mut self) -> Self {
        self.records = false;
        self
    }

    /// Sets how the test was built, for the command that replays a failure.
    #[doc(hidden)]
    #[must_use]
    pub const fn built(mut self, built: Built) -> Self {
        self.identity.built = Some(built);
        self
    }

    /// Sets how many seeds to run. 0 runs the recordings only.
    #[must_use]
    pub const fn seeds(mut self, count: u64) -> Self {
        self.seeds = count;
        self
    }

    /// Sets the first seed. The others follow it.
    #[must_use]
    pub const fn base_seed(mut self, seed: u64) -> Self {
        self.base_seed = Some(seed);
        self
    }

    /// Enumerates runs instead of drawing them from seeds: the default run, then every run with one choice that is not
    /// the default, then with two, up to `count`. Default: 0, which runs seeds.
    ///
    /// For tests with a few hundred choices. If all runs pass, the sweep says so: "no failure within 2 deviations". If
    /// a choice has more than 16 alternatives (a latency), the sweep tries three of them besides the default.
    /// `WAVETANK_SEEDS` limits the runs, which are otherwise 1,000,000, and `WAVETANK_TIME_BUDGET` their time. A test
    /// that is cut short passes, and says how far it came; see [`Passed::deviations`].
    ///
    /// A shard runs every n-th of the runs with the most deviations, and all others.
    #[must_use]
    pub const fn deviations(mut self, count: u32) -> Self {
        self.deviations = count;
        self
    }

    /// Goes past a known symptom, to find others: a seed that fails with it is counted ([`Passed::known`]) and does not
    /// end the sweep, and neither does a recording. `symptom` is a part of it, numbers aside. May be called several
    /// times. `WAVETANK_PAST` adds one.
    ///
    /// The sweep always stops at the symptom of [`finds`](Self::finds) and at nondeterminism.
    #[must_use]
    pub fn past(mut self, symptom: impl Into<String>) -> Self {
        self.past.push(symptom.into());
        self
    }

    /// Sets whether half of the seeds beyond a thousand are guided: such a run repeats the beginning of an earlier run
    /// whose schedule was new, up to a point that it draws, and draws the rest from its own seed. Default: `true`.
    /// `WAVETANK_GUIDED` overrides it.
    #[must_use]
    pub const fn guided(mut self, is_guided: bool) -> Self {
        self.guided = is_guided;
        self
    }

    /// Sets the symptom that [`find`](Self::find) expects: a part of it, numbers aside. Default: any.
    #[must_use]
    pub fn finds(mut self, symptom: impl Into<String>) -> Self {
        self.finds = Some(symptom.into());
        self
    }

    /// Makes [`run`](Self::run) fail unless some seed reaches every `sometimes!` point that a seed evaluated.
    ///
    /// A sweep that the environment cuts short (fewer seeds, a shard, a time budget) is exempt. Default: points that
    /// were not reached are noted on stderr and in [`Passed::never_reached`].
    #[must_use]
    pub const fn sometimes_required(mut self) -> Self {
        self.sometimes_required = true;
        self
    }

    /// Makes [`run`](Self::run) fail unless some seed reaches this `sometimes!` point, even if no seed evaluates it.
    /// May be called several times. Otherwise like [`sometimes_required`](Self::sometimes_required).
    #[must_use]
    pub fn reaches(mut self, what: impl Into<String>) -> Self {
        self.reaches.push(what.into());
        self
    }

    /// Sets how many runs of this sweep go on at once. The process never runs more than one per core, or
    /// `WAVETANK_WORKERS` if that is set.
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    #[must_use]
    pub const fn workers(mut self, count: usize) -> Self {
        self.workers = Some(NonZeroUsize::new(count).expect("a sweep needs a worker"));
        self
    }

    /// Reruns one passing seed in every `seeds` and compares the two runs. 1 checks every seed, 0 none.
    /// `WAVETANK_CHECK` overrides it. The first seed is always among them. A failing seed always runs twice.
    #[must_use]
    pub const fn check_every(mut self, seeds: u64) -> Self {
        self.check_every = seeds;
        self
    }

    /// Sets how long a run may go without a step, in real time, before it counts as stuck. On a busy machine, a short
    /// time makes healthy runs count as stuck.
    #[must_use]
    pub const fn watchdog(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Limits the shrinking of a failure, in runs and in real time. 0 runs keep the failure as it was found.
    #[must_use]
    pub const fn shrink_at_most(mut self, runs: usize, time: Duration) -> Self {
        self.shrink_runs_max = runs;
        self.shrink_time_max = time;
        self
    }

    /// Runs a test that must pass: every recording, then every seed.
    ///
    /// A recording of a failure may pass: the bug was fixed.
    ///
    /// # Panics
    ///
    /// With the report, if anything fails. On Ctrl-C the process exits with status 130.
    pub fn run(self, body: impl Fn(&mut Sim) + Send + Sync + 'static) -> Passed {
        self.in_process(Arc::new(BodyRunner::new(Box::new(body))), |session| session.verify())
    }

    /// Runs a test that must find a bug. Every recording must still fail as recorded. One seed must show the symptom of
    /// [`finds`](Self::finds). No earlier seed may show another symptom. The failure is shrunk, and the shrunk
    /// run must replay strictly.
    ///
    /// `WAVETANK_SEEDS` and `WAVETANK_SHARD` do not reduce the seeds: every machine must find the bug.
    ///
    /// # Panics
    ///
    /// With the report, if the bug is not found, or if another one is. On Ctrl-C the process exits with status 130.
    pub fn find(self, body: impl Fn(&mut Sim) + Send + Sync + 'static) -> Found {
        self.in_process(Arc::new(BodyRunner::new(Box::new(body))), |session| session.find())
    }

    fn in_process<T>(self, runner: Arc<dyn Runner>, work: impl FnOnce(&Session) -> Result<T, Stop>) -> T {
        let running = RunningSweep::start();
        let runner = named::Named::new(&self.identity, runner);
        let settings = match settings::problem_of_build(cfg!(tokio_unstable)) {
            Some(problem) => Err(problem.to_owned()),
            None => Settings::from_environment().map_err(|error| error.to_string()),
        };
        let result = settings.map_err(|problem| self.setup_failure(&problem));
        let result = result.and_then(|settings| {
            let pool = Pool::of_process(settings.workers);
            let interrupt = running.interrupt().clone();
            let session = Session::new(self, settings, runner, pool, interrupt)?;
            match second_process::seeds_asked_for() {
                Some(seeds) => session.answer(&seeds),
                None => session.noted(work),
            }
        });
        match result {
            Ok(value) => value,
            Err(Stop::Interrupted(found)) => running.leave(&found),
            Err(Stop::Failed(report)) => {
                // Printed here instead of by the panic hook, so that the command to replay is the last line.
                eprintln!("{report}");
                std::panic::resume_unwind(Box::new(report));
            }
        }
    }

    /// Has no effect. Keeps `listed`, which lists the test for programs that look into the executable.
    #[doc(hidden)]
    #[must_use]
    pub fn listed(self, listed: &'static str) -> Self {
        std::hint::black_box(listed);
        self
    }

    fn setup_failure(&self, error: &str) -> Stop {
        Stop::Failed(Report::new(&self.identity, "cannot run").note(error).to_string())
    }
}

/// A bug that was expected and found.
#[derive(Clone, Debug)]
pub struct Found {
    seed: u64,
    runs: u64,
    shrink_runs: usize,
    symptom: Symptom,
    before: Counts,
    after: Counts,
    trace: Trace,
    recording: Option<PathBuf>,
    never_reached: Vec<String>,
    is_reviewed: bool,
}

impl Found {
    /// Returns the seed that showed it.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Counts the seeds up to and including this one. 0 if the environment asked for a recording instead.
    pub const fn runs(&self) -> u64 {
        self.runs
    }

    /// Counts the runs of the shrinker.
    pub const fn shrink_runs(&self) -> usize {
        self.shrink_runs
    }

    /// Returns what failed.
    pub const fn symptom(&self) -> &Symptom {
        &self.symptom
    }

    /// Counts the choices of the run as the seed found it.
    pub const fn before(&self) -> Counts {
        self.before
    }

    /// Counts the choices of the shrunk run.
    pub const fn after(&self) -> Counts {
        self.after
    }

    /// Returns the trace of the shrunk run. If a recording on disk is at least as small, it is the recording's.
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Returns the `sometimes!` points that seeds up to this one evaluated and never found true, as
    /// [`Passed::never_reached`].
    pub fn never_reached(&self) -> &[String] {
        &self.never_reached
    }

    /// Returns the trace as the macro's snapshot holds it. `None` if the environment chose the run, because then it is
    /// not the reviewed one.
    #[doc(hidden)]
    pub fn trace_to_review(&self) -> Option<String> {
        self.is_reviewed.then(|| self.trace.render())
    }

    /// Returns the recording's path, or `None` if it could not be written.
    pub fn recording(&self) -> Option<&Path> {
        self.recording.as_deref()
    }
}

/// Why a sweep ends without a result.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    /// With the report.
    Failed(String),
    /// By Ctrl-C, with what was found so far.
    Interrupted(String),
}

/// A sweep and everything that it works with.
struct Session {
    sweep: Sweep,
    settings: Settings,
    runner: Arc<dyn Runner>,
    pool: Arc<Pool>,
    interrupt: Interrupt,
    store: Store,
    journal: Journal,
    /// What the warm-up has counted.
    profile: OnceLock<Arc<Profile>>,
}

impl Session {
    fn new(
        sweep: Sweep,
        settings: Settings,
        runner: Arc<dyn Runner>,
        pool: Arc<Pool>,
        interrupt: Interrupt,
    ) -> Result<Self, Stop> {
        let name = sweep.identity.name();
        let journal = settings.journal.as_ref().map(|path| {
            Journal::open(path, &name).map_err(|error| {
                sweep.setup_failure(&format!("WAVETANK_JOURNAL={}: {error}", path.display()))
            })
        });
        let journal = journal.transpose()?.unwrap_or_default();
        let store = Store::new(&sweep.identity.manifest_dir, &name);
        Ok(Self { sweep, settings, runner, pool, interrupt, store, journal, profile: OnceLock::new() })
    }

    /// Does `work`, and notes its beginning and its end in the journal.
    fn noted<T>(&self, work: impl FnOnce(&Self) -> Result<T, Stop>) -> Result<T, Stop> {
        let finds = self.sweep.finds.as_deref();
        self.journal.write("start", |entry| {
            entry.maybe("finds", finds).number("seeds", self.settings.seeds.unwrap_or(self.sweep.seeds))
        });
        let result = work(self);
        self.journal.write("end", |entry| match &result {
            Ok(_) => entry.text("result", if finds.is_some() { "found" } else { "passed" }),
            Err(Stop::Failed(report)) => entry.text("result", "failed").text("report", report),
            Err(Stop::Interrupted(found)) => entry.text("result", "interrupted").text("report", found),
        });
        result
    }

    /// The work of [`Sweep::run`].
    fn verify(&self) -> Result<Passed, Stop> {
        let recording = self.recording_of_settings()?;
        self.warm_up(|_| false)?;
        self.stop_where_asked();
        if let Some(recording) = recording {
            if self.shrinks_replays() {
                return Err(self.shrink_recording(&recording));
            }
            self.replay_for_verify(&recording)?;
            return Ok(Passed { recordings: 1, ..Passed::default() });
        }
        let replayed = self.replay_all_for_verify()?;
        let hunted = self.hunt(self.seeds_to_verify(), &replayed.symptoms());
        match hunted.failure {
            None if !replayed.failed.is_empty() => Err(self.several(replayed.reports().collect())),
            None => {
                self.not_interrupted(&hunted)?;
                self.not_idle(&hunted)?;
                let never_reached = self.judge_reach(&hunted)?;
                if let Some((seed, symptom)) = self.sample_in_second_process(hunted.passed, &hunted.sample) {
                    let report = Report::new(&self.sweep.identity, "failed").symptom(&symptom, seed);
                    return Err(Stop::Failed(report.replay(seed, &symptom, None).to_string()));
                }
                let passed = Passed {
                    recordings: replayed.recordings,
                    seeds: hunted.passed,
                    checked: hunted.checked,
                    never_reached,
                    trace_hash: hunted.trace_hash,
                    deviations: self.deviations().and(hunted.complete),
                    known: hunted.known_runs() + replayed.known,
                };
                // On standard output, where the harness keeps it unless asked (`--nocapture`).
                println!("wavetank: {} passed: {passed}{}", self.sweep.identity.test, hunted.details());
                Ok(passed)
            }
            Some((index, failure)) => {
                let elsewhere = self.elsewhere(&failure);
                let case = self.case(failure);
                let mut report = case.report("failed").after(index);
                if let Some(note) = elsewhere {
                    report = report.note(&note);
                }
                if let Some(outcome) = case.shown().filter(|_| self.settings.only.is_some()) {
                    report = report.whole_trace(outcome, case.seed());
                }
                let mut reports: Vec<String> = replayed.reports().collect();
                reports.push(report.to_string());
                for (index, failure) in hunted.others {
                    reports.push(self.case(failure).report("failed").after(index).to_string());
                }
                Err(self.several(reports))
            }
        }
    }

    /// Ends a sweep with its failures.
    fn several(&self, reports: Vec<String>) -> Stop {
        let reports = reports.join("\n\n");
        if self.interrupt.is_raised() { Stop::Interrupted(reports) } else { Stop::Failed(reports) }
    }

    fn shrinks_replays(&self) -> bool {
        self.settings.shrink.is_some_and(|time| !time.is_zero())
    }

    /// Makes the next run stop at an event, if the environment says so.
    fn stop_where_asked(&self) {
        if let Some(event) = self.settings.until {
            trace::stop_at(event);
        }
    }

    /// The work of [`Sweep::find`].
    fn find(&self) -> Result<Found, Stop> {
        let recording = self.recording_of_settings()?;
        self.warm_up(|symptom| self.is_wanted(symptom))?;
        self.stop_where_asked();
        if let Some(recording) = recording {
            if self.shrinks_replays() {
                return Err(self.shrink_recording(&recording));
            }
            return self.replay_for_find(&recording);
        }
        let mut shown = self.replay_all_for_find()?;
        let seeds = self.seeds_to_find();
        let hunted = self.hunt(seeds, &Default::default());
        let Some((index, failure)) = hunted.failure else {
            self.not_interrupted(&hunted)?;
            return Err(self.not_found(&hunted));
        };
        let is_wanted = self.is_wanted(&failure.symptom);
        let seed = failure.seed;
        let case = self.case(failure);
        if self.interrupt.is_raised() {
            return Err(Stop::Interrupted(case.report("interrupted").after(index).to_string()));
        }
        if case.is_mistake_of_setup() {
            return Err(Stop::Failed(case.report("is not set up to run").after(index).to_string()));
        }
        if !is_wanted {
            let wanted = self.sweep.finds.as_deref().unwrap_or_default();
            let expected = format!("this test must find `{wanted}`, and another symptom came first");
            return Err(Stop::Failed(
                case.report("found another bug").note(&expected).after(index).to_string(),
            ));
        }
        if !case.is_proven() {
            return Err(Stop::Failed(
                case.report("found the bug but cannot replay it").after(index).to_string(),
            ));
        }
        // On standard output, where the harness keeps it unless asked (`--nocapture`).
        println!("\n{}", case.report("found the bug that it must find").after(index).replayed());
        let is_reviewed = self.settings.only.is_none() && self.settings.base_seed.is_none();
        let never_reached = self.never_reached(&hunted.reach, index);
        self.note_never_reached(&never_reached, index + 1);
        let mut found = Found { is_reviewed, never_reached, ..case.into_found(seed, index + 1) };
        // The recording on disk was replayed above and is at least as small. It is the one that people look at.
        if let Some(kept) = found.recording.as_ref().and_then(|path| shown.remove(path))
            && found.after >= kept.1
        {
            (found.trace, found.after) = kept;
        }
        Ok(found)
    }

    /// Whether a failing seed does something else in a second process.
    fn elsewhere(&self, failure: &examine::Failure) -> Option<String> {
        let is_seed = failure.turn.is_none();
        let outcome = failure.outcome.as_deref().filter(|_| is_seed && failure.is_repeatable())?;
        self.differs_in_second_process(&second_process::Answer {
            seed: failure.seed,
            trace_hash: outcome.trace.hash(),
            key: failure.symptom.key(),
        })
    }

    /// Returns the seeds of a normal test that this process runs.
    fn seeds_to_verify(&self) -> hunt::Seeds {
        let Settings { seeds, shard, .. } = self.settings;
        self.seeds_of(seeds.unwrap_or(self.sweep.seeds), shard)
    }

    /// Returns the seeds of a test that must find its bug on every machine.
    fn seeds_to_find(&self) -> hunt::Seeds {
        let count = self.settings.seeds.map_or(self.sweep.seeds, |count| count.max(self.sweep.seeds));
        self.seeds_of(count, Shard::default())
    }

    fn seeds_of(&self, count: u64, shard: Shard) -> hunt::Seeds {
        match self.settings.only {
            Some(settings::Only::Seed(seed)) => hunt::Seeds { base: seed, count: 1, shard: Shard::default() },
            _ => {
                let of_name = || fnv1a(self.sweep.identity.name().as_bytes());
                let base = self.settings.base_seed.or(self.sweep.base_seed).unwrap_or_else(of_name);
                hunt::Seeds { base, count, shard }
            }
        }
    }

    fn not_interrupted(&self, hunted: &hunt::Hunted) -> Result<(), Stop> {
        if !self.interrupt.is_raised() {
            return Ok(());
        }
        let test = &self.sweep.identity.test;
        Err(Stop::Interrupted(format!(
            "wavetank: {test} interrupted after {} seeds, all passed",
            hunted.passed
        )))
    }

    /// Fails a sweep that ran none of its seeds, unless it has none.
    fn not_idle(&self, hunted: &hunt::Hunted) -> Result<(), Stop> {
        let count = self.settings.seeds.unwrap_or(self.sweep.seeds);
        if hunted.passed + hunted.known_runs() > 0 || count == 0 {
            return Ok(());
        }
        let test = &self.sweep.identity.test;
        if self.settings.shard.index >= count {
            // Bypasses the harness, which captures the output of a passing test.
            let _ = writeln!(
                io::stderr(),
                "wavetank: {test} ran no seed: WAVETANK_SHARD has more machines than the test has seeds ({count}), and \
                 this one goes without"
            );
            return Ok(());
        }
        let why = "WAVETANK_TIME_BUDGET was spent before the first seed: give a test more, or say WAVETANK_SEEDS=0 for \
                   recordings alone";
        Err(Stop::Failed(Report::new(&self.sweep.identity, "ran no seed").note(why).to_string()))
    }

    fn not_found(&self, hunted: &hunt::Hunted) -> Stop {
        let wanted = self.sweep.finds.as_deref().unwrap_or("any failure");
        let seeds = match &hunted.summary {
            Some(summary) => format!("{summary}; this test must find `{wanted}`"),
            None => format!("{} seeds ran and all passed; this test must find `{wanted}`", hunted.passed),
        };
        let mut report = Report::new(&self.sweep.identity, "found nothing").note(&seeds);
        let never = self.never_reached(&hunted.reach, u64::MAX);
        if !never.is_empty() {
            report = report.note(&format!("never reached: {}", never.join("; ")));
        }
        Stop::Failed(report.to_string())
    }
}
