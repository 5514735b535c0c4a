//! Source streams of the mock.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use wavetank_runtime::{Runtime, Sleep as _};

use super::{Live, data};

/// A pause between results: none before the first.
struct Pace<R: Runtime> {
    runtime: R,
    every: Option<Duration>,
    timer: Option<Pin<Box<R::Sleep>>>,
}

impl<R: Runtime> Pace<R> {
    fn new(runtime: R, every: Option<Duration>) -> Self {
        Self { runtime, every, timer: None }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(every) = self.every else { return Poll::Ready(()) };
        let next = self.runtime.now() + every;
        match &mut self.timer {
            None => self.timer = Some(Box::pin(self.runtime.sleep_until(next))),
            Some(timer) => {
                if timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                timer.as_mut().reset(next);
            }
        }
        Poll::Ready(())
    }
}

/// Numbers from 1.
pub(super) struct Count<R: Runtime> {
    pace: Pace<R>,
    field: &'static str,
    next: u64,
    to: Option<u64>,
    /// Spaces behind each number: results of a size.
    pad: u64,
    live: Live,
}

impl<R: Runtime> Count<R> {
    pub(super) fn new(
        runtime: R,
        field: &'static str,
        to: Option<u64>,
        every: Option<Duration>,
        pad: u64,
        live: Live,
    ) -> Self {
        Self { pace: Pace::new(runtime, every), field, next: 1, to, pad, live }
    }
}

impl<R: Runtime> Stream for Count<R> {
    type Item = String;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        let this = self.get_mut();
        if this.to.is_some_and(|to| this.next > to) {
            return Poll::Ready(None);
        }
        if this.pace.poll(context).is_pending() {
            return Poll::Pending;
        }
        let mut result = data(this.field, this.next);
        result.extend(std::iter::repeat_n(' ', usize::try_from(this.pad).unwrap_or(0)));
        this.next += 1;
        this.live.result();
        Poll::Ready(Some(result))
    }
}

impl<R: Runtime> Unpin for Count<R> {}

/// Results of an incremental delivery.
pub(super) struct Parts<R: Runtime> {
    pace: Pace<R>,
    next: u64,
    count: u64,
    live: Live,
}

impl<R: Runtime> Parts<R> {
    pub(super) fn new(runtime: R, count: u64, every: Option<Duration>, live: Live) -> Self {
        Self { pace: Pace::new(runtime, every), next: 0, count, live }
    }
}

impl<R: Runtime> Stream for Parts<R> {
    type Item = String;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        let this = self.get_mut();
        if this.next > this.count {
            return Poll::Ready(None);
        }
        if this.pace.poll(context).is_pending() {
            return Poll::Pending;
        }
        let number = this.next;
        this.next += 1;
        this.live.result();
        Poll::Ready(Some(part(number, this.count)))
    }
}

/// Result `number`, from 0 to `count`, of an incremental delivery.
pub(super) fn part(number: u64, count: u64) -> String {
    let has_next = number < count;
    if number == 0 {
        return format!(r#"{{"data":{{}},"pending":[{{"id":"0","path":[]}}],"hasNext":{has_next}}}"#);
    }
    let data = format!(r#"{{"part{number}":{number}}}"#);
    format!(r#"{{"incremental":[{{"id":"0","data":{data}}}],"hasNext":{has_next}}}"#)
}

impl<R: Runtime> Unpin for Parts<R> {}

/// Nothing, for ever.
pub(super) struct Silent {
    _live: Live,
}

impl Silent {
    pub(super) fn new(live: Live) -> Self {
        Self { _live: live }
    }
}

impl Stream for Silent {
    type Item = String;

    fn poll_next(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<String>> {
        Poll::Pending
    }
}
