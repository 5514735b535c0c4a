//! A failure as a case: recorded, shrunk, replayed, and recorded again.
//!
//! # Invariants
//!
//! - The failure as found is on disk before shrinking starts, and stays there if anything fails afterwards.
//! - The recording that replaces it was replayed strictly and showed the same symptom.

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use super::examine::{Ended, Failure, first_difference};
use super::{Found, Session};
use crate::choice::{ChoiceLog, Replay};
use crate::panics::message_of;
use crate::pool::{Job, Ran};
use crate::recording::Recording;
use crate::recording::store::Kept;
use crate::report::{Counts, Identity, Report};
use crate::run::Outcome;
use crate::shrink::{self, Limits, Shrunk};
use crate::symptom::{Symptom, SymptomKind};
use crate::trace::Trace;

/// A failure with all that is known about it.
#[derive(Debug)]
pub(super) struct Case<'a> {
    identity: &'a Identity,
    failure: Failure,
    /// The strict replay of the shrunk log, if there is one.
    proof: Option<Box<Outcome>>,
    shrunk: Option<Shrunk>,
    kept: Option<Kept>,
    recording_shown: Option<String>,
    notes: Vec<String>,
}

impl Session {
    /// Records, shrinks and proves a failure, and notes it in the journal.
    pub(super) fn case(&self, failure: Failure) -> Case<'_> {
        let case = self.worked_out(failure);
        let recording = case.kept.as_ref().map(|kept| self.store.display(kept.path()).to_string());
        self.note_failure(case.seed(), case.symptom(), recording.as_deref(), &case.report("failed"));
        if let Some(outcome) = case.shown().filter(|_| self.settings.only.is_some()) {
            self.journal.trace(case.seed(), Some(case.symptom()), outcome);
        }
        case
    }

    /// Notes a failure in the journal.
    pub(super) fn note_failure(
        &self,
        seed: u64,
        symptom: &Symptom,
        recording: Option<&str>,
        report: &Report<'_>,
    ) {
        self.journal.write("failure", |entry| {
            entry
                .hex("seed", seed)
                .text("symptom", &symptom.key())
                .text("message", &symptom.to_string())
                .maybe("recording", recording)
                .maybe("command", report.command())
                .text("report", &report.to_string())
        });
    }

    fn worked_out(&self, failure: Failure) -> Case<'_> {
        let mut case = Case {
            identity: &self.sweep.identity,
            proof: None,
            shrunk: None,
            kept: None,
            recording_shown: None,
            notes: Vec::new(),
            failure,
        };
        let Some(outcome) = case.failure.outcome.as_deref().filter(|_| case.failure.is_repeatable()) else {
            return case;
        };
        let (seed, symptom) = (case.failure.seed, &case.failure.symptom);
        let record = |trace: &Trace, log: &ChoiceLog| {
            let recording = Recording::of_failure(&self.sweep.identity.name(), symptom, seed, trace, log);
            self.keep(&recording)
        };
        let mut kept = self.sweep.records.then(|| record(&outcome.trace, &outcome.log));
        match self.shrink(seed, symptom, &outcome.log) {
            Err(why) => case.notes.push(format!("shrinking failed, the failure is recorded as found: {why}")),
            Ok(shrunk) => match self.prove(seed, symptom, &shrunk.best) {
                Err(why) => case.notes.push(format!(
                    "the shrunk run does not replay strictly, the failure is recorded as found: {why}"
                )),
                Ok(proof) => {
                    // What was untouched above may still be larger than the shrunk run.
                    kept = kept.map(|kept| {
                        kept.and_then(|first| match record(&proof.trace, &proof.log)? {
                            // The same run twice, because shrinking found nothing smaller.
                            Kept::Untouched(path) if first == Kept::Written(path.clone()) => Ok(first),
                            second => Ok(second),
                        })
                    });
                    case.proof = Some(proof);
                    case.shrunk = Some(shrunk);
                }
            },
        }
        match kept {
            None => {}
            Some(Ok(kept)) => {
                let path = self.store.display(kept.path());
                case.recording_shown = Some(match &kept {
                    Kept::Written(_) => path.to_string(),
                    Kept::Untouched(_) => format!("{path} (was there, at least as small, and is unchanged)"),
                });
                case.kept = Some(kept);
            }
            Some(Err(error)) => case.notes.push(error.to_string()),
        }
        case
    }

    pub(super) fn shrink(&self, seed: u64, symptom: &Symptom, log: &ChoiceLog) -> Result<Shrunk, String> {
        let key = symptom.key();
        let mut attempt =
            |candidate: &ChoiceLog| match self.ran(Job::replay(seed, candidate, Replay::Lenient)) {
                Ran::Ended(outcome) => {
                    let same = outcome.symptom.as_ref().is_some_and(|again| again.key() == key);
                    same.then_some(outcome.log)
                }
                Ran::Stuck { .. } | Ran::Crashed { .. } => None,
            };
        let limits = Limits {
            runs_max: match self.settings.shrink {
                Some(Duration::ZERO) => 0,
                Some(_) => usize::MAX,
                None => self.sweep.shrink_runs_max,
            },
            time_max: self.settings.shrink.unwrap_or(self.sweep.shrink_time_max),
            stop: &|| self.interrupt.is_raised(),
        };
        let shrunk = AssertUnwindSafe(|| shrink::shrink(log.clone(), limits, &mut attempt));
        panic::catch_unwind(shrunk).map_err(|payload| message_of(&*payload))
    }

    /// Replays a shrunk log strictly and returns the run, or says what differs.
    pub(super) fn prove(
        &self,
        seed: u64,
        symptom: &Symptom,
        log: &ChoiceLog,
    ) -> Result<Box<Outcome>, String> {
        let first = match self.ran(Job::replay(seed, log, Replay::Strict)) {
            Ran::Ended(outcome) => outcome,
            other => return Err(self.symptom_of_no_end(&other).to_string()),
        };
        if let Some(divergence) = &first.divergence {
            return Err(divergence.to_string());
        }
        if first.symptom.as_ref().is_none_or(|again| again.key() != symptom.key()) {
            return Err(format!("it {}", Ended(&first)));
        }
        // The recording holds this run's trace: it must be what the next replay shows.
        match self.ran(Job::replay(seed, &first.log, Replay::Strict)) {
            Ran::Ended(second) => match first_difference(&first, &second) {
                None => Ok(first),
                Some(difference) => Err(difference),
            },
            other => Err(self.symptom_of_no_end(&other).to_string()),
        }
    }
}

