//! The contenders of each scenario, what they must reach, and the table.

use std::fmt::Write as _;

use compare::Scenario;

/// What runs a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// The name in the table.
    pub name: &'static str,
    /// The program.
    pub program: &'static str,
    /// A variable that is set for it.
    pub variable: Option<&'static str>,
    /// How many runs it makes in a round: a few tenths of a second.
    pub runs: u64,
    /// The greatest ratio of the simulator's CPU time to its CPU time.
    pub target: Option<f64>,
}

const fn contender(name: &'static str, program: &'static str, runs: u64, target: Option<f64>) -> Contender {
    Contender { name, program, variable: None, runs, target }
}

impl Contender {
    /// Returns the contenders of a scenario. The first is the simulator.
    pub fn of(scenario: Scenario) -> Vec<Self> {
        let same_mean = contender("turmoil 0.7.2, same mean latency", "on_turmoil", 100, Some(0.07));
        match scenario {
            Scenario::RoundTrips => vec![
                contender("Wavetank", "on_simulator", 1000, None),
                contender("turmoil 0.7.2", "on_turmoil", 100, Some(0.07)),
                Self { variable: Some("COMPARE_SAME_MEAN"), ..same_mean },
                contender("madsim 0.2.34", "on_madsim", 1000, Some(0.8)),
                contender("moonpool 0.8.0", "on_moonpool", 200, None),
            ],
            Scenario::Locks | Scenario::Buffer => vec![
                contender("Wavetank", "on_simulator", 2000, None),
                contender("shuttle 0.9.10", "on_shuttle", 5000, Some(1.0)),
            ],
        }
    }

    /// Whether it is built with `--cfg madsim`.
    pub fn is_madsim(&self) -> bool {
        self.program == "on_madsim"
    }
}

/// A contender with what it needed: nanoseconds of CPU time a run, by round.
#[derive(Debug)]
pub struct Row {
    /// What ran.
    pub contender: Contender,
    /// CPU time of a run, by round.
    pub nanoseconds: Vec<f64>,
}

impl Row {
    /// Makes a row without rounds.
    pub fn new(contender: Contender) -> Self {
        Self { contender, nanoseconds: Vec::new() }
    }

    /// Returns the median of the rounds, in microseconds.
    pub fn microseconds(&self) -> f64 {
        median(self.nanoseconds.clone()) / 1000.0
    }

    /// Returns the ratios of the simulator's time to this time, in ascending order.
    fn ratios(&self, simulator: &Self) -> Vec<f64> {
        let pairs = simulator.nanoseconds.iter().zip(&self.nanoseconds);
        let mut ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }
}

/// Returns the median. Of two in the middle, their mean.
///
/// # Panics
///
/// If there is no value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

/// Returns what a scenario is called in the table.
pub fn title(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::RoundTrips => "two hosts, 100 round trips",
        Scenario::Locks => "three threads, ten locks each",
        Scenario::Buffer => "bounded buffer, 20 items",
    }
}

/// Returns the table.
pub fn markdown(all: &[(Scenario, Vec<Row>)]) -> String {
    let mut text =
        "| scenario | contender | CPU time of a run | Wavetank : contender | rounds from – to | target | |\n\
                    |---|---|---|---|---|---|---|\n"
            .to_owned();
    for (scenario, rows) in all {
        for row in rows {
            let (name, time) = (row.contender.name, row.microseconds());
            let _ = write!(text, "| {} | {name} | {time:.0} µs | ", title(*scenario));
            if row.contender.program == rows[0].contender.program {
                text.push_str("| | | |\n");
                continue;
            }
            let ratios = row.ratios(&rows[0]);
            let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
            let ratio = median(ratios);
            let (target, verdict) = match row.contender.target {
                None => ("–".to_owned(), "no target"),
                Some(target) if ratio <= target => (target.to_string(), "met"),
                Some(target) => (target.to_string(), "**missed**"),
            };
            let _ = writeln!(text, "{ratio:.3} | {least:.3} – {most:.3} | {target} | {verdict} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(contender: Contender, nanoseconds: &[f64]) -> Row {
        Row { contender, nanoseconds: nanoseconds.to_vec() }
    }

    #[test]
    fn a_ratio_is_of_the_same_round() {
        let contenders = Contender::of(Scenario::Locks);
        let rows = vec![row(contenders[0], &[10e3, 40e3, 30e3]), row(contenders[1], &[20e3, 20e3, 60e3])];
        let text = markdown(&[(Scenario::Locks, rows)]);
        // The medians alone would make 30 : 20.
        let line =
            "| three threads, ten locks each | shuttle 0.9.10 | 20 µs | 0.500 | 0.500 – 2.000 | 1 | met |";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_ratio_above_the_target_is_missed() {
        let contenders = Contender::of(Scenario::Locks);
        let rows = vec![row(contenders[0], &[10e3; 7]), row(contenders[1], &[9e3; 7])];
        assert!(markdown(&[(Scenario::Locks, rows)]).contains("| 1.111 | 1.111 – 1.111 | 1 | **missed** |"));
    }

    #[test]
    fn the_median_of_two_is_their_mean() {
        assert_eq!((median(vec![3.0, 1.0]), median(vec![5.0, 1.0, 2.0])), (2.0, 2.0));
    }
}
