//! Recordings: the choices of a run, saved for replay.
//!
//! A recording has two forms. The *file* ([`text`]) holds every question of the run up to the last value of each lane
//! that is not the default, so it replays strictly or leniently. It is reviewed and committed, so its lines are short
//! and stable. The *inline form* ([`inline`]) holds only the values that are not the default. It is short enough for a
//! command line, and replays leniently only.
//!
//! # Invariants
//!
//! - A recording's log is in canonical order: lane by lane, by name; within a lane in the order of the run. The order
//!   between lanes is not kept, because lanes are independent.
//! - Nothing after a lane's last value that is not the default is kept. After its end, a recording continues with 0.
//! - A written recording reads back equal. A truncated or altered one is an error.
//!
//! # Not here
//!
//! Where recordings are stored and which may be replaced (`store`). Whether a replay did what was expected (`sweep`).

use std::collections::BTreeMap;
use std::fmt;

use crate::choice::{Choice, ChoiceLog, LaneName, PointId};
use crate::symptom::Symptom;
use crate::trace::Trace;

pub(crate) mod inline;
pub(crate) mod store;
pub(crate) mod text;

pub(crate) use text::parse_number;

/// A recorded run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recording {
    /// The test's name with its package and module path.
    pub(crate) test: String,
    pub(crate) expect: Expect,
    /// The seed. Entropy still comes from it.
    pub(crate) seed: u64,
    pub(crate) build: Build,
    /// Hash of the run's trace.
    pub(crate) trace_hash: u64,
    /// In canonical order, see [`canonical`].
    pub(crate) log: ChoiceLog,
}

/// The expected result of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The run fails with this symptom. Symptoms are compared by their keys.
    Fails(Symptom),
    Passes,
}

/// The facts of a build that choices depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) os: String,
    /// Whether `--cfg tokio_unstable` was set. Without it `tokio::select!` orders its branches at random.
    pub(crate) tokio_unstable: bool,
    /// Whether it needs an instrumented build: it preempts at basic blocks, or a loop in it gives way to others.
    pub(crate) instrumented: bool,
}

impl Build {
    /// Returns the facts of this build that a run with these choices depends on.
    pub(crate) fn of(log: &ChoiceLog, trace: &Trace) -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            tokio_unstable: cfg!(tokio_unstable),
            instrumented: log.stops_at_blocks() || trace.gives_way(),
        }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unstable = if self.tokio_unstable { "tokio_unstable" } else { "tokio_stable" };
        let instrumented = if self.instrumented { " instrumented" } else { "" };
        write!(f, "{} {unstable}{instrumented}", self.os)
    }
}

impl Recording {
    /// Records a failed run of `test`.
    pub(crate) fn of_failure(
        test: &str,
        symptom: &Symptom,
        seed: u64,
        trace: &Trace,
        log: &ChoiceLog,
    ) -> Self {
        Self {
            test: test.to_owned(),
            expect: Expect::Fails(symptom.clone()),
            seed,
            build: Build::of(log, trace),
            trace_hash: trace.hash(),
            log: canonical(log),
        }
    }
}

/// Brings a log into canonical order: lane by lane, without the default end of each lane and without points that have
/// no choice left. Two runs with equal canonical logs chose the same.
pub(crate) fn canonical(log: &ChoiceLog) -> ChoiceLog {
    let mut lanes: BTreeMap<&LaneName, Vec<&Choice>> = BTreeMap::new();
    for choice in &log.choices {
        lanes.entry(&log.point(choice.point).lane).or_default().push(choice);
    }
    let mut kept = ChoiceLog::default();
    let mut points: BTreeMap<PointId, PointId> = BTreeMap::new();
    for choices in lanes.values() {
        let end = choices.iter().rposition(|choice| choice.value != 0).map_or(0, |last| last + 1);
        for choice in &choices[..end] {
            let point = *points.entry(choice.point).or_insert_with(|| {
                kept.points.push(log.point(choice.point).clone());
                PointId::new(kept.points.len() - 1)
            });
            kept.choices.push(Choice { point, ..**choice });
        }
    }
    kept
}

/// Why a recording is invalid.
#[derive(Debug)]
pub(crate) struct RecordingError {
    /// The file's path, or the name of the variable that holds an inline form.
    pub(crate) origin: String,
    pub(crate) kind: RecordingErrorKind,
}

