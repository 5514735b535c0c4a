//! The list of WebSocket scenarios, read from the Markdown file itself, must match the tests.

use std::collections::BTreeSet;

use super::{files, none};

const LIST: &str = include_str!("../websocket_scenarios.md");

/// The name of each client in the list, and the folder of its simulations.
const CLIENTS: [(&str, &str); 2] =
    [("tasks", "sim-tests/tests/websocket_async/"), ("threads", "sim-tests/tests/websocket_blocking/")];

/// Returns the tests that `text` names for `client`, as `module::test`.
pub(super) fn listed(text: &str, client: &str) -> BTreeSet<String> {
    let named = text.lines().filter_map(|line| {
        let (of, name) = line.strip_prefix("- ")?.split_once(": `")?;
        (of == "both" || of == client).then(|| name.trim_end_matches('`').to_owned())
    });
    named.collect()
}

/// Returns the simulations below `folder`, as `module::test`.
pub(super) fn written(folder: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for source in files("rs") {
        let Some(file) = source.path.strip_prefix(folder) else { continue };
        let module = file.trim_end_matches(".rs");
        let mut is_test = false;
        for line in source.text.lines() {
            if let (true, Some(function)) = (is_test, line.strip_prefix("fn ")) {
                let name = function.split('(').next().expect("a name");
                tests.insert(format!("{module}::{name}"));
            }
            is_test = line.starts_with("#[wavetank::test");
        }
    }
    tests
}

#[test]
fn the_scenario_list_names_every_websocket_simulation() {
    for (client, folder) in CLIENTS {
        let (listed, written) = (listed(LIST, client), written(folder));
        assert!(written.len() > 40, "the simulations below {folder} are found");
        none(listed.difference(&written).cloned(), &format!("is listed for {client}, and exists"));
        none(written.difference(&listed).cloned(), &format!("exists for {client}, and is listed"));
    }
}

#[test]
fn every_scenario_is_simulated_for_both_websocket_clients() {
    let sections: Vec<&str> = LIST.split("\n## ").skip(1).collect();
    for number in 1..=20 {
        let section = sections.iter().find(|section| section.starts_with(&format!("{number}. ")));
        let section = section.unwrap_or_else(|| panic!("no scenario {number}"));
        for (client, _) in CLIENTS {
            assert!(!listed(section, client).is_empty(), "scenario {number}: nothing for {client}");
        }
    }
}
