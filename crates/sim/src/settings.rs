//! Settings from the environment: the only place that reads it.
//!
#![doc = include_str!("settings.md")]
//!
//! # Invariants
//!
//! - An invalid value is an error that says what is allowed. No value is ignored.
//! - Parsing is a function of a lookup: tests need no environment.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::interpose::addresses;
use crate::recording::{inline, parse_number};

/// The settings from the environment, for every sweep of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) only: Option<Only>,
    pub(crate) seeds: Option<u64>,
    pub(crate) base_seed: Option<u64>,
    pub(crate) shard: Shard,
    pub(crate) time_budget: Option<Duration>,
    /// Whether recordings must replay choice by choice.
    pub(crate) strict: bool,
    pub(crate) workers: Option<NonZeroUsize>,
    /// One passing seed in this many runs twice: 1 is all, 0 none.
    pub(crate) check_every: Option<u64>,
    /// Whether each process has addresses of its own.
    pub(crate) aslr: bool,
    /// The file of the journal.
    pub(crate) journal: Option<PathBuf>,
    /// Whether a sweep goes on after a failure, for others.
    pub(crate) others: bool,
    /// How long a failure is shrunk, instead of the test's own bounds.
    pub(crate) shrink: Option<Duration>,
    /// The event of a replay at which it stops.
    pub(crate) until: Option<u64>,
    /// How many deviations to enumerate instead of seeds; 0 is none.
    pub(crate) deviations: Option<u32>,
    /// What does not end a sweep.
    pub(crate) past: Option<Past>,
    pub(crate) guided: Option<bool>,
    /// In how many runs each point of a causality curve is measured.
    pub(crate) explain: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            only: None,
            seeds: None,
            base_seed: None,
            shard: Shard::default(),
            time_budget: None,
            strict: false,
            workers: None,
            check_every: None,
            aslr: true,
            journal: None,
            others: false,
            shrink: None,
            until: None,
            deviations: None,
            past: None,
            guided: None,
            explain: None,
        }
    }
}

/// A symptom that a sweep goes past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// Those that the recordings of the test show.
    Recorded,
    Part(String),
}

/// The only thing to run, instead of recordings and a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    Seed(u64),
    File(PathBuf),
    /// The inline form of a recording, not yet parsed.
    Inline(String),
}

/// The part of a sweep's seeds that this process runs: every `count`-th, from `index` (0-based).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) index: u64,
    pub(crate) count: u64,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

/// What is wrong with a build, with or without `--cfg tokio_unstable`.
pub(crate) const fn problem_of_build(tokio_unstable: bool) -> Option<&'static str> {
    if tokio_unstable {
        return None;
    }
    Some(
        "this build lacks `--cfg tokio_unstable`, without which the branch order of `tokio::select!` does \
        not follow the \
         seed. Put it into `.cargo/config.toml`:\n\n[build]\nrustflags = [\"--cfg\", \"tokio_unstable\"]\n\n\
         A RUSTFLAGS variable in the environment replaces what that file says, silently, and must carry it too",
    )
}

