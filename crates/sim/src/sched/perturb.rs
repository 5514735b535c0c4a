//! Perturbs async tasks in ways that the contract of `Future` allows: spurious `Pending` and spurious wake-ups. (Delays
//! and small budgets are elsewhere in `sched`.)
//!
//! # Invariants
//!
//! - A task that gets a spurious `Pending` is woken, at once or later: an operation may be late but is never lost.
//! - A spurious wake-up wakes a task like any other, by the task's own waker.
//! - Timers of this module belong to no host, so they are no leak. After every main has ended, nothing is late any
//!   more. What is left then was left by the code under test.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use rand_chacha::ChaCha8Rng;
use tokio::task::coop::{has_budget_remaining, poll_proceed};

use super::allowance::Spent;
use super::blocks::Blocks;
use super::delay::Delays;
use super::schedule::OwnPoint;
use super::{DELAYS, HostIndex, Operation, Scheduler, Settings, State, TaskId, Wait, current};
use crate::choice::{Choices, LaneKind, PointId, SWARM, THREADS, below};
use crate::time::Nanos;
use crate::trace::{Next, TraceEvent};

/// The host of timers that no host set.
pub(crate) const NO_HOST: HostIndex = HostIndex::MAX;

/// Delays by value. Value 0 is "not at all", which has no delay; value 1 is "at once". All are well below the time that
/// clients have before a leak counts.
const LATER: [Nanos; 6] = [0, 0, 10_000, 1_000_000, 100_000_000, 1_000_000_000];

/// The alternatives of [`later`].
pub(crate) const LATER_BOUND: u32 = LATER.len() as u32;

/// The delay of a value among [`LATER_BOUND`]. `None` means not at all.
pub(crate) fn later(value: u32) -> Option<Nanos> {
    (value != 0).then(|| LATER[value as usize])
}

/// Draws one of the first `bound()` alternatives of [`later`], two or more. It is not 0 once in `one_in`, and half of
/// those are "at once".
#[inline]
pub(crate) fn draw_later(rng: &mut ChaCha8Rng, one_in: u32, bound: impl FnOnce() -> u32) -> u32 {
    if below(rng, one_in) != 0 {
        return 0;
    }
    if below(rng, 2) == 0 {
        return 1;
    }
    match bound() {
        2 => 1,
        bound => 2 + below(rng, bound - 2),
    }
}

/// The perturbations of a run, and the rest of its delays.
///
/// Each is drawn once per run and is a choice of its own, so that a replay asks the same questions.
#[derive(Debug)]
pub(super) struct Perturber {
    /// Woken tasks may be delayed.
    pub(super) woken: bool,
    /// Tasks may be preempted between operations.
    pub(super) preempts: bool,
    /// Operations of tasks may get a spurious `Pending`.
    pending: bool,
    /// Tasks are polled on their own stacks, and may be delayed after an effect.
    pub(super) stacks: bool,
    /// Threads may be delayed after an effect. Drawn at the first effect of a thread.
    effects: Cell<Option<bool>>,
    /// Tasks and threads may be preempted at basic blocks.
    pub(super) blocks: Option<Blocks>,
    /// Parked tasks may be woken without cause.
    spurious: bool,
    /// A preempted task or thread may be delayed.
    pub(super) preempted: Option<Delays>,
    pub(super) spent: Spent,
    /// How many of the delays of a ready task the test allows.
    pub(super) delay_bound: u32,
    /// How many alternatives of [`later`] are no longer than those.
    later_bound: u32,
}

impl Perturber {
    pub(super) fn draw(choices: &mut Choices, settings: &Settings) -> Self {
        let (is_allowed, delay_max) = (settings.perturb, settings.delay_max);
        let swarm = choices.lane(LaneKind::Swarm, "");
        let mut drawn = |name: &str, one_in: u32| {
            let point = choices.point(swarm, name);
            is_allowed && choices.choose(point, 2, |rng| u32::from(below(rng, one_in) == 0)) == 1
        };
        let (woken, preempts) = (drawn(SWARM.woken, 3), drawn(SWARM.preempts, 3));
        let (pending, spurious) = (drawn(SWARM.pending, 3), drawn(SWARM.spurious, 3));
        let stacks = drawn(SWARM.stacks, 3);
        let preempted = drawn(SWARM.preempted, 2).then(|| Delays::draw(choices));
        let blocks = settings.preempt_blocks.then(|| Blocks::draw(choices, is_allowed)).flatten();
        let allowed = |delays: &[Nanos]| delays.partition_point(|&nanos| nanos <= delay_max) as u32;
        Self {
            woken,
            preempts,
            pending,
            stacks,
            blocks,
            effects: Cell::new((!is_allowed).then_some(false)),
            spurious,
            preempted,
            spent: Spent::default(),
            delay_bound: allowed(&DELAYS),
            later_bound: allowed(&LATER),
        }
    }
}

