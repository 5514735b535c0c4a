//! Accepts that fail: a server finds no descriptor, or the connection was aborted before it was accepted.

use std::io;

use crate::choice::{LaneKind, below};
use crate::net::HostId;
use crate::trace::TraceEvent;
use crate::world::Run;

/// How an accept fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptFailure {
    /// `EMFILE`. The connection keeps waiting.
    NoDescriptor,
    /// `ECONNABORTED`. The connection is gone.
    Aborted,
}

impl From<AcceptFailure> for io::Error {
    fn from(failure: AcceptFailure) -> Self {
        match failure {
            // The number of EMFILE on every Unix.
            AcceptFailure::NoDescriptor => Self::from_raw_os_error(24),
            AcceptFailure::Aborted => io::ErrorKind::ConnectionAborted.into(),
        }
    }
}

/// One accept in this many fails, on a host with failing accepts.
const FAILS_ONE_IN: u32 = 3;

/// Decides whether an accept of the running task on `host` fails, which would succeed otherwise.
///
/// # Determinism
///
/// Draws only on hosts with failing accepts.
pub(crate) fn failed_accept(run: &Run, host: HostId) -> Option<AcceptFailure> {
    if !run.faults().borrow().fails_accepts(host) {
        return None;
    }
    let value = {
        let name = run.host_name(host.index());
        let who = run.scheduler.current().map_or_else(|| name.clone(), |task| run.scheduler.name(task));
        let mut choices = run.scheduler.choices.borrow_mut();
        let lane = choices.lane(LaneKind::Short, &name);
        let point = choices.point(lane, &format!("{who} accept"));
        choices.choose(point, 3, |rng| if below(rng, FAILS_ONE_IN) == 0 { 1 + below(rng, 2) } else { 0 })
    };
    let (failure, what) = match value {
        0 => return None,
        1 => (AcceptFailure::NoDescriptor, "cannot accept: too many open files"),
        _ => (AcceptFailure::Aborted, "cannot accept: the connection was aborted"),
    };
    run.scheduler.trace_event(TraceEvent::Adversary(what.into()));
    Some(failure)
}
