//! Who runs next, of those who are ready: a question to the schedule lane.

use super::{Executor, Fact, LaneId, Operation, SiteId, Strategy, TaskId, below};

impl Executor {
    /// Takes the next task to step off the ready list.
    pub(crate) fn next(&self) -> Option<TaskId> {
        self.collect();
        if let Some(task) = self.handoff.take() {
            return Some(task);
        }
        let count = self.ready.borrow().len();
        let index = match count {
            0 => return None,
            1 => 0,
            _ => {
                let (task, operation) = self.last.get().unwrap_or((TaskId(0), Operation::new("start")));
                let site = self.site(self.lanes.get().schedule, task, operation);
                let ready = self.ready.borrow();
                self.choose(site, ready.as_slices().0, ready.as_slices().1, None)
            }
        };
        if index == 0 {
            return self.ready.borrow_mut().pop_front();
        }
        let first = self.ready.borrow()[0];
        let chosen = self.ready.borrow_mut().remove(index)?;
        self.fact_of(chosen, Fact::Overtakes { first });
        Some(chosen)
    }

    pub(super) fn choose(
        &self,
        site: SiteId,
        front: &[TaskId],
        back: &[TaskId],
        running: Option<TaskId>,
    ) -> usize {
        let candidates: Vec<TaskId> = running.iter().chain(front).chain(back).copied().collect();
        let bound = u32::try_from(candidates.len()).expect("fewer than 2^32 tasks");
        let mut chooser = self.chooser.borrow_mut();
        let pick = self.choices.borrow_mut().pick(site, bound, |lane| chooser.propose(&candidates, lane));
        pick as usize
    }

    /// The site of `task` at `operation` in `lane`.
    pub(super) fn site(&self, lane: LaneId, task: TaskId, operation: Operation) -> SiteId {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[task.index()];
        // An operation has one lane, so the operation alone is the key.
        let known = slot.sites.iter().find(|(known, _)| known.is_same_text(operation));
        let known = known.or_else(|| slot.sites.iter().find(|(known, _)| *known == operation));
        if let Some(&(_, site)) = known {
            return site;
        }
        let site = self.choices.borrow_mut().site(lane, &format!("{} {operation}", slot.name));
        slot.sites.push((operation, site));
        site
    }

    /// Asks a question of `bound` alternatives for the running thread about `operation`, in the schedule lane.
    pub(crate) fn pick_waiter(&self, operation: Operation, bound: usize) -> usize {
        let Some(task) = self.current.get().filter(|_| bound > 1) else { return 0 };
        let site = self.site(self.lanes.get().schedule, task, operation);
        let fifo = self.settings.strategy == Strategy::Fifo;
        let bound = u32::try_from(bound).expect("fewer than 2^32 waiters");
        self.choices.borrow_mut().pick(site, bound, |rng| if fifo { 0 } else { below(rng, bound) }) as usize
    }
}
