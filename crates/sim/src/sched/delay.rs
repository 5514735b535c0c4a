//! Delays of preempted tasks and threads: one stops between two operations, and others run whole sections before it
//! continues.
//!
//! This finds a check and an act with another task between them, when the other task comes only much later. A switch
//! alone does not find it, because no other task is ready to switch to. A thread is delayed before an operation, or
//! after its effect. A task gets some operations in a step, and is delayed when it could continue. `stacks` delays a
//! task after an effect.
//!
//! # Invariants
//!
//! - A run without such delays draws nothing.
//! - A delayed task continues when its time is over, or when every main has ended.
//! - While a task is delayed it counts as woken: wake-ups have no effect, and it is in no list.

use std::ops::Range;

use super::budget::BUDGETS;
use super::schedule::OwnPoint;
use super::{DELAYS, Operation, PointId, Scheduler, State, TaskEntry, TaskId};
use crate::choice::{Choices, below};
use crate::time::Nanos;
use crate::trace::TraceEvent;

/// How rare such a delay is in a run, as the power of two that is drawn: at one point in 2 to one in 64. A short run
/// needs it often. In a long run most delays only hide what would have happened.
const ONE_IN_LOG2: Range<u32> = 1..7;

/// How many of [`DELAYS`] are used here: up to a second, which is less than most timeouts.
const STRETCHES: u32 = 7;

/// In a run with delays after effects, one effect in this many is followed by one.
pub(super) const AFTER_EFFECT_ONE_IN: u32 = 4;

/// How far a task gets in the step after which it is delayed, as indices of [`BUDGETS`]: mostly few operations, because
/// few are between a wake-up and its effect.
const AFTER: [u32; 8] = [1, 1, 1, 2, 2, 3, 3, 0];

/// What a run delays.
#[derive(Debug)]
pub(super) struct Delays {
    one_in: u32,
}

impl Delays {
    pub(super) fn draw(choices: &Choices) -> Self {
        let Range { start, end } = ONE_IN_LOG2;
        let log2 = start + below(&mut choices.side_stream("hold"), end - start);
        Self { one_in: 1 << log2 }
    }
}

impl Scheduler {
    /// Draws whether the running or beginning `task` is delayed, and for how long. 0 means not at all.
    #[inline]
    fn delay_after_preemption(&self, task: TaskId) -> Nanos {
        // The first client's segment must not arrive before servers listen, and a slow task is no leak.
        let Some(Delays { one_in }) = &self.perturber.preempted else { return 0 };
        if self.now() == 0 || !self.may_perturb() {
            return 0;
        }
        let point = self.own_point(OwnPoint::Delay, task);
        self.choose_stretch(point, *one_in)
    }

    /// Draws one of the first [`STRETCHES`] delays, with one chance in `one_in` that it is not 0.
    #[inline]
    pub(super) fn choose_stretch(&self, point: PointId, one_in: u32) -> Nanos {
        let bound = self.delay_bound().min(STRETCHES);
        let delays = &DELAYS[..bound as usize];
        let room = || self.affordable(delays);
        let draw = |rng: &mut _| match self.affords_any(delays) {
            true if below(rng, one_in) == 0 => 1 + below(rng, room() - 1),
            _ => 0,
        };
        let value = self.choices.borrow_mut().choose_within(point, bound, room, draw);
        self.spend(DELAYS[value as usize])
    }

    /// Sometimes delays the running thread before an operation. Returns `true` if it did, once the thread continues.
    pub(super) fn delay_thread(&self, task: TaskId, before: Operation) -> bool {
        let nanos = self.delay_after_preemption(task);
        if nanos == 0 {
            return false;
        }
        self.trace_event_of(task, TraceEvent::DelayedAt { before, nanos });
        self.delay(task, nanos);
        self.suspend(task);
        true
    }

    /// Notes that an operation of the running thread has had its effect. Others may run before the thread's next
    /// statement, which may be no operation: it may store a value, or take a lock of std.
    pub(crate) fn after_effect_in_thread(&self, operation: Operation) {
        let Some(task) = self.running_thread() else { return };
        let is_calm = self.now() > 0
            && self.may_perturb()
            && !self.stopped()
            && !self.may_not_suspend()
            && !self.being_torn_down()
            && !crate::trace::is_formatting();
        if !is_calm || !self.delays_threads_after_effects() {
            return;
        }
        let nanos = self.choose_stretch(self.own_point(OwnPoint::Effect, task), AFTER_EFFECT_ONE_IN);
        if nanos > 0 {
            self.trace_event_of(task, TraceEvent::DelayedAfter { after: operation, nanos });
            self.delay(task, nanos);
            self.suspend(task);
        }
    }

    /// Plans a delay of `task` at the end of the step that begins. Returns after how many operations the step ends, as
    /// an index of [`BUDGETS`], or 0.
    pub(super) fn plan_delay(&self, task: TaskId) -> usize {
        let nanos = self.delay_after_preemption(task);
        self.tasks.borrow_mut()[task.index()].delay_next = nanos;
        if nanos == 0 {
            return 0;
        }
        let point = self.own_point(OwnPoint::DelayAfter, task);
        let bound = BUDGETS.len() as u32;
        let draw = |rng: &mut _| AFTER[below(rng, AFTER.len() as u32) as usize];
        self.choices.borrow_mut().choose(point, bound, draw) as usize
    }

