//! Domains: hosts that another simulation steps one by one.
//!
//! turmoil gives each host a tokio runtime and a clock of its own and runs one host after the other. The scheduler then
//! keeps, for each host, what belongs to a moment of that host: its clock, who is ready, its timers, its lanes. To step
//! a host is to *enter* its domain: what is kept is exchanged for what the scheduler held, and back when it is left.
//! Everything else (tasks, choices, the trace, the verdict) is one for all.
//!
//! # Invariants
//!
//! - At most one domain is entered. Code under test of a host runs only while its host's is.
//! - A wake-up reaches the domain of the task's host, entered or not.
//! - In the simulator nobody enters a domain, and none of this costs anything but one look at an empty map.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use super::{HostIndex, Lanes, Operation, Scheduler, TaskId, Timer, TimerKey};
use crate::interpose;
use crate::time::Nanos;

/// The domains that are not entered, by host.
#[derive(Default)]
pub(super) struct Domains {
    parked: RefCell<BTreeMap<HostIndex, Domain>>,
    entered: Cell<Option<HostIndex>>,
    begun: Cell<bool>,
}

struct Domain {
    clock: Nanos,
    lanes: Lanes,
    ready: VecDeque<TaskId>,
    inbox: VecDeque<TaskId>,
    timers: BTreeMap<TimerKey, Timer>,
    last: Option<(TaskId, Operation)>,
    handoff: Option<TaskId>,
    root: Option<Waker>,
}

impl Scheduler {
    /// Delivers a wake-up to a domain that is not entered. `false`: it belongs to what the scheduler holds now.
    pub(super) fn wake_in_domain(&self, task: TaskId) -> bool {
        let root = {
            let mut parked = self.domains.parked.borrow_mut();
            let host = self.tasks.borrow()[task.index()].host;
            let Some(domain) = parked.get_mut(&host) else { return false };
            domain.inbox.push_back(task);
            domain.root.take()
        };
        if let Some(root) = root {
            root.wake();
        }
        true
    }

    /// Drops every task of `host`, whose domain is entered: the host has crashed, or is no longer simulated. The host
    /// may start new tasks afterwards.
    pub(crate) fn tear_down_domain(&self) {
        let host = self.domains.entered.get().expect("a host crashes inside of its domain");
        let outer = self.tearing_down.replace(true);
        for locks in [true, false] {
            let mut index = 0;
            // Destructors may start tasks: the list is walked as it grows.
            while index < self.tasks.borrow().len() {
                if self.tasks.borrow()[index].host == host {
                    self.tear_down_one(TaskId::new(index), locks);
                }
                index += 1;
            }
        }
        self.tearing_down.set(outer);
        self.ready.borrow_mut().clear();
        self.inbox.borrow_mut().clear();
        self.timers.borrow_mut().clear();
        self.handoff.set(None);
    }

    /// Gives `host` a domain of its own.
    pub(crate) fn add_domain(&self, host: HostIndex) {
        let name = self.hosts.borrow()[host].clone();
        let lanes = {
            let mut choices = self.choices.borrow_mut();
            let mut lane = |what: &str| choices.lane(&format!("{what} {name}"));
            Lanes {
                schedule: lane("schedule"),
                woken: lane("withhold"),
                budget: lane("budget"),
                pending: lane("pending"),
                spurious: lane("spurious"),
                preempted: lane("hold"),
            }
        };
        let domain = Domain {
            clock: 0,
            lanes,
            ready: VecDeque::new(),
            inbox: VecDeque::new(),
            timers: BTreeMap::new(),
            last: None,
            handoff: None,
            root: None,
        };
        self.domains.parked.borrow_mut().insert(host, domain);
    }

    /// Enters the domain of `host` until the guard is dropped, with the clock at `now` or later.
    ///
    /// # Panics
    ///
    /// Only on a bug here: another domain is entered, or `host` has none.
    pub(crate) fn enter_domain(&self, host: HostIndex, now: Nanos) -> InDomain<'_> {
        assert_eq!(self.domains.entered.replace(Some(host)), None, "one domain at a time");
        let domain = self.domains.parked.borrow_mut().remove(&host).expect("the host has a domain");
        let outside = self.exchange(domain);
        let now = now.max(self.clock.get());
        self.clock.set(now);
        interpose::set_clock(now);
        InDomain { scheduler: self, host, outside: Some(outside) }
    }

    /// Makes ready for steps, at the first call. Must be called within tokio, with the whole budget left.
    pub(crate) fn begin_in_domains(&self) {
        // The budget is the OS thread's, and so are the guards that set it: one set of them does for all runtimes.
        if !self.domains.begun.replace(true) {
            self.begin();
        }
    }

    /// The host whose domain is entered.
    pub(crate) fn entered_domain(&self) -> Option<HostIndex> {
        self.domains.entered.get()
    }

    fn exchange(&self, new: Domain) -> Domain {
        Domain {
            clock: self.clock.replace(new.clock),
            lanes: self.lanes.replace(new.lanes),
            ready: self.ready.replace(new.ready),
            inbox: self.inbox.replace(new.inbox),
            timers: self.timers.replace(new.timers),
            last: self.last.replace(new.last),
            handoff: self.handoff.replace(new.handoff),
            root: self.root.replace(new.root),
        }
    }
}

/// Leaves the domain when dropped.
pub(crate) struct InDomain<'a> {
    scheduler: &'a Scheduler,
    host: HostIndex,
    outside: Option<Domain>,
}

impl Drop for InDomain<'_> {
    fn drop(&mut self) {
        let Some(outside) = self.outside.take() else { return };
        let domain = self.scheduler.exchange(outside);
        let domains = &self.scheduler.domains;
        domains.parked.borrow_mut().insert(self.host, domain);
        domains.entered.set(None);
    }
}
