//! What a run does with the probes of code under test: `always!`, `sometimes!`, `buggify!` (see
//! [`wavetank_runtime::probe`]).
//!
//! # Invariants
//!
//! - A probe finds its run by the OS thread that calls it. During teardown there is none.
//! - A process that was killed runs no destructors, so an `always!` that breaks there is only traced.
//! - Points are few and named by static texts: their memory does not grow with a run's length.

#[cfg(test)]
mod tests;

use std::fmt;

use wavetank_runtime::probe::{self, BuggifyPoint, Hooks};

use crate::choice::{LaneKind, below};
use crate::sched::Scheduler;
use crate::symptom::{Symptom, SymptomKind};
use crate::trace::TraceEvent;
use crate::wait::Operation;
use crate::world::{Buggified, Probes, context};

/// A `buggify!` is enabled in one run in this many.
const ENABLED_ONE_IN: u32 = 4;

/// Probabilities are compared in steps of this fraction of one.
const PROBABILITY_STEPS: u32 = 1 << 20;

/// Makes the probes of this process report to the runs that they are in.
pub(crate) fn install() {
    #[cfg(all(feature = "process", not(miri)))]
    {
        use crate::interpose::user::in_kernel;
        // In a process they are called in user mode, where no run is found.
        probe::install(Hooks {
            is_simulating: || in_kernel(is_simulating),
            broken: |what, place| in_kernel(|| broken(what, place)),
            sometimes: |what, reached| in_kernel(|| sometimes(what, reached)),
            buggify: |point, probability| in_kernel(|| buggify(point, probability)),
        });
    }
    #[cfg(not(all(feature = "process", not(miri))))]
    probe::install(Hooks { is_simulating, broken, sometimes, buggify });
}

impl Probes {
    fn sometimes(&self, what: &'static str, reached: bool) {
        *self.points.borrow_mut().entry(what).or_default() |= reached;
    }

    fn buggify(&self, scheduler: &Scheduler, point: BuggifyPoint, probability: f64) -> bool {
        let known = self.buggified.borrow().get(&(point.name, point.place)).cloned();
        let Buggified { name, fires } = known.unwrap_or_else(|| self.first_buggify(scheduler, point));
        let Some(fires) = fires else { return false };
        let likely = (probability.clamp(0.0, 1.0) * f64::from(PROBABILITY_STEPS)) as u32;
        let value = scheduler.choose(fires, 2, |rng| u32::from(below(rng, PROBABILITY_STEPS) < likely));
        if value == 1 {
            scheduler.trace_event(TraceEvent::Adversary(format!("buggify: {name}").into()));
        }
        value == 1
    }

    fn first_buggify(&self, scheduler: &Scheduler, point: BuggifyPoint) -> Buggified {
        let mut buggified = self.buggified.borrow_mut();
        let namesakes = buggified.keys().filter(|(name, _)| *name == point.name).count();
        // Closures and async bodies have no names that a person wrote, and a blank would end the scope.
        let mut name = point.name.replace("::{{closure}}", "").replace(' ', "-");
        if namesakes > 0 {
            name = format!("{name}#{}", namesakes + 1);
        }
        let enabled = scheduler.named_point(LaneKind::Buggify, &format!("{name} enabled"));
        let is_enabled = scheduler.choose(enabled, 2, |rng| u32::from(below(rng, ENABLED_ONE_IN) == 0)) == 1;
        let fires = is_enabled.then(|| scheduler.named_point(LaneKind::Buggify, &format!("{name} happens")));
        buggified.entry((point.name, point.place)).or_insert(Buggified { name, fires }).clone()
    }
}

fn is_simulating() -> bool {
    context::current().is_some_and(|run| !run.scheduler.is_tearing_down())
}

fn broken(what: fmt::Arguments<'_>, place: &'static str) {
    let Some(run) = context::current() else { return };
    let scheduler = &run.scheduler;
    if scheduler.being_torn_down() {
        return scheduler.trace_event(TraceEvent::Broken(what.to_string().into()));
    }
    if run.probes.broken_at.get().is_none() {
        run.probes.broken_at.set(Some(place));
    }
    scheduler.trace_event(TraceEvent::Broken(what.to_string().into()));
    scheduler.fail(Symptom::new(SymptomKind::Invariant, format!("{}: {what}", run.who_runs())));
    // A thread stops here. A task can only be stopped between polls.
    scheduler.scheduling_point(Operation::new("always"));
}

fn sometimes(what: &'static str, reached: bool) {
    if let Some(run) = context::current() {
        run.probes.sometimes(what, reached);
    }
}

fn buggify(point: BuggifyPoint, probability: f64) -> bool {
    context::current()
        .is_some_and(|run| run.buggifies() && run.probes.buggify(&run.scheduler, point, probability))
}
