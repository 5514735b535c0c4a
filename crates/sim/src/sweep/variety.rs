//! How many distinct schedules a sweep has run, and how many of them came lately: a reason to stop, or to go on.

use std::fmt;

/// Fewer seeds say nothing about what comes next.
const LAST_MIN: u64 = 16;

/// Counts distinct schedules by their fingerprints.
#[derive(Debug, Default)]
pub(super) struct Variety {
    distinct: Distinct,
    seeds: u64,
    /// How many were distinct when the count of seeds was a power of two: of the largest, and of the one before.
    at_powers: [(u64, u64); 2],
}

impl Variety {
    pub(super) fn add(&mut self, fingerprint: u64) {
        self.distinct.add(fingerprint);
        self.seeds += 1;
        if self.seeds.is_power_of_two() {
            self.at_powers = [(self.seeds, self.distinct.estimate()), self.at_powers[0]];
        }
    }
}

impl Variety {
    /// Returns the estimated number of distinct schedules.
    pub(super) fn count(&self) -> u64 {
        self.distinct.estimate()
    }

    /// Returns the places of all schedules in a set of 2^20. The union of several sweeps' places estimates how many
    /// schedules they had together.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        let bits = |(index, &word): (usize, &u64)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| index * 64 + bit)
        };
        self.distinct.words.iter().enumerate().flat_map(bits)
    }
}

/// "812 distinct schedules, 3 of them new in the last 600 seeds".
impl fmt::Display for Variety {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.distinct.estimate();
        let noun = if count == 1 { "schedule" } else { "schedules" };
        write!(f, "{count} distinct {noun}")?;
        // At least half of the seeds, so that the answer does not hang on the last few.
        let (seeds, before) = self.at_powers[usize::from(self.at_powers[0].0 > self.seeds / 2)];
        let last = self.seeds - seeds;
        if seeds == 0 || last < LAST_MIN {
            return Ok(());
        }
        write!(f, ", {} of them new in the last {last} seeds", count.saturating_sub(before))
    }
}

/// Bits of [`Distinct`]: 128 KiB, enough for some millions.
const BITS: usize = 1 << 20;

/// Estimates how many different numbers there were, in constant memory, by the share of bits that are still clear.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    words: Vec<u64>,
    hit: usize,
}

impl Distinct {
    /// Adds a number. Returns `true` if it was not there, which is rarely wrong before there are a hundred thousand.
    pub(super) fn add(&mut self, number: u64) -> bool {
        if self.words.is_empty() {
            self.words = vec![0; BITS / 64];
        }
        let (word, bit) = Self::place(number);
        let is_new = self.words[word] & bit == 0;
        self.hit += usize::from(is_new);
        self.words[word] |= bit;
        is_new
    }

    /// Returns `true` if a number was added, or one that shares its bit.
    pub(super) fn has(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The word and the bit of a number.
    const fn place(number: u64) -> (usize, u64) {
        let place = mixed(number) as usize % BITS;
        (place / 64, 1 << (place % 64))
    }

    fn estimate(&self) -> u64 {
        let free = (BITS - self.hit).max(1) as f64;
        (BITS as f64 * (BITS as f64 / free).ln()).round() as u64
    }
}

/// Spreads hashes of similar bytes evenly: the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
const fn mixed(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::fnv1a;

    #[test]
    fn distinct_schedules_are_estimated_within_a_hundredth() {
        let mut distinct = Distinct::default();
        for number in 0..600_000_u64 {
            // Each twice.
            let is_new = distinct.add(fnv1a(&(number / 2).to_le_bytes()));
            assert!(!is_new || number % 2 == 0, "an equal one was added");
        }
        let estimate = distinct.estimate();
        assert!((297_000..303_000).contains(&estimate), "{estimate}");
    }

    #[test]
    fn a_sweep_says_what_was_new_lately() {
        let mut variety = Variety::default();
        assert_eq!(variety.to_string(), "0 distinct schedules");
        (0..100).for_each(|seed| variety.add(seed % 30));
        // Since the 32nd seed, which was past all thirty.
        assert_eq!(variety.to_string(), "30 distinct schedules, 0 of them new in the last 68 seeds");
        (100..128).for_each(|seed| variety.add(seed));
        assert_eq!(variety.to_string(), "58 distinct schedules, 28 of them new in the last 64 seeds");
    }
}
