//! The makers of open listeners and datagram sockets, for the report of a leak.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Run;

/// The names of tasks and threads by the number of what they made.
#[derive(Debug, Default)]
pub(super) struct Makers(RefCell<BTreeMap<u64, Arc<str>>>);

impl Run {
    /// Notes that the running task or thread has made `object`.
    pub(crate) fn made(&self, object: u64) {
        if let Some(maker) = self.scheduler.running_name() {
            self.makers.0.borrow_mut().insert(object, maker);
        }
    }

    /// Notes that `object` is closed.
    pub(crate) fn unmade(&self, object: u64) {
        self.makers.0.borrow_mut().remove(&object);
    }

    /// Returns ", made by client/main", or nothing.
    pub(crate) fn made_by(&self, object: u64) -> String {
        self.makers.0.borrow().get(&object).map_or_else(String::new, |maker| format!(", made by {maker}"))
    }
}
