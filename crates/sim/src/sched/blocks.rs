//! Preemption at basic blocks, in an instrumented build: a task or thread stops between two instructions of its own
//! code, or of a dependency's.
//!
//! Everywhere else tasks stop at operations of the runtime traits and of tokio. Here a run grants a task so many sites
//! of code ([`interpose::blocks`](crate::interpose::blocks)) with each step. At the last of them others may run, or the
//! task is delayed. Then it is granted sites anew.
//!
//! A loop that waits for another task without any operation *spins*. It gives way to others, and time passes if no
//! other can run. A real lock that another task holds is waited for in the same way.
//!
//! # Invariants
//!
//! - A run of a build without instrumentation draws nothing here.
//! - A task that is stopped here is never unwound from here: compiled code does not expect it. If it is torn down, it
//!   runs on to its next operation, and is unwound there. If there is none, its stack is abandoned.
//! - A task that is stopped here may hold any real lock. It counts as the holder of a lock: teardown ends it before
//!   others.

use rand_chacha::ChaCha8Rng;

use super::coroutine::{self, Suspender, abandon};
use super::schedule::OwnPoint;
use super::{Scheduler, State, Symptom, SymptomKind, TaskId, current};
use crate::choice::{Choices, LaneKind, SWARM, below};
use crate::interpose::blocks::{self, Scheduling, Site, Spent, UNLIMITED};
use crate::time::Nanos;
use crate::trace::TraceEvent;

/// In an instrumented build, one run in this many has no such preemption, so that what others find is found, too.
const ORDINARY_ONE_IN: u32 = 4;

/// How rare grants with a limit are in a run, as the power of two that is drawn: every grant to one in eight.
const ONE_IN_LOG2: u32 = 4;

/// A limit is at most this power of two. Most are small: a race lies shortly after an operation or a preemption.
const SITES_LOG2: u32 = 8;

/// The alternatives of a grant: no limit, or 1 to 2^[`SITES_LOG2`] sites.
const GRANT_BOUND: u32 = 1 + (1 << SITES_LOG2);

/// At one stop in this many, a task is delayed.
const DELAY_ONE_IN: u32 = 4;

/// In a series of spins, one in this many lets time pass, also if others can run: they may spin, too.
const TIME_PASSES_ONE_IN: u32 = 4;

/// The first delay of a spinning task. Each further one is twice as long.
const FIRST_SPIN: Nanos = 1_000;

/// A task that has spun for so long spins for ever: 10 minutes.
const SPIN_MAX: Nanos = 600_000_000_000;

/// How often a task may spin that cannot stop.
const SPINS_ON_TOP_MAX: u32 = 10_000;

/// How often a task that is torn down may spin on its way to the next operation.
const DYING_SPINS_MAX: u32 = 100;

/// What a run of an instrumented build has: loops that spin give way to others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    /// Tasks are also preempted: one grant in this many has a limit.
    one_in: Option<u32>,
}

impl Blocks {
    /// Draws whether a run has it. Asks nothing in a build without instrumentation.
    pub(super) fn draw(choices: &mut Choices, may_preempt: bool) -> Option<Self> {
        if !blocks::is_instrumented() {
            return None;
        }
        blocks::schedule_by(Scheduling {
            spent: |spent, site| current::with_any(|scheduler| scheduler.sites_spent(spent, site)),
            is_on_stack: coroutine::is_on_running_stack,
            apart: coroutine::apart,
        });
        let lane = choices.lane(LaneKind::Block, "");
        let point = choices.point(lane, SWARM.blocks);
        let is_on =
            may_preempt && choices.choose(point, 2, |rng| u32::from(below(rng, ORDINARY_ONE_IN) != 0)) == 1;
        let one_in = is_on.then(|| 1 << below(&mut choices.side_stream("blocks"), ONE_IN_LOG2));
        Some(Self { one_in })
    }
}

/// How a task has spun since it last did anything else.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spin {
    count: u32,
    last: Nanos,
    total: Nanos,
    /// It has spun in its present step.
    is_on: bool,
}

impl Scheduler {
    /// Grants sites to `task`, whose stack is about to continue with a new step.
    pub(super) fn grant_sites(&self, task: TaskId) {
        if self.perturber.blocks.is_none() {
            return;
        }
        {
            let spin = &mut self.tasks.borrow_mut()[task.index()].spin;
            if !std::mem::take(&mut spin.is_on) {
                *spin = Spin::default();
            }
        }
        self.grant_sites_again(task);
    }

