//! `cargo wavetank sweep`: the tests one after the other, each with all cores, until the seeds or the time are spent.

use std::fs;
use std::io::{IsTerminal, Write as _};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::arguments::Sweep;
use crate::cargo::{Scope, Workspace};
use crate::clock::Clock;
use crate::error::Problem;
use crate::load::tail;
use crate::process::{self, Interrupt};
use crate::results::{self, Failure, Outcome, Verdict, thousands};
use crate::simulations::{self, Test};

/// More seeds than any time is enough for.
const ENDLESS: u64 = 1 << 60;

/// A test gets at least so much of the time.
const SHARE_MIN: Duration = Duration::from_millis(100);

/// Runs the command. Returns whether every test did what it should.
pub(crate) fn run(arguments: &Sweep) -> Result<bool, Problem> {
    let workspace = Workspace::load(&arguments.build)?;
    let tests = simulations::build(&workspace, &arguments.build, &Scope::default())?;
    let tests = simulations::select(tests, &arguments.filters)?;
    let interrupt = Interrupt::install();
    let clock = Clock::start();
    let mut results = Results::open(arguments)?;
    let outcomes = sweep(&tests, arguments, &interrupt, |outcome| results.add(outcome))?;
    let left_out = tests.len() - outcomes.len();
    results.end(&outcomes, clock.elapsed())?;
    if !arguments.json {
        eprintln!();
        eprint!("{}", results::table(&outcomes));
        if left_out > 0 {
            eprintln!("  {left_out} tests did not run{}", reason(&interrupt, arguments));
        }
        recordings(&workspace, &outcomes);
    }
    Ok(outcomes.iter().all(|outcome| outcome.verdict.is_good()))
}

fn reason(interrupt: &Interrupt, arguments: &Sweep) -> &'static str {
    match (interrupt.is_raised(), arguments.keep_going) {
        (true, _) => ": interrupted",
        (false, true) => ": the time was spent",
        (false, false) => " after the first failure: --keep-going runs them",
    }
}

/// Says how to go on with each failure.
fn recordings(workspace: &Workspace, outcomes: &[Outcome]) {
    let recorded = outcomes.iter().filter(|outcome| !outcome.verdict.is_good());
    let recorded =
        recorded.flat_map(|outcome| outcome.failures.iter().filter_map(|failure| failure.recording.as_ref()));
    for file in recorded {
        let is_near = Path::new(file).exists();
        let file = if is_near { file.clone() } else { workspace.root.join(file).display().to_string() };
        eprintln!(
            "\n  see it with   cargo wavetank show {file}\n  again with    cargo wavetank replay {file}"
        );
    }
}

/// Sweeps `tests` and hands each result to `note`. Ends at the first failure, unless it is to keep going.
pub(crate) fn sweep(
    tests: &[Test],
    arguments: &Sweep,
    interrupt: &Interrupt,
    mut note: impl FnMut(&Outcome) -> Result<(), Problem>,
) -> Result<Vec<Outcome>, Problem> {
    let clock = Clock::start();
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (index, test) in tests.iter().enumerate() {
        let left = arguments.time.map(|time| time.saturating_sub(clock.elapsed()));
        if interrupt.is_raised() || left.is_some_and(|left| left.is_zero()) {
            break;
        }
        // What a test does not use is for those after it.
        let share =
            left.map(|left| (left / u32::try_from(tests.len() - index).unwrap_or(u32::MAX)).max(SHARE_MIN));
        let outcome = one(test, (index + 1, tests.len()), share, arguments, interrupt)?;
        note(&outcome)?;
        let is_good = outcome.verdict.is_good();
        outcomes.push(outcome);
        if !is_good && !arguments.keep_going {
            break;
        }
    }
    Ok(outcomes)
}

