//! Which stream ids the peer has used.
//!
//! Ids are meant to grow. Yet peers with threads draw the id before they queue the frame (hashicorp/yamux does), so
//! that streams opened at the same time may come in another order. An id below the highest is new if it was skipped
//! before; the latest of those are remembered, up to
//! [`Limits::skipped_ids`](crate::Limits::skipped_ids).

use std::collections::BTreeSet;

use crate::violation::Violation;

/// The ids of the streams that the peer opens.
#[derive(Debug)]
pub(crate) struct RemoteIds {
    /// The lowest id above all that were seen. In 64 bits, as there is one above the last.
    next: u64,
    skipped: BTreeSet<u32>,
    skipped_max: u32,
}

impl RemoteIds {
    /// `first` is the first id of the peer: 1 or 2.
    pub(crate) fn new(first: u32, skipped_max: u32) -> Self {
        Self { next: first.into(), skipped: BTreeSet::new(), skipped_max }
    }

    /// Notes that the peer opens `id`.
    pub(crate) fn open(&mut self, id: u32) -> Result<(), Violation> {
        let wide = u64::from(id);
        if id == 0 {
            return Err(Violation::StreamZero);
        }
        if wide % 2 != self.next % 2 {
            return Err(Violation::WrongParity(id));
        }
        if wide < self.next {
            return if self.skipped.remove(&id) { Ok(()) } else { Err(Violation::ReusedId(id)) };
        }
        let oldest = wide.saturating_sub(2 * u64::from(self.skipped_max));
        // Of a gap that is longer than what is remembered, the end counts.
        let first = self.next.max(oldest);
        self.skipped.extend((first..wide).step_by(2).filter_map(|skipped| u32::try_from(skipped).ok()));
        while self.skipped.len() > self.skipped_max as usize {
            self.skipped.pop_first();
        }
        self.next = wide + 2;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_wrong_side_are_refused() {
        let mut ids = RemoteIds::new(1, 1024);
        assert_eq!(ids.open(0), Err(Violation::StreamZero));
        assert_eq!(ids.open(2), Err(Violation::WrongParity(2)));
        assert_eq!(RemoteIds::new(2, 1024).open(7), Err(Violation::WrongParity(7)));
    }

    #[test]
    fn ids_open_once_in_any_near_order() {
        let mut ids = RemoteIds::new(1, 1024);
        for id in [5, 1, 9, 3, 7] {
            assert_eq!(ids.open(id), Ok(()));
        }
        for id in [1, 3, 5, 7, 9] {
            assert_eq!(ids.open(id), Err(Violation::ReusedId(id)));
        }
        assert_eq!(ids.open(11), Ok(()));
    }

    #[test]
    fn the_memory_of_skipped_ids_is_bounded() {
        let mut ids = RemoteIds::new(2, 1024);
        assert_eq!(ids.open(0xffff_fffe), Ok(()));
        assert_eq!(ids.skipped.len(), 1024);
        assert_eq!(ids.open(4), Err(Violation::ReusedId(4)));
        assert_eq!(ids.open(0xffff_fffc), Ok(()));
        assert_eq!(ids.open(0xffff_fffe), Err(Violation::ReusedId(0xffff_fffe)));
    }

    #[test]
    fn without_skipped_ids_they_only_grow() {
        let mut ids = RemoteIds::new(1, 0);
        assert_eq!(ids.open(5), Ok(()));
        assert_eq!(ids.open(3), Err(Violation::ReusedId(3)));
        assert_eq!(ids.open(7), Ok(()));
    }

    #[test]
    fn the_last_odd_id_can_be_opened_once() {
        let mut ids = RemoteIds::new(1, 1024);
        assert_eq!(ids.open(u32::MAX), Ok(()));
        assert_eq!(ids.open(u32::MAX), Err(Violation::ReusedId(u32::MAX)));
    }
}
