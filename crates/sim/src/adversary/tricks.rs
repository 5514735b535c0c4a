//! What an [`Adversary`](super::Adversary) may do in its run, and the choices about it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::choice::{LaneKind, PointId, below};
use crate::sched::{LATER_BOUND, draw_later, later};
use crate::time::after;
use crate::trace::TraceEvent;
use crate::world::Run;
use crate::world::context;

/// The most bytes that a read or write moves, by value.
const LIMITS: [usize; 7] = [usize::MAX, 65_536, 1_000, 64, 7, 2, 1];

/// The tricks of one wrapper in one run.
#[derive(Clone, Debug)]
pub(super) struct Tricks {
    run: u64,
    scope: String,
    defers: bool,
    shortens: bool,
    decoys: bool,
    points: BTreeMap<(&'static str, &'static str), PointId>,
}

impl Tricks {
    /// Draws what the wrapper `name` does in the current run. `None` outside of a run.
    pub(super) fn draw(name: &str) -> Option<Self> {
        let run = context::current()?;
        let scope = run.scheduler.numbered(&name.replace(' ', "-"));
        let has = |kind: &str| {
            let point = run.scheduler.named_point(LaneKind::Adversary, &format!("{scope} {kind}"));
            run.scheduler.choose(point, 2, |rng| below(rng, 2)) == 1
        };
        let (defers, shortens, decoys) = (has("defers"), has("shortens"), has("decoys"));
        Some(Self { run: run.number, scope, defers, shortens, decoys, points: BTreeMap::new() })
    }

    fn run(&self) -> Option<Rc<Run>> {
        context::current().filter(|run| run.number == self.run && run.scheduler.may_perturb())
    }

    fn point(&mut self, run: &Run, kind: &'static str, operation: &'static str) -> PointId {
        let scope = &self.scope;
        *self.points.entry((kind, operation)).or_insert_with(|| {
            run.scheduler.named_point(LaneKind::Adversary, &format!("{scope} {kind} {operation}"))
        })
    }

    fn record(&self, run: &Run, what: &str) {
        run.scheduler.trace_event(TraceEvent::Adversary(format!("{}: {what}", self.scope).into()));
    }

    fn let_go_on(&mut self, context: &Context<'_>, operation: &'static str) -> Poll<()> {
        let Some(run) = self.run().filter(|_| self.defers) else { return Poll::Ready(()) };
        let point = self.point(&run, "pending", operation);
        let value = run.scheduler.choose(point, LATER_BOUND, |rng| draw_later(rng, 6, || LATER_BOUND));
        let Some(nanos) = later(value) else { return Poll::Ready(()) };
        self.record(&run, &format!("{operation} is pending, woken {}", after(nanos)));
        run.scheduler.wake_later(nanos, context.waker());
        Poll::Pending
    }

    fn limit(&mut self, operation: &'static str, wanted: usize) -> usize {
        let Some(run) = self.run().filter(|_| self.shortens && wanted > 1) else { return wanted };
        let point = self.point(&run, "short", operation);
        let bound = LIMITS.len() as u32;
        let draw = |rng: &mut _| if below(rng, 3) == 0 { below(rng, bound) } else { 0 };
        let limit = LIMITS[run.scheduler.choose(point, bound, draw) as usize];
        if limit < wanted {
            self.record(&run, &format!("{operation} moves {limit} B at most"));
        }
        limit.min(wanted)
    }

    fn has_decoy(&mut self, operation: &'static str) -> bool {
        let Some(run) = self.run().filter(|_| self.decoys) else { return false };
        let point = self.point(&run, "decoy", operation);
        let has_decoy = run.scheduler.choose(point, 2, |rng| u32::from(below(rng, 3) == 0)) == 1;
        if has_decoy {
            self.record(&run, &format!("{operation} is polled with another waker first"));
        }
        has_decoy
    }
}

/// Lets an operation continue, or returns `Pending` and wakes it later.
pub(super) fn let_go_on(
    tricks: &mut Option<Tricks>,
    context: &Context<'_>,
    operation: &'static str,
) -> Poll<()> {
    tricks.as_mut().map_or(Poll::Ready(()), |tricks| tricks.let_go_on(context, operation))
}

/// Returns how many of `wanted` bytes an operation may move: at least one, if any are wanted.
pub(super) fn limit(tricks: &mut Option<Tricks>, operation: &'static str, wanted: usize) -> usize {
    tricks.as_mut().map_or(wanted, |tricks| tricks.limit(operation, wanted))
}

/// Polls with the caller's waker, sometimes after another waker.
pub(super) fn with_decoy<T>(
    tricks: &mut Option<Tricks>,
    context: &mut Context<'_>,
    operation: &'static str,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    if tricks.as_mut().is_some_and(|tricks| tricks.has_decoy(operation)) {
        let ready = poll(&mut Context::from_waker(Waker::noop()));
        if ready.is_ready() {
            return ready;
        }
    }
    poll(context)
}
