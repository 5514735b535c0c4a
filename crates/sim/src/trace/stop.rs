//! Stops a replay at an event, for a look at that moment.
//!
//! Under a debugger the process is interrupted in the call that made the event, and goes on when the debugger lets it.
//! Otherwise the run ends there.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{KEPT_EACH, Trace};

/// No event has this number.
const NEVER: usize = usize::MAX;

/// Where the next trace stops.
static STOPS_AT: AtomicUsize = AtomicUsize::new(NEVER);

/// Makes the next run of the process stop at this event. Events beyond the first 100,000 are not reached.
pub(crate) fn stop_at(event: u64) {
    STOPS_AT.store(usize::try_from(event).unwrap_or(KEPT_EACH), Ordering::SeqCst);
}

/// Where a new trace stops. The traces after it do not.
pub(crate) fn take() -> usize {
    if STOPS_AT.load(Ordering::Relaxed) == NEVER { NEVER } else { STOPS_AT.swap(NEVER, Ordering::SeqCst) }
}

impl Trace {
    /// Returns `true` if the run has reached the event at which it is to stop, and no debugger was there.
    pub(crate) const fn is_stopped(&self) -> bool {
        self.stopped
    }

    #[cold]
    pub(super) fn stop(&mut self) {
        if is_debugged() {
            interrupt();
        } else {
            self.stopped = true;
            self.closed = true;
        }
    }
}

/// Whether a debugger is attached. Only Linux tells.
fn is_debugged() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

fn interrupt() {
    // Without a debugger it would end the process.
    let _ = signal_hook::low_level::raise(libc::SIGTRAP);
}
