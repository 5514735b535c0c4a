//! Streams that were closed not long ago.
//!
//! A peer may go on sending on a stream that has ended here without a reset of ours. One reset answers it, once; the
//! rest is ignored. How many are remembered is bounded by count and by time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use wavetank_runtime::Instant;

#[derive(Debug)]
pub(crate) struct Tombstones {
    /// Whether data still gets an answer, by id.
    answers: BTreeMap<u32, bool>,
    /// The ids in the order in which they were closed.
    closed: VecDeque<(Instant, u32)>,
    count_max: usize,
    age_max: Duration,
}

impl Tombstones {
    pub(crate) fn new(count_max: u32, age_max: Duration) -> Self {
        let count_max = usize::try_from(count_max).unwrap_or(usize::MAX);
        Self { answers: BTreeMap::new(), closed: VecDeque::new(), count_max, age_max }
    }

    /// Remembers a stream that has ended. `was_reset`: we have sent RST already.
    pub(crate) fn insert(&mut self, id: u32, was_reset: bool, now: Instant) {
        self.forget(now);
        if self.count_max == 0 {
            return;
        }
        if self.closed.len() == self.count_max
            && let Some((_, oldest)) = self.closed.pop_front()
        {
            self.answers.remove(&oldest);
        }
        self.closed.push_back((now, id));
        self.answers.insert(id, !was_reset);
    }

    /// Whether data that came for the stream is to be answered by RST. `true` once at most.
    pub(crate) fn take_answer(&mut self, id: u32, now: Instant) -> bool {
        self.forget(now);
        self.answers.get_mut(&id).is_some_and(std::mem::take)
    }

    fn forget(&mut self, now: Instant) {
        while let Some(&(closed, id)) = self.closed.front()
            && now - closed >= self.age_max
        {
            self.closed.pop_front();
            self.answers.remove(&id);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        assert_eq!(self.closed.len(), self.answers.len());
        self.closed.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn late_data_is_answered_at_most_once() {
        let mut tombstones = Tombstones::new(8, MINUTE);
        tombstones.insert(1, false, at(0));
        tombstones.insert(3, true, at(0));
        assert!(tombstones.take_answer(1, at(1)));
        assert!(!tombstones.take_answer(1, at(1)));
        assert!(!tombstones.take_answer(3, at(1)));
        assert!(!tombstones.take_answer(5, at(1)));
    }

    #[test]
    fn old_tombstones_are_forgotten() {
        let mut tombstones = Tombstones::new(8, MINUTE);
        tombstones.insert(1, false, at(0));
        tombstones.insert(3, false, at(30));
        assert!(!tombstones.take_answer(1, at(60)));
        assert!(tombstones.take_answer(3, at(60)));
        assert_eq!(tombstones.len(), 1);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut tombstones = Tombstones::new(2, MINUTE);
        for id in [1, 3, 5] {
            tombstones.insert(id, false, at(0));
        }
        assert_eq!(tombstones.len(), 2);
        assert!(!tombstones.take_answer(1, at(0)));
        assert!(tombstones.take_answer(3, at(0)));
        let mut none = Tombstones::new(0, MINUTE);
        none.insert(1, false, at(0));
        assert_eq!(none.len(), 0);
    }
}
