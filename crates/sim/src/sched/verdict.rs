//! What ends a run: the first failure, and the limits of steps.

use std::cell::{Cell, RefCell};

use super::{Scheduler, Symptom, SymptomKind, TaskId, TraceEvent, advice};
use crate::time::Nanos;

/// How many steps a run may take without time passing, at least: a few seconds' worth. Otherwise it is a tenth of all.
const INSTANT_STEPS: u64 = 1_000_000;

/// The failure, if there is one.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    symptom: RefCell<Option<Symptom>>,
    /// The verdict after this step, unless the step itself fails.
    pub(super) pending: RefCell<Option<Symptom>>,
    /// The source place of the panic that is the verdict.
    panicked_at: RefCell<Option<String>>,
}

/// The steps of a run so far.
#[derive(Debug, Default)]
pub(super) struct Limits {
    steps: Cell<u64>,
    /// The time it was when the clock last moved, and the steps by then.
    instant: Cell<(Nanos, u64)>,
}

impl Scheduler {
    #[inline]
    pub(crate) fn trace_event(&self, event: TraceEvent) {
        let task = self.current.get();
        if let Ok(mut trace) = self.trace.try_borrow_mut() {
            trace.record(self.now(), task, event);
        }
    }

    /// Returns `true` if the trace has reached the event at which the run is to stop.
    pub(crate) fn is_looked_at(&self) -> bool {
        self.trace.borrow().is_stopped()
    }

    /// Ends the run with `symptom`, unless an earlier one already did.
    pub(crate) fn fail(&self, symptom: Symptom) {
        if self.tearing_down.get() {
            return;
        }
        self.verdict.symptom.borrow_mut().get_or_insert(symptom);
    }

    /// Ends a run without a verdict with `symptom`, although it was already torn down.
    pub(crate) fn fail_at_the_end(&self, symptom: Symptom) {
        if !self.stopped() {
            self.fail_anyway(symptom, crate::panics::take_place());
        }
    }

    /// Ends the run with `symptom`, also while it is torn down, unless an earlier one already did.
    pub(super) fn fail_anyway(&self, symptom: Symptom, place: Option<String>) {
        if !self.stopped() {
            *self.verdict.panicked_at.borrow_mut() = place;
            *self.verdict.symptom.borrow_mut() = Some(symptom);
        }
    }

    /// Ends the run with `symptom` after this step, unless the step itself fails.
    pub(super) fn fail_later(&self, symptom: Symptom) {
        self.verdict.pending.borrow_mut().get_or_insert(symptom);
    }

    /// Ends the run with the panic that has just happened.
    pub(crate) fn fail_by_panic(&self, task: &str, message: &str) {
        let place = crate::panics::take_place();
        if !self.stopped() && !self.tearing_down.get() {
            *self.verdict.panicked_at.borrow_mut() = place;
        }
        let advice = advice::on(message).map(|advice| format!("\n{advice}")).unwrap_or_default();
        self.fail(Symptom::new(SymptomKind::Panic, format!("{task}: {message}{advice}")));
    }

    /// Returns the source place of the panic that ended the run, if one did.
    pub(crate) fn panicked_at(&self) -> Option<String> {
        self.verdict.panicked_at.borrow().clone()
    }

    pub(crate) fn verdict(&self) -> Option<Symptom> {
        self.verdict.symptom.borrow().clone()
    }

    pub(crate) fn stopped(&self) -> bool {
        self.verdict.symptom.borrow().is_some()
    }

    pub(crate) fn steps(&self) -> u64 {
        self.limits.steps.get()
    }

    /// Counts a step; the step limit ends the run.
    pub(super) fn count_step(&self, task: TaskId) {
        let steps = self.limits.steps.get() + 1;
        self.limits.steps.set(steps);
        self.progress.step(steps, task.index() as u32);
        self.limit_steps(steps);
    }

    /// Counts a step of a task that tokio runs by itself.
    pub(crate) fn count_foreign_step(&self) {
        let steps = self.limits.steps.get() + 1;
        self.limits.steps.set(steps);
        self.progress.step_of_tokio(steps);
        self.limit_steps(steps);
    }

    #[inline]
    fn limit_steps(&self, steps: u64) {
        let (instant, before) = self.limits.instant.get();
        let now = self.now();
        if instant != now {
            self.limits.instant.set((now, steps));
        }
        if steps > self.settings.steps_max || instant == now && steps - before > INSTANT_STEPS {
            self.judge_steps(steps, before);
        }
    }

    /// Ends a run that has taken too many steps, in all or since time passed last.
    #[cold]
    fn judge_steps(&self, steps: u64, before: u64) {
        let most = self.settings.steps_max;
        let most_at_once = INSTANT_STEPS.max(most / 10);
        let still = self.still_running();
        let detail = if steps > most {
            format!(
                "{most} steps and no end; {still}\n`Sim::steps_max` sets the limit. A loop that nothing ends waits \
                 for nothing"
            )
        } else if steps - before > most_at_once {
            format!(
                "{most_at_once} steps at one moment, and time does not pass while something can run; {still}\n\
                 `Sim::steps_max` sets the limit. A loop that gives way to others must wait for something, too"
            )
        } else {
            return;
        };
        self.fail(Symptom::new(SymptomKind::StepLimit, detail));
    }
}
