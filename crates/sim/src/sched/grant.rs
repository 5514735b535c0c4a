//! Limits how many operations of the runtime traits and of tokio a task may finish in a step. That is how tasks are
//! preempted.

use std::cell::{Cell, RefCell};

use tokio::task::coop::has_budget_remaining;

use super::Scheduler;
use super::budget::{BUDGETS, Budgets};
use super::schedule::OwnPoint;
use crate::choice::below;
use crate::trace::Next;
use crate::wait::TaskId;

/// The operations that the running task was granted.
pub(super) struct Grant {
    pub(super) budgets: RefCell<Budgets>,
    /// No task was polled since tokio renewed its budget.
    pub(super) is_whole: Cell<bool>,
    /// Whether the budget of the running step is less than the whole budget.
    pub(super) is_limited: Cell<bool>,
    /// How many it was granted. 0 if there is no limit, or the trace already shows that it ended.
    pub(super) granted: Cell<u32>,
    /// How often the mark of `deferred` was in the list when the step began, if operations were granted.
    pub(super) marks_before: Cell<usize>,
}

impl Grant {
    pub(super) fn new() -> Self {
        Self {
            budgets: RefCell::new(Budgets::new()),
            is_whole: Cell::new(false),
            is_limited: Cell::new(false),
            granted: Cell::new(0),
            marks_before: Cell::new(0),
        }
    }
}

impl Scheduler {
    /// Makes ready for steps. Must be called within tokio, before the first.
    pub(crate) fn begin(&self) {
        self.grant
            .budgets
            .borrow_mut()
            .prepare(self.perturber.preempts || self.perturber.preempted.is_some());
        self.grant.is_whole.set(false);
    }

    /// Notes that tokio has renewed its budget, as it does whenever it polls the root future.
    pub(crate) fn budget_is_renewed(&self) {
        self.grant.is_whole.set(true);
    }

    /// Draws how many operations a task may finish in this step, of the runtime traits and of tokio.
    pub(super) fn grant_budget(&self, task: TaskId) {
        let is_whole = self.grant.is_whole.take();
        let delayed_after = self.plan_delay(task);
        let value = if delayed_after == 0 { self.draw_budget(task) } else { delayed_after };
        if value != 0 {
            self.grant.is_limited.set(true);
            self.grant.granted.set(BUDGETS[value]);
            self.grant.marks_before.set(self.deferred.lay());
        }
        if value != 0 || !is_whole {
            self.grant.budgets.borrow_mut().grant(value);
        }
    }

    /// Draws an index of [`BUDGETS`].
    fn draw_budget(&self, task: TaskId) -> usize {
        if !self.perturber.preempts {
            return 0;
        }
        let point = self.own_point(OwnPoint::Budget, task);
        let bound = BUDGETS.len() as u32;
        let draw = |rng: &mut _| if below(rng, 2) == 0 { below(rng, bound) } else { 0 };
        self.choices.borrow_mut().choose(point, bound, draw) as usize
    }

    /// Writes to the trace, once per step, that the budget of the running task has ended before its next operation.
    pub(super) fn out_of_budget(&self, before: Next) {
        let operations = self.grant.granted.replace(0);
        if operations != 0 {
            self.trace.borrow_mut().record_preemption(self.now(), self.current(), operations, before);
        }
    }

    /// Takes the budget back after a step. Tokio does not say that an operation has to wait for the next step. But then
    /// no budget is left and a wake-up was deferred. (`yield_now` defers one too: a task that yields exactly when its
    /// budget ends counts as preempted.)
    pub(super) fn end_budget(&self, is_pending: bool) {
        let is_spent = self.grant.granted.get() != 0 && is_pending && !has_budget_remaining();
        if is_spent && self.deferred.lay() != self.grant.marks_before.get() {
            self.out_of_budget(Next::OfTokio);
        }
        self.grant.granted.set(0);
    }
}
