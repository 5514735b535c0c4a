//! The table: for each cell and contender, speed, ratio to the fastest of the others, allocations, latency.

use crate::cell::Cell;
use crate::measure::Contender;
use crate::meter::Sample;

/// The table's head.
pub const HEAD: &str = "\
| cell | contender | ratio | msgs/s | MB/s | allocs/msg | p50 µs | p99 µs |
|---|---|--:|--:|--:|--:|--:|--:|";

/// The median.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Messages a second, by the clock that stands for this cell.
fn speed(cell: &Cell, sample: &Sample) -> f64 {
    let time = if cell.by_processor_time() { sample.processor } else { sample.wall };
    sample.messages as f64 * 1e9 / time as f64
}

/// A speed relative to the other contender that is fastest over all rounds: the median of the rounds' ratios. Above 1
/// is faster.
fn ratio(cell: &Cell, rounds: &[Vec<Sample>], index: usize) -> Option<f64> {
    let speed_of = |index: usize| median(rounds.iter().map(|round| speed(cell, &round[index])));
    let others = (0..rounds[0].len()).filter(|other| *other != index);
    let fastest = others.max_by(|a, b| speed_of(*a).total_cmp(&speed_of(*b)))?;
    Some(median(rounds.iter().map(|round| speed(cell, &round[index]) / speed(cell, &round[fastest]))))
}

/// Three digits that say something.
pub fn short(value: f64) -> String {
    let (value, unit) = match value {
        1e6.. => (value / 1e6, " M"),
        1e4.. => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}{unit}")
}

fn latency(rounds: &[Vec<Sample>], index: usize, part: f64) -> String {
    let mut all: Vec<u64> = rounds.iter().flat_map(|round| round[index].latencies.iter().copied()).collect();
    all.sort_unstable();
    let place = (all.len() as f64 * part) as usize;
    all.get(place).map_or("".to_owned(), |nanoseconds| format!("{:.1}", *nanoseconds as f64 / 1000.0))
}

/// Prints the rows of a cell.
pub fn print(cell: &Cell, contenders: &[Contender], rounds: &[Vec<Sample>]) {
    for (index, contender) in contenders.iter().enumerate() {
        let messages = median(rounds.iter().map(|round| speed(cell, &round[index])));
        let allocations = median(rounds.iter().map(|round| {
            let sample = &round[index];
            sample.allocations as f64 / sample.messages as f64
        }));
        println!(
            "| {cell} | {} | {} | {} | {} | {allocations:.3} | {} | {} |",
            contender.name(),
            ratio(cell, rounds, index).map_or("".to_owned(), |ratio| format!("{ratio:.2}")),
            short(messages),
            short(messages * cell.size as f64 / 1e6),
            latency(rounds, index, 0.5),
            latency(rounds, index, 0.99),
        );
    }
}
