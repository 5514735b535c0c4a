//! Cancellation: a future that is dropped at one of its awaits, as `select!`, a timeout or an abort would.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::alarm::Alarm;
use super::awaits::{draw_await, ordinal, scope_of};
use crate::choice::{LaneKind, below};
use crate::sched::{LATER_BOUND, later};
use crate::time::Nanos;
use crate::time::after;
use crate::trace::TraceEvent;
use crate::world::Run;
use crate::world::context;

/// Makes `future` cancellable. The run chooses whether it is cancelled, at which of its first 16 awaits, and how long
/// after it. The result is `None` if it was.
///
/// An await is a poll of the future that returns `Pending`. The future is dropped at once, at its next poll (something
/// had been handed to it), or some time later, as by a timeout. The test then checks that nothing is lost, nothing is
/// left over, and the next operation works.
///
/// # Outside of a simulated run
///
/// Never cancels.
///
/// # Determinism
///
/// Draws in the lane `cancel`, for the running task under `name`. The default answer is not to cancel.
/// [`Sim::perturb`](crate::Sim::perturb) does not affect it, because the test asked for it.
///
/// # Example: a receive that loses nothing
///
/// ```
/// use wavetank::cancellable;
///
/// # wavetank::Sweep::new("doc", "").seeds(4).run(|sim| {
/// sim.client("client", async |_| {
///     let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
///     let send = async move { sender.send(7).await.unwrap() };
///     let receive = async {
///         loop {
///             // Each call may be cancelled, and the next one must find the message.
///             if let Some(message) = cancellable("recv", receiver.recv()).await {
///                 break message;
///             }
///         }
///     };
///     assert_eq!(tokio::join!(send, receive).1, Some(7));
/// });
/// # });
/// ```
pub const fn cancellable<F: Future>(name: &'static str, future: F) -> Cancellable<F> {
    Cancellable { future: Some(future), name, plan: Plan::Undecided }
}

pin_project! {
    /// A future that may be cancelled. Made by [`cancellable`].
    ///
    /// # Panics
    ///
    /// If it is polled after it has completed.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Cancellable<F> {
        #[pin]
        future: Option<F>,
        name: &'static str,
        plan: Plan,
    }
}

/// What happens to a future.
#[derive(Debug)]
enum Plan {
    /// It was not polled yet.
    Undecided,
    /// It runs to its end.
    Left,
    /// It is cancelled after this many more polls were `Pending`; `delay` is a value.
    Counting { left: u32, at: u32, delay: u32 },
    /// It is cancelled when it is next polled.
    WhenPolled { at: u32 },
    /// It is cancelled when the alarm goes off.
    Alarmed { at: u32, nanos: Nanos, alarm: Alarm },
}

impl Plan {
    fn draw(run: &Run, name: &str) -> Self {
        let scheduler = &run.scheduler;
        let scope = scope_of(run, name);
        let Some(at) = draw_await(run, LaneKind::Cancel, &format!("{scope} at")) else { return Self::Left };
        let point = scheduler.named_point(LaneKind::Cancel, &format!("{scope} delay"));
        // At once, when polled again, and later, with equal probability.
        let delay = scheduler.choose(point, LATER_BOUND, |rng| match below(rng, 3) {
            2 => 2 + below(rng, LATER_BOUND - 2),
            soon => soon,
        });
        Self::Counting { left: at, at, delay }
    }

    /// Notes that a poll was `Pending`. Returns the await at which the future is cancelled now, if it is.
    fn count(&mut self, run: &Run, waker: &Waker) -> Option<u32> {
        let Self::Counting { left, at, delay } = self else { return None };
        *left -= 1;
        if *left > 0 {
            return None;
        }
        let (at, delay) = (*at, *delay);
        match later(delay) {
            None => return Some(at),
            Some(0) => *self = Self::WhenPolled { at },
            Some(nanos) => {
                *self = Self::Alarmed { at, nanos, alarm: Alarm::set(run, nanos, waker) };
            }
        }
        None
    }

    /// Notes that the future is polled again. Returns the await at which it is cancelled instead, and why.
    fn due(&self, run: &Run, waker: &Waker) -> Option<(u32, String)> {
        match self {
            Self::WhenPolled { at } => Some((*at, ", when it is polled again".to_owned())),
            Self::Alarmed { at, nanos, alarm } => {
                alarm.poll(run, waker).is_ready().then(|| (*at, format!(", {}", after(*nanos))))
            }
            Self::Undecided | Self::Left | Self::Counting { .. } => None,
        }
    }
}

impl<F: Future> Future for Cancellable<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let run = context::current().filter(|run| run.scheduler.may_perturb());
        let mut cancelled = None;
        if let Some(run) = &run {
            if matches!(this.plan, Plan::Undecided) {
                *this.plan = Plan::draw(run, this.name);
            }
            cancelled = this.plan.due(run, context.waker());
        }
        if cancelled.is_none() {
            let future =
                this.future.as_mut().as_pin_mut().expect("a cancellable future was polled after its end");
            if let Poll::Ready(output) = future.poll(context) {
                this.future.set(None);
                *this.plan = Plan::Left;
                return Poll::Ready(Some(output));
            }
            let at = run.as_ref().and_then(|run| this.plan.count(run, context.waker()));
            cancelled = at.map(|at| (at, String::new()));
        }
        let (Some(run), Some((at, when))) = (run, cancelled) else { return Poll::Pending };
        let what = format!("cancels `{}` at its {} await{when}", this.name, ordinal(at));
        run.scheduler.trace_event(TraceEvent::Adversary(what.into()));
        *this.plan = Plan::Left;
        // The destructors of the future may use the run.
        drop(run);
        this.future.set(None);
        Poll::Ready(None)
    }
}