#[derive(Debug)]
pub(crate) enum RecordingErrorKind {
    /// The file cannot be read.
    Unreadable(std::io::Error),
    /// The file cannot be written.
    Unwritable(std::io::Error),
    NotUtf8,
    /// It is empty.
    Empty,
    /// It begins with the byte order mark that some editors put before a text.
    ByteOrderMark,
    /// The first line is of another version.
    Version {
        found: String,
    },
    /// A line, or a part of the inline form (both 1-based), is wrong.
    Unexpected {
        at: usize,
        expected: &'static str,
        found: String,
    },
    /// The last line, which counts and checks the others, is missing.
    Truncated,
    /// The last line disagrees with the others.
    Corrupt {
        expected: String,
        found: String,
    },
}

impl RecordingError {
    /// Returns `true` if the invalid file may still be useful: it is of another version, or an editor changed it
    /// slightly.
    pub(crate) const fn is_of_a_good_file(&self) -> bool {
        matches!(self.kind, RecordingErrorKind::Version { .. } | RecordingErrorKind::ByteOrderMark)
    }
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use RecordingErrorKind::{
            ByteOrderMark, Corrupt, Empty, NotUtf8, Truncated, Unexpected, Unreadable, Unwritable, Version,
        };
        let is_inline = self.origin.starts_with("WAVETANK_");
        let part = if is_inline { "part" } else { "line" };
        write!(f, "{}", self.origin)?;
        match &self.kind {
            Unreadable(error) => return write!(f, ": cannot read the recording: {error}"),
            Unwritable(error) => return write!(f, ": cannot write the recording: {error}"),
            NotUtf8 => write!(f, ": expected UTF-8 text, found other bytes")?,
            Empty => {
                write!(f, ": the file is empty: it was cut off when it was written, copied or checked out")?
            }
            ByteOrderMark => {
                return write!(
                    f,
                    ", line 1: there is a byte order mark (U+FEFF) before `{}`, which an editor has put \
                    there; save the \
                     file as UTF-8 without one, or restore it from version control",
                    text::FIRST_LINE,
                );
            }
            Version { found } => {
                return write!(
                    f,
                    ", {part} 1: expected `{}`, found `{found}`; replay it with the version of wavetank that wrote it",
                    if is_inline { inline::VERSION } else { text::FIRST_LINE },
                );
            }
            Unexpected { at, expected, found } => {
                write!(f, ", {part} {at}: expected {expected}, found `{found}`")?;
            }
            Truncated => {
                write!(f, ": expected a last {part} with a checksum, found the end; it was cut off")?
            }
            Corrupt { expected, found } => {
                write!(
                    f,
                    ": expected it to end with `{expected}`, found `{found}`; it was altered after it was written"
                )?;
            }
        }
        f.write_str(if is_inline {
            "; copy the whole value again"
        } else {
            "; restore the file from version control, or delete it and let a sweep find the failure again"
        })
    }
}

impl std::error::Error for RecordingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            RecordingErrorKind::Unreadable(error) | RecordingErrorKind::Unwritable(error) => Some(error),
            _ => None,
        }
    }
}

/// Builds logs by hand: `[(lane, point, bound, value)]`.
#[cfg(test)]
pub(crate) fn log_of(choices: &[(&str, &str, u32, u32)]) -> ChoiceLog {
    use crate::choice::PointName;

    let mut log = ChoiceLog::default();
    for &(lane, point, bound, value) in choices {
        let name =
            PointName { lane: LaneName::parse(lane).expect("a kind of lane"), point: point.to_owned() };
        let index = log.points.iter().position(|known| *known == name).unwrap_or_else(|| {
            log.points.push(name);
            log.points.len() - 1
        });
        log.choices.push(Choice { point: PointId::new(index), bound, value });
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_lanes_end_with_their_last_nondefault_value() {
        let log = log_of(&[
            ("schedule", "b run", 3, 1),
            ("fault", "a break", 2, 0),
            ("schedule", "a run", 3, 0),
            ("fault", "a break", 2, 1),
            ("schedule", "b run", 3, 2),
            ("schedule", "c run", 3, 0),
            ("link", "a send", 9, 0),
        ]);
        let kept = canonical(&log);
        let expected = log_of(&[
            ("fault", "a break", 2, 0),
            ("fault", "a break", 2, 1),
            ("schedule", "b run", 3, 1),
            ("schedule", "a run", 3, 0),
            ("schedule", "b run", 3, 2),
        ]);
        assert_eq!(kept, expected);
        assert_eq!(canonical(&kept), kept);
    }
}
