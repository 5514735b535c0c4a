//! The bounded exhaustive mode: the default run, then every run with one choice that is not the default, then with two.
//!
//! A run without its seed's draws is a tree: after the same choices it asks the same question. So a run with `n`
//! deviations is one with `n - 1`, and one more deviation behind the last of them.
//!
//! # Invariants
//!
//! - Fewer deviations come first. Among runs of as many, the order is that of their positions and values.
//! - Memory grows with the runs of one deviation less than allowed, not with all runs.

use std::collections::BTreeMap;

use super::supply::{Next, Supply, Turn};
use crate::choice::Deviation;
use crate::pool::Job;
use crate::run::Outcome;
use crate::settings::Shard;

/// Of a choice with at most this many alternatives, each is tried. Of a longer one (a latency), three are.
const ALL_OF: u32 = 16;

/// Without another limit, a sweep ends after so many runs.
pub(super) const RUNS_MAX: u64 = 1_000_000;

/// The values of a choice that are tried, apart from 0.
fn values(bound: u32) -> Vec<u32> {
    if bound <= ALL_OF { (1..bound).collect() } else { vec![1, bound / 2, bound - 1] }
}

/// A run that passed, and what could be chosen after its last deviation.
#[derive(Debug)]
struct Parent {
    deviations: Vec<Deviation>,
    /// Positions of choices, with their bounds.
    open: Vec<(usize, u32)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Deviations {
    seed: u64,
    most: usize,
    runs_max: u64,
    shard: Shard,
    /// How many deviations the turns have that are handed out now.
    depth: usize,
    parents: Vec<Parent>,
    /// The next turn: the index of its parent, of the choice, and of the value.
    place: (usize, usize, usize),
    /// Counts the turns of this depth, including those of other shards.
    ordinal: u64,
    running: BTreeMap<u64, Vec<Deviation>>,
    /// The parents of the next depth, by the index of their turns.
    next_parents: BTreeMap<u64, Parent>,
    next: u64,
    /// Counts the turns that have ended, by depth.
    ended: Vec<u64>,
    /// Whether some values of long choices were left out.
    is_sampled: bool,
    is_over: bool,
}

impl Deviations {
    /// Enumerates the runs with at most `most` deviations from the default run of a seed.
    pub(super) fn new(seed: u64, most: usize, runs_max: u64, shard: Shard) -> Self {
        Self {
            seed,
            most,
            runs_max,
            shard,
            depth: 0,
            parents: Vec::new(),
            place: (0, 0, 0),
            ordinal: 0,
            running: BTreeMap::new(),
            next_parents: BTreeMap::new(),
            next: 0,
            ended: vec![0; most + 1],
            is_sampled: false,
            is_over: false,
        }
    }

    /// The next deviations of the current depth, in order.
    fn advance(&mut self) -> Option<Vec<Deviation>> {
        if self.depth == 0 {
            return (self.next == 0).then(Vec::new);
        }
        loop {
            let (parent, choice, value) = self.place;
            let Parent { deviations, open } = self.parents.get(parent)?;
            let Some(&(at, bound)) = open.get(choice) else {
                self.place = (parent + 1, 0, 0);
                continue;
            };
            let Some(&value) = values(bound).get(value) else {
                self.place = (parent, choice + 1, 0);
                continue;
            };
            self.is_sampled |= bound > ALL_OF;
            self.place.2 += 1;
            let ordinal = self.ordinal;
            self.ordinal += 1;
            // Every machine needs the runs that others start from.
            if self.depth < self.most || ordinal % self.shard.count == self.shard.index {
                return Some([deviations.as_slice(), &[Deviation { at, value }]].concat());
            }
        }
    }

    fn turn(&mut self, deviations: Vec<Deviation>) -> Turn {
        let index = self.next;
        self.next += 1;
        self.running.insert(index, deviations.clone());
        let plural = if deviations.len() == 1 { "deviation" } else { "deviations" };
        let found_by = format!("{} {plural} from the default run", deviations.len());
        Turn {
            index,
            job: Job::Deviate { seed: self.seed, deviations: deviations.into() },
            number: self.seed.wrapping_add(index),
            found_by: Some(found_by),
        }
    }
}

impl Supply for Deviations {
    fn next(&mut self) -> Next {
        loop {
            if self.is_over || self.next >= self.runs_max {
                return Next::Over;
            }
            if let Some(deviations) = self.advance() {
                return Next::Turn(Box::new(self.turn(deviations)));
            }
            if !self.running.is_empty() {
                return Next::Later;
            }
            if self.depth == self.most {
                self.is_over = true;
                return Next::Over;
            }
            self.depth += 1;
            self.parents = std::mem::take(&mut self.next_parents).into_values().collect();
            (self.place, self.ordinal) = ((0, 0, 0), 0);
        }
    }

    fn ended(&mut self, index: u64, passed: Option<&Outcome>) {
        let Some(deviations) = self.running.remove(&index) else { return };
        let depth = deviations.len();
        self.ended[depth] += 1;
        let Some(outcome) = passed.filter(|_| depth < self.most) else { return };
        let first = deviations.last().map_or(0, |last| last.at + 1);
        let choices = outcome.log.choices.iter().enumerate().skip(first);
        let open = choices.filter(|(_, choice)| choice.bound > 1).map(|(at, choice)| (at, choice.bound));
        self.next_parents.insert(index, Parent { open: open.collect(), deviations });
    }

    fn complete(&self) -> Option<u32> {
        let depth = if self.is_over { Some(self.most) } else { self.depth.checked_sub(1) };
        depth.and_then(|depth| u32::try_from(depth).ok())
    }

    /// "no failure within 2 deviations (5203 runs)", or how far it came.
    fn summary(&self) -> Option<String> {
        let runs: u64 = self.ended.iter().sum();
        let plural = |count: u32| if count == 1 { "deviation" } else { "deviations" };
        let mut text = match self.complete() {
            Some(complete) => format!("no failure within {complete} {} ({runs} runs)", plural(complete)),
            None => "no run has ended".to_owned(),
        };
        if !self.is_over && self.complete().is_some() {
            let (runs, depth) = (self.ended[self.depth], self.depth as u32);
            text += &format!("; the budget ended after {runs} runs with {depth} {}", plural(depth));
        }
        if self.is_sampled {
            text += &format!("; of choices with more than {ALL_OF} alternatives, three were tried");
        }
        if self.shard.count > 1 {
            text += &format!("; the last ones of shard {}/{}", self.shard.index + 1, self.shard.count);
        }
        Some(text)
    }
}