    /// Delays `task` from now on. It is parked, or will be at the end of its step.
    pub(super) fn delay(&self, task: TaskId, nanos: Nanos) {
        let host = self.tasks.host(task);
        let timer = self.arm_end_of_delay(self.now().saturating_add(nanos), host, task);
        let entry = &mut self.tasks.borrow_mut()[task.index()];
        entry.delayed_until = Some(timer);
        entry.woken = true;
    }
}

impl TaskEntry {
    /// Parks it if it was delayed in its step and its time has not come.
    pub(super) fn park_if_delayed(&mut self) -> bool {
        let is_delayed = self.delayed_until.is_some();
        if is_delayed {
            self.state = State::Parked;
            self.woken = true;
        }
        is_delayed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use wavetank_runtime::{Mutex, Runtime, ThreadHandle, Threads};

    use crate::host::Host;
    use crate::run::tests::{seeded, strictly_again, symptom};
    use crate::sim::Sim;

    const MS: Duration = Duration::from_millis(1);

    /// Two threads look at a number under a lock and change it under the lock taken anew, the second one 5 ms later.
    fn threads_check_then_act(sim: &mut Sim) {
        sim.client_thread("client", |host: Host| {
            let left = Arc::new(Mutex::<Host, i32>::new(&host, "left", 1));
            let takers = [("one", MS), ("other", 6 * MS)].map(|(name, after)| {
                let (left, own) = (left.clone(), host);
                let take = move || {
                    Threads::sleep(&own, after);
                    let enough = *left.lock() > 0;
                    if enough {
                        *left.lock() -= 1;
                    }
                };
                Threads::spawn(&host, name, take).expect("a thread")
            });
            takers.into_iter().for_each(|taker| taker.join().expect("no panic"));
            assert!(*left.lock() >= 0, "taken twice");
        });
    }

    /// The same by tasks, which report in between to a channel that has room.
    fn tasks_check_then_act(sim: &mut Sim) {
        sim.client("client", async |host: Host| {
            let left = Arc::new(tokio::sync::Mutex::new(1));
            let (audit, _audited) = tokio::sync::mpsc::channel(16);
            let takers = [("one", MS), ("other", 6 * MS)].map(|(name, after)| {
                let (left, own, audit) = (left.clone(), host, audit.clone());
                Runtime::spawn(&host, name, async move {
                    Runtime::sleep(&own, after).await;
                    let enough = *left.lock().await > 0;
                    audit.send(name).await.expect("there is room");
                    if enough {
                        *left.lock().await -= 1;
                    }
                })
            });
            for taker in takers {
                taker.await.expect("no panic");
            }
            assert!(*left.lock().await >= 0, "taken twice");
        });
    }

    #[test]
    fn long_delays_hit_between_check_and_act() {
        for (who, body) in
            [("threads", threads_check_then_act as fn(&mut Sim)), ("tasks", tasks_check_then_act)]
        {
            let found = (0..1_000).find_map(|seed| {
                let outcome = seeded(seed, body);
                symptom(&outcome).contains("taken twice").then_some((seed, outcome))
            });
            let (seed, outcome) = found.unwrap_or_else(|| panic!("a seed finds that of {who}"));
            let trace = outcome.trace.render();
            let said = ["~ is delayed before `", "~ could run, but is delayed for"];
            assert!(said.iter().any(|line| trace.contains(line)), "{trace}");
            let again = strictly_again(seed, &outcome, body);
            assert_eq!(again.trace.first_difference(&outcome.trace), None);
        }
    }

    /// Returns the milliseconds and the number of delays in several runs.
    fn delayed_stretches(set_up: fn(&mut Sim)) -> Vec<(f64, f64)> {
        let milliseconds = |word: &str| word.trim_end_matches("ms").parse::<f64>().expect("milliseconds");
        let mut delayed = Vec::new();
        for seed in 0..100 {
            let outcome = seeded(seed, move |sim| {
                sim.delay_total_max(Duration::from_secs(10));
                threads_check_then_act(sim);
                set_up(sim);
            });
            let trace = outcome.trace.render();
            let lines = trace.lines().filter(|line| line.contains("is delayed"));
            delayed.extend(lines.filter_map(|line| line.rsplit_once(" for ")).map(|(before, long)| {
                let at = before.split_whitespace().next().expect("a time");
                (milliseconds(at), milliseconds(long.split_whitespace().next().expect("a stretch")))
            }));
        }
        delayed
    }

    #[test]
    fn delays_start_late_and_respect_the_maximum() {
        let delayed = delayed_stretches(|_| ());
        assert!(delayed.iter().all(|&(at, _)| at > 0.0), "{delayed:?}");
        assert!(delayed.iter().any(|&(_, long)| long >= 1_000.0), "{delayed:?}");
        let shortly = delayed_stretches(|sim| {
            sim.delay_max(MS);
        });
        assert!(!shortly.is_empty() && shortly.iter().all(|&(_, long)| long <= 1.0), "{shortly:?}");
        let allowed: [fn(&mut Sim); 2] = [
            |sim| {
                sim.delay_max(Duration::ZERO);
            },
            |sim| {
                sim.perturb(false);
            },
        ];
        assert!(allowed.into_iter().all(|set_up| delayed_stretches(set_up).is_empty()));
    }
}
