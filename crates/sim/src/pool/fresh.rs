//! Whether an OS thread is as good as a fresh one after a run.
//!
//! To start an OS thread for each run costs a third of a short run. But thread-local values must not pass from one run
//! to the next: a counter of the code under test, the keys of `HashMap`, a cache. So a thread is used again only if the
//! run left its thread-local memory as it was and registered no destructor.
//!
//! Some values change in nearly every run, and are put back: std's keys of `HashMap`, and what tokio notes about a
//! thread that has entered a runtime. [`Fresh::prepare`] finds them by trying. The simulator's own values are not
//! looked at: it sets or clears them with each run.

#![cfg_attr(
    all(target_os = "linux", not(miri), not(target_feature = "crt-static")),
    expect(unsafe_code, reason = "values of std and tokio are put back")
)]

use std::collections::BTreeMap;
use std::ops::Range;

use crate::thread_memory::{block, own, read, registered, write};
use crate::{interpose, panics, process_end, sched, world};

/// What is known of the thread-local memory of an OS thread.
pub(super) struct Fresh {
    block: Range<usize>,
    /// Bytes that are put back after a run, by offset, and what stands there on a fresh thread.
    plain: BTreeMap<usize, u8>,
    /// The offsets of the simulator's own values.
    own: Vec<Range<usize>>,
    before: Vec<u8>,
    registered: usize,
}

impl Fresh {
    /// Initialises what every run needs on its thread. `None` if the thread cannot be used again.
    pub(super) fn prepare() -> Option<Self> {
        let block = block()?;
        let places =
            [vec![own()], panics::thread_locals(), interpose::thread_locals(), process_end::thread_locals()];
        let places = places.concat().into_iter().filter(|place| block.contains(&place.start));
        let own = places.map(|place| place.start - block.start..place.end - block.start).collect();
        // These register their destructors, and leave nothing else.
        tracing::dispatcher::with_default(&tracing::Dispatch::none(), || ());
        let _ = tokio::runtime::Handle::try_current();
        // What tokio waits with on this thread. Entering a runtime would do it, too, but also draw numbers.
        let (sender, _receiver) = tokio::sync::mpsc::channel(1);
        let _ = sender.blocking_send(());
        sched::touch_thread_locals();
        let _ = world::context::current();
        let mut fresh = Self { block, plain: BTreeMap::new(), own, before: Vec::new(), registered: 0 };
        let before = registered();
        fresh.find_plain_values();
        // The keys are two numbers of 64 bits, and whether they are drawn. With fewer bytes, they had been drawn
        // before. What has a destructor is not plain.
        (fresh.plain.len() > 16 && registered() == before).then_some(fresh)
    }

    /// Tries what every run does, and notes what it has changed.
    fn find_plain_values(&mut self) {
        let pristine = read(&self.block);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime without I/O takes nothing from the system");
        // A byte that is drawn may be the one that was there before. Hardly eight times.
        for _ in 0..8 {
            runtime.block_on(async {});
            drop(std::hash::RandomState::new());
            let bytes = read(&self.block);
            let changed = (0..bytes.len()).filter(|&offset| bytes[offset] != pristine[offset]);
            self.plain.extend(changed.map(|offset| (offset, pristine[offset])));
            self.put_back();
        }
        drop(runtime);
        self.put_back();
    }

    /// Notes the state of the thread before a run.
    pub(super) fn begin(&mut self) {
        self.before = read(&self.block);
        self.registered = registered();
    }

    /// Returns `true` if the thread may do another run as a fresh one would.
    pub(super) fn is_as_before(&self) -> bool {
        if registered() != self.registered {
            return false;
        }
        self.put_back();
        let mut after = read(&self.block);
        for own in &self.own {
            after[own.clone()].copy_from_slice(&self.before[own.clone()]);
        }
        after == self.before
    }

    fn put_back(&self) {
        for (offset, byte) in &self.plain {
            // SAFETY: what is put back are std's keys and tokio's notes: numbers in cells, which their crates use only
            // in calls of this thread.
            unsafe { write(&self.block, *offset, *byte) };
        }
    }
}
