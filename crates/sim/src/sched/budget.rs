//! Sets tokio's cooperative budget to the number of operations that a task may finish.
//!
//! tokio gives a task 128 operations whenever it polls the root future, and has no call that sets another number. But a
//! guard of [`poll_proceed`] that is dropped without progress sets the budget back to what it was when the guard was
//! taken, however long ago. So a guard that was taken when `n + 1` operations were left can set it to `n` at any later
//! time. Dropping it sets `n + 1`, and taking the guard for the next time uses up one.

use std::task::{Context, Poll, Waker};

use tokio::task::coop::{RestoreOnPending, poll_proceed};

/// The operations that a task may finish in a step, by value: all of tokio's own budget but one, which can be set again
/// without returning to tokio, or fewer, ascending.
pub(super) const BUDGETS: [u32; 5] = [127, 1, 2, 4, 16];

/// The budgets of a run.
pub(super) struct Budgets {
    /// A guard for each of [`BUDGETS`], taken when one more operation was left. All but the first exist only in a run
    /// in which tasks are preempted.
    pub(super) guards: [Option<RestoreOnPending>; BUDGETS.len()],
}

impl Budgets {
    pub(super) const fn new() -> Self {
        Self { guards: [const { None }; BUDGETS.len()] }
    }

    /// Takes the guards: for the first of [`BUDGETS`], or for all. Must be called with tokio's whole budget left.
    pub(super) fn prepare(&mut self, all: bool) {
        self.guards[0] = Some(take());
        if !all {
            return;
        }
        let mut left = BUDGETS[0];
        for (budget, guard) in BUDGETS.iter().zip(&mut self.guards).skip(1).rev() {
            while left > budget + 1 {
                take().made_progress();
                left -= 1;
            }
            *guard = Some(take());
            left -= 1;
        }
    }

    /// Leaves `BUDGETS[value]` operations to the task that is polled next.
    pub(super) fn grant(&mut self, value: usize) {
        if let Some(guard) = self.guards[value].take() {
            drop(guard);
            self.guards[value] = Some(take());
        }
    }
}

impl Drop for Budgets {
    fn drop(&mut self) {
        // The guards are no longer needed, and the budget is tokio's.
        self.guards.iter().flatten().for_each(RestoreOnPending::made_progress);
    }
}

/// Uses up one operation, unless the guard is dropped.
fn take() -> RestoreOnPending {
    match poll_proceed(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(guard) => guard,
        Poll::Pending => unreachable!("guards are taken where operations are left"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the operations that are left, and uses them up.
    fn operations_left() -> u32 {
        let mut count = 0;
        while let Poll::Ready(guard) = poll_proceed(&mut Context::from_waker(Waker::noop())) {
            guard.made_progress();
            count += 1;
        }
        count
    }

    #[test]
    fn every_budget_can_be_granted_again_and_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut budgets = Budgets::new();
            budgets.prepare(true);
            for value in [0, 1, 4, 0, 0, 2, 2, 3, 4, 1] {
                budgets.grant(value);
                assert_eq!(operations_left(), BUDGETS[value]);
            }
            drop(budgets);
            assert_eq!(operations_left(), 0, "the budget is left alone");
        });
    }

    #[test]
    fn without_preemption_every_budget_is_whole() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut budgets = Budgets::new();
            budgets.prepare(false);
            for _ in 0..3 {
                budgets.grant(0);
                assert_eq!(operations_left(), BUDGETS[0]);
            }
        });
    }
}
