//! The deadlines of a connection.

use wavetank_runtime::Instant;

/// When what is due.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// When `connection_init` has to have come. Only before it has.
    pub(super) init: Option<Instant>,
    /// When to send the next ping.
    pub(super) ping: Option<Instant>,
    /// When something has to have come after a ping.
    pub(super) pong: Option<Instant>,
    /// When a connection without operations is closed.
    pub(super) idle: Option<Instant>,
    /// When the connection is as old as it may become.
    pub(super) age: Option<Instant>,
    /// When a connection that is drained is closed whatever runs.
    pub(super) drain: Option<Instant>,
    /// When to look whether the transport has taken something. Only while something waits for it.
    pub(super) write: Option<Instant>,
    /// When closing has to be done.
    pub(super) close: Option<Instant>,
}

impl Timers {
    pub(super) fn next(&self) -> Option<Instant> {
        let Self { init, ping, pong, idle, age, drain, write, close } = *self;
        let mut next = init;
        // A loop, because the chain of iterators takes four times as many instructions, and this runs for every event.
        for timer in [ping, pong, idle, age, drain, write, close] {
            if let Some(deadline) = timer
                && next.is_none_or(|next| deadline < next)
            {
                next = timer;
            }
        }
        next
    }
}

/// Returns `true`, and disarms the timer, if it is due.
pub(super) fn take_due(timer: &mut Option<Instant>, now: Instant) -> bool {
    let due = timer.is_some_and(|deadline| deadline <= now);
    if due {
        *timer = None;
    }
    due
}
