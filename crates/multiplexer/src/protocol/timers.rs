//! What streams wait for by the clock.

use std::collections::BTreeSet;

use wavetank_runtime::Instant;

/// A timer of a stream. A stream has at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// When the peer has neither acknowledged the stream nor used it.
    Open,
    /// When a stream that we have closed is reset, as its peer does not end it.
    Linger,
    /// When a writer without credit gives the stream up.
    NoCredit,
    /// The reader's deadline.
    Read,
    /// The writer's deadline.
    Write,
}

/// The timers of all streams, by time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Instant, u32, Timer)>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, stream: u32, timer: Timer) {
        self.queue.insert((at, stream, timer));
    }

    pub(crate) fn cancel(&mut self, at: Instant, stream: u32, timer: Timer) {
        self.queue.remove(&(at, stream, timer));
    }

    /// Forgets all but those of one kind.
    pub(crate) fn retain(&mut self, kind: Timer) {
        self.queue.retain(|&(.., timer)| timer == kind);
    }

    /// The time of the next one.
    #[inline]
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|&(at, ..)| at)
    }

    /// Removes the next one that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(u32, Timer)> {
        let &(at, stream, timer) = self.queue.first()?;
        if at > now {
            return None;
        }
        self.queue.pop_first();
        Some((stream, timer))
    }
}
