//! The driver: runs the contenders in turn, each in a process of its own, and prints a table.
//!
//! `compare FOLDER-OF-PROGRAMS FOLDER-OF-MADSIM PLOT [ROUNDS]`. In each round every contender runs once, in an order
//! that rotates. A ratio is that of the simulator to the contender in the same round, and the table has medians.

mod plot;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use compare::Scenario;

use table::{Contender, Row};

/// The fewest rounds, and how many are run without an argument.
const ROUNDS_MIN: u64 = 7;

/// Seeds of a round.
const SEEDS: u64 = 1_000_000;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let [programs, madsim, plot, rest @ ..] = arguments else {
        return Err("the arguments are PROGRAMS MADSIM PLOT [ROUNDS]".to_owned());
    };
    let rounds = match rest {
        [] => ROUNDS_MIN,
        [rounds] => rounds.parse().ok().filter(|rounds| *rounds >= ROUNDS_MIN).ok_or("at least 7 rounds")?,
        _ => return Err("too many arguments".to_owned()),
    };
    let mut all = Vec::new();
    for (scenario, _) in Scenario::ALL {
        let mut rows: Vec<Row> = Contender::of(scenario).into_iter().map(Row::new).collect();
        let count = rows.len();
        for round in 0..rounds {
            for turn in 0..count {
                let row = &mut rows[(turn + round as usize) % count];
                let folder = if row.contender.is_madsim() { madsim } else { programs };
                row.nanoseconds.push(measure(folder, &row.contender, scenario, round)?);
            }
            eprintln!("{}: round {} of {rounds}", scenario.name(), round + 1);
        }
        all.push((scenario, rows));
    }
    print!("{}", table::markdown(&all));
    std::fs::write(PathBuf::from(plot), plot::svg(&all)).map_err(|error| format!("{plot}: {error}"))?;
    eprintln!("the plot is {plot}");
    Ok(())
}

/// Runs a contender once. Returns the CPU time of a run in nanoseconds.
fn measure(folder: &str, contender: &Contender, scenario: Scenario, round: u64) -> Result<f64, String> {
    let program = Path::new(folder).join(contender.program);
    let mut command = Command::new(&program);
    command.args([scenario.name(), &contender.runs.to_string(), &(round * SEEDS).to_string()]);
    command.envs(contender.variable.map(|name| (name, "1")));
    let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    // Moonpool prints its reports beside.
    let last = printed.lines().last().and_then(|line| line.parse().ok());
    last.filter(|_| output.status.success()).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{} {}: {}\n{said}", program.display(), scenario.name(), output.status)
    })
}
