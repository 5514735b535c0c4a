//! Pauses: a future that is kept alive and not polled for a while, as in a loop around `select!` that waits for
//! something else in the body of a branch.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::alarm::Alarm;
use super::awaits::{draw_await, ordinal, scope_of};
use crate::choice::{LaneKind, below};
use crate::sched::{LATER_BOUND, later};
use crate::time::{Nanos, after};
use crate::trace::TraceEvent;
use crate::world::{Run, context};

/// Makes `future` pausable. The run chooses whether it is paused, at which of its first 16 awaits, and for how long.
///
/// An await is a poll of the future that returns `Pending`. A paused future stays alive and is not polled, even if it
/// is woken. It keeps its place in queues, its permits and its locks. This happens in production when `select!` polls a
/// future by reference in a loop and the body of another branch waits. [`cancellable`](super::cancellable) finds only
/// bugs that dropping causes.
///
/// A pause lasts up to one second.
///
/// # Outside of a simulated run
///
/// Never pauses.
///
/// # Determinism
///
/// Draws in the lane `adversary`, for the running task under `name`. The default answer is not to pause.
/// [`Sim::perturb`](crate::Sim::perturb) does not affect it, because the test asked for it.
///
/// # Example: others go on while one does not
///
/// ```
/// use wavetank::pausable;
///
/// # wavetank::Sweep::new("doc", "").seeds(4).run(|sim| {
/// sim.client("client", async |_| {
///     let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
///     let send = async move {
///         for job in 0..3 {
///             // The send may have its place in the channel and not use it yet.
///             pausable("send", sender.send(job)).await.unwrap();
///         }
///     };
///     let receive = async { while receiver.recv().await.is_some() {} };
///     tokio::join!(send, receive);
/// });
/// # });
/// ```
pub const fn pausable<F: Future>(name: &'static str, future: F) -> Pausable<F> {
    Pausable { future, name, plan: Plan::Undecided }
}

pin_project! {
    /// A future that may be paused. Made by [`pausable`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Pausable<F> {
        #[pin]
        future: F,
        name: &'static str,
        plan: Plan,
    }
}

/// What happens to a future.
#[derive(Debug)]
enum Plan {
    /// It was not polled yet.
    Undecided,
    /// It is polled whenever its task is.
    Left,
    /// It is paused after this many more polls were `Pending`.
    Counting { left: u32, at: u32, nanos: Nanos },
    /// It is not polled until the alarm goes off.
    Paused(Alarm),
}

impl Plan {
    fn draw(run: &Run, name: &str) -> Self {
        let scheduler = &run.scheduler;
        let scope = scope_of(run, name);
        let Some(at) = draw_await(run, LaneKind::Adversary, &format!("{scope} pauses-at")) else {
            return Self::Left;
        };
        let point = scheduler.named_point(LaneKind::Adversary, &format!("{scope} pauses-for"));
        // Value 0 is the shortest pause that others notice.
        let value = scheduler.choose(point, LATER_BOUND - 2, |rng| below(rng, LATER_BOUND - 2));
        Self::Counting { left: at, at, nanos: later(value + 2).unwrap_or_default() }
    }
}

impl<F: Future> Future for Pausable<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let run = context::current().filter(|run| run.scheduler.may_perturb());
        let Some(run) = run else {
            // After every main has ended nothing is late any more.
            *this.plan = Plan::Left;
            return this.future.poll(context);
        };
        if matches!(this.plan, Plan::Undecided) {
            *this.plan = Plan::draw(&run, this.name);
        }
        if let Plan::Paused(alarm) = this.plan {
            ready!(alarm.poll(&run, context.waker()));
            *this.plan = Plan::Left;
        }
        if let Poll::Ready(output) = this.future.poll(context) {
            *this.plan = Plan::Left;
            return Poll::Ready(output);
        }
        if let Plan::Counting { left, at, nanos } = this.plan {
            *left -= 1;
            if *left == 0 {
                let what = format!("pauses `{}` at its {} await, {}", this.name, ordinal(*at), after(*nanos));
                run.scheduler.trace_event(TraceEvent::Adversary(what.into()));
                *this.plan = Plan::Paused(Alarm::set(&run, *nanos, context.waker()));
            }
        }
        Poll::Pending
    }
}
