//! Decides which of two logs is simpler. The shrinker minimises this order, and recordings compete in it.

use crate::choice::{ChoiceLog, LaneKind, LaneName};

/// Lanes by how much their values demand of a reader, the most demanding first. Where one of two values must stay, the
/// shrinker keeps the one of the later rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// A fault brings its own machinery: a break, a healing, retransmissions. So do lost datagrams, short reads, and
    /// what a test adds itself: awkward streams, cancellations, `buggify!`.
    Faults,
    /// A delay, a spurious wake-up, a spurious `Pending`: the reader must ask why nothing happens.
    Delays,
    /// A context switch has to be followed through the code under test.
    Schedule,
    /// A slow packet is only late.
    Links,
    /// Values that the test itself drew, and values without an effect of their own.
    Rest,
}

impl Rank {
    const COUNT: usize = 5;

    pub(crate) const fn of(lane: &LaneName) -> Self {
        match lane.kind() {
            LaneKind::Fault
            | LaneKind::Datagrams
            | LaneKind::Short
            | LaneKind::Adversary
            | LaneKind::Cancel
            | LaneKind::Buggify => Self::Faults,
            LaneKind::WokenDelay | LaneKind::PreemptedDelay | LaneKind::Pending | LaneKind::Spurious => {
                Self::Delays
            }
            LaneKind::Schedule | LaneKind::Budget | LaneKind::Block => Self::Schedule,
            LaneKind::Link => Self::Links,
            // A choice of the swarm has no effect itself. It only allows others.
            LaneKind::Swarm | LaneKind::Test | LaneKind::Turmoil | LaneKind::Entropy => Self::Rest,
        }
    }
}

/// The size of a log, to be compared. In this order:
///
/// 1. fewer values that are not 0: each is something to understand;
/// 2. among as many, fewer in the lanes of the first [`Rank`]s;
/// 3. smaller values (their sum), again by rank: a value nearer to 0 is more ordinary;
/// 4. fewer choices: a shorter run.
///
/// The length comes last, unlike in Hypothesis. Removing a value often makes a run *longer*, because what it broke off
/// now continues. That must still count as progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size {
    nonzero: usize,
    nonzero_by_rank: [usize; Rank::COUNT],
    sum_by_rank: [u64; Rank::COUNT],
    choices: usize,
}

impl Size {
    pub(crate) fn of(log: &ChoiceLog) -> Self {
        let ranks: Vec<usize> = log.points.iter().map(|point| Rank::of(&point.lane) as usize).collect();
        let mut size = Self {
            nonzero: 0,
            nonzero_by_rank: [0; Rank::COUNT],
            sum_by_rank: [0; Rank::COUNT],
            choices: log.choices.len(),
        };
        for choice in log.choices.iter().filter(|choice| choice.value != 0) {
            let rank = ranks[choice.point.index()];
            size.nonzero += 1;
            size.nonzero_by_rank[rank] += 1;
            size.sum_by_rank[rank] += u64::from(choice.value);
        }
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::log_of;

    #[test]
    fn the_order_is_as_stated() {
        let from_small_to_large = [
            log_of(&[]),
            log_of(&[("link", "a", 9, 0)]),
            log_of(&[("test", "a", 9, 8)]),
            log_of(&[("link a -> b", "a", 9, 1)]),
            log_of(&[("link a -> b", "a", 9, 1), ("fault", "a", 9, 0)]),
            log_of(&[("link a -> b", "a", 9, 8)]),
            log_of(&[("schedule", "a", 9, 1)]),
            log_of(&[("fault", "a", 9, 1)]),
            log_of(&[("test", "a", 9, 1), ("test", "a", 9, 1)]),
        ];
        assert!(from_small_to_large.is_sorted_by(|small, large| Size::of(small) < Size::of(large)));
    }
}
