//! Measures how many seeds each race needs: the median of 20 sweeps, and of how many a sweep of 1000 seeds finds it.
//! Without preemption at basic blocks (`none`) every sweep must find nothing.

use std::process::ExitCode;

use wavetank::Sweep;
use wavetank_blocks::RACES;

const SWEEPS: u64 = 20;

fn main() -> ExitCode {
    let expects_none = std::env::args().nth(1).is_some_and(|word| word == "none");
    let (sweeps, mut is_good) = (if expects_none { 1 } else { SWEEPS }, true);
    for race in RACES {
        let first = |sweep: u64| {
            let sweep = Sweep::new(race.name, env!("CARGO_MANIFEST_DIR")).base_seed(sweep << 32).seeds(1_000);
            sweep.without_recordings().workers(1).first_failure(race.bad)
        };
        let found: Vec<_> = (1..=sweeps).filter_map(first).collect();
        let is_it = found.iter().all(|failure| failure.symptom().matches(race.symptom));
        is_good &= is_it && found.is_empty() == expects_none;
        let mut runs: Vec<u64> = found.iter().map(wavetank::FirstFailure::runs).collect();
        runs.sort_unstable();
        let median = runs.get(runs.len() / 2).map_or_else(|| "none".to_owned(), u64::to_string);
        println!("| {} | {median} | {} of {sweeps} |", race.name, runs.len());
    }
    ExitCode::from(u8::from(!is_good))
}
