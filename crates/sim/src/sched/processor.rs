//! Processors: each schedules the tasks of a run, or of one host of turmoil.
//!
//! In the simulator all hosts share one processor, so that their tasks interleave. turmoil gives each host its own
//! tokio runtime and clock and runs one host after the other. There each host has its own processor.

use std::cell::{Cell, OnceCell};

use super::Lanes;
use super::queue::RunQueue;
use super::timers::Timers;
use crate::time::Nanos;
use crate::wait::HostIndex;

/// A clock, a run queue, timers, and the lanes that their choices come from.
pub(super) struct Processor {
    pub(super) clock: Cell<Nanos>,
    pub(super) queue: RunQueue,
    pub(super) timers: Timers,
    pub(super) lanes: Lanes,
}

impl Processor {
    pub(super) fn new(lanes: Lanes) -> Self {
        Self { clock: Cell::new(0), queue: RunQueue::default(), timers: Timers::default(), lanes }
    }
}

/// The processors of a run, and the active one.
pub(super) struct Processors {
    shared: Processor,
    /// By host, if each has its own.
    pub(super) own: OnceCell<Vec<Processor>>,
    pub(super) entered: Cell<Option<HostIndex>>,
}

impl Processors {
    pub(super) fn new(shared: Processor) -> Self {
        Self { shared, own: OnceCell::new(), entered: Cell::new(None) }
    }

    /// Returns the active processor: that of the entered host, or the shared one.
    pub(super) fn current(&self) -> &Processor {
        match self.entered.get() {
            None => &self.shared,
            Some(host) => self.of(host),
        }
    }

    /// Returns the processor that schedules the tasks of `host`.
    pub(super) fn of(&self, host: HostIndex) -> &Processor {
        self.own.get().map_or(&self.shared, |own| &own[host])
    }
}
