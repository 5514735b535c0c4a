//! A cell of the table: one subject, one contender, many base seeds.

use std::fmt;
use std::time::Duration;

use crate::budget::Budget;
use crate::contenders::{Contender, Ended, SCHEDULES_MAX};
use crate::subject::Subject;

/// The number of base seeds for each cell.
pub const BASES: usize = 20;

/// What a contender needed from each base seed.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    ended: Vec<Ended>,
    times: Vec<Duration>,
}

impl Cell {
    /// Adds the search from one more base seed, unless the cell has spent its budget.
    ///
    /// # Errors
    ///
    /// A text, if something else than the bug was found.
    pub fn search(&mut self, contender: Contender, subject: &Subject, limit: Duration) -> Result<(), String> {
        let spent: Duration = self.times.iter().sum();
        let Some(rest) = limit.checked_sub(spent).filter(|rest| !rest.is_zero()) else { return Ok(()) };
        let budget = Budget::new(rest);
        if let Some(ended) = contender.search(subject, self.ended.len() as u64, &budget) {
            self.times.push(budget.elapsed());
            self.ended.push(ended?);
        }
        Ok(())
    }

    /// Writes the cell as one word, which [`parse`](Self::parse) reads. An empty cell is `-`.
    pub fn to_word(&self) -> String {
        let searches: Vec<String> = self.ended.iter().zip(&self.times).map(search_to_text).collect();
        if searches.is_empty() { "-".to_owned() } else { searches.join(",") }
    }

    /// Reads what [`to_word`](Self::to_word) wrote. Returns `None` for any other text.
    pub fn parse(word: &str) -> Option<Self> {
        if word == "-" {
            return Some(Self::default());
        }
        let (ended, times) = word.split(',').map(parse_search).collect::<Option<_>>()?;
        Some(Self { ended, times })
    }

    /// Returns the median number of schedules, or `None` if nothing was searched. A miss counts as one schedule more
    /// than a search tries, a search that the budget ended counts as a miss.
    pub fn median_schedules(&self) -> Option<f64> {
        let schedules = self.ended.iter().map(|ended| match *ended {
            Ended::Found(schedules) => schedules as f64,
            Ended::Missed | Ended::CutOff(_) => (SCHEDULES_MAX + 1) as f64,
        });
        median(schedules.collect())
    }

    /// Returns the median CPU time of a search in milliseconds, whether it found the bug or not.
    pub fn median_milliseconds(&self) -> Option<f64> {
        median(self.times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    /// Counts the base seeds from which the bug was found.
    pub fn found(&self) -> usize {
        self.ended.iter().filter(|ended| matches!(ended, Ended::Found(_))).count()
    }

    /// Returns `true` if the bug was found from every base seed.
    pub fn is_always_found(&self) -> bool {
        self.found() == BASES
    }
}

fn search_to_text((ended, time): (&Ended, &Duration)) -> String {
    let (letter, schedules) = match *ended {
        Ended::Found(schedules) => ('f', schedules),
        Ended::Missed => ('m', SCHEDULES_MAX),
        Ended::CutOff(schedules) => ('c', schedules),
    };
    format!("{letter}{schedules}:{}", time.as_nanos())
}

fn parse_search(text: &str) -> Option<(Ended, Duration)> {
    let (ended, nanos) = text.split_once(':')?;
    let schedules = ended.get(1..)?.parse().ok()?;
    let ended = match ended.as_bytes()[0] {
        b'f' => Ended::Found(schedules),
        b'm' => Ended::Missed,
        b'c' => Ended::CutOff(schedules),
        _ => return None,
    };
    Some((ended, Duration::from_nanos(nanos.parse().ok()?)))
}

/// Returns the middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(values[middle - 1].midpoint(values[middle])),
    }
}

/// Returns the geometric mean, or `None` for no values.
pub fn geometric_mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let logarithms: Vec<f64> = values.map(f64::ln).collect();
    let count = logarithms.len() as f64;
    (count > 0.0).then(|| (logarithms.iter().sum::<f64>() / count).exp())
}

/// Formats a number of schedules: "never" for a miss.
pub struct Schedules(pub f64);

impl fmt::Display for Schedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            never if never > SCHEDULES_MAX as f64 => f.write_str("never"),
            some if some < 1000.0 && some.fract() != 0.0 => write!(f, "{some:.1}"),
            some => write!(f, "{some:.0}"),
        }
    }
}

/// Formats milliseconds with two significant digits. The machine's noise is larger than that.
pub struct Milliseconds(pub f64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            small if small < 1.0 => write!(f, "{small:.2} ms"),
            small if small < 10.0 => write!(f, "{small:.1} ms"),
            large => write!(f, "{large:.0} ms"),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(schedules), Some(milliseconds)) = (self.median_schedules(), self.median_milliseconds())
        else {
            return f.write_str("–");
        };
        write!(f, "{}, {}", Schedules(schedules), Milliseconds(milliseconds))?;
        if self.is_always_found() {
            return Ok(());
        }
        write!(f, " ({} of {})", self.found(), self.ended.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(ended: &[Ended]) -> Cell {
        let times = (1..).map(Duration::from_millis).take(ended.len()).collect();
        Cell { ended: ended.to_vec(), times }
    }

    #[test]
    fn a_miss_counts_as_one_schedule_more() {
        let mut ended = vec![Ended::Found(2); 9];
        ended.extend([Ended::Missed; 11]);
        assert_eq!(cell(&ended).median_schedules(), Some(10_001.0));
        assert_eq!(cell(&ended).to_string(), "never, 10 ms (9 of 20)");
    }

    #[test]
    fn the_median_of_two_is_their_mean() {
        assert_eq!(cell(&[Ended::Found(4), Ended::Found(7)]).median_schedules(), Some(5.5));
        assert_eq!(cell(&[Ended::Found(4); 20]).to_string(), "4, 10 ms");
    }

    #[test]
    fn a_spent_budget_leaves_fewer_searches() {
        assert_eq!(cell(&[Ended::CutOff(17)]).to_string(), "never, 1.0 ms (0 of 1)");
        assert_eq!(cell(&[]).to_string(), "–");
    }

    #[test]
    fn a_cell_is_read_as_written() {
        for ended in [&[][..], &[Ended::Found(4), Ended::Missed, Ended::CutOff(9)]] {
            let word = cell(ended).to_word();
            let read = Cell::parse(&word).expect("a cell");
            assert_eq!((read.ended, read.times), (cell(ended).ended, cell(ended).times), "{word}");
        }
        assert!(["", "x1:2", "f:2", "f1", "f1:x"].iter().all(|word| Cell::parse(word).is_none()));
    }

    #[test]
    fn a_geometric_mean_multiplies() {
        let mean = geometric_mean([1.0, 100.0].into_iter()).expect("values");
        assert!((mean - 10.0).abs() < 1e-9, "{mean}");
    }
}