impl Scheduler {
    /// Begins one async operation of the running task, which may get a spurious `Pending` first.
    ///
    /// `Pending` means that the operation has not begun and the task will be woken. The task was preempted, as by
    /// tokio's budget, or its readiness is late.
    #[inline]
    pub(crate) fn poll_operation(&self, context: &Context<'_>, wait: Wait) -> Poll<()> {
        if self.grant.is_limited.get() || self.perturber.pending {
            return self.poll_perturbed(context, wait);
        }
        Poll::Ready(())
    }

    #[inline]
    fn poll_perturbed(&self, context: &Context<'_>, wait: Wait) -> Poll<()> {
        ready!(self.poll_turn(context, Next::Wait(wait)));
        if !self.perturber.pending {
            return Poll::Ready(());
        }
        let Some(task) = self.current().filter(|_| self.may_perturb()) else {
            return Poll::Ready(());
        };
        let point = self.point(self.lanes().pending, task, Operation::on("pending", wait.verb()));
        // At most as late as a task may be delayed: the limits of the test must have room for both.
        let bound = self.perturber.later_bound;
        let room = || self.affordable(&LATER[..bound as usize]);
        let draw = |rng: &mut _| draw_later(rng, 12, room);
        let value = self.choices.borrow_mut().choose_within(point, bound, room, draw);
        let Some(nanos) = later(value) else { return Poll::Ready(()) };
        self.spend(nanos);
        self.trace_event(TraceEvent::SpuriousPending { wait, nanos });
        self.wake_later(nanos, context.waker());
        Poll::Pending
    }

    /// Begins one async operation that never waits. The running task may be preempted before it.
    #[inline]
    pub(crate) fn poll_turn(&self, context: &Context<'_>, operation: Next) -> Poll<()> {
        if !self.grant.is_limited.get() {
            return Poll::Ready(());
        }
        // Operations of tokio spend the same budget. So a task is also preempted between an operation of tokio and one
        // of these.
        if has_budget_remaining()
            && let Poll::Ready(spent) = poll_proceed(&mut Context::from_waker(Waker::noop()))
        {
            spent.made_progress();
            return Poll::Ready(());
        }
        self.out_of_budget(operation);
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Returns `true` if threads of this run may be delayed after an effect.
    pub(super) fn delays_threads_after_effects(&self) -> bool {
        self.perturber.effects.get().unwrap_or_else(|| {
            let mut choices = self.choices.borrow_mut();
            let lane = choices.lane(LaneKind::Swarm, THREADS);
            let point = choices.point(lane, SWARM.effects);
            let is_on = choices.choose(point, 2, |rng| u32::from(below(rng, 3) == 0)) == 1;
            self.perturber.effects.set(Some(is_on));
            is_on
        })
    }

    /// Returns `true` if code under test may still be perturbed: not after every main has ended.
    pub(crate) fn may_perturb(&self) -> bool {
        self.mains_left() > 0
    }

    /// Wakes `waker` after `nanos`, at once if that is 0.
    pub(crate) fn wake_later(&self, nanos: Nanos, waker: &Waker) {
        if nanos == 0 {
            waker.wake_by_ref();
        } else {
            self.arm(self.now() + nanos, NO_HOST, waker.clone());
        }
    }

    /// Decides whether a task that has just parked is woken spuriously, and when.
    pub(super) fn perhaps_wake_spuriously(&self, task: TaskId) {
        if !self.perturber.spurious || !self.may_perturb() {
            return;
        }
        let point = self.own_point(OwnPoint::SpuriousWake, task);
        let draw = |rng: &mut _| draw_later(rng, 24, || LATER_BOUND);
        let value = self.choices.borrow_mut().choose(point, LATER_BOUND, draw);
        match later(value) {
            None => {}
            Some(0) => self.wake_spuriously(task),
            Some(nanos) => {
                let waker = Waker::from(Arc::new(Spurious { run: self.run, task }));
                self.arm(self.now() + nanos, NO_HOST, waker);
            }
        }
    }

    fn wake_spuriously(&self, task: TaskId) {
        let is_idle = {
            let entry = &self.tasks.borrow()[task.index()];
            entry.state == State::Parked && !entry.woken
        };
        if is_idle {
            self.trace_event_of(task, TraceEvent::SpuriousWakeUp);
            self.wake(task);
        }
    }

    // For wrappers of code under test (`adversary`, `probes`).

    /// Names the point "SCOPE OPERATION" of the lane `lane`.
    pub(crate) fn named_point(&self, lane: LaneKind, name: &str) -> PointId {
        let mut choices = self.choices.borrow_mut();
        let lane = choices.lane(lane, "");
        choices.point(lane, name)
    }

    /// Draws a choice.
    pub(crate) fn choose(
        &self,
        point: PointId,
        bound: u32,
        draw: impl FnOnce(&mut ChaCha8Rng) -> u32,
    ) -> u32 {
        self.choices.borrow_mut().choose(point, bound, draw)
    }
}

struct Spurious {
    run: u64,
    task: TaskId,
}

impl Wake for Spurious {
    fn wake(self: Arc<Self>) {
        current::with(self.run, |scheduler| scheduler.wake_spuriously(self.task));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use wavetank_runtime::{ListenOptions, Listener, Runtime, SocketOptions};

    use crate::host::Host;
    use crate::run::tests::{seeded, strictly_again, symptom};
    use crate::sim::Sim;

    /// A client that connects, reads and sleeps. Each operation may get a spurious `Pending` or wake-up.
    fn reads_a_greeting(sim: &mut Sim) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        sim.server("server", async |host| {
            let address = "0.0.0.0:80".parse().unwrap();
            let listener = Runtime::listen(&host, address, ListenOptions::new()).await?;
            listener.accept().await?.0.write_all(b"ahoy").await
        });
        sim.client("client", async |host| {
            let server = Runtime::resolve(&host, "server", 80).await?[0];
            let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
            let mut greeting = String::new();
            stream.read_to_string(&mut greeting).await?;
            assert_eq!(greeting, "ahoy");
            let before = Runtime::now(&host);
            Runtime::sleep(&host, Duration::from_millis(3)).await;
            assert!(Runtime::now(&host) - before >= Duration::from_millis(3), "no timer is early");
            std::io::Result::Ok(())
        });
    }

