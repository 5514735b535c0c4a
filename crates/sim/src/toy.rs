//! A toy in place of the simulator, for the tests of what surrounds a run: a program asks questions and says what
//! failed.

use std::sync::Arc;
use std::time::Duration;

use crate::choice::{Choices, LaneName};
use crate::pool::Runner;
use crate::run::{Outcome, Plan, Progress};
use crate::symptom::{Symptom, SymptomKind};
use crate::trace::Trace;
use crate::world::Points;

pub(crate) struct Toy<P>(P);

/// What a program works with during a run.
pub(crate) struct ToyRun {
    choices: Choices,
    lines: Vec<String>,
    progress: Arc<Progress>,
    faults: usize,
    points: Points,
    fingerprint: u64,
}

impl<P: Fn(&mut ToyRun) -> Option<Symptom> + Send + Sync + 'static> Toy<P> {
    pub(crate) fn runner(program: P) -> Arc<dyn Runner> {
        Arc::new(Self(program))
    }
}

impl ToyRun {
    /// Asks a question, and traces the answer unless it is 0.
    pub(crate) fn ask(&mut self, lane: &str, point: &str, bound: u32) -> u32 {
        let lane_id = self.choices.named_lane(LaneName::parse(lane).expect("a kind of lane"));
        let point_id = self.choices.point(lane_id, point);
        let value = self.choices.choose_uniform(point_id, bound);
        if value != 0 {
            self.event(format!("{lane}: {point} {value}"));
            self.faults += usize::from(lane == "fault");
        }
        value
    }

    pub(crate) fn event(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    pub(crate) fn sometimes(&mut self, what: &'static str, reached: bool) {
        *self.points.entry(what).or_default() |= reached;
    }

    /// Sets the fingerprint of the run.
    pub(crate) const fn fingerprint(&mut self, fingerprint: u64) {
        self.fingerprint = fingerprint;
    }

    pub(crate) fn step(&self, running: &str) {
        self.progress.note(running);
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.choices.seed()
    }

    pub(crate) const fn is_replay(&self) -> bool {
        self.choices.is_replay()
    }
}

pub(crate) fn panic_in(detail: &str) -> Option<Symptom> {
    Some(Symptom::new(SymptomKind::Panic, detail))
}

impl<P: Fn(&mut ToyRun) -> Option<Symptom> + Send + Sync> Runner for Toy<P> {
    fn run(&self, plan: &Plan<'_>, progress: &Arc<Progress>) -> Outcome {
        let choices = plan.choices();
        let mut run = ToyRun {
            choices,
            lines: Vec::new(),
            progress: Arc::clone(progress),
            faults: 0,
            points: Points::new(),
            fingerprint: 0,
        };
        let symptom = (self.0)(&mut run);
        if let Some(symptom) = &symptom {
            run.event(symptom.to_string());
        }
        let divergence = run.choices.divergence().cloned();
        let mismatches = run.choices.mismatches();
        Outcome {
            symptom: match &divergence {
                Some(divergence) => Some(Symptom::new(SymptomKind::Diverged, divergence.to_string())),
                None => symptom,
            },
            log: run.choices.into_log(),
            virtual_time: Duration::from_millis(run.lines.len() as u64),
            trace: Trace::from_lines(run.lines),
            divergence,
            mismatches,
            steps: progress.steps(),
            faults: run.faults,
            failed_at: None,
            points: run.points,
            fingerprint: run.fingerprint,
            waits: Vec::new(),
            profile: None,
        }
    }
}
