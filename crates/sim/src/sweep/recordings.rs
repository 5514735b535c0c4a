//! The recordings of a test, replayed before any seed; or the one that the environment asks for, instead of seeds.
//!
//! A lenient replay is judged only by the symptom: code that asks other questions than it did is no failure. A strict
//! replay must make the recorded choices and the recorded trace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::examine::{Ended, Failure, SecondRun};
use super::explain::Explanation;
use super::{Found, Session, Stop};
use crate::choice::{ChoiceLog, Replay};
use crate::interpose::blocks;
use crate::order::Size;
use crate::pool::{Job, Ran};
use crate::recording::store::Kept;
use crate::recording::{Build, Expect, Recording, RecordingError, RecordingErrorKind, canonical, inline};
use crate::report::{Counts, Report};
use crate::run::Outcome;
use crate::settings::Only;
use crate::symptom::Symptom;
use crate::trace::Trace;

/// A recording to replay, from a file or a command line.
#[derive(Debug)]
pub(super) struct Replayable {
    /// Its name: the file's path, or the variable.
    pub(super) origin: String,
    path: Option<PathBuf>,
    pub(super) seed: u64,
    pub(super) log: Arc<ChoiceLog>,
    expect: Expected,
    /// What a strict replay must match. An inline form has none of it.
    strict: Option<(Build, u64)>,
}

#[derive(Debug)]
enum Expected {
    Passes,
    Fails(Symptom),
    /// The inline form only has the hash of the key.
    FailsWithHash(u32),
}

impl Expected {
    fn is(&self, symptom: &Symptom) -> bool {
        match self {
            Self::Passes => false,
            Self::Fails(expected) => expected.key() == symptom.key(),
            Self::FailsWithHash(hash) => *hash == symptom.key_hash(),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Passes => "a run that passes".to_owned(),
            Self::Fails(symptom) => format!("`{}`", symptom.key()),
            Self::FailsWithHash(hash) => format!("the symptom with hash {hash:x}"),
        }
    }
}

impl Replayable {
    /// Returns `true` if this build cannot replay it, because it is not instrumented.
    fn needs_instrumentation(&self) -> bool {
        let is_marked = self.strict.as_ref().is_some_and(|(build, _)| build.instrumented);
        (is_marked || self.log.stops_at_blocks()) && !blocks::is_instrumented()
    }

    fn note_left_out(&self) {
        eprintln!(
            "wavetank: {} is left out: it was recorded in a build with preemption at basic blocks, and this build \
             has none. `cargo wavetank replay` replays it",
            self.origin
        );
    }
}

/// The result of the recordings of a normal test.
pub(super) struct Replayed {
    pub(super) recordings: usize,
    /// Counts those that failed as known.
    pub(super) known: u64,
    /// Of a sweep that goes on after a failure: the symptoms of those that failed, with their reports.
    pub(super) failed: Vec<(String, String)>,
}

impl Replayed {
    pub(super) fn symptoms(&self) -> BTreeSet<String> {
        self.failed.iter().map(|(symptom, _)| symptom.clone()).collect()
    }

    pub(super) fn reports(&self) -> impl Iterator<Item = String> {
        self.failed.iter().map(|(_, report)| report.clone())
    }
}

impl Session {
    /// Returns the recording that the environment asks for.
    pub(super) fn recording_of_settings(&self) -> Result<Option<Replayable>, Stop> {
        match &self.settings.only {
            None | Some(Only::Seed(_)) => Ok(None),
            Some(Only::File(path)) => {
                self.replayable(self.store.resolve(path)).and_then(|one| self.replayable_here(one)).map(Some)
            }
            Some(Only::Inline(word)) => {
                let origin = "WAVETANK_REPLAY".to_owned();
                let inline = inline::parse(word)
                    .map_err(|kind| self.unusable(&RecordingError { origin: origin.clone(), kind }))?;
                if self.settings.strict {
                    let why = "WAVETANK_STRICT=1 needs the path of a .seed file in WAVETANK_REPLAY: the inline form \
                               leaves out the choices that a strict replay compares";
                    return Err(Stop::Failed(self.report("cannot replay").note(why).to_string()));
                }
                self.replayable_here(Replayable {
                    origin,
                    path: None,
                    seed: inline.seed,
                    log: Arc::new(inline.log),
                    expect: Expected::FailsWithHash(inline.symptom_hash),
                    strict: None,
                })
                .map(Some)
            }
        }
    }

