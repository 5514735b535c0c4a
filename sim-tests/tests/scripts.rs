//! Random scripts of socket calls on two hosts, played on Linux and in the simulation: both must show the same.
//!
//! On Linux the hosts are two network namespaces, joined by a relay that drops packets during a partition. Results must be
//! equal, and how long a call waited may differ by 100 ms and a tenth. A difference counts when it shows three times; it is
//! shrunk, and printed.
//!
//! `SCRIPTS=10000 cargo test -p wavetank-sim-tests --test scripts -- --nocapture` plays that many scripts;
//! `SCRIPTS_FROM` is the number of the first, and `SCRIPTS_SHRINK` says how many differences to shrink (1). By default it is a sample. It needs root; where namespaces cannot be
//! made it says so, and compares nothing.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, clippy::print_stdout, clippy::print_stderr, reason = "these are tests")]

#[path = "scripts/linux.rs"]
mod linux;
#[path = "linux/network.rs"]
mod network;
#[path = "scripts/script.rs"]
mod script;
#[path = "scripts/simulated.rs"]
mod simulated;

use network::Network;
use script::{Outcomes, Script, differences};

/// Scripts of the sample.
const SAMPLE: u64 = 200;

/// Scripts that run at once on Linux.
const AT_ONCE: usize = 1000;

/// A difference counts when it shows so often.
const TIMES: usize = 3;

#[expect(clippy::disallowed_methods, reason = "the environment says how many scripts to play")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

fn play_on_linux(scripts: &[Script]) -> Vec<Outcomes> {
    linux::run(scripts).expect("the network was made before")
}

/// Which of the scripts differ three times out of three, and how.
fn differing(scripts: &[Script]) -> Vec<(usize, Vec<String>)> {
    let simulated: Vec<Outcomes> = scripts.iter().map(simulated::run).collect();
    let mut suspects: Vec<(usize, Vec<String>)> =
        (0..scripts.len()).map(|index| (index, Vec::new())).collect();
    for _ in 0..TIMES {
        let mut still = Vec::new();
        for chunk in suspects.chunks(AT_ONCE) {
            let played: Vec<Script> = chunk.iter().map(|(index, _)| scripts[*index].clone()).collect();
            for ((index, _), real) in chunk.iter().zip(play_on_linux(&played)) {
                let found = differences(&scripts[*index], &real, &simulated[*index]);
                if !found.is_empty() {
                    still.push((*index, found));
                }
            }
        }
        suspects = still;
    }
    suspects
}

/// Drops steps as long as a difference remains.
fn shrunk(script: &Script) -> (Script, Vec<String>) {
    let mut smallest = script.clone();
    let mut found = Vec::new();
    for _ in 0..40 {
        let candidates: Vec<Script> =
            (0..smallest.steps.len()).map(|index| smallest.without(index)).collect();
        // The last step that can go, so that what shows the difference at the end goes first.
        let Some((index, differences)) = differing(&candidates).pop() else { break };
        smallest = candidates[index].clone();
        found = differences;
    }
    (smallest, found)
}

#[test]
fn linux_and_the_simulation_play_scripts_alike() {
    if let Err(error) = Network::new(std::time::Duration::ZERO, &[]) {
        eprintln!("SKIPPED: scripts need network namespaces (root, /dev/net/tun, ip): {error}");
        return;
    }
    let count = setting("SCRIPTS").unwrap_or(SAMPLE);
    let from = setting("SCRIPTS_FROM").unwrap_or(0);
    let scripts: Vec<Script> = (from..from + count).map(Script::draw).collect();
    let different = differing(&scripts);
    println!("{count} scripts from {from}: {} differ", different.len());
    for (index, found) in different.iter().take(200) {
        println!("script {}:\n{}{}\n", from + *index as u64, scripts[*index], found.join("\n"));
    }
    for (index, _) in different.iter().take(setting("SCRIPTS_SHRINK").unwrap_or(1) as usize) {
        let (script, found) = shrunk(&scripts[*index]);
        println!("script {} shrinks to\n{script}{}\n", from + *index as u64, found.join("\n"));
    }
    assert!(different.is_empty(), "{} of {count} scripts differ", different.len());
}
