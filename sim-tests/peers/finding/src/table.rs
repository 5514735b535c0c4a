//! The table: subjects by contenders, geometric means, and what was published.

use std::fmt::{self, Write};
use std::process::Command;
use std::time::Duration;

use crate::cell::{BASES, Cell, Milliseconds, Schedules, geometric_mean};
use crate::contenders::{Contender, OURS, SHUTTLE};
use crate::subject::Subject;

/// The columns of published figures, in the order of [`Published`](crate::subject::Published).
const PUBLISHED: [&str; 6] = ["SURW", "URW", "POS", "PCT-3", "PCT-10", "random"];

/// Measured rows.
#[derive(Debug)]
pub struct Table {
    rows: Vec<(Subject, Vec<Cell>)>,
}

fn contenders() -> Vec<Contender> {
    let ours = OURS.map(|(_, strategy)| Contender::Ours(strategy));
    ours.into_iter().chain(SHUTTLE.map(|(_, scheduler)| Contender::Shuttle(scheduler))).collect()
}

impl Table {
    /// Measures every subject, each in a process of its own: shuttle leaks the stacks of the threads of a failed run,
    /// and the system allows a process only so many.
    ///
    /// # Errors
    ///
    /// A text, if a contender found something else than the bug.
    pub fn measure(subjects: Vec<Subject>, limit: Duration) -> Result<Self, String> {
        let mut rows = Vec::new();
        for subject in subjects {
            let cells = measure_in_child(&subject, limit)?;
            let shown: Vec<String> = cells.iter().map(Cell::to_string).collect();
            println!("{}: {}", subject.name, shown.join(" | "));
            rows.push((subject, cells));
        }
        Ok(Self { rows })
    }

    fn has_published(&self) -> bool {
        self.rows.iter().all(|(subject, _)| subject.published.is_some())
    }

    fn published(&self, column: usize) -> impl Iterator<Item = f64> {
        self.rows.iter().filter_map(move |(subject, _)| Some(subject.published?.medians[column]))
    }

    fn column(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.rows.iter().map(move |(_, cells)| &cells[column])
    }

    fn header(&self) -> Vec<String> {
        let mut header = vec!["program".to_owned()];
        if self.has_published() {
            header.extend(PUBLISHED.map(|name| format!("*{name}*")));
        }
        header.extend(OURS.map(|(name, _)| name.to_owned()));
        header.extend(SHUTTLE.map(|(name, _)| format!("shuttle: {name}")));
        header
    }

    /// The last rows. `published` is what it shows of a column of published figures.
    fn summary(
        &self,
        name: &str,
        published: impl Fn(usize) -> String,
        measured: impl Fn(usize) -> String,
    ) -> Vec<String> {
        let mut row = vec![format!("**{name}**")];
        if self.has_published() {
            row.extend((0..PUBLISHED.len()).map(published));
        }
        row.extend((0..contenders().len()).map(measured));
        row
    }

    fn mean_schedules(&self, column: usize) -> Option<f64> {
        geometric_mean(self.column(column).filter_map(Cell::median_schedules))
    }

    fn mean_milliseconds(&self, column: usize) -> Option<f64> {
        geometric_mean(self.column(column).filter_map(Cell::median_milliseconds))
    }
}

/// Measures one row. Contenders take turns, so that all meet the same noise of the machine.
///
/// # Errors
///
/// A text, if a contender found something else than the bug.
pub fn measure_row(subject: &Subject, limit: Duration) -> Result<String, String> {
    let contenders = contenders();
    let mut cells = vec![Cell::default(); contenders.len()];
    for _ in 0..BASES {
        for (cell, contender) in cells.iter_mut().zip(&contenders) {
            cell.search(*contender, subject, limit)?;
        }
    }
    let words: Vec<String> = cells.iter().map(Cell::to_word).collect();
    Ok(words.join(" "))
}

fn measure_in_child(subject: &Subject, limit: Duration) -> Result<Vec<Cell>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program);
    child.args(["--row", subject.name, "--limit", &limit.as_secs().to_string()]);
    let output = child.output().map_err(|error| error.to_string())?;
    let row = String::from_utf8_lossy(&output.stdout);
    let cells: Option<Vec<Cell>> = row.split_whitespace().map(Cell::parse).collect();
    match cells.filter(|cells| output.status.success() && cells.len() == contenders().len()) {
        Some(cells) => Ok(cells),
        None => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or("nothing was said");
            Err(format!("{}: the measuring process ended with {}: {last}", subject.name, output.status))
        }
    }
}

fn or_dash(value: Option<impl fmt::Display>) -> String {
    value.map_or("–".to_owned(), |value| value.to_string())
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, cells: Vec<String>| writeln!(f, "| {} |", cells.join(" | "));
        let header = self.header();
        let columns = header.len();
        line(f, header)?;
        f.write_char('|')?;
        writeln!(f, "{}", "---|".repeat(columns))?;
        for (subject, cells) in &self.rows {
            let mut row = vec![subject.name.to_owned()];
            if let Some(published) = subject.published.filter(|_| self.has_published()) {
                row.extend(published.medians.map(|median| Schedules(median).to_string()));
            }
            row.extend(cells.iter().map(Cell::to_string));
            line(f, row)?;
        }
        let none = |_: usize| "–".to_owned();
        let mean = |column| or_dash(geometric_mean(self.published(column)).map(|mean| format!("{mean:.1}")));
        let schedules = |column| or_dash(self.mean_schedules(column).map(|mean| format!("{mean:.1}")));
        line(f, self.summary("schedules, geometric mean", mean, schedules))?;
        let milliseconds = |column| or_dash(self.mean_milliseconds(column).map(Milliseconds));
        line(f, self.summary("CPU time, geometric mean", none, milliseconds))?;
        let found = |column| {
            let cells = self.column(column).filter(|cell| cell.median_schedules().is_some());
            let (found, all) = cells
                .fold((0, 0), |(found, all), cell| (found + usize::from(cell.is_always_found()), all + 1));
            format!("{found} of {all}")
        };
        line(f, self.summary("always found", none, found))
    }
}
