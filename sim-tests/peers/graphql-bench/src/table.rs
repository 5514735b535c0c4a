//! Rounds, medians, and the table.

use crate::Bench;
use crate::cells::{Cell, Who};

const ROUNDS: usize = 7;

/// Measures the cells whose names `is_wanted`, and prints their rows.
pub fn print(bench: &Bench, scale: usize, is_wanted: impl Fn(&str) -> bool) {
    let [ours, theirs] = &bench.contenders;
    println!(
        "| {} | {} | {} | engine alone | engine and pipe | {} / {} | {} / engine alone |",
        bench.engine, ours.name, theirs.name, theirs.name, ours.name, ours.name
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for cell in Cell::all(scale).into_iter().filter(|cell| is_wanted(&cell.name())) {
        println!("{}", row(bench, cell));
    }
}

/// Runs every cell once for all. What it measures says nothing, but both handlers have to have a figure.
///
/// # Panics
///
/// If one has none.
pub fn check(bench: &Bench) {
    let cells = Cell::all(1);
    for cell in cells.iter().map(|cell| cell.small()) {
        let [ours, theirs, _, _] = Who::ALL.map(|who| cell.run(bench, who));
        assert!(ours.is_finite() && theirs.is_finite(), "{}: {ours} and {theirs}", cell.name());
    }
    println!("{}: {} cells were run once", bench.engine, cells.len());
}

/// Runs a cell for all, one after another in each round, and returns its row.
fn row(bench: &Bench, cell: Cell) -> String {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let mut results = [f64::NAN; Who::ALL.len()];
        // Each begins in turn.
        for place in 0..results.len() {
            let index = (round + place) % results.len();
            results[index] = cell.run(bench, Who::ALL[index]);
        }
        rounds.push(results);
    }
    let mut cells = vec![format!("{}, {}", cell.name(), cell.unit())];
    for index in 0..Who::ALL.len() {
        cells.push(number(median(rounds.iter().map(|round| round[index]))));
    }
    // The median of the ratios within a round.
    cells.push(number(median(rounds.iter().map(|round| round[1] / round[0]))));
    cells.push(number(median(rounds.iter().map(|round| round[0] / round[2]))));
    format!("| {} |", cells.join(" | "))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "–".to_owned()
    } else if value < 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}
