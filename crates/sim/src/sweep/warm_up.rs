//! The warm-up: one run before all others, to initialise what code under test has once per process.

use std::sync::Arc;

use super::deviations::{self, Deviations};
use super::guided::{self, Guided};
use super::hunt::Seeds;
use super::supply::{OfSeeds, Supply};
use super::{Session, Stop};
use crate::pool::{Job, Ran};
use crate::report::Report;
use crate::sched::Profile;
use crate::symptom::{Symptom, SymptomKind};

impl Session {
    /// Runs the default run of seed 0, to initialise what code under test has once per process.
    ///
    /// It is always this run, so that a replay in a new process finds such state with the same contents.
    ///
    /// # Errors
    ///
    /// If the run did not end by itself, or if it fails only as the first run of the process, unless that `is_wanted`.
    /// Other failures appear again in runs that count. Waiting for the watchdog or the step limit again and again takes
    /// a minute.
    pub(super) fn warm_up(&self, is_wanted: impl FnOnce(&Symptom) -> bool) -> Result<(), Stop> {
        let mut ran = self.ran(Job::WarmUp);
        if let Ran::Ended(outcome) = &mut ran
            && let Some(profile) = outcome.profile.take()
        {
            // A session warms up once.
            let _ = self.profile.set(Arc::new(profile));
        }
        let (symptom, outcome) = match ran {
            Ran::Ended(outcome) => match outcome.symptom.clone() {
                Some(symptom) => (symptom, Some(outcome)),
                None => return Ok(()),
            },
            Ran::Stuck { .. } => (self.symptom_of_no_end(&ran), None),
            Ran::Crashed { .. } => return Ok(()),
        };
        if is_wanted(&symptom) {
            return Ok(());
        }
        let mut what =
            "no seed has run yet: this was the warm-up, the default run of the test (every value is 0), \
                        which comes before all seeds and recordings"
                .to_owned();
        if outcome.is_some() && symptom.kind() != SymptomKind::StepLimit {
            if self.known().has_symptom(&symptom) || !self.passes_by_now() {
                return Ok(());
            }
            what += "\nThe same run has passed the second time. So the first run of a process fails: look at what is \
                     initialised once per process (statics, a `OnceLock`)";
        }
        // The first seed's command begins with the same warm-up.
        let seed = self.first_seed();
        let mut report = Report::new(&self.sweep.identity, "failed in its warm-up").symptom(&symptom, seed);
        if let Some(outcome) = &outcome {
            report = report.run(outcome);
        }
        Err(Stop::Failed(report.note(&what).replay(seed, &symptom, None).to_string()))
    }

    /// Returns `true` if the run of the warm-up passes now.
    fn passes_by_now(&self) -> bool {
        matches!(self.ran(Job::WarmUp), Ran::Ended(outcome) if outcome.symptom.is_none())
    }

    /// The job of a seed, with what the warm-up has counted.
    pub(super) fn job_of(&self, seed: u64) -> Job {
        Job::Seed { seed, profile: self.known_profile() }
    }

    /// What the warm-up has counted.
    pub(super) fn known_profile(&self) -> Arc<Profile> {
        self.profile.get().cloned().unwrap_or_default()
    }

    /// Returns what a sweep with these seeds runs.
    pub(super) fn supply(&self, seeds: Seeds) -> Box<dyn Supply> {
        let profile = self.known_profile();
        if let Some(most) = self.deviations() {
            // A test that must find its bug finds it on every machine.
            let limit = self.settings.seeds.filter(|_| self.sweep.finds.is_none());
            let runs_max = limit.unwrap_or(deviations::RUNS_MAX);
            return Box::new(Deviations::new(seeds.base, most as usize, runs_max, seeds.shard));
        }
        let is_guided = self.settings.guided.unwrap_or(self.sweep.guided);
        if is_guided && seeds.count > guided::FIRST {
            return Box::new(Guided::new(seeds, profile));
        }
        Box::new(OfSeeds::new(seeds, profile))
    }

    /// How many deviations to enumerate, instead of seeds.
    pub(super) fn deviations(&self) -> Option<u32> {
        let wanted = self.settings.deviations.unwrap_or(self.sweep.deviations);
        (wanted > 0 && self.settings.only.is_none()).then_some(wanted)
    }

    /// Returns `true` if [`Sweep::find`](super::Sweep::find) looks for `symptom`.
    pub(super) fn is_wanted(&self, symptom: &Symptom) -> bool {
        self.sweep.finds.as_ref().is_none_or(|wanted| symptom.matches(wanted))
    }

    fn first_seed(&self) -> u64 {
        self.seeds_of(1, Default::default()).base
    }
}
