//! The tasks that wait for an event of a connection, in the order of their calls.

use std::collections::BTreeMap;
use std::task::Waker;

/// The tasks that wait for one kind of event.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: u64,
    /// `None`: has been woken, and has not come yet.
    wakers: BTreeMap<u64, Option<Waker>>,
}

/// A place among [`Waiters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u64);

impl Waiters {
    /// Waits at `place` if there is one, else behind the others.
    pub(super) fn wait(&mut self, place: &mut Option<Place>, waker: &Waker) {
        let place = self.keep(place);
        self.wakers.insert(place.0, Some(waker.clone()));
    }

    /// Returns `true` if no task is in the line.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    /// Takes a place behind the others, unless there is one already, without waiting.
    pub(super) fn keep(&mut self, place: &mut Option<Place>) -> Place {
        *place.get_or_insert_with(|| {
            self.next += 1;
            self.wakers.insert(self.next, None);
            Place(self.next)
        })
    }

    /// Gives up `place`.
    pub(super) fn leave(&mut self, place: Place) {
        self.wakers.remove(&place.0);
    }

    /// Returns `true` if the task at `place` (`None`: it has just come) is the first in the line.
    #[inline]
    pub(super) fn is_first(&self, place: Option<Place>) -> bool {
        match (self.wakers.first_key_value(), place) {
            (None, _) => true,
            (Some((first, _)), Some(place)) => *first == place.0,
            (Some(_), None) => false,
        }
    }

    /// The waker of the first in the line, which keeps the place; `None` if the line is empty, or the first was woken.
    pub(super) fn wake_first(&mut self) -> Option<Waker> {
        self.wakers.first_entry().and_then(|mut first| first.get_mut().take())
    }

    /// The wakers of all that were not woken yet, which keep their places.
    pub(super) fn wake_all(&mut self) -> impl Iterator<Item = Waker> {
        self.wakers.values_mut().filter_map(Option::take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_keeps_its_order_when_tasks_leave() {
        let mut line = Waiters::default();
        let (mut first, mut second) = (None, None);
        assert!(line.is_first(None));
        line.wait(&mut first, Waker::noop());
        line.wait(&mut second, Waker::noop());
        line.wait(&mut first, Waker::noop());
        assert!(line.is_first(first) && !line.is_first(second) && !line.is_first(None));
        line.leave(first.expect("a place"));
        assert!(line.is_first(second));
        line.leave(second.expect("a place"));
        assert!(line.is_first(None));
    }

    #[test]
    fn a_woken_task_is_not_woken_twice() {
        let mut line = Waiters::default();
        let (mut first, mut second) = (None, None);
        line.wait(&mut first, Waker::noop());
        line.wait(&mut second, Waker::noop());
        assert!(line.wake_first().is_some());
        assert!(line.wake_first().is_none());
        assert_eq!(line.wake_all().count(), 1);
        line.wait(&mut first, Waker::noop());
        assert!(line.wake_first().is_some());
    }
}