    /// Replays all recordings of a normal test.
    pub(super) fn replay_all_for_verify(&self) -> Result<Replayed, Stop> {
        let mut replayed = Replayed { recordings: 0, known: 0, failed: Vec::new() };
        let known = self.known();
        for path in self.paths()? {
            let recording = self.replayable(path)?;
            if recording.needs_instrumentation() {
                recording.note_left_out();
                continue;
            }
            replayed.recordings += 1;
            match self.replay(&recording)? {
                Ok(outcome) => self.note_no_failure(&recording, &outcome),
                Err(failure) if known.has(&failure) => {
                    replayed.known += 1;
                    continue;
                }
                Err(failure) => {
                    let stop = self.failed(&recording, &failure, "failed a recording");
                    let (Stop::Failed(report), true) = (&stop, self.settings.others) else {
                        return Err(stop);
                    };
                    replayed.failed.push((failure.symptom.key(), report.clone()));
                    continue;
                }
            }
        }
        Ok(replayed)
    }

    /// Replays one recording of a normal test. It should pass, whatever it expects.
    pub(super) fn replay_for_verify(&self, recording: &Replayable) -> Result<(), Stop> {
        match self.replay(recording)? {
            Ok(outcome) => {
                self.note_no_failure(recording, &outcome);
                Ok(())
            }
            Err(failure) => Err(self.failed(recording, &failure, "failed a recording")),
        }
    }

    /// Says that a recording passes, if it should fail. Of all recordings of a test the harness keeps it unless asked
    /// (`--nocapture`): most are of fixed bugs.
    fn note_no_failure(&self, recording: &Replayable, outcome: &Outcome) {
        if matches!(recording.expect, Expected::Passes) {
            return;
        }
        let note = format!(
            "wavetank: {} no longer fails{}: recorded as failing, it passes now. Either the bug is fixed, or the \
             run depends on what differs from process to process (addresses, statics, the environment)",
            recording.origin,
            mismatches(outcome)
        );
        if self.settings.only.is_some() {
            eprintln!("{note}");
        } else {
            println!("{note}");
        }
    }

    /// Replays all recordings of a test that must find a bug, and returns the symptoms of those that fail.
    pub(super) fn replay_all_for_find(&self) -> Result<BTreeMap<PathBuf, (Trace, Counts)>, Stop> {
        let mut shown = BTreeMap::new();
        for path in self.paths()? {
            let recording = self.replayable(path)?;
            if recording.needs_instrumentation() {
                recording.note_left_out();
                continue;
            }
            if let (Some((_, outcome)), Some(path)) = (self.replay_expecting(&recording)?, recording.path) {
                let counts = Counts::of(&outcome);
                shown.insert(path, (outcome.trace, counts));
            }
        }
        Ok(shown)
    }

    /// Shrinks one recording further, and replaces its file by what is smaller.
    pub(super) fn shrink_recording(&self, recording: &Replayable) -> Stop {
        match self.try_shrink_recording(recording) {
            Ok(stop) | Err(stop) => stop,
        }
    }

