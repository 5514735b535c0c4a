//! Hosts that another simulation steps one by one.
//!
//! turmoil gives each host its own tokio runtime and clock and runs one host after the other. Each host then has its
//! own [`Processor`]. To step a host is to *enter* it: what is scheduled while it is entered is scheduled by its
//! processor. Everything else (tasks, choices, the trace, the verdict) is shared.
//!
//! # Invariants
//!
//! - At most one host is entered. Code under test of a host runs only while it is.
//! - A wake-up reaches the processor of the task's host, entered or not.

use super::budget::Budgets;
use super::processor::{Processor, Processors};
use super::{HostIndex, Lanes, Scheduler, TaskId};
use crate::interpose;
use crate::time::Nanos;

impl Scheduler {
    /// Drops every task of the entered host, because it has crashed or is no longer simulated. It may start new tasks
    /// afterwards.
    pub(crate) fn tear_down_entered(&self) {
        let host = self.processors.entered().expect("a host crashes inside of its own processor");
        let outer = self.tearing_down.replace(true);
        for locks in [true, false] {
            let mut index = 0;
            // Destructors may start tasks, so the list may grow meanwhile.
            while index < self.tasks.borrow().len() {
                if self.tasks.borrow()[index].host == host {
                    self.tear_down_one(TaskId::new(index), locks);
                }
                index += 1;
            }
        }
        self.tearing_down.set(outer);
        self.queue().forget(|_| true);
        self.processor().timers.clear();
    }

    /// Gives each host its own processor, which draws from its own lanes.
    ///
    /// # Panics
    ///
    /// If it is called twice.
    pub(crate) fn schedule_hosts_apart(&self) {
        let mut choices = self.choices.borrow_mut();
        let hosts = self.hosts.borrow();
        let own = hosts.iter().map(|name| Processor::new(Lanes::of(&mut choices, name)));
        self.processors.set_own(own.collect());
    }

    /// Enters `host` until the guard is dropped, with the clock at `now` or later.
    ///
    /// # Panics
    ///
    /// Only on a bug here: another host is entered, or hosts are not scheduled apart.
    pub(crate) fn enter_host(&self, host: HostIndex, now: Nanos) -> InHost<'_> {
        assert_eq!(self.processors.enter(Some(host)), None, "one host at a time");
        let now = now.max(self.now());
        self.processor().clock.set(now);
        interpose::set_clock(now);
        InHost { scheduler: self }
    }

    /// Makes ready for steps, at the first call. Must be called within tokio, with the whole budget left.
    pub(crate) fn begin_in_host(&self) {
        // The budget belongs to the OS thread, and so do the guards that set it. One set of guards serves all runtimes.
        if !self.grant.budgets.borrow().are_prepared() {
            self.begin();
        }
    }

    /// The host that is entered.
    pub(crate) fn entered_host(&self) -> Option<HostIndex> {
        self.processors.entered()
    }
}

/// Leaves the host when dropped.
pub(crate) struct InHost<'a> {
    scheduler: &'a Scheduler,
}

impl Drop for InHost<'_> {
    fn drop(&mut self) {
        self.scheduler.processors.enter(None);
    }
}

impl Processors {
    /// Gives each host a processor of its own.
    ///
    /// # Panics
    ///
    /// If each has one already.
    fn set_own(&self, own: Vec<Processor>) {
        assert!(self.own.set(own).is_ok(), "each host gets one processor");
    }

    /// Enters a host, or leaves all. Returns the host that was entered before.
    fn enter(&self, host: Option<HostIndex>) -> Option<HostIndex> {
        self.entered.replace(host)
    }

    fn entered(&self) -> Option<HostIndex> {
        self.entered.get()
    }
}

impl Budgets {
    fn are_prepared(&self) -> bool {
        self.guards[0].is_some()
    }
}
