//! Which `sometimes!` points the seeds of a sweep reached.
//!
//! # Invariants
//!
//! - Memory grows with the number of points, not of seeds.
//! - The result for the seeds up to an index is the same at any parallelism, whatever later seeds ran as well.

use std::collections::BTreeMap;

use super::hunt::Hunted;
use super::{Session, Stop};
use crate::report::Report;
use crate::world::Points;

/// The points of a sweep, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach(BTreeMap<&'static str, Point>);

#[derive(Clone, Copy, Debug)]
struct Point {
    /// The lowest seed index that evaluated it.
    known: u64,
    /// The lowest seed index that found it true.
    reached: Option<u64>,
}

impl Reach {
    /// Adds what the seed with this index saw.
    pub(super) fn add(&mut self, index: u64, points: &Points) {
        for (&what, &reached) in points {
            let point = self.0.entry(what).or_insert(Point { known: index, reached: None });
            point.known = point.known.min(index);
            if reached {
                point.reached = Some(point.reached.map_or(index, |lowest| lowest.min(index)));
            }
        }
    }

    /// Returns the names of the points that seeds up to `last` evaluated and did not reach.
    fn never_reached(&self, last: u64) -> Vec<String> {
        let never = |point: &Point| point.known <= last && point.reached.is_none_or(|index| index > last);
        self.0.iter().filter(|(_, point)| never(point)).map(|(what, _)| (*what).to_owned()).collect()
    }

    /// Returns every point that was evaluated, with whether a seed reached it.
    pub(super) fn points(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.0.iter().map(|(&what, point)| (what, point.reached.is_some()))
    }

    fn is_reached(&self, what: &str, last: u64) -> bool {
        self.0.get(what).is_some_and(|point| point.reached.is_some_and(|index| index <= last))
    }
}

impl Session {
    /// Returns the points that seeds up to index `last` never reached, and those that the test names and no run
    /// evaluated.
    pub(super) fn never_reached(&self, reach: &Reach, last: u64) -> Vec<String> {
        let mut never = reach.never_reached(last);
        never.extend(self.named_and_missed(reach, last));
        never.sort_unstable();
        never.dedup();
        never
    }

    fn named_and_missed(&self, reach: &Reach, last: u64) -> Vec<String> {
        let missed = |what: &&String| !reach.is_reached(what, last);
        self.sweep.reaches.iter().filter(missed).cloned().collect()
    }

    /// Checks which points a sweep of `seeds` passing seeds reached, and returns those that it did not.
    ///
    /// A sweep that the environment has cut short need not reach them.
    pub(super) fn judge_reach(&self, hunted: &Hunted) -> Result<Vec<String>, Stop> {
        let (reach, seeds) = (&hunted.reach, hunted.passed + hunted.known_runs());
        let never = self.never_reached(reach, u64::MAX);
        if self.settings.only.is_some() || seeds == 0 {
            return Ok(never);
        }
        let is_whole = match self.deviations() {
            Some(most) => hunted.complete == Some(most),
            None => seeds >= self.sweep.seeds,
        };
        let missed = match (is_whole, self.sweep.sometimes_required) {
            (false, _) => Vec::new(),
            (true, true) => never.clone(),
            (true, false) => self.named_and_missed(reach, u64::MAX),
        };
        if missed.is_empty() {
            self.note_never_reached(&never, seeds);
            return Ok(never);
        }
        let report = Report::new(&self.sweep.identity, "passed, but never reached what it must reach")
            .field("seeds", &seeds.to_string())
            .field("missed", &missed.join("\n"))
            .note("a point counts by its text, and is known from its first evaluation");
        Err(Stop::Failed(report.to_string()))
    }

    /// Prints on stderr what `seeds` seeds did not reach, if there is anything.
    pub(super) fn note_never_reached(&self, never: &[String], seeds: u64) {
        if !never.is_empty() {
            let test = &self.sweep.identity.test;
            eprintln!("wavetank: {test}: {seeds} seeds never reached: {}", never.join("; "));
        }
    }
}
