//! The clock: virtual nanoseconds, and tokio's clock in step with them.
//!
//! Where libc's clock is interposed, tokio's clock starts unpaused and reads the virtual one. As long as only the
//! runtime traits read a clock, no tokio timer can exist (making one reads the clock), and time jumps freely. The first
//! other reading pauses tokio's clock for good. From then on each jump parks in tokio, so that its timers fire in
//! order.
//!
//! tokio does not say when its next timer is due, and its wheel turns in whole milliseconds since the runtime's start.
//! Parking on that grid fires everything exactly. `advance` covers the way from and to the grid.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::interpose;
use crate::time::Nanos;

use super::Run;
use super::drive::return_to_tokio;

const GRID: Nanos = 1_000_000;

/// tokio's clock, as the driver moves it.
pub(super) struct Clock {
    paused: Option<Paused>,
}

struct Paused {
    /// tokio's instant at virtual time zero.
    start: tokio::time::Instant,
    /// Bounds every park, so that tokio always has a timer to go to. Otherwise it would sleep for real.
    sentinel: Pin<Box<tokio::time::Sleep>>,
}

/// How a jump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jump {
    /// The clock shows the target.
    Arrived,
    /// A tokio timer fired on the way. Something is ready, or tokio has run a task of its own, which may have changed
    /// anything.
    Interrupted,
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self { paused: None }
    }

    /// Returns `true` if tokio may hold timers that the scheduler does not know.
    pub(super) fn may_have_foreign_timers(&self) -> bool {
        self.paused.is_some() || interpose::observed()
    }

    /// Moves the clock to `target`, or to the first tokio timer before it that makes something ready. `spins` says that
    /// tokio always has something to run, and would never get there by itself.
    pub(super) async fn jump(&mut self, run: &Run, target: Nanos, spins: bool) -> Jump {
        if !self.may_have_foreign_timers() {
            run.scheduler.set_now(target);
            return Jump::Arrived;
        }
        let before = run.foreign.polls();
        let is_disturbed = || run.scheduler.has_mail() || run.foreign.polls() != before;
        let now = run.scheduler.now();
        let grid = now.div_ceil(GRID) * GRID;
        if grid > now {
            self.advance(run, grid.min(target)).await;
            if is_disturbed() || grid >= target {
                return Self::ended(run, target);
            }
        }
        let floor = target / GRID * GRID;
        if floor > run.scheduler.now() {
            if spins {
                // tokio moves its clock only while it has nothing to run.
                self.advance(run, run.scheduler.now() + GRID).await;
            } else {
                self.park(run, floor).await;
            }
            if spins || is_disturbed() {
                return Self::ended(run, target);
            }
        }
        if target > run.scheduler.now() {
            self.advance(run, target).await;
        }
        Self::ended(run, target)
    }

    fn ended(run: &Run, target: Nanos) -> Jump {
        if run.scheduler.now() == target { Jump::Arrived } else { Jump::Interrupted }
    }

    fn paused(&mut self, run: &Run) -> &mut Paused {
        self.paused.get_or_insert_with(|| {
            if interpose::INTERPOSED {
                tokio::time::pause();
            }
            let start = tokio::time::Instant::now() - Duration::from_nanos(run.scheduler.now());
            Paused { start, sentinel: Box::pin(tokio::time::sleep_until(start)) }
        })
    }

    async fn advance(&mut self, run: &Run, to: Nanos) {
        self.paused(run);
        let by = Duration::from_nanos(to - run.scheduler.now());
        run.scheduler.set_now(to);
        tokio::time::advance(by).await;
        // That only fires timers. What they have woken runs now.
        return_to_tokio().await;
    }

    /// Lets tokio continue to its next timer, at most to `to`, which is on the grid.
    async fn park(&mut self, run: &Run, to: Nanos) {
        let paused = self.paused(run);
        let until = paused.start + Duration::from_nanos(to);
        paused.sentinel.as_mut().reset(until);
        let before = run.foreign.polls();
        run.foreign.set_clock(Some(paused.start));
        poll_fn(|context| {
            let is_disturbed = run.scheduler.has_mail() || run.foreign.polls() != before;
            if is_disturbed || paused.sentinel.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            run.scheduler.park_root(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
        run.scheduler.park_root(None);
        run.foreign.set_clock(None);
        let now = tokio::time::Instant::now() - paused.start;
        run.scheduler.set_now(Nanos::try_from(now.as_nanos()).unwrap_or(Nanos::MAX));
    }
}

use std::future::Future;
