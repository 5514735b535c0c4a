//! Explanations: how likely a recorded failure is after each of its choices.
//!
//! A run repeats the first choices of the recording and draws the others from a seed of its own, many times. The share
//! of runs that fail in the same way rises along the recording from what seeds find to one. Where it rises, the bug is
//! decided.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::recordings::Replayable;
use super::{Session, Stop, Sweep};
use crate::choice::{ChoiceLog, Replay, fnv1a, spoken};
use crate::pool::{BodyRunner, Job, Ran};
use crate::sim::Sim;
use crate::symptom::Symptom;

/// The maximum number of measured lengths.
const POINTS_MAX: usize = 24;

/// The result of [`Sweep::explain`]: how likely a failure is, by how many of its choices are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    choices: usize,
    /// In ascending order of what is kept.
    points: Vec<CausalityPoint>,
}

/// One point of an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CausalityPoint {
    kept: usize,
    last: String,
    failures: u32,
    runs: u32,
}

impl CausalityPoint {
    /// Counts the choices that were kept.
    pub const fn kept(&self) -> usize {
        self.kept
    }

    /// Returns the last choice that was kept: its lane, its task and operation, and its value. Empty if none was.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// Counts the runs that failed in the same way.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts the runs.
    pub const fn runs(&self) -> u32 {
        self.runs
    }
}

impl Explanation {
    /// Counts the choices of the recorded run.
    pub const fn choices(&self) -> usize {
        self.choices
    }

    /// Returns what was measured, in the order of the run.
    pub fn points(&self) -> &[CausalityPoint] {
        &self.points
    }

    /// Returns the first point from which on every run failed.
    pub fn certain(&self) -> Option<&CausalityPoint> {
        let is_certain = |point: &&CausalityPoint| point.failures == point.runs;
        self.points.iter().rev().take_while(is_certain).last()
    }
}

/// The table of the points, and the choice after which the failure is certain.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for CausalityPoint { kept, last, failures, runs } in &self.points {
            let last = if last.is_empty() { "nothing is kept" } else { last };
            writeln!(f, "{failures:>4} of {runs} fail after choice {kept:>5}  {last}")?;
        }
        match self.certain() {
            Some(point) if point.kept > 0 => write!(
                f,
                "certain after choice {} of {}, as far as {} runs show: {}",
                point.kept, self.choices, point.runs, point.last
            ),
            Some(_) => f.write_str("every run fails"),
            None => f.write_str("never certain: it also depends on what no choice decides"),
        }
    }
}

impl Sweep {
    /// Measures where a recorded failure is decided: the *causality curve*. It keeps the first choices, draws the rest
    /// anew `runs` times, and counts the runs that fail in the same way. It does this for up to 24 lengths, mostly
    /// where that count changes.
    ///
    /// For a test that `#[wavetank::test]` has made, `WAVETANK_EXPLAIN` with `WAVETANK_REPLAY` prints it.
    ///
    /// # Panics
    ///
    /// With a report, if the recording cannot be read or does not fail any more.
    pub fn explain(
        self,
        recording: impl AsRef<Path>,
        runs: u32,
        body: impl Fn(&mut Sim) + Send + Sync + 'static,
    ) -> Explanation {
        let path = recording.as_ref().to_owned();
        self.in_process(Arc::new(BodyRunner::new(Box::new(body))), |session| {
            session.warm_up(|_| true)?;
            let recording = session.replayable(session.store.resolve(&path))?;
            session.explained(&recording, runs)
        })
    }
}

impl Session {
    /// The work of [`Sweep::explain`].
    pub(super) fn explained(&self, recording: &Replayable, runs: u32) -> Result<Explanation, Stop> {
        // A recording is sorted by lanes. The run has the order.
        let job =
            Job::Replay { seed: recording.seed, log: Arc::clone(&recording.log), mode: Replay::Lenient };
        let failed = match self.ran(job) {
            Ran::Ended(outcome) => outcome.symptom.clone().map(|symptom| (symptom, outcome)),
            Ran::Stuck { .. } | Ran::Crashed { .. } => None,
        };
        let Some((symptom, outcome)) = failed else {
            let why = format!("{} does not fail any more, so there is nothing to explain", recording.origin);
            return Err(Stop::Failed(self.report("cannot explain").note(&why).to_string()));
        };
        let log = Arc::new(outcome.log);
        let measure = |kept| self.point(recording.seed, &log, kept, &symptom, runs);
        let mut points = vec![measure(0)];
        if !log.choices.is_empty() {
            points.push(measure(log.choices.len()));
        }
        while points.len() < POINTS_MAX && !self.interrupt.is_raised() {
            // Where the count changes most; then where it was measured least.
            let gaps = points.windows(2).enumerate().filter(|(_, pair)| pair[1].kept > pair[0].kept + 1);
            let widest = gaps.max_by_key(|(_, pair)| {
                (pair[1].failures.abs_diff(pair[0].failures) > runs / 8, pair[1].kept - pair[0].kept)
            });
            let Some((index, pair)) = widest else { break };
            let kept = pair[0].kept.midpoint(pair[1].kept);
            points.insert(index + 1, measure(kept));
        }
        Ok(Explanation { choices: log.choices.len(), points })
    }

    fn point(
        &self,
        seed: u64,
        log: &Arc<ChoiceLog>,
        kept: usize,
        symptom: &Symptom,
        runs: u32,
    ) -> CausalityPoint {
        let profile = self.known_profile();
        let mut failures = 0;
        for number in 0..runs {
            let draws = fnv1a(format!("{kept} {number}").as_bytes());
            let (log, profile) = (Arc::clone(log), Arc::clone(&profile));
            if let Ran::Ended(outcome) = self.ran(Job::Redraw { seed, log, kept, draws, profile }) {
                let is_same = outcome.symptom.as_ref().is_some_and(|other| other.key() == symptom.key());
                failures += u32::from(is_same);
            }
        }
        let last = kept.checked_sub(1).map(|last| {
            let choice = log.choices[last];
            let name = log.point(choice.point);
            format!("{}: {} = {}", name.lane, spoken(&name.point), choice.value)
        });
        CausalityPoint { kept, last: last.unwrap_or_default(), failures, runs }
    }
}