    #[test]
    fn every_operation_survives_a_spurious_pending() {
        let mut seen = BTreeSet::new();
        for seed in 0..400 {
            let outcome = seeded(seed, reads_a_greeting);
            let trace = outcome.trace.render();
            assert_eq!(symptom(&outcome), "", "seed {seed}\n{trace}");
            let told = trace
                .lines()
                .filter_map(|line| line.split_once("~ gets a spurious Pending before it can "))
                .map(|(_, what)| what);
            seen.extend(told.filter_map(|what| what.split_once(' ')).map(|(verb, _)| verb.to_owned()));
            let again = strictly_again(seed, &outcome, reads_a_greeting);
            assert_eq!(again.trace.first_difference(&outcome.trace), None);
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["accept", "connect", "read", "see", "write"]);
    }

    #[test]
    fn only_perturbed_runs_have_spurious_wake_ups() {
        let waits = |perturb: bool| {
            move |sim: &mut Sim| {
                sim.perturb(perturb).client("client", async |host: Host| {
                    Runtime::sleep(&host, Duration::from_secs(1)).await;
                });
            }
        };
        let woken = |perturb| {
            let traces = (0..300).map(|seed| seeded(seed, waits(perturb)).trace.render());
            traces.filter(|trace| trace.contains("~ is woken spuriously")).count()
        };
        assert!((1..100).contains(&woken(true)), "{} runs", woken(true));
        assert_eq!(woken(false), 0);
    }

    #[test]
    fn the_trace_shows_preemption_before_the_next_operation() {
        let sends = |sim: &mut Sim| {
            reads_a_greeting(sim);
            sim.client("other", async |_| {
                let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
                (0..20).for_each(|number| sender.send(number).unwrap());
                drop(sender);
                while receiver.recv().await.is_some() {}
            });
        };
        let mut seen = BTreeSet::new();
        for seed in 0..100 {
            let outcome = seeded(seed, sends);
            let trace = outcome.trace.render();
            let told = trace.lines().filter_map(|line| line.split_once("~ is preempted after "));
            let told: Vec<String> = told.map(|(who, what)| format!("{who} {what}")).collect();
            if !trace.contains('…') {
                assert_eq!(told.len(), outcome.trace.preempted(), "seed {seed}\n{trace}");
            }
            seen.extend(told.iter().filter_map(|told| {
                let (who, what) = told.split_once("ms  ")?;
                Some(
                    format!("{} {what}", who.trim()).split_whitespace().skip(1).collect::<Vec<_>>().join(" "),
                )
            }));
            let again = strictly_again(seed, &outcome, sends);
            assert_eq!(again.trace.first_difference(&outcome.trace), None);
        }
        let has = |wanted: &str| seen.iter().any(|told| told == wanted);
        assert!(
            has("other/main 1 operation, before the next one on a tokio channel, lock, timer or socket"),
            "{seen:#?}"
        );
        assert!(has("client/main 1 operation, before it can read client:49152 -> server:80"), "{seen:#?}");
        let default = seeded(1, move |sim| {
            sim.perturb(false);
            sends(sim);
        });
        assert_eq!(default.trace.preempted(), 0);
    }

    #[test]
    fn perturbation_timers_neither_leak_nor_hide_deadlocks() {
        for seed in 0..200 {
            let stuck =
                seeded(seed, |sim| sim.client("client", async |_| std::future::pending::<()>().await));
            assert!(symptom(&stuck).starts_with("deadlock: nothing can happen: client/main"), "seed {seed}");
        }
    }
}
