//! The list of what the GraphQL handler is simulated against, read from the very text that people read.

use std::collections::BTreeSet;

use super::{files, none};

const LIST: &str = include_str!("../graphql_scenarios.md");

/// The heading of the tables of features, here and in the crate's README.
const FEATURES: &str = "\n## Features\n";

const README: &str = include_str!("../../../crates/graphql/README.md");

const CONFIG: &str = include_str!("../../../crates/graphql/src/config.rs");

const HOOKS: &str = include_str!("../../../crates/graphql/src/hooks.rs");

/// The folder of the simulations.
const FOLDER: &str = "sim-tests/tests/graphql/";

/// The first three cells of each row, and what the last names.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static str>)> {
    let (scenarios, _) = LIST.split_once(FEATURES).expect("the features come last");
    scenarios.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [of, _what, transport, tests] = cells[..] else { panic!("four cells: {line}") };
        let tests = tests.split(", ").filter_map(|test| test.strip_prefix('`')?.strip_suffix('`'));
        (!["Scenario", "Criterion", "Input"].contains(&of)).then(|| (of, transport, tests.collect()))
    })
}

/// The simulations that exist, with the transport that each is for.
fn written() -> BTreeSet<(String, &'static str)> {
    let mut tests = BTreeSet::new();
    for source in files("rs") {
        let Some(file) = source.path.strip_prefix(FOLDER) else { continue };
        let module = file.trim_end_matches(".rs");
        let (mut on_both, mut is_test) = (false, false);
        for line in source.text.lines() {
            if let (true, Some(function)) = (is_test, line.strip_prefix("fn ")) {
                let name = function.split('(').next().expect("a name");
                let transport = if source.text.contains("memory::pair") { "memory" } else { "network" };
                tests.insert((format!("{module}::{name}"), transport));
                is_test = false;
            }
            // The attribute may have several lines.
            is_test |= line.starts_with("#[wavetank::test");
            on_both = (on_both || line == "on_both_transports! {") && line != "}";
            if let (true, Some((_, name))) = (on_both, line.trim_end_matches(';').split_once(": ")) {
                tests.insert((format!("{module}::{name}"), "both"));
            }
        }
    }
    tests
}

#[test]
fn the_graphql_list_names_every_simulation() {
    let written = written();
    assert!(written.len() > 60, "the simulations are found");
    let listed: BTreeSet<(String, &str)> = rows()
        .flat_map(|(_, transport, tests)| tests.into_iter().map(move |test| (test.to_owned(), transport)))
        .collect();
    let name = |(name, on): &(String, &str)| format!("{name} ({on})");
    none(listed.difference(&written).map(name), "is listed, and exists for this transport");
    none(written.difference(&listed).map(name), "exists, and is listed");
}

#[test]
fn every_graphql_scenario_and_criterion_is_simulated() {
    let named: BTreeSet<&str> = rows().flat_map(|(of, _, _)| of.split(", ")).collect();
    let wanted = [("S", 43), ("T", 19), ("L", 9)];
    let wanted = wanted.iter().flat_map(|(letter, most)| (1..=*most).map(move |n| format!("{letter}{n}")));
    none(wanted.filter(|name| !named.contains(name.as_str())), "has a row");
    for (of, _, tests) in rows() {
        assert!(!tests.is_empty(), "{of} has simulations");
    }
}

/// Each criterion has unit tests whose names begin with it.
#[test]
fn every_graphql_criterion_has_a_unit_test() {
    let text: String = files("rs")
        .into_iter()
        .filter(|source| source.path.starts_with("crates/graphql/src/connection/tests"))
        .map(|source| source.text)
        .collect();
    let wanted = [("t", 19), ("l", 9)];
    let wanted = wanted.iter().flat_map(|(letter, most)| (1..=*most).map(move |n| format!("{letter}{n}_")));
    none(wanted.filter(|name| !text.contains(&format!("fn {name}"))), "has a unit test");
}

/// The cells of the rows of the table behind a heading.
fn table(text: &'static str, heading: &str) -> Vec<Vec<&'static str>> {
    let (_, text) = text.split_once(heading).expect("the heading");
    let (text, _) = text.split_once("\n## ").unwrap_or((text, ""));
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.skip(1).map(|row| row.split(" | ").map(str::trim).collect()).collect()
}

/// Tests of the handler that the second cells of a table name and that do not exist.
fn missing(shown: &[Vec<&'static str>]) -> Vec<String> {
    let is_test = |path: &str| path.starts_with("crates/graphql/") || path.starts_with(FOLDER);
    let sources = files("rs").into_iter().filter(|source| is_test(&source.path));
    let text: String = sources.map(|source| source.text).collect();
    let tests = shown.iter().flat_map(|row| row[1].split(", ")).map(|test| test.trim_matches('`').to_owned());
    let exists =
        |name: &String| text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}<"));
    tests.filter(|name| !exists(name)).collect()
}

#[test]
fn every_graphql_feature_is_compared_and_shown() {
    let compared = table(README, FEATURES);
    for row in &compared {
        assert_eq!((row.len(), row.iter().position(|cell| cell.is_empty())), (10, None), "{row:?}");
    }
    let shown = table(LIST, FEATURES);
    let names = |rows: &[Vec<&'static str>]| rows.iter().map(|row| row[0]).collect::<Vec<_>>();
    assert!(compared.len() > 20);
    assert_eq!(names(&compared), names(&shown));
    none(missing(&shown).into_iter(), "shows a feature, and exists");
}

/// The names of the methods between two texts of a file whose declarations contain `part`.
fn methods(text: &'static str, from: &str, part: &str) -> Vec<&'static str> {
    let (_, text) = text.split_once(from).expect("the beginning");
    let (text, _) = text.split_once("\n}\n").expect("the end");
    let declarations = text.split("\n    ").filter(|line| line.contains("fn ") && line.contains(part));
    declarations
        .map(|line| line.split_once("fn ").expect("a method").1)
        .map(|rest| rest.split('(').next().expect("a name"))
        .collect()
}

#[test]
fn every_graphql_setting_and_hook_is_shown() {
    let mut wanted = methods(CONFIG, "\nimpl Config {", "(mut self");
    assert!(wanted.len() > 15, "the settings are found");
    let hooks: Vec<&str> = methods(HOOKS, "\npub trait Hooks", "fn ");
    assert!(hooks.contains(&"on_connect") && hooks.contains(&"format_error"), "the hooks are found");
    wanted.extend(hooks);
    let shown = table(LIST, "\n## Settings and hooks\n");
    let names: Vec<&str> = shown.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(names, wanted);
    none(missing(&shown).into_iter(), "shows a setting or a hook, and exists");
}