/// An invalid variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SettingsError {
    Value {
        variable: &'static str,
        value: String,
        allowed: &'static str,
    },
    /// Its name begins like ours.
    UnknownName(String),
    /// The system does not let this process have the same addresses as others.
    NoFixedAddresses,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { variable, value, allowed } => {
                write!(f, "invalid {variable}={value}: allowed is {allowed}")
            }
            Self::UnknownName(name) => {
                write!(f, "unknown variable {name}: the variables are {}", VARIABLES.join(", "))
            }
            Self::NoFixedAddresses => f.write_str(
                "WAVETANK_ASLR=0: the system does not allow it (`personality` with ADDR_NO_RANDOMIZE; Linux with glibc \
                 alone has it, and containers may forbid it). `setarch -R` before the command is another way",
            ),
        }
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// The first variable with an invalid value or an unknown name.
    pub(crate) fn from_environment() -> Result<Self, SettingsError> {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        refuse_unknown(names)?;
        #[expect(clippy::disallowed_methods, reason = "the one place that reads settings")]
        let settings = Self::from_lookup(&|variable| match std::env::var(variable) {
            Ok(value) => Some(value),
            Err(std::env::VarError::NotPresent) => None,
            // No setting allows the replacement character, so such a value is reported as invalid.
            Err(std::env::VarError::NotUnicode(value)) => Some(value.to_string_lossy().into_owned()),
        })?;
        if !settings.aslr && !addresses::are_fixed() {
            return Err(SettingsError::NoFixedAddresses);
        }
        Ok(settings)
    }

    /// Reads settings through `lookup`, which returns the value of a variable.
    ///
    /// # Errors
    ///
    /// The first invalid variable.
    pub(crate) fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let number = |variable, allowed| parse_with(lookup, variable, allowed, parse_number);
        let seed = number("WAVETANK_SEED", "a number below 2^64, decimal or hexadecimal after 0x")?;
        let replay = parse_with(
            lookup,
            "WAVETANK_REPLAY",
            "the path of a .seed file or the v1:... form that a failure printed, and not together with WAVETANK_SEED",
            |value| (seed.is_none() && !value.contains('\u{fffd}')).then(|| replay_of(value)),
        )?;
        let is_alone = seed.is_some() || replay.is_some();
        let is_replay = replay.is_some();
        Ok(Self {
            only: seed.map(Only::Seed).or(replay),
            seeds: number("WAVETANK_SEEDS", "a count of seeds")?,
            base_seed: number("WAVETANK_BASE_SEED", "a number below 2^64, decimal or hexadecimal after 0x")?,
            shard: parse_with(
                lookup,
                "WAVETANK_SHARD",
                "i/n with i from 1 to n, for example 2/8",
                parse_shard,
            )?
            .unwrap_or_default(),
            time_budget: parse_with(lookup, "WAVETANK_TIME_BUDGET", SECONDS, seconds)?,
            strict: parse_with(lookup, "WAVETANK_STRICT", "0 or 1", zero_or_one)?.unwrap_or(false),
            aslr: parse_with(lookup, "WAVETANK_ASLR", "0 or 1", zero_or_one)?.unwrap_or(true),
            workers: parse_with(lookup, "WAVETANK_WORKERS", "a count from 1", |value| value.parse().ok())?,
            check_every: parse_with(lookup, "WAVETANK_CHECK", "all, or a number", |value| match value {
                "all" => Some(1),
                _ => parse_number(value),
            })?,
            journal: parse_with(lookup, "WAVETANK_JOURNAL", "the path of a file", |value| {
                (!value.contains('\u{fffd}')).then(|| value.into())
            })?,
            others: parse_with(lookup, "WAVETANK_OTHERS", "0 or 1", zero_or_one)?.unwrap_or(false),
            shrink: parse_with(lookup, "WAVETANK_SHRINK", SECONDS, seconds)?,
            until: parse_with(
                lookup,
                "WAVETANK_UNTIL",
                "the number of an event from 1, together with WAVETANK_SEED or WAVETANK_REPLAY",
                |value| parse_number(value).filter(|&event| event > 0 && is_alone),
            )?,
            deviations: parse_with(lookup, "WAVETANK_DEVIATIONS", "a count of deviations", |value| {
                value.parse().ok()
            })?,
            past: parse_with(lookup, "WAVETANK_PAST", "`recorded`, or a part of a symptom", parse_past)?,
            guided: parse_with(lookup, "WAVETANK_GUIDED", "0 or 1", zero_or_one)?,
            explain: parse_with(
                lookup,
                "WAVETANK_EXPLAIN",
                "a count of runs from 1, together with WAVETANK_REPLAY",
                |value| value.parse().ok().filter(|&runs| runs > 0 && is_replay),
            )?,
        })
    }
}

/// All variables. Any other name that begins like them is a typing error.
const VARIABLES: [&str; 18] = [
    "WAVETANK_SEED",
    "WAVETANK_REPLAY",
    "WAVETANK_SEEDS",
    "WAVETANK_BASE_SEED",
    "WAVETANK_SHARD",
    "WAVETANK_TIME_BUDGET",
    "WAVETANK_STRICT",
    "WAVETANK_WORKERS",
    "WAVETANK_CHECK",
    "WAVETANK_ASLR",
    "WAVETANK_JOURNAL",
    "WAVETANK_OTHERS",
    "WAVETANK_SHRINK",
    "WAVETANK_UNTIL",
    "WAVETANK_DEVIATIONS",
    "WAVETANK_PAST",
    "WAVETANK_GUIDED",
    "WAVETANK_EXPLAIN",
];

