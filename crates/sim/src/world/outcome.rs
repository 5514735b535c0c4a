//! The result of a run.

use std::time::Duration;

use super::{Points, Run};
use crate::choice::{ChoiceLog, Divergence};
use crate::sched::Profile;
use crate::symptom::{Symptom, SymptomKind};
use crate::trace::Trace;
use crate::{panics, sched};

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What failed, if anything did.
    pub(crate) symptom: Option<Symptom>,
    pub(crate) log: ChoiceLog,
    pub(crate) trace: Trace,
    /// The first difference of a strict replay from its recording.
    pub(crate) divergence: Option<Divergence>,
    /// How many recorded values did not fit in a lenient replay.
    pub(crate) mismatches: usize,
    pub(crate) steps: u64,
    pub(crate) virtual_time: Duration,
    /// Faults that happened.
    pub(crate) faults: usize,
    /// The source place of the last panic, or of the invariant that was broken.
    pub(crate) failed_at: Option<String>,
    /// The `sometimes!` that were evaluated.
    pub(crate) points: Points,
    /// Tells the schedule apart from others: equal for runs that differ in nothing that can matter.
    pub(crate) fingerprint: u64,
    /// What each task waited for when the run was stopped to look at it.
    pub(crate) waits: Vec<String>,
    /// What the run has counted, if it was to count.
    pub(crate) profile: Option<Profile>,
}

impl Run {
    pub(crate) fn into_outcome(self) -> Outcome {
        let symptom = self.scheduler.verdict();
        let steps = self.scheduler.steps();
        let virtual_time = Duration::from_nanos(self.scheduler.now());
        let (mut points, broken_at) = self.probes.into_parts();
        let faults = self.faults.into_inner();
        points.extend(faults.met());
        let is_broken = symptom.as_ref().is_some_and(|symptom| symptom.kind() == SymptomKind::Invariant);
        let panicked_at = self.scheduler.panicked_at().or_else(panics::take_place);
        let failed_at = if is_broken { broken_at.map(str::to_owned) } else { panicked_at };
        let names = self.scheduler.task_names();
        let profile = self.scheduler.take_profile();
        let fingerprint = self.scheduler.fingerprint();
        let scheduler =
            sched::sole(self.scheduler).expect("the run has ended, and so has all that found its scheduler");
        let (choices, mut trace) = scheduler.into_parts();
        trace.keep_names(names, self.network.into_inner());
        trace.keep_labels(self.labels.into_inner());
        Outcome {
            symptom,
            divergence: choices.divergence().cloned(),
            mismatches: choices.mismatches(),
            log: choices.into_log(),
            trace,
            steps,
            virtual_time,
            faults: faults.happened(),
            failed_at,
            points,
            fingerprint,
            waits: self.waits.into_inner(),
            profile,
        }
    }
}