    fn try_shrink_recording(&self, recording: &Replayable) -> Result<Stop, Stop> {
        let unshrunk =
            |why: &str| Stop::Failed(self.report("cannot shrink a recording").note(why).to_string());
        let Err(failure) = self.replay(recording)? else {
            return Err(unshrunk(&format!("{} does not fail", recording.origin)));
        };
        let (symptom, seed) = (&failure.symptom, recording.seed);
        let Some(found) = failure.outcome.as_deref().filter(|_| failure.is_repeatable()) else {
            return Err(self.failed(recording, &failure, "cannot be shrunk: it does not repeat"));
        };
        let shrunk = self.shrink(seed, symptom, &found.log).map_err(|why| unshrunk(&why))?;
        let proof = self.prove(seed, symptom, &shrunk.best).map_err(|why| unshrunk(&why))?;
        let name = self.sweep.identity.name();
        let smaller = Recording::of_failure(&name, symptom, seed, &proof.trace, &proof.log);
        let mut report = self.report("is shrunk").symptom(symptom, seed);
        report = report.shrunk(Counts::of(found), Counts::of(&proof), &shrunk).needs(&proof).run(&proof);
        let written = match &recording.path {
            Some(_) if Size::of(&smaller.log) >= Size::of(&recording.log) => Ok(()),
            Some(path) => self.store.replace(path, &smaller),
            None => self.keep(&smaller).map(drop),
        };
        written.map_err(|error| unshrunk(&error.to_string()))?;
        report = report.field("recording", &recording.origin).replay(seed, symptom, Some(&proof.log));
        self.note_failure(seed, symptom, Some(&recording.origin), &report);
        self.journal.trace(seed, Some(symptom), &proof);
        Ok(Stop::Failed(report.to_string()))
    }

    /// Replays one recording as the whole of a test that must find a bug.
    pub(super) fn replay_for_find(&self, recording: &Replayable) -> Result<Found, Stop> {
        let Some((symptom, outcome)) = self.replay_expecting(recording)? else {
            let why =
                format!("{} expects a run that passes, and this test must find a bug", recording.origin);
            return Err(Stop::Failed(self.report("found nothing").note(&why).to_string()));
        };
        let report = self.report("found its bug").symptom(&symptom, recording.seed).run(&outcome);
        eprintln!("{}", self.with_causality(report, recording));
        let counts = Counts::of(&outcome);
        Ok(Found {
            seed: recording.seed,
            runs: 0,
            shrink_runs: 0,
            symptom,
            before: counts,
            after: counts,
            trace: outcome.trace,
            recording: recording.path.clone(),
            never_reached: Vec::new(),
            is_reviewed: false,
        })
    }

    /// Replays a recording that must do what it expects. Returns the failure, if that is one.
    fn replay_expecting(&self, recording: &Replayable) -> Result<Option<(Symptom, Box<Outcome>)>, Stop> {
        let expected = recording.expect.describe();
        match (self.replay(recording)?, &recording.expect) {
            (Ok(_), Expected::Passes) => Ok(None),
            (Err(failure), Expected::Passes) => Err(self.failed(recording, &failure, "failed a recording")),
            (Ok(outcome), _) => {
                let why = format!(
                    "{} no longer fails: expected {expected}, and the run passed{}; if the bug is rightly gone, so \
                     should be the recording",
                    recording.origin,
                    mismatches(&outcome),
                );
                Err(Stop::Failed(self.report("lost its bug").note(&why).to_string()))
            }
            (Err(Failure { symptom, outcome: Some(outcome), .. }), expect) if expect.is(&symptom) => {
                Ok(Some((symptom, outcome)))
            }
            (Err(failure), _) => Err(self.failed(recording, &failure, "fails another way than recorded")),
        }
    }

    /// Replays a recording. The outer error is that it does not replay strictly.
    fn replay(&self, recording: &Replayable) -> Result<Result<Box<Outcome>, Failure>, Stop> {
        if self.settings.strict {
            self.replay_strictly(recording)?;
        }
        let Replayable { seed, log, .. } = recording;
        let job = Job::Replay { seed: *seed, log: Arc::clone(log), mode: Replay::Lenient };
        let examined = self.examine(job, SecondRun::IfItFails);
        self.note_replay(recording, &examined);
        Ok(examined)
    }