/// What a duration may be.
const SECONDS: &str = "a number of seconds";

fn seconds(value: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(value.parse().ok()?).ok()
}

fn refuse_unknown(names: impl Iterator<Item = String>) -> Result<(), SettingsError> {
    // Also with an extra underscore, or in small letters. A name without underscore belongs to another program.
    let is_meant = |name: &String| {
        name.contains('_') && name.replace('_', "").to_ascii_uppercase().starts_with("WAVETANK")
    };
    for name in names.filter(is_meant) {
        if !VARIABLES.contains(&name.as_str()) {
            return Err(SettingsError::UnknownName(name));
        }
    }
    Ok(())
}

fn parse_with<T>(
    lookup: &dyn Fn(&str) -> Option<String>,
    variable: &'static str,
    allowed: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, SettingsError> {
    match lookup(variable).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => match parse(&value) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(SettingsError::Value { variable, value, allowed }),
        },
    }
}

fn replay_of(value: &str) -> Only {
    if inline::is_inline(value) { Only::Inline(value.to_owned()) } else { Only::File(value.into()) }
}

fn zero_or_one(value: &str) -> Option<bool> {
    match value {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

fn parse_past(value: &str) -> Option<Past> {
    match value.trim() {
        "" => None,
        "recorded" => Some(Past::Recorded),
        part => (!part.contains('\u{fffd}')).then(|| Past::Part(part.to_owned())),
    }
}

fn parse_shard(value: &str) -> Option<Shard> {
    let (number, count) = value.split_once('/')?;
    let (number, count) = (number.parse::<u64>().ok()?, count.parse::<u64>().ok()?);
    (1..=count).contains(&number).then(|| Shard { index: number - 1, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_lookup(&|variable| {
            variables.iter().find(|(name, _)| *name == variable).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_environment_sets_nothing() {
        let settings = parse(&[]).expect("nothing to refuse");
        assert_eq!(settings, Settings::default());
        assert_eq!(parse(&[("WAVETANK_SEED", ""), ("WAVETANK_SHARD", "")]), Ok(settings));
    }

    #[test]
    fn every_variable_of_the_table_is_read() {
        let settings = parse(&[
            ("WAVETANK_SEED", "0xFf"),
            ("WAVETANK_SEEDS", "1000"),
            ("WAVETANK_BASE_SEED", "7"),
            ("WAVETANK_SHARD", "2/8"),
            ("WAVETANK_TIME_BUDGET", "1.5"),
            ("WAVETANK_STRICT", "1"),
            ("WAVETANK_WORKERS", "3"),
            ("WAVETANK_CHECK", "8"),
            ("WAVETANK_ASLR", "0"),
            ("WAVETANK_JOURNAL", "a.jsonl"),
            ("WAVETANK_OTHERS", "1"),
            ("WAVETANK_SHRINK", "0"),
            ("WAVETANK_UNTIL", "12"),
            ("WAVETANK_DEVIATIONS", "2"),
            ("WAVETANK_PAST", "recorded"),
            ("WAVETANK_GUIDED", "0"),
        ]);
        let expected = Settings {
            only: Some(Only::Seed(255)),
            seeds: Some(1000),
            base_seed: Some(7),
            shard: Shard { index: 1, count: 8 },
            time_budget: Some(Duration::from_millis(1500)),
            strict: true,
            workers: NonZeroUsize::new(3),
            check_every: Some(8),
            aslr: false,
            journal: Some("a.jsonl".into()),
            others: true,
            shrink: Some(Duration::ZERO),
            until: Some(12),
            deviations: Some(2),
            past: Some(Past::Recorded),
            guided: Some(false),
            explain: None,
        };
        assert_eq!(settings, Ok(expected));
        let only = |value| parse(&[("WAVETANK_REPLAY", value)]).expect("allowed").only;
        assert_eq!(only("v1:2a:1:0"), Some(Only::Inline("v1:2a:1:0".to_owned())));
        assert_eq!(only("seeds/a/b.seed"), Some(Only::File("seeds/a/b.seed".into())));
        let explained = parse(&[("WAVETANK_EXPLAIN", "20"), ("WAVETANK_REPLAY", "a.seed")]).expect("allowed");
        assert_eq!(explained.explain, Some(20));
        let past = parse(&[("WAVETANK_PAST", "deadlock: ")]).expect("allowed").past;
        assert_eq!(past, Some(Past::Part("deadlock:".to_owned())));
        assert_eq!(parse(&[("WAVETANK_CHECK", "all")]).expect("allowed").check_every, Some(1));
    }

    #[test]
    fn the_table_names_every_variable() {
        let asked = std::cell::RefCell::new(Vec::new());
        let settings = Settings::from_lookup(&|variable| {
            asked.borrow_mut().push(variable.to_owned());
            None
        });
        assert_eq!(settings, Ok(Settings::default()));
        let table = include_str!("settings.md");
        let mut asked = asked.into_inner();
        for variable in &asked {
            assert!(table.contains(&format!("| `{variable}` |")), "{variable} is not in the table");
        }
        let mut known = VARIABLES.map(str::to_owned);
        known.sort();
        asked.sort();
        assert_eq!(asked, known);
    }

    #[test]
    fn an_unknown_wavetank_variable_is_refused() {
        let check = |names: &[&str]| refuse_unknown(names.iter().map(|&name| name.to_owned()));
        assert_eq!(check(&["WAVETANK_SEED", "WAVETANKS", "PATH"]), Ok(()));
        let error = check(&["PATH", "WAVETANK_SEEED"]).expect_err("misspelt").to_string();
        assert!(error.starts_with("unknown variable WAVETANK_SEEED: the variables are WAVETANK_SEED, "));
        // An underscore too many: `\x41` because the word alone is none of ours.
        for slip in ["WAVE_T\x41NK_SEEDS", "wavetank_seeds", "Wavetank_Seeds", "WAVETANKS_SEED"] {
            assert_eq!(check(&["PATH", slip]), Err(SettingsError::UnknownName(slip.to_owned())));
        }
    }

    #[test]
    fn a_build_without_tokio_unstable_is_explained() {
        assert_eq!(problem_of_build(true), None);
        let problem = problem_of_build(false).expect("something to say");
        for part in ["--cfg tokio_unstable", ".cargo/config.toml", "RUSTFLAGS variable"] {
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn a_bad_value_is_refused_naming_allowed_ones() {
        let error = |variable, value| parse(&[(variable, value)]).expect_err("not allowed").to_string();
        assert_eq!(
            error("WAVETANK_SHARD", "0/3"),
            "invalid WAVETANK_SHARD=0/3: allowed is i/n with i from 1 to n, for example 2/8"
        );
        for (variable, value) in [
            ("WAVETANK_SEED", "abc"),
            ("WAVETANK_SEED", "-1"),
            ("WAVETANK_SEED", "+1"),
            ("WAVETANK_SEED", "0x+1"),
            ("WAVETANK_SEED", "18446744073709551616"),
            ("WAVETANK_SEEDS", "1e3"),
            ("WAVETANK_BASE_SEED", "0x"),
            ("WAVETANK_SHARD", "4/3"),
            ("WAVETANK_SHARD", "1"),
            ("WAVETANK_TIME_BUDGET", "-1"),
            ("WAVETANK_TIME_BUDGET", "inf"),
            ("WAVETANK_STRICT", "yes"),
            ("WAVETANK_WORKERS", "0"),
            ("WAVETANK_REPLAY", "\u{fffd}"),
            ("WAVETANK_CHECK", "All"),
            ("WAVETANK_CHECK", "1/64"),
            ("WAVETANK_SHRINK", "long"),
            // Without a replay there is no event to stop at.
            ("WAVETANK_UNTIL", "12"),
            ("WAVETANK_DEVIATIONS", "-1"),
            ("WAVETANK_PAST", " "),
            ("WAVETANK_GUIDED", "yes"),
            ("WAVETANK_EXPLAIN", "20"),
        ] {
            assert!(error(variable, value).starts_with(&format!("invalid {variable}={value}: allowed is")));
        }
    }

    #[test]
    fn one_seed_and_one_replay_exclude_each_other() {
        let error = parse(&[("WAVETANK_SEED", "1"), ("WAVETANK_REPLAY", "a.seed")]).expect_err("one of them");
        assert!(error.to_string().starts_with("invalid WAVETANK_REPLAY=a.seed"), "{error}");
    }
}
