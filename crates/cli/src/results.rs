//! What a sweep came to: of each test, and in all. As a table, as JSON lines, as a JUnit report; of one machine, or
//! joined from shards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::Problem;

/// Schedules are estimated by the places that they take in a set of this size. The simulator has the same.
const PLACES: f64 = (1_u64 << 20) as f64;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Passed,
    /// It found the bug that it must find.
    Found,
    Interrupted,
    Failed,
    /// Its process ended without a word.
    Crashed,
}

impl Verdict {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Passed, "passed"),
        (Self::Found, "found"),
        (Self::Interrupted, "interrupted"),
        (Self::Failed, "failed"),
        (Self::Crashed, "crashed"),
    ];

    pub(crate) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(verdict, _)| *verdict == self).map_or("", |(_, word)| word)
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(verdict, _)| *verdict)
    }

    pub(crate) const fn is_good(self) -> bool {
        matches!(self, Self::Passed | Self::Found)
    }
}

/// A failure of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) symptom: String,
    pub(crate) seed: Option<String>,
    /// The file of the recording, below the workspace's root.
    pub(crate) recording: Option<String>,
    pub(crate) command: Option<String>,
    pub(crate) report: String,
}

/// What a test came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) test: String,
    pub(crate) verdict: Verdict,
    pub(crate) seeds: u64,
    pub(crate) failed: u64,
    pub(crate) faults: u64,
    pub(crate) virtual_ns: u64,
    pub(crate) time: Duration,
    /// The points of `sometimes!` and of faults, with whether a seed reached each.
    pub(crate) points: BTreeMap<String, bool>,
    /// The places of the distinct schedules.
    pub(crate) places: BTreeSet<u32>,
    pub(crate) failures: Vec<Failure>,
    /// What the simulator says at the end, if the test did not pass.
    pub(crate) report: Option<String>,
}

impl Outcome {
    pub(crate) fn new(test: &str) -> Self {
        Self {
            test: test.to_owned(),
            verdict: Verdict::Crashed,
            seeds: 0,
            failed: 0,
            faults: 0,
            virtual_ns: 0,
            time: Duration::ZERO,
            points: BTreeMap::new(),
            places: BTreeSet::new(),
            failures: Vec::new(),
            report: None,
        }
    }

    /// Adds the counts of an entry `progress` or `swept` of the journal.
    pub(crate) fn count(&mut self, entry: &Value) {
        let number = |name: &str| entry[name].as_u64().unwrap_or(0);
        self.seeds = number("seeds");
        self.failed = number("failed");
        self.faults = number("faults");
        self.virtual_ns = number("virtual_ns");
        for (point, is_reached) in entry["points"].as_object().into_iter().flatten() {
            let reached = self.points.entry(point.clone()).or_default();
            *reached |= is_reached == true;
        }
        let places = entry["places"].as_str().unwrap_or_default().split(' ');
        self.places.extend(places.filter_map(|place| u32::from_str_radix(place, 16).ok()));
    }

    /// Estimates how many distinct schedules there were.
    pub(crate) fn schedules(&self) -> u64 {
        let free = (PLACES - self.places.len() as f64).max(1.0);
        (PLACES * (PLACES / free).ln()).round() as u64
    }

    fn never_reached(&self) -> Vec<&str> {
        self.points.iter().filter(|(_, reached)| !**reached).map(|(point, _)| &**point).collect()
    }

    pub(crate) fn json(&self) -> Value {
        let places: Vec<String> = self.places.iter().map(|place| format!("{place:x}")).collect();
        let failures: Vec<Value> = self.failures.iter().map(Failure::json).collect();
        json!({
            "event": "test",
            "test": self.test,
            "result": self.verdict.word(),
            "seeds": self.seeds,
            "failed": self.failed,
            "faults": self.faults,
            "virtual_ns": self.virtual_ns,
            "millis": u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX),
            "schedules": self.schedules(),
            "points": self.points,
            "failures": failures,
            "report": self.report,
            "places": places.join(" "),
        })
    }

    /// Reads what [`json`](Self::json) wrote.
    pub(crate) fn of(entry: &Value) -> Option<Self> {
        let mut outcome = Self::new(entry["test"].as_str()?);
        outcome.count(entry);
        outcome.verdict = Verdict::parse(entry["result"].as_str()?)?;
        outcome.time = Duration::from_millis(entry["millis"].as_u64()?);
        outcome.failures = entry["failures"].as_array()?.iter().filter_map(Failure::of).collect();
        outcome.report = entry["report"].as_str().map(str::to_owned);
        Some(outcome)
    }

    /// Adds what another shard of the same test came to.
    fn join(&mut self, other: Self) {
        self.verdict = self.verdict.max(other.verdict);
        self.seeds += other.seeds;
        self.failed += other.failed;
        self.faults += other.faults;
        self.virtual_ns = self.virtual_ns.saturating_add(other.virtual_ns);
        self.time += other.time;
        for (point, is_reached) in other.points {
            *self.points.entry(point).or_default() |= is_reached;
        }
        self.places.extend(other.places);
        for failure in other.failures {
            if self.failures.iter().all(|known| known.symptom != failure.symptom) {
                self.failures.push(failure);
            }
        }
        self.report = self.report.take().or(other.report);
    }
}

