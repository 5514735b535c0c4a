//! The hosts of a run: how they crash, and how they are started again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::fault::{Crash, HostLabel};
use crate::net::HostId;
use crate::wait::HostIndex;

use super::Run;

/// Starts a main that can be started again: at the beginning, and after each crash.
pub(crate) type Main = Rc<dyn Fn(&Run, HostIndex)>;

/// A host that a body has added.
pub(crate) struct HostPlan {
    pub(crate) name: String,
    pub(crate) client: bool,
    /// Whether it runs an unmodified program.
    #[cfg_attr(not(feature = "process"), expect(dead_code, reason = "none does"))]
    pub(crate) is_process: bool,
    pub(crate) start: Start,
}

/// Starts the main of a host, given its number, once.
type MainOnce = Box<dyn FnOnce(&Run, usize)>;

/// Starts the main of a host.
pub(crate) enum Start {
    Once(MainOnce),
    /// Also after a crash.
    Again(Main),
}

impl std::fmt::Debug for HostPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostPlan")
            .field("name", &self.name)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl HostPlan {
    /// Returns what drawing faults and checking a set-up needs to know of the hosts.
    pub(crate) fn labels(plans: &[Self]) -> Vec<HostLabel<'_>> {
        plans.iter().map(|plan| HostLabel { name: &plan.name, client: plan.client }).collect()
    }
}

/// The state of a host in a run.
pub(crate) struct HostRole {
    pub(crate) name: Arc<str>,
    pub(crate) client: bool,
    pub(crate) down: Cell<bool>,
    /// `None` for a main that can run only once, and when the run has ended.
    pub(crate) main: RefCell<Option<Main>>,
}

impl Run {
    /// Whether a host has crashed and was not yet started again.
    pub(crate) fn is_down(&self, host: HostIndex) -> bool {
        self.hosts[host].down.get()
    }

    /// Crashes a host: first its sockets, which the kernel closes or which vanish, then its tasks and threads. Their
    /// destructors have no effect any more.
    ///
    /// Does not return to a task or thread of that host.
    pub(crate) fn crash(&self, host: HostIndex, how: Crash) {
        self.hosts[host].down.set(true);
        let id = HostId::new(host);
        self.network(|network, now, outside| match how {
            Crash::Process => network.kill(now, outside, id),
            Crash::Machine => {
                network.silence(now, outside, id);
                network.vanish(now, outside, id);
            }
        });
        self.tell_processes_of_crash(host);
        self.scheduler.kill_host(host);
    }

    /// Whether the main of a host can be started more than once.
    pub(crate) fn can_restart(&self, host: HostIndex) -> bool {
        self.hosts[host].main.borrow().is_some()
    }

    /// Starts the main of a crashed host again, if it can be.
    pub(crate) fn restart(&self, host: HostIndex) {
        let main = self.hosts[host].main.borrow().clone();
        if let Some(main) = main.filter(|_| self.is_down(host)) {
            self.hosts[host].down.set(false);
            main(self, host);
        }
    }

    /// Drops what mains have captured, while their run still exists.
    pub(crate) fn forget_mains(&self) {
        for host in &self.hosts {
            let main = host.main.take();
            self.scheduler.drop_at_the_end(&format!("the main of {}", host.name), main);
        }
    }
}
