//! The command line.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Sweeps, replays and shows simulations: the tests with `#[wavetank::test]`.
#[derive(Debug, Parser)]
#[command(name = "cargo wavetank", bin_name = "cargo wavetank", version, subcommand_required = true)]
#[command(after_help = "FILE is a recording (seeds/…/*.seed) or a trace that `show --json` has written.\n\
                        `cargo wavetank COMMAND --help` says more of a command.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run many seeds of the simulations, with progress, and report what fails
    Sweep(Sweep),
    /// Run one seed or recording again, and show what happens
    Replay(Replay),
    /// Make a recording smaller: fewer choices that are not the default
    Shrink(Shrink),
    /// Say after which choice of a recording its failure is certain
    Explain(Explain),
    /// List the simulations of the selected packages
    List(List),
    /// List the recordings, say which still fail, and prune those of no use
    Seeds(Seeds),
    /// Show a trace: in the terminal, as a page, as a diagram, for Perfetto or Wireshark
    Show(Show),
    /// Show where two runs first differ
    Diff(Diff),
    /// Join the results of shards
    Merge(Merge),
    /// Set a package up for simulations: configuration, dependencies, a first test
    New(New),
    /// Serve the commands to editors and agents
    Serve(Serve),
}

/// What to build, as for `cargo test`.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What to build")]
pub(crate) struct Build {
    /// Packages whose tests to build [default: as `cargo test`]
    #[arg(short, long = "package", value_name = "PACKAGE")]
    pub(crate) packages: Vec<String>,
    /// Build all packages of the workspace
    #[arg(long)]
    pub(crate) workspace: bool,
    /// Only this integration test
    #[arg(long = "test", value_name = "NAME")]
    pub(crate) tests: Vec<String>,
    /// Only the library's tests
    #[arg(long)]
    pub(crate) lib: bool,
    /// Features to turn on
    #[arg(short = 'F', long, value_name = "FEATURES")]
    pub(crate) features: Vec<String>,
    /// Turn all features on
    #[arg(long)]
    pub(crate) all_features: bool,
    /// Leave the default features off
    #[arg(long)]
    pub(crate) no_default_features: bool,
    /// Build with optimisations
    #[arg(short, long)]
    pub(crate) release: bool,
    /// The profile to build with
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The manifest of the package or workspace
    #[arg(long, value_name = "PATH")]
    pub(crate) manifest_path: Option<PathBuf>,
    /// Preempt tasks and threads at basic blocks, too: build with instrumentation, in `target/fine` (Linux x86-64)
    #[arg(long)]
    pub(crate) fine: bool,
    /// Fail if the lock file would change
    #[arg(long)]
    pub(crate) locked: bool,
    /// Use no network
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Sweep {
    /// Only tests whose names contain one of these texts
    #[arg(value_name = "TEST")]
    pub(crate) filters: Vec<String>,
    /// Seeds of each test [default: the test's own number, or with --time as many as there is time for]
    #[arg(short, long, value_name = "N")]
    pub(crate) seeds: Option<u64>,
    /// The first seed of each test
    #[arg(long, value_name = "SEED", value_parser = seed)]
    pub(crate) base_seed: Option<u64>,
    /// Runs at once [default: one per core]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Stop after so long: 90s, 10m, 2h. The tests share it
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub(crate) time: Option<Duration>,
    /// This machine's part of the seeds, of n: 1/n to n/n
    #[arg(long, value_name = "i/n", value_parser = shard)]
    pub(crate) shard: Option<String>,
    /// Go on with the other tests after one has failed
    #[arg(short, long)]
    pub(crate) keep_going: bool,
    /// Go on with a test after it has failed, for failures of other kinds
    #[arg(short, long)]
    pub(crate) others: bool,
    /// How long a failure is shrunk [default: 20s, and at most 2000 runs]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) shrink: Option<Duration>,
    /// Write the results to this file as JSON lines, for `merge`
    #[arg(long, value_name = "FILE")]
    pub(crate) results: Option<PathBuf>,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print the results as JSON lines
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) build: Build,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Replay {
    /// A seed, the path of a recording, a word `v1:…`, or `-` for a recording or a report on standard input
    #[arg(value_name = "SEED|FILE|-")]
    pub(crate) what: String,
    /// The test of a seed; of a recording, it is in the file
    #[arg(value_name = "TEST")]
    pub(crate) test: Option<String>,
    /// Stop at this event of the trace, and say what each task and thread waits for
    #[arg(short, long, value_name = "EVENT")]
    pub(crate) until: Option<u64>,
    /// Run under gdb; with --until, stop in the call that makes the event
    #[arg(long)]
    pub(crate) gdb: bool,
    /// Fail at the first choice that differs from the recording
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print the run as JSON lines, as `show --json`
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) build: Build,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Shrink {
    /// The recording, which is replaced if a smaller run fails in the same way
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How long to try
    #[arg(short, long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    pub(crate) time: Duration,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) build: Build,
}

/// How many runs of each length `explain` makes by default.
pub(crate) const EXPLAIN_RUNS: NonZeroU32 = NonZeroU32::new(20).expect("not zero");

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Keeps the first choices of the recording, draws the others anew, and counts the runs that fail in \
                        the same way: for up to 24 lengths, mostly where that count changes."
)]
pub(crate) struct Explain {
    /// The recording of a failure
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Runs of each length
    #[arg(short = 'n', long, value_name = "N", default_value_t = EXPLAIN_RUNS)]
    pub(crate) runs: NonZeroU32,
    /// Print the curve as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) build: Build,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct List {
    /// Only tests whose names contain one of these texts
    #[arg(value_name = "TEST")]
    pub(crate) filters: Vec<String>,
    /// Print a JSON object for each test
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) build: Build,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Seeds {
    /// Only recordings of tests whose names contain one of these texts
    #[arg(value_name = "TEST")]
    pub(crate) filters: Vec<String>,
    /// Only list the files: build and run nothing
    #[arg(long, conflicts_with_all = ["prune", "prune_passing"])]
    pub(crate) no_run: bool,
    /// Delete recordings that are broken or of a test that does not exist, after a question
    #[arg(long)]
    pub(crate) prune: bool,
    /// Also delete recordings that pass now. They guard against a bug's return
    #[arg(long)]
    pub(crate) prune_passing: bool,
    /// Delete without a question
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Print a JSON object for each recording
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) build: Build,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Show {
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Write one page that needs no network: lanes, messages, faults, search
    #[arg(long, value_name = "OUT", group = "form")]
    pub(crate) html: Option<PathBuf>,
    /// Print a Mermaid sequence diagram
    #[arg(long, group = "form")]
    pub(crate) mermaid: bool,
    /// Write a trace for ui.perfetto.dev
    #[arg(long, value_name = "OUT", group = "form")]
    pub(crate) perfetto: Option<PathBuf>,
    /// Write the packets for Wireshark, without their payload
    #[arg(long, value_name = "OUT", group = "form")]
    pub(crate) pcap: Option<PathBuf>,
    /// Print JSON lines: the run, then every event
    #[arg(long, group = "form")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) build: Build,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Diff {
    #[arg(value_name = "FILE")]
    pub(crate) one: PathBuf,
    #[arg(value_name = "FILE")]
    pub(crate) other: PathBuf,
    /// Events shown before and after the difference
    #[arg(short, long, value_name = "N", default_value_t = 5)]
    pub(crate) context: usize,
    /// Compare what happens, and not when
    #[arg(long)]
    pub(crate) ignore_time: bool,
    /// Print the difference as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) build: Build,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Merge {
    /// Results that `sweep --results FILE` or `sweep --json` has written
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print the joined results as JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct New {
    /// The folder of the package
    #[arg(value_name = "PACKAGE", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Only show what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Change without a question
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Take wavetank from this checkout instead of the registry
    #[arg(long, value_name = "FOLDER")]
    pub(crate) checkout: Option<PathBuf>,
    /// Print what changes as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    /// Speak the Model Context Protocol on standard input and output
    #[arg(long, required = true)]
    pub(crate) mcp: bool,
    #[command(flatten)]
    pub(crate) build: Build,
}

/// Reads a seed: decimal, or hexadecimal after `0x`.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
    let plain = !digits.starts_with('+');
    let seed = plain.then(|| u64::from_str_radix(digits, radix).ok()).flatten();
    seed.ok_or_else(|| "a seed is a number below 2^64, decimal or hexadecimal after 0x".to_owned())
}

/// Reads a time: a number of seconds, or with the unit ms, s, m or h.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("a time has the unit ms, s, m or h: 90s, 10m".to_owned()),
    };
    let number: f64 =
        digits.parse().map_err(|_| "a time is a number with a unit: 90s, 10m, 2h".to_owned())?;
    Duration::try_from_secs_f64(number * factor)
        .map_err(|_| "a time is not negative, and not too long".to_owned())
}

fn shard(text: &str) -> Result<String, String> {
    let parsed = text.split_once('/').and_then(|(index, count)| {
        let (index, count) = (index.parse::<u64>().ok()?, count.parse::<u64>().ok()?);
        (1..=count).contains(&index).then(|| text.to_owned())
    });
    parsed.ok_or_else(|| "a shard is i/n with i from 1 to n: 2/8".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("10 days").is_err() && duration("m").is_err() && duration("-1s").is_err());
    }

    #[test]
    fn seeds_are_decimal_or_hexadecimal() {
        assert_eq!((seed("0x2a"), seed("42")), (Ok(42), Ok(42)));
        assert!(seed("-1").is_err() && seed("0x+1").is_err() && seed("").is_err());
    }
}