    fn grant_sites_again(&self, task: TaskId) {
        let Some(Blocks { one_in }) = self.perturber.blocks else { return };
        let is_calm = self.may_perturb() && !self.stopped() && !self.being_torn_down();
        let Some(one_in) = one_in.filter(|_| is_calm) else { return blocks::grant(UNLIMITED) };
        let point = self.own_point(OwnPoint::Sites, task);
        let draw = |rng: &mut ChaCha8Rng| match below(rng, one_in) {
            0 => {
                let most = 2 << below(rng, SITES_LOG2);
                1 + below(rng, most)
            }
            _ => 0,
        };
        let sites = self.choices.borrow_mut().choose(point, GRANT_BOUND, draw);
        blocks::grant(if sites == 0 { UNLIMITED } else { sites });
    }

    /// Ends what was granted: the stack of the task has stopped.
    pub(super) fn end_grant_of_sites(&self) {
        if self.perturber.blocks.is_some() {
            blocks::stop();
        }
    }

    /// Sets aside what the running task was granted, while another runs on top of it.
    pub(super) fn set_sites_aside(&self) -> Option<blocks::Aside> {
        self.perturber.blocks.is_some().then(blocks::set_aside)
    }

    /// The running task has used up the sites that it was granted, or spins.
    fn sites_spent(&self, spent: Spent, site: Site) {
        let Some(task) = self.current() else { return blocks::grant(UNLIMITED) };
        if self.being_torn_down() {
            if spent == Spent::Spins {
                self.spin_while_dying(task);
            }
            return blocks::grant(UNLIMITED);
        }
        match (spent, self.may_stop_inside(task)) {
            (Spent::Sites, true) => self.perhaps_stop(task, site),
            (Spent::Spins, true) => self.give_way(task, Some(site)),
            (Spent::Sites, false) => {}
            (Spent::Spins, false) => self.spin_on_top(task, site),
        }
        self.grant_sites_again(task);
    }

    /// Returns `true` if the running `task` can stop anywhere in its code.
    fn may_stop_inside(&self, task: TaskId) -> bool {
        let on_stack = match self.tasks.borrow()[task.index()].suspender.as_ref() {
            // Threads of processes run in another mode, in which the hook is off.
            Some(thread) => thread.coroutine().is_some_and(Suspender::is_running),
            None => self.stacks.can_interrupt(task),
        };
        on_stack
            && !self.being_torn_down()
            && !self.tearing_down.get()
            && !std::thread::panicking()
            && !crate::trace::is_formatting()
    }

    fn perhaps_stop(&self, task: TaskId, site: Site) {
        if !self.may_perturb() || self.stopped() {
            return;
        }
        self.count_step(task);
        // The first client's segment must not arrive before servers listen.
        if self.now() > 0 {
            let nanos = self.choose_stretch(self.own_point(OwnPoint::SiteDelay, task), DELAY_ONE_IN);
            if nanos > 0 {
                let event = TraceEvent::DelayedInside { site, nanos };
                self.trace.borrow_mut().record_stop_inside(self.now(), task, event);
                self.delay_inside(task, nanos);
                return;
            }
        }
        self.collect();
        let ready = self.queue().len() as u32;
        if ready == 0 {
            return;
        }
        let point = self.own_point(OwnPoint::SiteSwitch, task);
        let draw = |rng: &mut ChaCha8Rng| if below(rng, 4) == 0 { 0 } else { 1 + below(rng, ready) };
        let value = self.choices.borrow_mut().choose(point, 1 + ready, draw);
        if value == 0 {
            return;
        }
        let next = self.queue().remove(value as usize - 1).expect("a value is below its bound");
        let event = TraceEvent::PreemptedInside { site, by: next };
        self.trace.borrow_mut().record_stop_inside(self.now(), task, event);
        self.queue().hand_off(next);
        self.queue().push_front(task);
        self.tasks.borrow_mut()[task.index()].state = State::Ready;
        self.stop_inside(task);
    }

    fn delay_inside(&self, task: TaskId, nanos: Nanos) {
        let woken = self.tasks.borrow()[task.index()].woken;
        self.delay(task, nanos);
        self.tasks.borrow_mut()[task.index()].woken_meanwhile |= woken;
        self.stop_inside(task);
    }

