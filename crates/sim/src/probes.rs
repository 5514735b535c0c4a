//! What a run makes of the probes of code under test: `always!`, `sometimes!`, `buggify!` (see
//! [`wavetank_runtime::probe`]).
//!
//! # Invariants
//!
//! - A probe finds its run by the OS thread it is called on; during teardown there is none.
//! - Points and points are few and known by static texts: their memory does not grow with a run's length.

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use wavetank_runtime::probe::{self, BuggifyPoint, Hooks};

use crate::choices::{PointId, below};
use crate::context;
use crate::executor::{Executor, Operation};
use crate::symptom::{Symptom, SymptomKind};
use crate::trace::TraceEvent;

/// The points of a run: whether each was reached.
pub(crate) type Points = BTreeMap<&'static str, bool>;

/// Of so many runs a `buggify!` is enabled in one.
const ENABLED_ONE_IN: u32 = 4;

/// Probabilities are compared in steps of this fraction of one.
const PROBABILITY_STEPS: u32 = 1 << 20;

/// What the probes of one run have said.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    points: RefCell<Points>,
    buggified: RefCell<BTreeMap<(&'static str, &'static str), Buggified>>,
    /// The source place of the first `always!` that did not hold.
    broken_at: Cell<Option<&'static str>>,
}

/// A `buggify!` in a run.
#[derive(Clone, Debug)]
struct Buggified {
    name: String,
    /// Where it asks, if this run has it enabled.
    fires: Option<PointId>,
}

impl Probes {
    /// Has the probes of this process report to the runs they are in.
    pub(crate) fn install() {
        probe::install(Hooks { is_simulating, broken, sometimes, buggify });
    }

    pub(crate) fn into_parts(self) -> (Points, Option<&'static str>) {
        (self.points.into_inner(), self.broken_at.get())
    }

    fn sometimes(&self, what: &'static str, reached: bool) {
        *self.points.borrow_mut().entry(what).or_default() |= reached;
    }

    fn buggify(&self, executor: &Executor, point: BuggifyPoint, probability: f64) -> bool {
        let known = self.buggified.borrow().get(&(point.name, point.place)).cloned();
        let Buggified { name, fires } = known.unwrap_or_else(|| self.first_buggify(executor, point));
        let Some(fires) = fires else { return false };
        let likely = (probability.clamp(0.0, 1.0) * f64::from(PROBABILITY_STEPS)) as u32;
        let value = executor.choose(fires, 2, |rng| u32::from(below(rng, PROBABILITY_STEPS) < likely));
        if value == 1 {
            executor.trace_event(TraceEvent::Adversary(format!("buggify: {name}").into()));
        }
        value == 1
    }

    fn first_buggify(&self, executor: &Executor, point: BuggifyPoint) -> Buggified {
        let mut buggified = self.buggified.borrow_mut();
        let namesakes = buggified.keys().filter(|(name, _)| *name == point.name).count();
        // Closures and async bodies are no names that anybody wrote; a blank would end the scope.
        let mut name = point.name.replace("::{{closure}}", "").replace(' ', "-");
        if namesakes > 0 {
            name = format!("{name}#{}", namesakes + 1);
        }
        let enabled = executor.named_point("buggify", &format!("{name} enabled"));
        let is_enabled = executor.choose(enabled, 2, |rng| u32::from(below(rng, ENABLED_ONE_IN) == 0)) == 1;
        let fires = is_enabled.then(|| executor.named_point("buggify", &format!("{name} happens")));
        buggified.entry((point.name, point.place)).or_insert(Buggified { name, fires }).clone()
    }
}

fn is_simulating() -> bool {
    context::current().is_some_and(|run| !run.executor.is_tearing_down())
}

fn broken(what: &'static str, place: &'static str) {
    let Some(run) = context::current() else { return };
    let executor = &run.executor;
    if run.probes.broken_at.get().is_none() {
        run.probes.broken_at.set(Some(place));
    }
    executor.trace_event(TraceEvent::Broken(what));
    let who =
        executor.current().map_or_else(|| "code outside of all tasks".into(), |task| executor.name(task));
    executor.fail(Symptom::new(SymptomKind::Invariant, format!("{who}: {what}")));
    // A thread stops here; a task can only be stopped between polls.
    executor.scheduling_point(Operation::new("always"));
}

fn sometimes(what: &'static str, reached: bool) {
    if let Some(run) = context::current() {
        run.probes.sometimes(what, reached);
    }
}

fn buggify(point: BuggifyPoint, probability: f64) -> bool {
    context::current()
        .is_some_and(|run| run.buggifies() && run.probes.buggify(&run.executor, point, probability))
}
