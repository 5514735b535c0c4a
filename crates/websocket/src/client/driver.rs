//! The task that meets the connection's obligations while no method is called: pongs, the answer to a Close frame,
//! keepalive, deadlines, and the rest of what was sent.
//!
//! Receivers read for themselves. The driver reads when none waits, or when a woken receiver does not read. While
//! receivers are active, it is not woken for reading, which would cost every message a detour. It looks at the stream
//! every [`LOOK`] instead.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::{Instant, Runtime, Sleep as _};

use super::shared::Shared;

/// How often the driver checks whether active receivers have stopped. A look that finds that they have read since the
/// last one leaves the stream to them, so twice this bounds how late a pong or the answer to a Close frame is.
const LOOK: Duration = Duration::from_millis(5);

/// Drives one connection to its end.
pub(super) struct Driver<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    shared: Arc<Shared<R, S>>,
    timer: Option<Pin<Box<R::Sleep>>>,
    /// When to look after the stream again, if receivers are at work.
    look: Option<Instant>,
    /// How often receivers had read when the driver looked last.
    seen: u64,
}

/// What a look led to.
enum Next {
    /// The connection is over.
    End,
    /// Others get their turn first.
    Again,
    /// There is nothing to do before this time, unless the driver is woken.
    Sleep(Option<Instant>),
}

impl<R, S> Driver<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(shared: Arc<Shared<R, S>>) -> Self {
        Self { shared, timer: None, look: None, seen: 0 }
    }

    fn look(&mut self) -> Next {
        let shared = Arc::clone(&self.shared);
        let signals = &shared.signals;
        let now = shared.runtime.now();
        shared.with(|state, after| {
            state.latest = now;
            let mut done = true;
            let unattended = state.is_unattended(signals);
            if state.session.deadline().is_some_and(|deadline| deadline <= now) {
                // The answer that is overdue may be here, unread.
                done = state.exchange(signals, || now, after);
                state.session.handle_deadline(now);
            } else if self.look.is_none_or(|look| look <= now) {
                let at_work = self.seen != state.receiver_reads;
                // A receiver that was just woken together with the driver gets the chance to come.
                let woken = state.receiving && self.look.is_none();
                if unattended && !at_work && !woken {
                    done = state.exchange(signals, || now, after);
                    state.forget_receiver(after);
                    self.look = None;
                } else {
                    self.look = (unattended || at_work).then(|| now + LOOK);
                }
                self.seen = state.receiver_reads;
            }
            state.write(|| now, after);
            state.watched = self.look.is_some();
            done &= signals.watch(state.watched) || !state.is_unattended(signals);
            if state.is_hung_up() {
                return Next::End;
            }
            let deadline = state.session.deadline();
            state.timer = deadline.into_iter().chain(self.look).min();
            if done { Next::Sleep(state.timer) } else { Next::Again }
        })
    }

    /// Polls the timer for `deadline`.
    fn poll_timer(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(self.shared.runtime.sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context)
    }
}

impl<R, S> Future for Driver<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            this.shared.signals.register_driver(context.waker());
            match this.look() {
                Next::End => return Poll::Ready(()),
                Next::Again => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Next::Sleep(None) => return Poll::Pending,
                Next::Sleep(Some(deadline)) => {
                    if this.poll_timer(deadline, context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl<R, S> Drop for Driver<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// If the runtime drops its tasks, none is left to close the connection cleanly.
    fn drop(&mut self) {
        let now = self.shared.runtime.now();
        self.shared.with(|state, after| {
            state.session.driver_dropped(now);
            state.hang_up(after);
        });
    }
}