    /// Stops the running `task` where it is, until the scheduler continues it.
    fn stop_inside(&self, task: TaskId) {
        let thread = {
            let entry = &mut self.tasks.borrow_mut()[task.index()];
            entry.locks_held += 1;
            entry.suspender.as_ref().and_then(|thread| thread.coroutine().cloned())
        };
        blocks::stop();
        match thread {
            Some(thread) => {
                let formats = crate::trace::set_formatting(false);
                thread.suspend_without_unwind();
                crate::trace::set_formatting(formats);
            }
            None => self.interrupt(task, Suspender::suspend_without_unwind),
        }
        let entry = &mut self.tasks.borrow_mut()[task.index()];
        entry.locks_held = entry.locks_held.saturating_sub(1);
    }

    // Spins.

    /// Lets others run, or time pass, because the running `task` waits for something without an operation: it spins, or
    /// another task holds a real lock.
    fn give_way(&self, task: TaskId, site: Option<Site>) {
        self.count_step(task);
        self.trace.borrow_mut().note_giving_way();
        let mut spin = self.tasks.borrow()[task.index()].spin;
        if spin.total > SPIN_MAX {
            self.fail_by_spin(task, site);
        }
        if spin.count == 0
            && let Some(site) = site
        {
            self.trace_event_of(task, TraceEvent::Spins { site });
        }
        spin.count += 1;
        spin.is_on = true;
        self.collect();
        let gives_way = !self.queue().is_empty() && !spin.count.is_multiple_of(TIME_PASSES_ONE_IN);
        if !gives_way && !self.stopped() {
            spin.last = (2 * spin.last).max(FIRST_SPIN);
            spin.total += spin.last;
        }
        self.tasks.borrow_mut()[task.index()].spin = spin;
        if self.stopped() {
            self.stop_inside(task);
        } else if gives_way {
            self.queue().push_back(task);
            self.tasks.borrow_mut()[task.index()].state = State::Ready;
            self.stop_inside(task);
        } else {
            self.delay_inside(task, spin.last);
        }
    }

    /// The running `task` spins, and cannot stop because another one's poll is interrupted below it. What it waits for
    /// may be what that one has to do.
    fn spin_on_top(&self, task: TaskId, site: Site) {
        if self.finish_interrupted() {
            return;
        }
        let spins = {
            let spin = &mut self.tasks.borrow_mut()[task.index()].spin;
            spin.count += 1;
            spin.count
        };
        if spins > SPINS_ON_TOP_MAX && coroutine::is_on_own_stack() && !std::thread::panicking() {
            self.fail_by_spin(task, Some(site));
            abandon();
        }
    }

    fn fail_by_spin(&self, task: TaskId, site: Option<Site>) {
        let name = self.name(task);
        let detail = match site {
            Some(site) => format!(
                "{name}: loops without an operation, and nothing ends the loop\nIt was at {}, and reached no \
                 other code however long others ran and time passed",
                site.place()
            ),
            None => format!(
                "{name}: waits for a lock of std without end\nNo other task or thread released it, however long they \
                 ran and time passed. Either two wait for each other's locks, or the holder has ended"
            ),
        };
        self.fail(Symptom::new(SymptomKind::Stuck, detail));
    }

    /// The running `task` is torn down and does not come to an operation.
    fn spin_while_dying(&self, task: TaskId) {
        let spins = {
            let spin = &mut self.tasks.borrow_mut()[task.index()].spin;
            spin.count = if spin.is_on { 1 } else { spin.count + 1 };
            spin.is_on = false;
            spin.count
        };
        if spins > DYING_SPINS_MAX && !std::thread::panicking() {
            abandon();
        }
    }

    /// Returns `true` if waiting for a real lock can let others run.
    pub(crate) fn can_give_way(&self) -> bool {
        self.perturber.blocks.is_some()
            && self.current().is_some_and(|task| self.may_stop_inside(task) || self.is_dying_inside())
    }

    /// Lets others run, because the running code waits for a real lock. Returns `false` if it cannot.
    pub(crate) fn give_way_to_holder(&self) -> bool {
        let Some(task) = self.current().filter(|_| self.perturber.blocks.is_some()) else { return false };
        if self.may_stop_inside(task) {
            self.give_way(task, None);
            self.grant_sites_again(task);
            return true;
        }
        if self.is_dying_inside() {
            // What holds the lock never runs again.
            abandon();
        }
        false
    }

    /// Returns `true` if the running code is that of a task that was torn down while it was stopped inside.
    fn is_dying_inside(&self) -> bool {
        self.being_torn_down() && !std::thread::panicking() && coroutine::is_on_own_stack()
    }
}
