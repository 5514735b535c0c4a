//! The journal: what sweeps and replays do, as JSON lines in a file that `WAVETANK_JOURNAL` names. Programs read it:
//! `cargo wavetank`, editors.
//!
//! # Entries
//!
//! Each has the member `event`, and the member `test` with the test's name in the workspace.
//!
//! | `event` | When |
//! |---|---|
//! | `start` | a test begins |
//! | `recording` | a recording was replayed: `file`, `result` (`passed`, `failed`, `failed otherwise`), `symptom` |
//! | `progress` | several times a second: `seeds`, `failed`, `virtual_ns`, `schedules`, `reached` points of `points` |
//! | `failing` | a seed has failed and is not yet recorded: `seed`, `symptom` |
//! | `failure` | a failure with its `report`, `recording` and the `command` that replays it |
//! | `swept` | all seeds have run: counts, `points` with whether each was reached, `places` of schedules |
//! | `causality` | a point of `WAVETANK_EXPLAIN`: `failures` of `runs`, `kept` of `choices`, and the `last` kept |
//! | `trace` | the trace of a replayed run follows: so many `events`, a line each, without the member `event` |
//! | `end` | the test ends: `result` (`passed`, `found`, `failed`, `interrupted`) |
//!
//! # Invariants
//!
//! - An entry is written whole, so several processes may append to one file.
//! - A journal that cannot be written does not change what a sweep does.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::json::Object;
use crate::run::Outcome;
use crate::symptom::Symptom;

/// The journal of one test. Without a file it does nothing.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    file: Option<Mutex<File>>,
    test: String,
}

impl Journal {
    /// Opens the file at `path` to append to it.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened.
    pub(crate) fn open(path: &Path, test: &str) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Some(Mutex::new(file)), test: test.to_owned() })
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Appends the entry `event` with the members that `fill` adds, if there is a file.
    pub(crate) fn write(&self, event: &str, fill: impl FnOnce(Object) -> Object) {
        if self.is_open() {
            let mut line = fill(Object::new(event).text("test", &self.test)).line();
            line.push('\n');
            self.append(&line);
        }
    }

    /// Appends the trace of a run.
    pub(crate) fn trace(&self, seed: u64, symptom: Option<&Symptom>, outcome: &Outcome) {
        if !self.is_open() {
            return;
        }
        let (events, dropped) = outcome.trace.counts();
        let mut hosts = Object::bare();
        for (name, address) in outcome.trace.hosts() {
            hosts = hosts.text(name, &address);
        }
        self.write("trace", |entry| {
            entry
                .hex("seed", seed)
                .maybe("symptom", symptom.map(ToString::to_string).as_deref())
                .number("events", (events - dropped) as u64)
                .number("dropped", dropped as u64)
                .number("virtual_ns", u64::try_from(outcome.virtual_time.as_nanos()).unwrap_or(u64::MAX))
                .number("steps", outcome.steps)
                .number("faults", outcome.faults as u64)
                .number("mismatches", outcome.mismatches as u64)
                .hex("trace_hash", outcome.trace.hash())
                .texts("tasks", outcome.trace.task_names())
                .object("hosts", hosts)
                .texts("waits", &outcome.waits)
        });
        let mut lines = String::new();
        for line in outcome.trace.json_lines() {
            lines.push_str(&line);
            lines.push('\n');
        }
        self.append(&lines);
    }

    fn append(&self, text: &str) {
        if let Some(file) = &self.file {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // The sweep itself is worth more than its journal.
            let _ = file.write_all(text.as_bytes());
        }
    }
}
