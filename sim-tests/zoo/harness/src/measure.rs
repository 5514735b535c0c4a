//! Medians over base seeds: seeds and CPU time until the first failure.

use std::fmt;
use std::time::Duration;

use cpu_time::ProcessTime;
use wavetank::{FirstFailure, Sweep, Symptom};

/// The number of base seeds for each strategy.
pub(crate) const BASES: u64 = 20;

/// The number of seeds to try from each base seed.
pub(crate) const SEEDS_MAX: u64 = 1_000;

/// The distance between two base seeds.
const BASE_DISTANCE: u64 = 1_000_000;

/// What a strategy needed from each base seed. Displays as a cell of the table: medians, and how often the bug was
/// found, if not always.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Seeds to the first failure, in ascending order. `None`, for more than [`SEEDS_MAX`], comes last.
    runs: Vec<Option<u64>>,
    /// CPU time to the first failure or to the end of a search without result, in the order of `runs`.
    times: Vec<Duration>,
    pub(crate) symptoms: Vec<Symptom>,
}

/// Searches from every base seed.
pub(crate) fn measure(
    sweep: impl Fn() -> Sweep,
    first_failure: impl Fn(Sweep) -> Option<FirstFailure>,
) -> Measured {
    let mut measured = Measured { runs: Vec::new(), times: Vec::new(), symptoms: Vec::new() };
    for base in 0..BASES {
        let start = ProcessTime::now();
        let failure = first_failure(sweep().base_seed(base * BASE_DISTANCE).seeds(SEEDS_MAX));
        measured.times.push(start.elapsed());
        measured.runs.push(failure.as_ref().map(FirstFailure::runs));
        measured.symptoms.extend(failure.map(|failure| failure.symptom().clone()));
    }
    measured.runs.sort_by_key(|runs| runs.unwrap_or(u64::MAX));
    measured.times.sort();
    measured
}

impl Measured {
    /// Returns the median number of seeds, or `None` if fewer than half of the base seeds found the bug. Of an even
    /// number of values it is the upper of the two in the middle, because a search without result has no number for a
    /// mean.
    fn median_runs(&self) -> Option<u64> {
        self.runs[self.runs.len() / 2]
    }

    fn median_time(&self) -> Duration {
        self.times[self.times.len() / 2]
    }

    pub(crate) fn details(&self) -> String {
        let runs: Vec<String> =
            self.runs.iter().map(|runs| runs.map_or("-".to_owned(), |runs| runs.to_string())).collect();
        let total: Duration = self.times.iter().sum();
        format!("{self}; seeds {}; {total:.1?} in all", runs.join(" "))
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.median_runs() {
            Some(runs) => write!(f, "{runs}, {} ms", milliseconds(self.median_time()))?,
            None => write!(f, "over {SEEDS_MAX}")?,
        }
        match self.symptoms.len() as u64 {
            BASES => Ok(()),
            found => write!(f, " ({found} of {BASES})"),
        }
    }
}

/// Formats a time with two significant digits. The machine's noise is larger than that.
fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    if milliseconds < 10.0 { format!("{milliseconds:.1}") } else { format!("{milliseconds:.0}") }
}

#[cfg(test)]
mod tests {
    use wavetank::SymptomKind;

    use super::*;

    fn measured(runs: &[Option<u64>]) -> Measured {
        let symptom = Symptom::new(SymptomKind::Deadlock, "x");
        Measured {
            runs: runs.to_vec(),
            times: (1..).map(Duration::from_millis).take(runs.len()).collect(),
            symptoms: vec![symptom; runs.iter().flatten().count()],
        }
    }

    #[test]
    fn a_cell_shows_medians_and_partial_finds() {
        assert_eq!(measured(&[Some(2); 20]).to_string(), "2, 11 ms");
        let mut runs = [Some(7); 20];
        runs[15..].fill(None);
        assert_eq!(measured(&runs).to_string(), "7, 11 ms (15 of 20)");
        runs[5..].fill(None);
        assert_eq!(measured(&runs).to_string(), "over 1000 (5 of 20)");
    }

    #[test]
    fn the_median_of_twenty_is_the_eleventh() {
        let runs: Vec<_> = (1..=20).map(Some).collect();
        assert_eq!(measured(&runs).median_runs(), Some(11));
    }

    #[test]
    fn every_base_searches_its_own_seeds() {
        let sweep = || Sweep::new("harness::measure", env!("CARGO_MANIFEST_DIR")).workers(1);
        let measured = measure(sweep, |sweep| {
            sweep.first_failure(|sim| {
                let is_found = sim.choose("is found", 4) == 3;
                sim.client("client", async move |_| if is_found { Err("found") } else { Ok(()) });
            })
        });
        assert_eq!(measured.runs.len() as u64, BASES);
        assert_eq!(measured.symptoms.len() as u64, BASES, "one seed of four fails");
        let distinct: std::collections::BTreeSet<_> = measured.runs.iter().collect();
        assert!(distinct.len() > 1, "bases start from different seeds: {:?}", measured.runs);
    }
}