fn one(
    test: &Test,
    place: (usize, usize),
    share: Option<Duration>,
    arguments: &Sweep,
    interrupt: &Interrupt,
) -> Result<Outcome, Problem> {
    let clock = Clock::start();
    let mut outcome = Outcome::new(&test.name);
    let mut display = Display::new(test, place, arguments);
    let variables = variables(share, arguments);
    let ended = process::run(test, &variables, interrupt, |entry| match entry["event"].as_str() {
        Some("start") => display.begin(entry["seeds"].as_u64().filter(|&seeds| seeds < ENDLESS)),
        Some("progress") => {
            outcome.count(entry);
            display.progress(entry, clock.elapsed());
        }
        Some("swept") => outcome.count(entry),
        Some("failing") => display.failing(entry),
        Some("failure") => outcome.failures.extend(Failure::of(entry)),
        _ => {}
    })?;
    outcome.time = clock.elapsed();
    let end = ended.end.as_ref();
    outcome.verdict = end.and_then(|end| Verdict::parse(end["result"].as_str()?)).unwrap_or(Verdict::Crashed);
    // A test may fail after its sweep, by its snapshot or by code behind it.
    if outcome.verdict.is_good() && !ended.status.success() {
        outcome.verdict = Verdict::Failed;
        outcome.report = Some(tail(&ended.output));
    } else if outcome.verdict == Verdict::Crashed {
        outcome.report =
            Some(format!("the test's process ended with {}\n{}", ended.status, tail(&ended.output)));
    } else {
        outcome.report = end.and_then(|end| end["report"].as_str()).map(str::to_owned);
    }
    display.end(&outcome);
    Ok(outcome)
}

