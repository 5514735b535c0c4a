//! What a run may do to async tasks that no promise of `Future` forbids: `Pending` where an operation could go on, and
//! wake-ups for nothing. (Withheld tasks and small budgets are in `executor`.)
//!
//! # Invariants
//!
//! - Whoever is told `Pending` is woken, at once or later: an operation is late, never lost.
//! - A wake-up for nothing wakes a task as any other would; it uses no other waker than the task's own.
//! - Timers of this module belong to no host: they are nobody's leak.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use rand_chacha::ChaCha8Rng;

use super::{Executor, HostIndex, Operation, State, TaskId, Wait};
use crate::choices::{SiteId, below};
use crate::context;
use crate::net::Nanos;
use crate::trace::Fact;

/// The host of timers that no host set.
pub(crate) const NOBODY: HostIndex = HostIndex::MAX;

/// How much later something comes, by pick. Pick 0 is "not at all", which has no delay; pick 1 is "at once".
const LATER: [Nanos; 6] = [0, 0, 10_000, 1_000_000, 100_000_000, 10_000_000_000];

/// The alternatives of [`later`].
pub(crate) const LATER_BOUND: u32 = LATER.len() as u32;

/// What a pick among [`LATER_BOUND`] means: `None` for not at all, else the delay.
pub(crate) fn later(pick: u32) -> Option<Nanos> {
    (pick != 0).then(|| LATER[pick as usize])
}

/// Draws for [`later`]: once in `one_in` something happens, half of the time at once.
pub(crate) fn draw_later(rng: &mut ChaCha8Rng, one_in: u32) -> u32 {
    if below(rng, one_in) != 0 {
        return 0;
    }
    if below(rng, 2) == 0 { 1 } else { 2 + below(rng, LATER_BOUND - 2) }
}

impl Executor {
    /// Begins one async operation of the running task, which may be told to wait first.
    ///
    /// `Pending` means that the operation has not begun and the task will be woken: it is preempted, as by tokio's
    /// budget, or readiness comes late to it.
    pub(crate) fn poll_operation(&self, context: &Context<'_>, wait: Wait) -> Poll<()> {
        ready!(self.poll_turn(context));
        let Some(task) = self.current().filter(|_| self.defers) else { return Poll::Ready(()) };
        let site = self.site(self.lanes.pending, task, Operation::on("pending", wait.verb()));
        let pick = self.choices.borrow_mut().pick(site, LATER_BOUND, |rng| draw_later(rng, 12));
        let Some(nanos) = later(pick) else { return Poll::Ready(()) };
        self.fact(Fact::Deferred { wait, nanos });
        self.wake_later(nanos, context.waker());
        Poll::Pending
    }

    /// Begins one async operation that has nothing to wait for: the running task may be preempted before it.
    pub(crate) fn poll_turn(&self, context: &Context<'_>) -> Poll<()> {
        match self.operations_left.get() {
            u32::MAX => Poll::Ready(()),
            0 => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            left => {
                self.operations_left.set(left - 1);
                Poll::Ready(())
            }
        }
    }

    /// Wakes `waker` after `nanos`, at once if that is 0.
    pub(crate) fn wake_later(&self, nanos: Nanos, waker: &Waker) {
        if nanos == 0 {
            waker.wake_by_ref();
        } else {
            self.arm(self.now() + nanos, NOBODY, waker.clone());
        }
    }

    /// Decides whether a task that has just parked is woken for nothing, and when.
    pub(super) fn perhaps_wake_for_nothing(&self, task: TaskId) {
        if !self.wakes_for_nothing {
            return;
        }
        let site = self.site(self.lanes.spurious, task, Operation::new("spurious-wake"));
        let pick = self.choices.borrow_mut().pick(site, LATER_BOUND, |rng| draw_later(rng, 24));
        match later(pick) {
            None => {}
            Some(0) => self.wake_for_nothing(task),
            Some(nanos) => {
                let waker = Waker::from(Arc::new(ForNothing { run: self.run, task }));
                self.arm(self.now() + nanos, NOBODY, waker);
            }
        }
    }

    fn wake_for_nothing(&self, task: TaskId) {
        let is_idle = {
            let slot = &self.slots.borrow()[task.index()];
            slot.state == State::Parked && !slot.woken
        };
        if is_idle {
            self.fact_of(task, Fact::WokenForNothing);
            self.wake(task);
        }
    }

    // For wrappers of the code under test (`adversary`, `probes`).

    /// Names the site "SCOPE OPERATION" of the lane `lane`.
    pub(crate) fn named_site(&self, lane: &str, name: &str) -> SiteId {
        let mut choices = self.choices.borrow_mut();
        let lane = choices.lane(lane);
        choices.site(lane, name)
    }

    /// Asks a question.
    pub(crate) fn pick(&self, site: SiteId, bound: u32, draw: impl FnOnce(&mut ChaCha8Rng) -> u32) -> u32 {
        self.choices.borrow_mut().pick(site, bound, draw)
    }
}

struct ForNothing {
    run: u64,
    task: TaskId,
}

impl Wake for ForNothing {
    fn wake(self: Arc<Self>) {
        context::with_run(self.run, |run| run.executor.wake_for_nothing(self.task));
    }
}
