//! The last refused calls with their addresses. Errors of the system do not name the address, and a main that returns
//! one would leave its reader to guess.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::wait::HostIndex;

/// The last refusal of each host: the text of its error, and what was refused.
#[derive(Debug, Default)]
pub(crate) struct Refusals(RefCell<BTreeMap<HostIndex, (String, String)>>);

impl Refusals {
    /// Notes that a call of `host` was refused with this error.
    pub(crate) fn note(&self, host: HostIndex, error: String, line: String) {
        self.0.borrow_mut().insert(host, (error, line));
    }

    /// Returns what to add to a failure of `host` that contains the error of its last refusal: a second line, or
    /// nothing.
    pub(crate) fn last(&self, host: HostIndex, failure: &str) -> String {
        match self.0.borrow().get(&host) {
            Some((error, line)) if failure.contains(error.as_str()) => format!("\n{line}"),
            _ => String::new(),
        }
    }
}
