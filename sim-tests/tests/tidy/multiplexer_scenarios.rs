//! The list of what the multiplexer is simulated against, read from the very text that people read.

use std::collections::BTreeSet;

use super::scenarios::{listed, written};
use super::{files, none};

const LIST: &str = include_str!("../multiplexer_scenarios.md");

const README: &str = include_str!("../../../crates/multiplexer/README.md");

/// The folders of the simulations of each driver, and how the list calls it.
const DRIVERS: [(&str, &str); 2] =
    [("tasks", "sim-tests/tests/multiplexer_async/"), ("threads", "sim-tests/tests/multiplexer_blocking/")];

#[test]
fn the_scenario_list_names_every_multiplexer_simulation() {
    for (driver, folder) in DRIVERS {
        let (listed, written) = (listed(LIST, driver), written(folder));
        assert!(written.len() > 25, "the simulations below {folder} are found");
        none(listed.difference(&written).cloned(), &format!("is listed for {driver}, and exists"));
        none(written.difference(&listed).cloned(), &format!("exists for {driver}, and is listed"));
    }
}

#[test]
fn every_scenario_is_simulated_for_both_multiplexer_drivers() {
    let sections: Vec<&str> = LIST.split("\n## ").skip(1).collect();
    for number in 1..=13 {
        let section = sections.iter().find(|section| section.starts_with(&format!("{number}. ")));
        let section = section.unwrap_or_else(|| panic!("no scenario {number}"));
        for (driver, _) in DRIVERS {
            assert!(!listed(section, driver).is_empty(), "scenario {number}: nothing for {driver}");
        }
    }
}

/// The cells of the rows of the table under a heading, without its first row.
fn table(text: &'static str, heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect("the heading is there");
    let section = section.split("\n## ").next().expect("a section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.skip(1).map(|row| row.split(" | ").map(str::trim).collect()).collect()
}

/// The tests that the last cell of each row names.
fn named(rows: &[Vec<&'static str>]) -> Vec<&'static str> {
    let cells = rows.iter().map(|row| *row.last().expect("a cell"));
    // Every second piece between backticks is a name; one with a space is a command.
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|name| is_test_name(name)).collect()
}

fn is_test_name(name: &str) -> bool {
    !name.contains([' ', '&', '-'])
}

/// Checks that each row names tests, and that these exist: `module::test` as a simulation, other names in the crate or
/// in the files of the multiplexer here.
fn check_shown(rows: &[Vec<&'static str>]) {
    let simulations: BTreeSet<String> = DRIVERS.iter().flat_map(|(_, folder)| written(folder)).collect();
    let is_ours = |path: &str| {
        path.starts_with("crates/multiplexer/")
            || path.starts_with("sim-tests/tests/") && !path.contains("graphql")
    };
    let sources = files("rs").into_iter().filter(|source| is_ours(&source.path));
    let text: String = sources.map(|source| source.text).collect();
    let exists = |name: &str| {
        if name.contains("::") { simulations.contains(name) } else { text.contains(&format!("fn {name}(")) }
    };
    let missing = named(rows).into_iter().filter(|name| !exists(name));
    none(missing.map(str::to_owned), "is named in a table, and exists");
}

/// Reports of other implementations' users, each with a test that shows that ours does not fail so.
#[test]
fn every_report_about_multiplexers_is_simulated() {
    let reports = table(LIST, "Reports of other implementations");
    let mut found = BTreeSet::new();
    for row in &reports {
        assert_eq!(row.len(), 3, "{row:?}");
        assert!(row[2].contains('`'), "{row:?} names what shows it");
        if let Some((project, numbers)) = row[0].split_once('#') {
            found.extend(numbers.split(", #").map(|number| format!("{project}#{number}")));
        }
    }
    let wanted: [(&str, &[u32]); 5] = [
        (
            "hashicorp/yamux",
            &[
                4, 12, 19, 24, 25, 26, 30, 38, 39, 45, 63, 86, 88, 95, 100, 102, 103, 104, 105, 106, 112,
                127, 133, 135, 140, 142, 143, 149, 165, 176,
            ],
        ),
        ("rust-yamux", &[110, 117, 127, 189, 190, 216, 219, 227, 232, 233]),
        ("go-yamux", &[7, 15, 61, 95, 129]),
        ("tentacle", &[33, 437, 445, 455, 458, 477]),
        ("smux", &[18, 37, 85]),
    ];
    let wanted = wanted
        .iter()
        .flat_map(|(project, numbers)| numbers.iter().map(move |number| format!("{project}#{number}")));
    none(wanted.filter(|report| !found.contains(report)), "has a row");
    check_shown(&reports);
}

#[test]
fn reports_are_simulated_for_both_drivers_or_explained() {
    let reports = table(LIST, "Reports of other implementations");
    for (driver, folder) in DRIVERS {
        let simulations = written(folder);
        let reason = format!("not for {driver}: ");
        let silent = reports.iter().filter(|row| {
            let is_simulated =
                named(std::slice::from_ref(row)).iter().any(|name| simulations.contains(*name));
            !(is_simulated || row[2].contains("no simulation: ") || row[2].contains(&reason))
        });
        let silent = silent.map(|row| row[0].to_owned());
        none(silent, &format!("is simulated for {driver}, or says why not"));
    }
}

#[test]
fn every_multiplexer_attack_has_a_defence_and_tests() {
    let (claimed, shown) = (table(README, "Security"), table(LIST, "Security"));
    assert!(claimed.len() >= 14);
    let names = |rows: &[Vec<&'static str>]| rows.iter().map(|row| row[0]).collect::<Vec<_>>();
    assert_eq!(names(&claimed), names(&shown));
    for row in &shown {
        assert!(!named(std::slice::from_ref(row)).is_empty(), "{row:?} names tests");
    }
    check_shown(&shown);
}

/// The features by which multiplexers are compared.
const FEATURES: [&str; 20] = [
    "Half-close",
    "Full close",
    "Reset with code",
    "Stop sending",
    "Window auto-tune by RTT",
    "Memory limits",
    "Max streams",
    "Accept backlog",
    "Keepalive / RTT",
    "GoAway drain",
    "Deadlines",
    "Coalescing",
    "Fairness",
    "Flow violation detected",
    "Id exhaustion",
    "Open without RTT",
    "Runtime-agnostic",
    "Cancel safety",
    "Metrics",
    "Logging",
];

#[test]
fn every_multiplexer_feature_is_compared_and_shown() {
    let (compared, shown) = (table(README, "Features"), table(LIST, "Features"));
    let names = |rows: &[Vec<&'static str>]| rows.iter().map(|row| row[0]).collect::<Vec<_>>();
    assert_eq!(names(&compared), FEATURES);
    assert_eq!(names(&shown), FEATURES);
    for row in &compared {
        // The feature, ours and seven others.
        assert_eq!((row.len(), row.iter().position(|cell| cell.is_empty())), (9, None), "{row:?}");
        assert!(row[1] != "–", "{row:?}: ours is stated");
    }
    for row in &shown {
        assert!(!named(std::slice::from_ref(row)).is_empty(), "{row:?} names tests");
    }
    check_shown(&shown);
}
