//! The driver: turmoil runs it as a host's software, and it steps the scheduler there.
//!
//! It is one future per host, polled by the host's own tokio runtime in its `LocalSet`. Each poll enters the host's
//! domain of the scheduler with turmoil's time, steps one task or thread, and returns to tokio. Tokio renews its budget
//! and runs what was spawned on it directly. When nothing is ready, the driver sleeps in tokio until the next timer of
//! the scheduler. Time here is turmoil's tick and tokio's clock, which counts whole milliseconds.
//!
//! It never ends, because turmoil no longer steps a host whose software has ended, and a client may have left tasks
//! behind. turmoil drops it in a crash. Then it drops the host's tasks and threads.
//!
//! # Not here
//!
//! Deadlocks. A host that waits cannot know that no other host will ever send. Only turmoil's limit of simulated time
//! ends such a run.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::sim::StartMain;
use crate::net::HostId;
use crate::time::Nanos;
use crate::time::nanos;
use crate::wait::HostIndex;
use crate::world::Run;
use crate::world::context;

/// The software of one host, from its start to its crash.
pub(super) struct Driver {
    run: u64,
    host: HostIndex,
    /// Starts the main, at the first poll.
    start: Option<StartMain>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Driver {
    pub(super) const fn new(run: u64, host: HostIndex, start: StartMain) -> Self {
        Self { run, host, start: Some(start), sleep: None }
    }

    fn step(&mut self, run: &Run, context: &mut Context<'_>) {
        let scheduler = &run.scheduler;
        let now = nanos(::turmoil::sim_elapsed().unwrap_or_default());
        let _entered = scheduler.enter_host(self.host, now);
        scheduler.budget_is_renewed();
        scheduler.begin_in_host();
        if let Some(start) = self.start.take() {
            run.hosts[self.host].down.set(false);
            start(run, self.host);
        }
        scheduler.fire_timers();
        if scheduler.must_stop() {
            return;
        }
        if let Some(task) = scheduler.next() {
            scheduler.step(task);
            context.waker().wake_by_ref();
            return;
        }
        scheduler.park_root(Some(context.waker().clone()));
        self.sleep_until(scheduler.next_timer(), scheduler.now(), context);
    }

    fn sleep_until(&mut self, target: Option<Nanos>, now: Nanos, context: &mut Context<'_>) {
        self.sleep = target.map(|target| {
            let left = Duration::from_nanos(target.saturating_sub(now));
            #[expect(clippy::disallowed_methods, reason = "turmoil's time is tokio's")]
            Box::pin(tokio::time::sleep(left))
        });
        if let Some(sleep) = &mut self.sleep
            && sleep.as_mut().poll(context).is_ready()
        {
            context.waker().wake_by_ref();
        }
    }
}

impl Future for Driver {
    type Output = ::turmoil::Result;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let run = context::expect_run(self.run);
        self.step(&run, context);
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        context::with_run(self.run, |run| {
            // Outside of all domains the clock shows the simulation's time.
            let _entered = run.scheduler.enter_host(self.host, run.scheduler.now());
            // Closes the Unix sockets. turmoil's own close as the tasks and threads that hold them are dropped.
            run.hosts[self.host].down.set(true);
            let host = HostId::new(self.host);
            run.network(|network, now, link| network.vanish(now, link, host));
            run.scheduler.tear_down_entered();
        });
    }
}
