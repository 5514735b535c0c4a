//! How tasks become ready: wake-ups, and stretches for which a task that could run is withheld.

use std::task::Waker;

use super::{Executor, Fact, Nanos, Operation, State, TaskId, TimerKey, WITHHELD, below};

impl Executor {
    /// Notes that `task` was woken. It becomes ready when the executor next looks.
    pub(crate) fn wake(&self, task: TaskId) {
        {
            let mut slots = self.slots.borrow_mut();
            let slot = &mut slots[task.index()];
            if slot.woken || slot.state == State::Ended {
                return;
            }
            slot.woken = true;
        }
        #[cfg(feature = "turmoil")]
        if self.wake_in_domain(task) {
            return;
        }
        self.inbox.borrow_mut().push_back(task);
        self.wake_root();
    }

    /// Wakes the root future if it has parked in tokio.
    pub(crate) fn wake_root(&self) {
        let root = self.root.borrow_mut().take();
        if let Some(root) = root {
            root.wake();
        }
    }

    pub(crate) fn has_mail(&self) -> bool {
        !self.inbox.borrow().is_empty()
    }

    pub(crate) fn park_root(&self, waker: Option<Waker>) {
        *self.root.borrow_mut() = waker;
    }

    /// Moves woken tasks to the ready list, or withholds them for a while.
    pub(super) fn collect(&self) {
        if self.has_mail() {
            self.collect_mail();
        }
    }

    fn collect_mail(&self) {
        while let Some(task) = self.next_mail() {
            let withheld = self.withheld_for(task);
            let mut slots = self.slots.borrow_mut();
            let slot = &mut slots[task.index()];
            if slot.state != State::Parked || slot.withheld_until.is_some() {
                // Running or ready already: `woken` stays set and its next park returns at once. Or held back.
                continue;
            }
            let held_next = std::mem::take(&mut slot.held_next);
            let withheld = if self.is_fair_game() { withheld.max(held_next) } else { withheld };
            if withheld == 0 {
                self.make_ready(task, slot);
            } else {
                // The timer's wake-up counts as a new one; it is not withheld again.
                drop(slots);
                self.fact_of(task, Fact::Withheld { nanos: withheld });
                self.hold(task, withheld);
            }
        }
    }

    fn next_mail(&self) -> Option<TaskId> {
        self.inbox.borrow_mut().pop_front()
    }

    pub(super) fn fact_of(&self, task: TaskId, fact: Fact) {
        self.trace.borrow_mut().record(self.now(), Some(task), fact);
    }

    fn withheld_for(&self, task: TaskId) -> Nanos {
        // Nobody is late at the start: servers listen before the first client's segment arrives. Nor at the end: what
        // is merely slow is no leak.
        if !self.withholds || self.now() == 0 || !self.is_fair_game() {
            return 0;
        }
        let site = self.site(self.lanes.get().withhold, task, Operation::new("wake-up"));
        let bound = self.withheld_bound();
        let affordable = self.affordable(&WITHHELD[..bound as usize]);
        let pick = self
            .choices
            .borrow_mut()
            .pick(site, bound, |rng| if below(rng, 24) == 0 { below(rng, affordable) } else { 0 });
        self.spend(WITHHELD[pick as usize])
    }

    /// Counts the stretches that the test allows.
    pub(super) fn withheld_bound(&self) -> u32 {
        WITHHELD.partition_point(|&nanos| nanos <= self.settings.withhold_max) as u32
    }

    /// Makes a withheld task ready: its stretch is over.
    pub(crate) fn release(&self, task: TaskId) {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[task.index()];
        slot.withheld_until = None;
        if slot.state == State::Parked {
            self.make_ready(task, slot);
        }
        drop(slots);
        self.wake_root();
    }

    /// Makes every withheld task ready.
    pub(crate) fn release_all(&self) {
        let withheld: Vec<(TaskId, TimerKey)> = {
            let slots = self.slots.borrow();
            let withheld =
                slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.withheld_until?)));
            withheld.map(|(index, timer)| (TaskId::new(index), timer)).collect()
        };
        for (task, timer) in withheld {
            self.disarm(timer);
            self.release(task);
        }
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.collect();
        !self.ready.borrow().is_empty() || self.handoff.get().is_some()
    }
}