/// The variables of the environment that say what the arguments say.
fn variables(share: Option<Duration>, arguments: &Sweep) -> Vec<(&'static str, String)> {
    let endless = arguments.time.map(|_| ENDLESS);
    let seconds = |time: Duration| time.as_secs_f64().to_string();
    let all = [
        ("WAVETANK_SEEDS", arguments.seeds.or(endless).map(|seeds| seeds.to_string())),
        ("WAVETANK_BASE_SEED", arguments.base_seed.map(|seed| seed.to_string())),
        ("WAVETANK_WORKERS", arguments.jobs.map(|jobs| jobs.to_string())),
        ("WAVETANK_SHARD", arguments.shard.clone()),
        ("WAVETANK_TIME_BUDGET", share.map(seconds)),
        ("WAVETANK_SHRINK", arguments.shrink.map(seconds)),
        ("WAVETANK_OTHERS", arguments.others.then(|| "1".to_owned())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Where results are written while the sweep goes on.
struct Results<'a> {
    arguments: &'a Sweep,
    file: Option<fs::File>,
}

impl<'a> Results<'a> {
    fn open(arguments: &'a Sweep) -> Result<Self, Problem> {
        let create = |path: &std::path::PathBuf| {
            fs::File::create(path).map_err(|error| Problem::of_file(path, "write", &error))
        };
        Ok(Self { arguments, file: arguments.results.as_ref().map(create).transpose()? })
    }

    fn line(&mut self, line: &Value) -> Result<(), Problem> {
        if self.arguments.json {
            println!("{line}");
        }
        if let Some(file) = &mut self.file {
            writeln!(file, "{line}")?;
        }
        Ok(())
    }

    fn add(&mut self, outcome: &Outcome) -> Result<(), Problem> {
        self.line(&outcome.json())
    }

    fn end(&mut self, outcomes: &[Outcome], time: Duration) -> Result<(), Problem> {
        self.line(&results::summary(outcomes, time))?;
        if let Some(path) = &self.arguments.junit {
            fs::write(path, results::junit(outcomes))
                .map_err(|error| Problem::of_file(path, "write", &error))?;
        }
        Ok(())
    }
}

/// The progress of one test: a bar on a terminal, a line now and then elsewhere.
struct Display<'a> {
    test: &'a Test,
    place: (usize, usize),
    bar: ProgressBar,
    is_quiet: bool,
    is_terminal: bool,
    said_at: Duration,
    /// How many schedules were known after how many seeds.
    schedules: Vec<(u64, u64)>,
}

/// Between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

impl<'a> Display<'a> {
    fn new(test: &'a Test, place: (usize, usize), arguments: &Sweep) -> Self {
        let bar = if arguments.json { ProgressBar::hidden() } else { ProgressBar::no_length() };
        bar.set_style(style("{prefix}{spinner} {msg}"));
        bar.set_prefix(format!("[{}/{}] {} ", place.0, place.1, test.path));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            test,
            place,
            bar,
            is_quiet: arguments.json,
            is_terminal: std::io::stderr().is_terminal(),
            said_at: Duration::ZERO,
            schedules: Vec::new(),
        }
    }

    fn begin(&self, seeds: Option<u64>) {
        if let Some(seeds) = seeds {
            self.bar.set_length(seeds);
            self.bar.set_style(style("{prefix}[{bar:20}] {msg}"));
        }
    }

    fn progress(&mut self, entry: &Value, time: Duration) {
        let number = |name: &str| entry[name].as_u64().unwrap_or(0);
        let (seeds, schedules) = (number("seeds"), number("schedules"));
        let known = self
            .schedules
            .iter()
            .rev()
            .find(|(before, _)| before * 2 <= seeds)
            .map_or(0, |(_, known)| *known);
        self.schedules.push((seeds, schedules));
        let seconds = time.as_secs_f64().max(0.001);
        let mut message = format!(
            "{} seeds, {}/s, {}s virtual/s, {} schedules ({} of the last half new), points {}/{}",
            thousands(seeds),
            thousands((seeds as f64 / seconds) as u64),
            thousands((number("virtual_ns") as f64 / 1e9 / seconds) as u64),
            thousands(schedules),
            thousands(schedules.saturating_sub(known)),
            number("reached"),
            number("points"),
        );
        if number("faults") > 0 {
            message.push_str(&format!(", {} faults", thousands(number("faults"))));
        }
        if number("failed") > 0 {
            message.push_str(&format!(", {} FAILED", thousands(number("failed"))));
        }
        if !self.is_quiet && !self.is_terminal && time >= self.said_at + EVERY {
            self.said_at = time;
            eprintln!("{}: {message}", self.test.path);
        }
        self.bar.set_position(seeds);
        self.bar.set_message(message);
    }

    fn failing(&self, entry: &Value) {
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        self.say(&format!("{}: seed {} fails: {}", self.test.path, text("seed"), text("symptom")));
        self.bar.set_message("shrinking the failure");
    }

    fn end(&self, outcome: &Outcome) {
        let (number, count) = self.place;
        self.bar.finish_and_clear();
        let word = if outcome.verdict.is_good() { outcome.verdict.word() } else { "FAILED" };
        self.say(&format!(
            "{word:>8} [{number}/{count}] {}  {} seeds in {:.1}s",
            self.test.name,
            thousands(outcome.seeds),
            outcome.time.as_secs_f64()
        ));
        if let Some(report) = outcome.report.as_ref().filter(|_| !outcome.verdict.is_good()) {
            self.say(&format!("\n{report}\n"));
        }
    }

    fn say(&self, line: &str) {
        if !self.is_quiet {
            self.bar.suspend(|| eprintln!("{line}"));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use crate::arguments::duration;

    use super::*;

    #[test]
    fn arguments_become_variables() {
        let arguments = Sweep {
            jobs: Some(2),
            time: duration("10m").ok(),
            shard: Some("2/8".to_owned()),
            others: true,
            ..Sweep::default()
        };
        let found = variables(Some(Duration::from_millis(1500)), &arguments);
        let found: Vec<String> = found.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let endless = format!("WAVETANK_SEEDS={ENDLESS}");
        assert_eq!(
            found,
            [
                &*endless,
                "WAVETANK_WORKERS=2",
                "WAVETANK_SHARD=2/8",
                "WAVETANK_TIME_BUDGET=1.5",
                "WAVETANK_OTHERS=1"
            ]
        );
    }
}
