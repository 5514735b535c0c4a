//! The progress lines of a long sweep: how many seeds, how fast, how much virtual time, how many distinct schedules.
//!
//! On a terminal the line is updated in place every second. Elsewhere there is a line every ten seconds. A sweep that
//! ends before the first of them prints nothing.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::reach::Reach;
use super::variety::Variety;
use crate::journal::Journal;
use crate::json::Object;
use crate::printable;
use crate::run::Outcome;
use crate::wall_clock::WallClock;

/// Between two lines.
const EVERY: Duration = Duration::from_secs(10);
const EVERY_ON_TERMINAL: Duration = Duration::from_secs(1);
/// Between two entries of the journal.
const EVERY_IN_JOURNAL: Duration = Duration::from_millis(200);

/// The progress of a sweep.
#[derive(Debug)]
pub(super) struct Pace {
    test: String,
    clock: WallClock,
    is_terminal: bool,
    said_at: Duration,
    noted_at: Duration,
    seeds: u64,
    failed: u64,
    faults: u64,
    virtual_time: Duration,
    variety: Variety,
}

impl Pace {
    pub(super) fn new(test: &str) -> Self {
        Self {
            test: test.to_owned(),
            clock: WallClock::start(),
            is_terminal: io::stderr().is_terminal(),
            said_at: Duration::ZERO,
            noted_at: Duration::ZERO,
            seeds: 0,
            failed: 0,
            faults: 0,
            virtual_time: Duration::ZERO,
            variety: Variety::default(),
        }
    }

    /// Counts a seed that failed.
    pub(super) const fn failed(&mut self) {
        self.failed += 1;
    }

    /// Counts a seed that passed, and prints the progress if a line is due.
    pub(super) fn passed(&mut self, outcome: &Outcome, reach: &Reach, journal: &Journal) {
        self.seeds += 1;
        self.faults += outcome.faults as u64;
        self.virtual_time = self.virtual_time.saturating_add(outcome.virtual_time);
        self.variety.add(outcome.fingerprint);
        let now = self.clock.elapsed();
        if journal.is_open() {
            if now >= self.noted_at + EVERY_IN_JOURNAL {
                self.noted_at = now;
                journal.write("progress", |entry| {
                    let (mut points, mut reached) = (0, 0);
                    for (_, is_reached) in reach.points() {
                        points += 1;
                        reached += u64::from(is_reached);
                    }
                    self.counts(entry).number("points", points).number("reached", reached)
                });
            }
            // The program that reads the journal shows the progress.
            return;
        }
        if self.is_due(now) {
            // Bypasses the harness, which captures a test's output until it has failed.
            self.say(now, &mut io::stderr().lock());
        }
    }

    fn is_due(&self, now: Duration) -> bool {
        let every = if self.is_terminal { EVERY_ON_TERMINAL } else { EVERY };
        // A short sweep needs no line.
        now >= EVERY_ON_TERMINAL.max(self.said_at + every)
    }

    fn say(&mut self, now: Duration, to: &mut impl Write) {
        self.said_at = now;
        let line = self.line(now);
        let line = printable::line(&line);
        let _ = if self.is_terminal { write!(to, "\r{line}\x1b[K") } else { writeln!(to, "{line}") };
        let _ = to.flush();
    }

    fn counts(&self, entry: Object) -> Object {
        let nanos = u64::try_from(self.virtual_time.as_nanos()).unwrap_or(u64::MAX);
        entry
            .number("seeds", self.seeds)
            .number("failed", self.failed)
            .number("faults", self.faults)
            .number("virtual_ns", nanos)
            .number("schedules", self.variety.count())
    }

    /// Adds what all seeds together came to.
    pub(super) fn sum(&self, entry: Object, reach: &Reach) -> Object {
        let points =
            reach.points().fold(Object::bare(), |points, (what, is_reached)| points.flag(what, is_reached));
        let places: Vec<String> = self.variety.places().map(|place| format!("{place:x}")).collect();
        let millis = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        let entry = self.counts(entry).number("millis", millis);
        entry.object("points", points).text("places", &places.join(" "))
    }

    /// Returns how many distinct schedules there were.
    pub(super) const fn variety(&self) -> &Variety {
        &self.variety
    }

    fn line(&self, now: Duration) -> String {
        let a_second = self.seeds as f64 / now.as_secs_f64().max(0.001);
        format!(
            "wavetank: {}: {} seeds, {a_second:.0} a second, {:.0} s of virtual time, {}",
            self.test,
            self.seeds,
            self.virtual_time.as_secs_f64(),
            self.variety,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a sweep of 25 s prints that has a seed every 100 ms.
    fn printed(is_terminal: bool) -> String {
        let mut pace = Pace::new("chat::closes");
        pace.is_terminal = is_terminal;
        let mut printed = Vec::new();
        for tenth in 1..=250 {
            pace.seeds += 1;
            let now = Duration::from_millis(100 * tenth);
            if pace.is_due(now) {
                pace.say(now, &mut printed);
            }
        }
        // Nothing is left to wipe away at the end of the test.
        pace.said_at = Duration::ZERO;
        String::from_utf8(printed).expect("text")
    }

    #[test]
    fn a_line_comes_every_ten_seconds() {
        let lines = printed(false);
        assert_eq!(lines.lines().count(), 2, "{lines}");
        assert!(lines.ends_with('\n') && !lines.contains('\r'), "{lines}");
        assert!(lines.lines().all(|line| line.contains(" seeds, 10 a second, ")), "{lines}");
    }

    #[test]
    fn a_terminal_shows_progress_in_place() {
        let shown = printed(true);
        assert!(shown.matches('\r').count() > 20 && !shown.contains('\n'), "{shown:?}");
    }

    #[test]
    fn a_line_gives_count_speed_and_variety() {
        let mut pace = Pace::new("chat::closes");
        pace.seeds = 4_000;
        pace.virtual_time = Duration::from_secs(90);
        pace.variety.add(7);
        pace.variety.add(7);
        assert_eq!(
            pace.line(Duration::from_secs(10)),
            "wavetank: chat::closes: 4000 seeds, 400 a second, 90 s of virtual time, 1 distinct schedule"
        );
    }
}
