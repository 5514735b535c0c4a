//! The progress lines of a long sweep: how many seeds, how fast, how much virtual time, how many different traces.
//!
//! On a terminal the line is updated in place every second. Elsewhere there is a line every ten seconds. A sweep that
//! ends before the first of them prints nothing.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::plain;
use crate::run::Outcome;
use crate::wall_clock::WallClock;

/// Between two lines.
const EVERY: Duration = Duration::from_secs(10);
const EVERY_ON_TERMINAL: Duration = Duration::from_secs(1);

/// The progress of a sweep.
#[derive(Debug)]
pub(super) struct Pace {
    test: String,
    clock: WallClock,
    is_terminal: bool,
    said_at: Duration,
    seeds: u64,
    virtual_time: Duration,
    traces: Distinct,
}

impl Pace {
    pub(super) fn new(test: &str) -> Self {
        Self {
            test: test.to_owned(),
            clock: WallClock::start(),
            is_terminal: io::stderr().is_terminal(),
            said_at: Duration::ZERO,
            seeds: 0,
            virtual_time: Duration::ZERO,
            traces: Distinct::default(),
        }
    }

    /// Counts a seed that passed, and prints the progress if a line is due.
    pub(super) fn passed(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.virtual_time = self.virtual_time.saturating_add(outcome.virtual_time);
        self.traces.add(outcome.trace.hash());
        let now = self.clock.elapsed();
        let every = if self.is_terminal { EVERY_ON_TERMINAL } else { EVERY };
        // A short sweep needs no line.
        if now >= EVERY_ON_TERMINAL.max(self.said_at + every) {
            self.said_at = now;
            let line = self.line(now);
            let line = plain::line(&line);
            // Bypasses the harness, which captures a test's output until it has failed.
            let mut stderr = io::stderr().lock();
            let _ =
                if self.is_terminal { write!(stderr, "\r{line}\x1b[K") } else { writeln!(stderr, "{line}") };
            let _ = stderr.flush();
        }
    }

    fn line(&self, now: Duration) -> String {
        let a_second = self.seeds as f64 / now.as_secs_f64().max(0.001);
        format!(
            "wavetank: {}: {} seeds, {a_second:.0} a second, {:.0} s of virtual time, {} distinct traces",
            self.test,
            self.seeds,
            self.virtual_time.as_secs_f64(),
            self.traces.estimate(),
        )
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        if self.is_terminal && self.said_at > Duration::ZERO {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// Bits of [`Distinct`]: 128 KiB, enough for some millions.
const BITS: usize = 1 << 20;

/// Estimates how many different numbers there were, in constant memory, by the share of bits that are still clear.
#[derive(Debug, Default)]
struct Distinct {
    words: Vec<u64>,
    hit: usize,
}

impl Distinct {
    fn add(&mut self, number: u64) {
        if self.words.is_empty() {
            self.words = vec![0; BITS / 64];
        }
        let place = mixed(number) as usize % BITS;
        let (word, bit) = (&mut self.words[place / 64], 1 << (place % 64));
        self.hit += usize::from(*word & bit == 0);
        *word |= bit;
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
    fn distinct_traces_are_estimated_within_a_hundredth() {
        let mut distinct = Distinct::default();
        for number in 0..600_000_u64 {
            // Each twice.
            distinct.add(fnv1a(&(number / 2).to_le_bytes()));
        }
        let estimate = distinct.estimate();
        assert!((297_000..303_000).contains(&estimate), "{estimate}");
    }

    #[test]
    fn a_line_gives_count_speed_and_variety() {
        let mut pace = Pace::new("chat::closes");
        pace.seeds = 4_000;
        pace.virtual_time = Duration::from_secs(90);
        pace.traces.add(7);
        pace.traces.add(7);
        assert_eq!(
            pace.line(Duration::from_secs(10)),
            "wavetank: chat::closes: 4000 seeds, 400 a second, 90 s of virtual time, 1 distinct traces"
        );
    }
}