    fn note_replay(&self, recording: &Replayable, examined: &Result<Box<Outcome>, Failure>) {
        let (result, symptom, outcome) = match examined {
            Ok(outcome) => ("passed", None, Some(outcome)),
            Err(Failure { symptom, outcome, .. }) => {
                let result = if recording.expect.is(symptom) { "failed" } else { "failed otherwise" };
                (result, Some(symptom), outcome.as_ref())
            }
        };
        self.journal.write("recording", |entry| {
            entry
                .text("file", &recording.origin)
                .text("result", result)
                .maybe("symptom", symptom.map(Symptom::key).as_deref())
        });
        if let Some(outcome) = outcome.filter(|_| self.settings.only.is_some()) {
            self.journal.trace(recording.seed, symptom, outcome);
        }
    }

    fn replay_strictly(&self, recording: &Replayable) -> Result<(), Stop> {
        let Replayable { seed, log, strict, .. } = recording;
        let job = Job::Replay { seed: *seed, log: Arc::clone(log), mode: Replay::Strict };
        // A run that does not end, or fails, is for the lenient replay to judge.
        let (Ran::Ended(outcome), Some((build, trace_hash))) = (self.ran(job), strict) else { return Ok(()) };
        let difference = if let Some(divergence) = &outcome.divergence {
            divergence.to_string()
        } else if canonical(&outcome.log) != **log {
            format!("the run ended before its last recorded choice; it {}", Ended(&outcome))
        } else if outcome.trace.hash() != *trace_hash {
            let hash = outcome.trace.hash();
            format!(
                "the choices are the recorded ones and the trace is not: its hash is {hash:#018x}, not \
                {trace_hash:#018x}"
            )
        } else {
            return Ok(());
        };
        let why = format!("{} does not replay strictly: {difference}", recording.origin);
        let mut report = self.report("left a recording").note(&why);
        let present = Build::of(&outcome.log, &outcome.trace);
        if *build != present {
            report = report.note(&format!("it was recorded on `{build}`, this build is `{present}`"));
        }
        Err(Stop::Failed(report.note("the file is unchanged").to_string()))
    }

    fn failed(&self, recording: &Replayable, failure: &Failure, headline: &str) -> Stop {
        let mut report = self.report(headline).symptom(&failure.symptom, recording.seed);
        if !recording.expect.is(&failure.symptom) {
            report = report.field("recorded as", &recording.expect.describe());
        }
        report = report.field("recording", &recording.origin);
        let log = match &failure.outcome {
            Some(outcome) => {
                if outcome.mismatches > 0 {
                    report = report
                        .note(&format!("the code has changed since it was recorded{}", mismatches(outcome)));
                }
                report = report.needs(outcome).run(outcome);
                &outcome.log
            }
            None => &*recording.log,
        };
        if let Some(outcome) = failure.outcome.as_ref().filter(|_| self.settings.only.is_some()) {
            report = report.whole_trace(outcome, recording.seed);
        }
        report = self.with_causality(report, recording);
        let report = report.replay(recording.seed, &failure.symptom, Some(log));
        self.note_failure(recording.seed, &failure.symptom, Some(&recording.origin), &report);
        Stop::Failed(report.to_string())
    }

    /// Measures where the failure is decided and writes it to the journal, if the environment asks for it.
    fn causality(&self, recording: &Replayable) -> Option<Result<Explanation, Stop>> {
        let explanation = self.explained(recording, self.settings.explain?);
        let choices = explanation.as_ref().map_or(0, Explanation::choices) as u64;
        for point in explanation.iter().flat_map(Explanation::points) {
            self.journal.write("causality", |entry| {
                entry
                    .number("kept", point.kept() as u64)
                    .number("choices", choices)
                    .number("failures", point.failures().into())
                    .number("runs", point.runs().into())
                    .text("last", point.last())
            });
        }
        Some(explanation)
    }

