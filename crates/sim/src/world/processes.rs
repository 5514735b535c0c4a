//! What the unmodified programs of a run need to hear from it.

use std::rc::Rc;

use super::Run;
use crate::net::Ready;
use crate::wait::HostIndex;

/// Hears what concerns the processes of a run. The processes themselves stand in `host::process`.
pub(crate) trait Processes {
    /// It is worth asking these again.
    fn ready(&self, run: &Run, ready: &[Ready]);

    /// A host crashes: its sockets are closed, and its threads are killed next.
    fn crashed(&self, host: HostIndex);

    /// All tasks and threads of the run are gone.
    fn torn_down(&self);
}

impl Run {
    /// Has `processes` hear of this run.
    #[cfg_attr(not(feature = "process"), expect(dead_code, reason = "no run has processes"))]
    pub(crate) fn set_processes(&self, processes: Rc<dyn Processes>) {
        *self.processes.borrow_mut() = Some(processes);
    }

    fn processes(&self) -> Option<Rc<dyn Processes>> {
        self.processes.borrow().clone()
    }

    #[cold]
    pub(super) fn tell_processes(&self, ready: &[Ready]) {
        if let Some(processes) = self.processes() {
            processes.ready(self, ready);
        }
    }

    pub(super) fn tell_processes_of_crash(&self, host: HostIndex) {
        if let Some(processes) = self.processes() {
            processes.crashed(host);
        }
    }

    pub(super) fn forget_processes(&self) {
        let processes = self.processes.borrow_mut().take();
        if let Some(processes) = processes {
            processes.torn_down();
        }
    }
}
