//! Tasks that wait for something of a session, in the order in which they came.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};

use crate::error::WriteEnd;
use crate::protocol::StreamKey;

/// The tasks that wait for one kind of event.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: u64,
    /// `None`: was woken, and has not come yet.
    wakers: BTreeMap<u64, Option<Waker>>,
}

/// A place among [`Waiters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u64);

impl Waiters {
    /// Waits at `place` if there is one, otherwise behind the others.
    ///
    /// Returns a waker that is to be dropped without the lock.
    pub(super) fn wait(&mut self, place: &mut Option<Place>, waker: &Waker) -> Option<Waker> {
        let place = *place.get_or_insert_with(|| {
            self.next += 1;
            Place(self.next)
        });
        self.wakers.insert(place.0, Some(waker.clone())).flatten()
    }

    /// Gives up `place`. Returns a waker that is to be dropped without the lock.
    pub(super) fn leave(&mut self, place: Place) -> Option<Waker> {
        self.wakers.remove(&place.0).flatten()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    /// Whether the task at `place` (`None`: one that has just come) is the first.
    pub(super) fn is_first(&self, place: Option<Place>) -> bool {
        match (self.wakers.first_key_value(), place) {
            (None, _) => true,
            (Some((first, _)), Some(place)) => *first == place.0,
            (Some(_), None) => false,
        }
    }

    /// The waker of the first, which keeps its place; `None` if there is none, or it was woken already.
    pub(super) fn wake_first(&mut self) -> Option<Waker> {
        self.wakers.first_entry().and_then(|mut first| first.get_mut().take())
    }

    /// The wakers of all that were not woken yet, which keep their places.
    pub(super) fn wake_all(&mut self) -> impl Iterator<Item = Waker> {
        self.wakers.values_mut().filter_map(Option::take)
    }
}

/// The tasks that wait for the end of a sending half. What they wait for is kept for them: the stream may be
/// forgotten before they come.
#[derive(Debug, Default)]
pub(super) struct EndWaiters {
    next: u64,
    waiting: BTreeMap<(StreamKey, u64), EndWait>,
}

/// What a task of [`EndWaiters`] waits for.
#[derive(Debug)]
enum EndWait {
    /// It has not been polled yet.
    New,
    Waits(Waker),
    Ended(WriteEnd),
}

impl EndWaiters {
    /// Gives a place to a task that will wait, or whose result is known.
    pub(super) fn enter(&mut self, key: StreamKey, end: Option<WriteEnd>) -> Place {
        self.next += 1;
        self.waiting.insert((key, self.next), end.map_or(EndWait::New, EndWait::Ended));
        Place(self.next)
    }

    /// Returns the end, if it is known; otherwise waits.
    ///
    /// Also returns a waker that is to be dropped without the lock.
    pub(super) fn poll(
        &mut self,
        key: StreamKey,
        place: Place,
        waker: &Waker,
    ) -> (Poll<WriteEnd>, Option<Waker>) {
        let waiting = self.waiting.entry((key, place.0)).or_insert(EndWait::New);
        if let EndWait::Ended(end) = waiting {
            return (Poll::Ready(end.clone()), None);
        }
        match std::mem::replace(waiting, EndWait::Waits(waker.clone())) {
            EndWait::Waits(old) => (Poll::Pending, Some(old)),
            EndWait::New | EndWait::Ended(_) => (Poll::Pending, None),
        }
    }

    /// Gives up `place`. Returns a waker that is to be dropped without the lock.
    pub(super) fn leave(&mut self, key: StreamKey, place: Place) -> Option<Waker> {
        match self.waiting.remove(&(key, place.0)) {
            Some(EndWait::Waits(waker)) => Some(waker),
            _ => None,
        }
    }

    /// The sending half has ended so. Returns the wakers of all that wait for it.
    pub(super) fn end(&mut self, key: StreamKey, end: &WriteEnd) -> Vec<Waker> {
        let of_stream = self.waiting.range_mut((key, 0)..=(key, u64::MAX));
        of_stream.filter_map(|(_, waiting)| waiting.end(end)).collect()
    }

    /// All sending halves whose end is not known have ended so. Returns the wakers of all that wait.
    pub(super) fn end_all(&mut self, end: &WriteEnd) -> Vec<Waker> {
        self.waiting.values_mut().filter_map(|waiting| waiting.end(end)).collect()
    }
}

impl EndWait {
    fn end(&mut self, end: &WriteEnd) -> Option<Waker> {
        if matches!(self, Self::Ended(_)) {
            return None;
        }
        match std::mem::replace(self, Self::Ended(end.clone())) {
            Self::Waits(waker) => Some(waker),
            Self::New | Self::Ended(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_in_the_order_of_coming() {
        let mut waiters = Waiters::default();
        let (mut first, mut second) = (None, None);
        assert!(waiters.is_first(None));
        waiters.wait(&mut first, Waker::noop());
        waiters.wait(&mut second, Waker::noop());
        waiters.wait(&mut first, Waker::noop());
        assert!(waiters.is_first(first) && !waiters.is_first(second) && !waiters.is_first(None));
        waiters.leave(first.unwrap());
        assert!(waiters.is_first(second));
        waiters.leave(second.unwrap());
        assert!(waiters.is_empty() && waiters.is_first(None));
    }

    #[test]
    fn a_task_wakes_once_per_wait() {
        let mut waiters = Waiters::default();
        let (mut first, mut second) = (None, None);
        waiters.wait(&mut first, Waker::noop());
        waiters.wait(&mut second, Waker::noop());
        assert!(waiters.wake_first().is_some());
        assert!(waiters.wake_first().is_none());
        assert_eq!(waiters.wake_all().count(), 1);
        waiters.wait(&mut first, Waker::noop());
        assert!(waiters.wake_first().is_some());
    }
}
