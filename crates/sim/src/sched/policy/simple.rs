//! Policies without memory: first come first served, random, and random now and then.

use rand_chacha::ChaCha8Rng;

use super::{Candidates, Policy};
use crate::choice::below;

/// First come, first served.
pub(super) struct Fifo;

/// Any candidate at every scheduling point.
pub(super) struct Random;

/// Any candidate at one scheduling point in `every`, otherwise the default.
pub(super) struct Sticky {
    pub(super) every: u32,
}

impl Policy for Fifo {
    fn propose(&mut self, _: &Candidates<'_>, _: &mut ChaCha8Rng) -> u32 {
        0
    }
}

impl Policy for Random {
    fn propose(&mut self, candidates: &Candidates<'_>, lane: &mut ChaCha8Rng) -> u32 {
        below(lane, candidates.count())
    }
}

impl Policy for Sticky {
    fn propose(&mut self, candidates: &Candidates<'_>, lane: &mut ChaCha8Rng) -> u32 {
        if below(lane, self.every.max(1)) == 0 { below(lane, candidates.count()) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::proposals;
    use crate::sched::Strategy;

    #[test]
    fn fifo_always_takes_the_default_candidate() {
        assert_eq!(proposals(Strategy::Fifo, 20), vec![0; 20]);
    }

    #[test]
    fn random_takes_every_candidate_sooner_or_later() {
        let taken = proposals(Strategy::Random, 100);
        assert!((0..4).all(|candidate| taken.contains(&candidate)));
    }

    #[test]
    fn sticky_mostly_keeps_running_the_same_task() {
        let switches =
            proposals(Strategy::Sticky { every: 16 }, 320).iter().filter(|&&value| value != 0).count();
        assert!((5..60).contains(&switches), "{switches} switches");
    }
}
