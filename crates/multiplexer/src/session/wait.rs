//! Tasks that wait for something of a session, in the order in which they came.

use std::collections::BTreeMap;
use std::task::Waker;

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

/// The tasks that wait for something of a stream, in no order.
#[derive(Debug, Default)]
pub(super) struct StreamWaiters {
    next: u64,
    wakers: BTreeMap<(StreamKey, u64), Waker>,
}

impl StreamWaiters {
    /// Waits at `place` if there is one, otherwise at a new one.
    ///
    /// Returns a waker that is to be dropped without the lock.
    pub(super) fn wait(&mut self, key: StreamKey, place: &mut Option<Place>, waker: &Waker) -> Option<Waker> {
        let place = *place.get_or_insert_with(|| {
            self.next += 1;
            Place(self.next)
        });
        self.wakers.insert((key, place.0), waker.clone())
    }

    /// Gives up `place`. Returns a waker that is to be dropped without the lock.
    pub(super) fn leave(&mut self, key: StreamKey, place: Place) -> Option<Waker> {
        self.wakers.remove(&(key, place.0))
    }

    /// The wakers of all that wait for the stream.
    pub(super) fn wake(&mut self, key: StreamKey) -> Vec<Waker> {
        let of_stream = self.wakers.range((key, 0)..=(key, u64::MAX)).map(|(place, _)| *place);
        let places: Vec<_> = of_stream.collect();
        places.iter().filter_map(|place| self.wakers.remove(place)).collect()
    }

    /// The wakers of all.
    pub(super) fn wake_all(&mut self) -> impl Iterator<Item = Waker> {
        std::mem::take(&mut self.wakers).into_values()
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
    fn a_woken_task_is_not_woken_again_before_it_waits_again() {
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