impl Failure {
    /// Reads an entry `failure` of the journal, or what [`json`](Self::json) wrote.
    pub(crate) fn of(entry: &Value) -> Option<Self> {
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        Some(Self {
            symptom: text("symptom")?,
            seed: text("seed"),
            recording: text("recording"),
            command: text("command"),
            report: text("report").unwrap_or_default(),
        })
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "symptom": self.symptom,
            "seed": self.seed,
            "recording": self.recording,
            "command": self.command,
            "report": self.report,
        })
    }
}

/// Joins the results of shards, in the order of the tests' names.
pub(crate) fn join(outcomes: impl IntoIterator<Item = Outcome>) -> Vec<Outcome> {
    let mut joined: BTreeMap<String, Outcome> = BTreeMap::new();
    for outcome in outcomes {
        match joined.get_mut(&outcome.test) {
            Some(known) => known.join(outcome),
            None => {
                joined.insert(outcome.test.clone(), outcome);
            }
        }
    }
    joined.into_values().collect()
}

/// Reads the results in a file of JSON lines.
pub(crate) fn parse(origin: &str, text: &str) -> Result<Vec<Outcome>, Problem> {
    let mut outcomes = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let broken = |why: String| {
            Problem::new(format!("{origin}, line {number}: {why}"))
                .help("merge reads what `sweep --results FILE` or `sweep --json` has written")
        };
        let entry: Value = serde_json::from_str(line).map_err(|error| broken(error.to_string()))?;
        match entry["event"].as_str() {
            Some("test") => {
                outcomes
                    .push(Outcome::of(&entry).ok_or_else(|| broken("the result lacks a member".to_owned()))?);
            }
            Some(_) => {}
            None => return Err(broken("it is not a result of a sweep".to_owned())),
        }
    }
    if outcomes.is_empty() {
        return Err(Problem::new(format!("{origin}: it has no results")));
    }
    Ok(outcomes)
}

/// The line of JSON that ends the results.
pub(crate) fn summary(outcomes: &[Outcome], time: Duration) -> Value {
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let count = |verdict: Verdict| outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
    let verdicts: BTreeMap<&str, usize> =
        Verdict::ALL.iter().map(|(verdict, word)| (*word, count(*verdict))).collect();
    json!({
        "event": "summary",
        "tests": outcomes.len(),
        "results": verdicts,
        "seeds": sum(|outcome| outcome.seeds),
        "failed": sum(|outcome| outcome.failed),
        "virtual_ns": sum(|outcome| outcome.virtual_ns),
        "millis": u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        "success": outcomes.iter().all(|outcome| outcome.verdict.is_good()),
    })
}

/// The table that ends a sweep.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let header = ["test", "result", "seeds", "runs/s", "virtual/s", "schedules", "points", "faults"];
    let mut rows: Vec<Vec<String>> = vec![header.map(str::to_owned).to_vec()];
    for outcome in outcomes {
        let seconds = outcome.time.as_secs_f64().max(0.001);
        let reached = outcome.points.values().filter(|reached| **reached).count();
        let points = if outcome.points.is_empty() {
            "-".to_owned()
        } else {
            format!("{reached}/{}", outcome.points.len())
        };
        rows.push(vec![
            outcome.test.clone(),
            outcome.verdict.word().to_owned(),
            thousands(outcome.seeds),
            thousands((outcome.seeds as f64 / seconds) as u64),
            format!("{}s", thousands((outcome.virtual_ns as f64 / 1e9 / seconds) as u64)),
            thousands(outcome.schedules()),
            points,
            thousands(outcome.faults),
        ]);
    }
    let widths: Vec<usize> = (0..header.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "  {}", line.trim_end());
    }
    for outcome in outcomes.iter().filter(|outcome| !outcome.never_reached().is_empty()) {
        let _ = writeln!(text, "  {} never reached: {}", outcome.test, outcome.never_reached().join("; "));
    }
    text
}

