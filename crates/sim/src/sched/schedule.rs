//! Chooses which of the ready tasks runs next, by the schedule lane.

use std::sync::Arc;

use super::policy::Candidates;
use super::{LaneId, Lanes, Operation, PointId, Scheduler, Strategy, TaskId, TraceEvent, below};

/// A question that the scheduler asks about many steps of a task. Its point is found without a search.
#[derive(Clone, Copy, Debug)]
pub(super) enum OwnPoint {
    WakeUp,
    Delay,
    DelayAfter,
    Budget,
    Effect,
    SpuriousWake,
    Sites,
    SiteDelay,
    SiteSwitch,
}

/// The number of [`OwnPoint`]s.
pub(super) const OWN_POINTS: usize = 9;

impl OwnPoint {
    /// The second half of the point's name.
    const fn operation(self) -> &'static str {
        match self {
            Self::WakeUp => "wake-up",
            Self::Delay => "hold",
            Self::DelayAfter => "hold-after",
            Self::Budget => "budget",
            Self::Effect => "effect",
            Self::SpuriousWake => "spurious-wake",
            Self::Sites => "sites",
            Self::SiteDelay => "site-hold",
            Self::SiteSwitch => "site-switch",
        }
    }

    const fn lane(self, lanes: &Lanes) -> LaneId {
        match self {
            Self::WakeUp => lanes.woken,
            Self::Delay | Self::DelayAfter | Self::Effect => lanes.preempted,
            Self::Budget => lanes.budget,
            Self::SpuriousWake => lanes.spurious,
            Self::Sites | Self::SiteDelay | Self::SiteSwitch => {
                lanes.block.expect("only runs that stop tasks inside of their code ask")
            }
        }
    }
}

impl Scheduler {
    /// Takes the next task to step off the ready list.
    #[inline]
    pub(crate) fn next(&self) -> Option<TaskId> {
        self.collect();
        let queue = self.queue();
        if let Some(task) = queue.take_handoff() {
            self.goes_on(task);
            return Some(task);
        }
        let index = match queue.len() {
            0 => return None,
            1 => 0,
            _ => {
                let (task, operation) = queue.last().unwrap_or((TaskId::new(0), Operation::new("start")));
                let point = self.point(self.lanes().schedule, task, operation);
                self.choose_next(point, None)
            }
        };
        let first = queue.first()?;
        let chosen = queue.remove(index)?;
        if index > 0 {
            self.trace_event_of(chosen, TraceEvent::Overtakes { first });
        }
        self.goes_on(chosen);
        Some(chosen)
    }

    /// Counts an event of `task`, which goes on.
    #[inline]
    pub(super) fn goes_on(&self, task: TaskId) {
        let (host, object) = {
            let entry = &self.tasks.borrow()[task.index()];
            (entry.host, entry.object)
        };
        self.handovers.borrow_mut().touched(task, host, object);
        if let Some(recorder) = &self.recorder {
            recorder.borrow_mut().went_on(task, object);
        }
        self.policy.borrow_mut().goes_on(task, object);
    }

    /// Counts a task that is about to be started.
    pub(super) fn count_start(&self, task: TaskId, name: &Arc<str>) {
        let parent = self.current();
        if let Some(recorder) = &self.recorder {
            recorder.borrow_mut().started(name.clone(), parent);
        }
        self.handovers.borrow_mut().started(name);
        self.policy.borrow_mut().started(task, name, parent);
    }

    /// Chooses which of the ready tasks runs next, or whether `running` continues. Returns its place among them.
    pub(super) fn choose_next(&self, point: PointId, running: Option<TaskId>) -> usize {
        let (ready, tasks) = (self.queue().ready(), self.tasks.borrow());
        let candidates = Candidates { running, ready: &ready, tasks: &tasks };
        let mut policy = self.policy.borrow_mut();
        let propose = |lane: &mut _| policy.propose(&candidates, lane);
        self.choices.borrow_mut().choose(point, candidates.count(), propose) as usize
    }

    /// The point of `task` at `operation` in `lane`.
    #[inline]
    pub(super) fn point(&self, lane: LaneId, task: TaskId, operation: Operation) -> PointId {
        let mut tasks = self.tasks.borrow_mut();
        let entry = &mut tasks[task.index()];
        // An operation has one lane, so the operation alone is the key.
        let known = entry.points.iter().find(|(known, _)| known.is_same_text(operation));
        let known = known.or_else(|| entry.points.iter().find(|(known, _)| *known == operation));
        if let Some(&(_, point)) = known {
            return point;
        }
        let Operation { verb, object } = operation;
        let name = if object.is_empty() {
            [&*entry.name, " ", verb].concat()
        } else {
            [&*entry.name, " ", verb, " ", object].concat()
        };
        let point = self.choices.borrow_mut().point(lane, &name);
        entry.points.push((operation, point));
        point
    }

    /// The point of `task` at a question of the scheduler's own.
    #[inline]
    pub(super) fn own_point(&self, own: OwnPoint, task: TaskId) -> PointId {
        let mut tasks = self.tasks.borrow_mut();
        let entry = &mut tasks[task.index()];
        *entry.own_points[own as usize].get_or_insert_with(|| {
            let lane = own.lane(&self.processor().lanes);
            self.choices.borrow_mut().point(lane, &[&*entry.name, " ", own.operation()].concat())
        })
    }

    /// Draws one of `bound` alternatives for the running thread about `operation`, in the schedule lane.
    pub(crate) fn choose_waiter(&self, operation: Operation, bound: usize) -> usize {
        let Some(task) = self.current.get().filter(|_| bound > 1) else { return 0 };
        let point = self.point(self.lanes().schedule, task, operation);
        let fifo = self.settings.strategy == Strategy::Fifo;
        let bound = u32::try_from(bound).expect("fewer than 2^32 waiters");
        self.choices.borrow_mut().choose(point, bound, |rng| if fifo { 0 } else { below(rng, bound) })
            as usize
    }
}