    /// Adds where the failure is decided, if the environment asks for it.
    fn with_causality<'a>(&self, report: Report<'a>, recording: &Replayable) -> Report<'a> {
        match self.causality(recording) {
            Some(Ok(explanation)) => report.field("causality", &explanation.to_string()),
            Some(Err(_)) => report.note("WAVETANK_EXPLAIN: the failure does not repeat"),
            None => report,
        }
    }

    /// Saves a recording of a failure. An older one of the same symptom is replayed first: if it passes, its bug is
    /// fixed, and it stays. So does one that this build cannot replay.
    pub(super) fn keep(&self, recording: &Recording) -> Result<Kept, RecordingError> {
        self.store.keep(recording, |old| {
            let Expect::Fails(symptom) = &old.expect else { return false };
            let needs_instrumentation = old.build.instrumented || old.log.stops_at_blocks();
            if needs_instrumentation && !blocks::is_instrumented() {
                return false;
            }
            let replay = Job::replay(old.seed, &old.log, Replay::Lenient);
            let Ran::Ended(outcome) = self.ran(replay) else { return false };
            outcome.symptom.is_some_and(|again| again.key() == symptom.key())
        })
    }

    fn paths(&self) -> Result<Vec<PathBuf>, Stop> {
        if self.settings.only.is_some() {
            return Ok(Vec::new());
        }
        self.store.list().map_err(|error| self.unusable(&error))
    }

    pub(super) fn replayable(&self, path: PathBuf) -> Result<Replayable, Stop> {
        let recording = self.load(&path).map_err(|error| self.unusable(&error))?;
        let Recording { test, expect, seed, build, trace_hash, log } = recording;
        let origin = self.store.display(&path).to_string();
        let name = self.sweep.identity.name();
        if test != name {
            let why = format!(
                "{origin} is a recording of `{test}`, and this test is `{name}`: run that one with it, or, \
                if the test was \
                 renamed, change the file's second line"
            );
            return Err(Stop::Failed(self.report("cannot replay").note(&why).to_string()));
        }
        let expect = match expect {
            Expect::Passes => Expected::Passes,
            Expect::Fails(symptom) => Expected::Fails(symptom),
        };
        Ok(Replayable {
            origin,
            path: Some(path),
            seed,
            log: Arc::new(log),
            expect,
            strict: Some((build, trace_hash)),
        })
    }

    /// Returns the recording that was asked for, if this build can replay it.
    fn replayable_here(&self, recording: Replayable) -> Result<Replayable, Stop> {
        if !recording.needs_instrumentation() {
            return Ok(recording);
        }
        let Replayable { origin, .. } = &recording;
        let why = format!(
            "{origin} was recorded in a build with preemption at basic blocks, and this build has none. \
             `cargo wavetank replay` makes one. Or pass to cargo: {}",
            blocks::cargo_options()
        );
        Err(Stop::Failed(self.report("cannot replay").note(&why).to_string()))
    }

    /// Loads a recording and brings its log into canonical order, whatever wrote the file.
    fn load(&self, path: &Path) -> Result<Recording, RecordingError> {
        self.store.load(path).map(|recording| Recording { log: canonical(&recording.log), ..recording })
    }

    fn unusable(&self, error: &RecordingError) -> Stop {
        let headline = match error.kind {
            RecordingErrorKind::Unreadable(_) => "cannot read its recordings",
            _ => "cannot read a recording",
        };
        Stop::Failed(self.report(headline).note(&error.to_string()).to_string())
    }

    pub(super) fn report(&self, headline: &str) -> Report<'_> {
        Report::new(&self.sweep.identity, headline)
    }
}

/// Describes how far a lenient replay was from its recording, if at all.
fn mismatches(outcome: &Outcome) -> String {
    match outcome.mismatches {
        0 => String::new(),
        1 => " (1 choice no longer fitted and was answered with 0)".to_owned(),
        count => format!(" ({count} choices no longer fitted and were answered with 0)"),
    }
}