/// A number with a comma after every third digit.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A JUnit report: a suite for each package, a case for each test.
pub(crate) fn junit(outcomes: &[Outcome]) -> String {
    let mut suites: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        let package = outcome.test.split_once('/').map_or("", |(package, _)| package);
        suites.entry(package).or_default().push(outcome);
    }
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"wavetank\">\n".to_owned();
    for (package, outcomes) in suites {
        let bad = outcomes.iter().filter(|outcome| !outcome.verdict.is_good()).count();
        let time: Duration = outcomes.iter().map(|outcome| outcome.time).sum();
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{bad}\" time=\"{:.3}\">",
            xml(package),
            outcomes.len(),
            time.as_secs_f64()
        );
        for outcome in outcomes {
            case(&mut text, outcome);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(text: &mut String, outcome: &Outcome) {
    let name = outcome.test.split_once('/').map_or(&*outcome.test, |(_, name)| name);
    let (class, name) = name.rsplit_once("::").unwrap_or(("", name));
    let (class, name, time) = (xml(class), xml(name), outcome.time.as_secs_f64());
    let _ = writeln!(text, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{time:.3}\">");
    let properties =
        [("seeds", outcome.seeds), ("schedules", outcome.schedules()), ("virtual_ns", outcome.virtual_ns)];
    text.push_str("      <properties>\n");
    for (name, value) in properties {
        let _ = writeln!(text, "        <property name=\"{name}\" value=\"{value}\"/>");
    }
    text.push_str("      </properties>\n");
    for failure in &outcome.failures {
        if !outcome.verdict.is_good() {
            let (symptom, report) = (xml(&failure.symptom), xml(&failure.report));
            let _ = writeln!(text, "      <failure message=\"{symptom}\">{report}</failure>");
        }
    }
    if outcome.failures.is_empty() && !outcome.verdict.is_good() {
        let (word, report) = (outcome.verdict.word(), xml(outcome.report.as_deref().unwrap_or_default()));
        let _ = writeln!(text, "      <failure message=\"{word}\">{report}</failure>");
    }
    text.push_str("    </testcase>\n");
}

/// Text for XML. Characters that XML does not allow are left out.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(places: &[u32], symptom: Option<&str>) -> Outcome {
        let mut outcome = Outcome::new("chat/t::closes");
        outcome.verdict = if symptom.is_some() { Verdict::Failed } else { Verdict::Passed };
        outcome.seeds = 100;
        outcome.places = places.iter().copied().collect();
        outcome.points.insert("a".to_owned(), symptom.is_some());
        outcome.failures.extend(symptom.map(|symptom| Failure {
            symptom: symptom.to_owned(),
            seed: Some("0x2a".to_owned()),
            recording: None,
            command: None,
            report: "it <failed> & \"so\"\u{7}".to_owned(),
        }));
        outcome
    }

    #[test]
    fn shards_join_their_schedules_and_symptoms() {
        let shards = [outcome(&[1, 2, 3], None), outcome(&[3, 4], Some("x")), outcome(&[4], Some("x"))];
        let joined = join(shards);
        assert_eq!(joined.len(), 1);
        assert_eq!((joined[0].seeds, joined[0].schedules(), joined[0].failures.len()), (300, 4, 1));
        assert_eq!((joined[0].verdict, joined[0].points["a"]), (Verdict::Failed, true));
    }

    #[test]
    fn a_result_reads_back_from_json() {
        let line = outcome(&[7, 0xfffff], Some("x")).json().to_string();
        let again = parse("a", &line).expect("reads");
        assert_eq!(again[0].json().to_string(), line);
        assert!(parse("a", "{}").is_err() && parse("a", "nonsense").is_err() && parse("a", "").is_err());
    }

    #[test]
    fn a_junit_report_escapes_what_tests_say() {
        let report = junit(&[outcome(&[1], Some("a \"b\"")), outcome(&[], None)]);
        assert!(report.contains(
            "<failure message=\"a &quot;b&quot;\">it &lt;failed&gt; &amp; &quot;so&quot;</failure>"
        ));
        assert!(report.contains("tests=\"2\" failures=\"1\""), "{report}");
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
