//! Which task made each open socket, for a report of those that are left behind or outlive a thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Run;
use crate::wait::TaskId;

/// Tasks and threads by the number of what they made.
#[derive(Debug, Default)]
pub(super) struct Makers(RefCell<BTreeMap<u64, TaskId>>);

impl Run {
    /// Notes that the running task or thread has made `object`.
    pub(crate) fn made(&self, object: u64) {
        if let Some(maker) = self.scheduler.current() {
            self.makers.0.borrow_mut().insert(object, maker);
        }
    }

    /// Notes that `object` is closed.
    pub(crate) fn unmade(&self, object: u64) {
        self.makers.0.borrow_mut().remove(&object);
    }

    /// Returns ", made by client/main", or nothing.
    pub(crate) fn made_by(&self, object: u64) -> String {
        let maker = self.makers.0.borrow().get(&object).copied();
        maker.map_or_else(String::new, |maker| format!(", made by {}", self.scheduler.name(maker)))
    }

    /// What is open although the thread that made it has ended, with that thread.
    pub(crate) fn orphans(&self) -> Vec<(u64, Arc<str>)> {
        let makers = self.makers.0.borrow();
        let orphans = makers.iter().filter(|(_, maker)| self.scheduler.is_ended_thread(**maker));
        orphans.map(|(object, maker)| (*object, self.scheduler.name(*maker))).collect()
    }
}
