//! Detects whether tokio has deferred wake-ups.
//!
//! `yield_now`, and every operation of tokio that finds the cooperative budget used up, defer their wake-up. Tokio
//! delivers it once the root future has returned. No call says whether any is waiting, and returning after each step to
//! be sure costs more than the step. But tokio does not defer a waker again if it is already the last in its list. So
//! if our own waker is deferred twice and is in the list twice, another waker was deferred in between.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

struct Mark;

impl Wake for Mark {
    /// Wakes no task. It is only deferred, as a mark.
    fn wake(self: Arc<Self>) {}
}

/// The number of clones of the mark when it is in tokio's list once: there, here, and in our waker.
const LIES_THERE_ONCE: usize = 3;

/// See the module. Works only inside of a poll of the root future.
pub(crate) struct Deferred {
    mark: Arc<Mark>,
    waker: Waker,
}

impl Deferred {
    pub(crate) fn new() -> Self {
        let mark = Arc::new(Mark);
        Self { waker: Waker::from(Arc::clone(&mark)), mark }
    }

    /// Begins to watch: at the start, and again whenever tokio has delivered the deferred wake-ups.
    pub(crate) fn watch(&self) {
        let mut context = Context::from_waker(&self.waker);
        let _ = pin!(tokio::task::yield_now()).poll(&mut context);
    }

    /// Returns `true` if a wake-up was deferred since [`watch`](Self::watch).
    pub(crate) fn any(&self) -> bool {
        self.lay() != LIES_THERE_ONCE
    }

    /// Puts the mark last in tokio's list. Returns a number that changes if a wake-up was deferred in between and tokio
    /// has delivered nothing since.
    pub(crate) fn lay(&self) -> usize {
        self.watch();
        Arc::strong_count(&self.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defer(waker: &Waker) {
        let _ = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(waker));
    }

    async fn return_to_tokio() {
        tokio::task::yield_now().await;
    }

    #[test]
    fn a_deferred_wake_up_shows_until_delivery() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let deferred = Deferred::new();
            deferred.watch();
            assert!(!deferred.any() && !deferred.any(), "nothing was");
            defer(Waker::noop());
            assert!(deferred.any());
            return_to_tokio().await;
            deferred.watch();
            assert!(!deferred.any(), "it was delivered");
        });
    }

    #[test]
    fn a_deferred_wake_up_changes_the_mark() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let deferred = Deferred::new();
            let before = deferred.lay();
            assert_eq!(deferred.lay(), before);
            assert!(!deferred.any(), "the mark is none");
            defer(Waker::noop());
            let after = deferred.lay();
            assert_ne!(after, before);
            assert_eq!(deferred.lay(), after);
            assert!(deferred.any());
        });
    }

    #[test]
    fn an_operation_without_budget_defers() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let deferred = Deferred::new();
            deferred.watch();
            let mut context = Context::from_waker(Waker::noop());
            while tokio::task::coop::poll_proceed(&mut context).map(|left| left.made_progress()).is_ready() {
                assert!(!deferred.any(), "budget was left");
            }
            assert!(deferred.any());
        });
    }
}
