//! How tasks become ready: wake-ups, and delays of tasks that could run.

use std::task::Waker;

use super::schedule::OwnPoint;
use super::{DELAYS, Nanos, Scheduler, State, TaskId, TimerKey, TraceEvent, below};

impl Scheduler {
    /// Notes that `task` was woken. It becomes ready when the scheduler next looks.
    pub(crate) fn wake(&self, task: TaskId) {
        let host = {
            let mut tasks = self.tasks.borrow_mut();
            let entry = &mut tasks[task.index()];
            if entry.interrupted {
                entry.woken_meanwhile = true;
                return;
            }
            if entry.woken || entry.state == State::Ended {
                return;
            }
            entry.woken = true;
            entry.host
        };
        let queue = &self.processors.of(host).queue;
        queue.push_mail(task);
        queue.wake_root();
    }

    /// Wakes the root future if it has parked in tokio.
    pub(crate) fn wake_root(&self) {
        self.queue().wake_root();
    }

    pub(crate) fn has_mail(&self) -> bool {
        self.queue().has_mail()
    }

    pub(crate) fn park_root(&self, waker: Option<Waker>) {
        self.queue().park_root(waker);
    }

    /// Moves woken tasks to the ready list, or delays them for a while.
    #[inline]
    pub(super) fn collect(&self) {
        if self.has_mail() {
            self.collect_mail();
        }
    }

    #[inline]
    fn collect_mail(&self) {
        let queue = self.queue();
        while let Some(task) = queue.pop_mail() {
            let delayed = self.delay_of_wake_up(task);
            let mut tasks = self.tasks.borrow_mut();
            let entry = &mut tasks[task.index()];
            if entry.state != State::Parked || entry.delayed_until.is_some() {
                // It is already running or ready: `woken` stays set and its next park returns at once. Or it is
                // delayed.
                continue;
            }
            let delay_next = std::mem::take(&mut entry.delay_next);
            let delayed = if self.may_perturb() { delayed.max(delay_next) } else { delayed };
            if delayed == 0 {
                self.make_ready(task, entry);
            } else {
                // The timer's wake-up counts as a new one and is not delayed again.
                drop(tasks);
                self.trace_event_of(task, TraceEvent::Delayed { nanos: delayed });
                self.delay(task, delayed);
            }
        }
    }

    pub(super) fn trace_event_of(&self, task: TaskId, event: TraceEvent) {
        self.trace.borrow_mut().record(self.now(), Some(task), event);
    }

    #[inline]
    fn delay_of_wake_up(&self, task: TaskId) -> Nanos {
        // No task is late at the start: the first client's segment must not arrive before servers listen. Nor at the
        // end: a slow task is no leak.
        if !self.perturber.woken || self.now() == 0 || !self.may_perturb() {
            return 0;
        }
        let point = self.own_point(OwnPoint::WakeUp, task);
        let bound = self.delay_bound();
        let room = || self.affordable(&DELAYS[..bound as usize]);
        let draw = |rng: &mut _| match below(rng, 24) {
            0 => below(rng, room()),
            _ => 0,
        };
        let value = self.choices.borrow_mut().choose_within(point, bound, room, draw);
        self.spend(DELAYS[value as usize])
    }

    /// Counts the delays that the test allows.
    pub(super) const fn delay_bound(&self) -> u32 {
        self.perturber.delay_bound
    }

    /// Makes a delayed task ready: its delay is over.
    pub(crate) fn end_delay(&self, task: TaskId) {
        let mut tasks = self.tasks.borrow_mut();
        let entry = &mut tasks[task.index()];
        entry.delayed_until = None;
        if entry.state == State::Parked {
            self.make_ready(task, entry);
        }
        drop(tasks);
        self.wake_root();
    }

    /// Makes every delayed task ready.
    pub(crate) fn end_all_delays(&self) {
        let delayed: Vec<(TaskId, TimerKey)> = {
            let tasks = self.tasks.borrow();
            let delayed =
                tasks.iter().enumerate().filter_map(|(index, entry)| Some((index, entry.delayed_until?)));
            delayed.map(|(index, timer)| (TaskId::new(index), timer)).collect()
        };
        for (task, timer) in delayed {
            self.disarm(timer);
            self.end_delay(task);
        }
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.collect();
        !self.queue().is_empty() || self.queue().has_handoff()
    }
}
