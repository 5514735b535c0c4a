//! Who runs next, of those who are ready: a question to the schedule lane.

use super::{LaneId, Operation, PointId, Scheduler, Strategy, TaskId, TraceEvent, below};

impl Scheduler {
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
                let (task, operation) = self.last.get().unwrap_or((TaskId::new(0), Operation::new("start")));
                let point = self.point(self.lanes.get().schedule, task, operation);
                let ready = self.ready.borrow();
                self.choose_next(point, ready.as_slices().0, ready.as_slices().1, None)
            }
        };
        if index == 0 {
            return self.ready.borrow_mut().pop_front();
        }
        let first = self.ready.borrow()[0];
        let chosen = self.ready.borrow_mut().remove(index)?;
        self.trace_event_of(chosen, TraceEvent::Overtakes { first });
        Some(chosen)
    }

    pub(super) fn choose_next(
        &self,
        point: PointId,
        front: &[TaskId],
        back: &[TaskId],
        running: Option<TaskId>,
    ) -> usize {
        let candidates: Vec<TaskId> = running.iter().chain(front).chain(back).copied().collect();
        let bound = u32::try_from(candidates.len()).expect("fewer than 2^32 tasks");
        let mut chooser = self.chooser.borrow_mut();
        let value = self.choices.borrow_mut().choose(point, bound, |lane| chooser.propose(&candidates, lane));
        value as usize
    }

    /// The point of `task` at `operation` in `lane`.
    pub(super) fn point(&self, lane: LaneId, task: TaskId, operation: Operation) -> PointId {
        let mut tasks = self.tasks.borrow_mut();
        let entry = &mut tasks[task.index()];
        // An operation has one lane, so the operation alone is the key.
        let known = entry.points.iter().find(|(known, _)| known.is_same_text(operation));
        let known = known.or_else(|| entry.points.iter().find(|(known, _)| *known == operation));
        if let Some(&(_, point)) = known {
            return point;
        }
        let point = self.choices.borrow_mut().point(lane, &format!("{} {operation}", entry.name));
        entry.points.push((operation, point));
        point
    }

    /// Asks a question of `bound` alternatives for the running thread about `operation`, in the schedule lane.
    pub(crate) fn choose_waiter(&self, operation: Operation, bound: usize) -> usize {
        let Some(task) = self.current.get().filter(|_| bound > 1) else { return 0 };
        let point = self.point(self.lanes.get().schedule, task, operation);
        let fifo = self.settings.strategy == Strategy::Fifo;
        let bound = u32::try_from(bound).expect("fewer than 2^32 waiters");
        self.choices.borrow_mut().choose(point, bound, |rng| if fifo { 0 } else { below(rng, bound) })
            as usize
    }
}
