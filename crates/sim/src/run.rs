//! One run of a test's body.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::choices::{ChoiceLog, Choices, Divergence, Replay};
use crate::quiet::message_of;
use crate::sim::Sim;
use crate::symptom::{Symptom, SymptomKind};
use crate::trace::Trace;

/// What a test does with its simulation.
pub(crate) type Body = dyn Fn(&mut Sim) + Send + Sync;

/// Where the choices of a run come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan<'a> {
    Seed(u64),
    Replay { seed: u64, log: &'a ChoiceLog, mode: Replay },
}

/// How far a run has come, for a watchdog on another OS thread.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    steps: AtomicU64,
    running: Mutex<String>,
}

impl Progress {
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    pub(crate) fn running(&self) -> String {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a step.
    #[cfg(test)]
    pub(crate) fn note(&self, running: &str) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        running.clone_into(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) symptom: Option<Symptom>,
    pub(crate) log: ChoiceLog,
    pub(crate) trace: Trace,
    pub(crate) divergence: Option<Divergence>,
    pub(crate) mismatches: usize,
    pub(crate) steps: u64,
    pub(crate) virtual_time: Duration,
    pub(crate) faults: usize,
}

/// Runs `body` once, on the calling OS thread.
pub(crate) fn run(body: &Body, plan: &Plan<'_>, progress: &Arc<Progress>) -> Outcome {
    let choices = match *plan {
        Plan::Seed(seed) => Choices::seeded(seed),
        Plan::Replay { seed, log, mode } => Choices::replayed(seed, log, mode),
    };
    let mut sim = Sim { choices, events: Vec::new() };
    let result = catch_unwind(AssertUnwindSafe(|| body(&mut sim)));
    let Sim { choices, events } = sim;
    let symptom = result.err().map(|payload| Symptom::new(SymptomKind::Setup, message_of(&*payload)));
    let divergence = choices.divergence().cloned();
    Outcome {
        symptom: match &divergence {
            Some(divergence) => Some(Symptom::new(SymptomKind::Diverged, divergence.to_string())),
            None => symptom,
        },
        mismatches: choices.mismatches(),
        log: choices.into_log(),
        trace: Trace::from_lines(events),
        divergence,
        steps: progress.steps(),
        virtual_time: Duration::ZERO,
        faults: 0,
    }
}