impl<'a> Case<'a> {
    /// Returns `true` if the shrunk run was replayed strictly with the same symptom.
    pub(super) const fn is_proven(&self) -> bool {
        self.proof.is_some()
    }

    /// Returns `true` if the test's body is at fault, before anything ran.
    pub(super) fn is_mistake_of_setup(&self) -> bool {
        self.failure.symptom.kind() == SymptomKind::Setup
    }

    pub(super) const fn seed(&self) -> u64 {
        self.failure.seed
    }

    /// Returns the run to show: the shrunk one, or else the one that was found.
    pub(super) fn shown(&self) -> Option<&Outcome> {
        self.proof.as_deref().or(self.failure.outcome.as_deref())
    }

    /// Returns the symptom of the run to show, with its numbers.
    fn symptom(&self) -> &Symptom {
        let proven = self.proof.as_ref().and_then(|proof| proof.symptom.as_ref());
        proven.unwrap_or(&self.failure.symptom)
    }

    pub(super) fn report(&self, headline: &str) -> Report<'a> {
        let mut report = Report::new(self.identity, headline).symptom(self.symptom(), self.failure.seed);
        if let (Some(found), Some(proof), Some(shrunk)) = (&self.failure.outcome, &self.proof, &self.shrunk) {
            report = report.shrunk(Counts::of(found), Counts::of(proof), shrunk).needs(proof);
        }
        let log = self.shown().filter(|_| self.failure.is_repeatable()).map(|outcome| &outcome.log);
        if let Some(outcome) = self.shown() {
            report = report.run(outcome);
        }
        let (seed, symptom) = (self.failure.seed, &self.failure.symptom);
        report = match &self.failure.turn {
            None => report.replay(seed, symptom, log),
            Some((index, found_by)) => {
                let path = self.kept.as_ref().map(|kept| kept.path());
                let report = report.field("found by", found_by);
                match log {
                    Some(log) => report.replay_choices(seed, symptom, log, path),
                    None => report.sweep_again(index + 1),
                }
            }
        };
        if let Some(path) = &self.recording_shown {
            report = report.field("recording", path);
        }
        self.notes.iter().fold(report, |report, note| report.note(note))
    }

    /// Ends the case of an expected bug.
    ///
    /// # Panics
    ///
    /// Unless the case [is proven](Self::is_proven).
    pub(super) fn into_found(self, seed: u64, runs: u64) -> Found {
        let proof = self.proof.expect("an unproven case is no find");
        let found = self.failure.outcome.expect("a proven case was a run");
        Found {
            seed,
            runs,
            shrink_runs: self.shrunk.map_or(0, |shrunk| shrunk.runs),
            symptom: proof.symptom.clone().unwrap_or(self.failure.symptom),
            before: Counts::of(&found),
            after: Counts::of(&proof),
            trace: proof.trace,
            recording: self.kept.map(|kept| kept.path().to_owned()),
            never_reached: Vec::new(),
            is_reviewed: false,
        }
    }
}
