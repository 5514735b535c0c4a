//! The list of what the multiplexer is simulated against, read from the very text that people read.

use super::none;
use super::scenarios::{listed, written};

const LIST: &str = include_str!("../multiplexer_scenarios.md");

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
