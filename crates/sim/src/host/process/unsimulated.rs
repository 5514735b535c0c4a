//! Calls that no process may make, because they are not simulated. Each fails the run with its name and a remedy.

use super::call::{Call, Errno};
use crate::symptom::{Symptom, SymptomKind};

/// Fails the run, because of a call that is not simulated, and returns the call's error.
pub(super) fn complain(call: &Call, name: &str, remedy: &str) -> Errno {
    let who = call.run.who_runs();
    let detail = format!("{who} calls `{name}`, which is not simulated\nIn a process, {remedy}");
    call.run.scheduler.fail(Symptom::new(SymptomKind::Uncontrolled, detail));
    Errno(libc::ENOSYS)
}
