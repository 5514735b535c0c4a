//! Random scripts of socket calls on two hosts, played on Linux and in the simulation: both must show the same.
//!
//! On Linux the hosts are two network namespaces, joined by a relay that drops packets during a partition. Results
//! must be equal, how long a call waited may differ by 100 ms and a tenth, and calls that end 50 ms apart must end in
//! the same order. A difference counts when it shows three times; it is shrunk, and printed.
//!
//! `SCRIPTS=10000 cargo test -p wavetank-sim-tests --test scripts -- --nocapture` plays that many scripts;
//! `SCRIPTS_FROM` is the number of the first, and `SCRIPTS_SHRINK` says how many differences to shrink (1). By
//! default it is a sample. `SCRIPTS_LONG=1` plays what takes minutes, too. It needs root; where namespaces cannot be
//! made it says so, and compares nothing.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, clippy::print_stdout, reason = "these are tests")]

use std::io::Write;

#[path = "scripts/known.rs"]
mod known;
#[path = "scripts/linux.rs"]
mod linux;
#[path = "linux/network.rs"]
mod network;
#[path = "scripts/script.rs"]
mod script;
#[path = "scripts/simulated.rs"]
mod simulated;

use network::Network;
use script::{Call, Outcome, Outcomes, Script, differences, is_undecided};

/// Scripts of the sample.
const SAMPLE: u64 = 200;

/// Scripts that run at once on Linux.
const AT_ONCE: usize = 1000;

/// On Linux a script takes its time. Longer ones, of minutes, are not for every day.
const QUICK_MS: u32 = 30_000;

/// A difference counts when it shows so often.
const TIMES: usize = 3;

#[expect(clippy::disallowed_methods, reason = "the environment says how many scripts to play")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

fn play_on_linux(scripts: &[Script]) -> Vec<Outcomes> {
    linux::run(scripts, std::time::Duration::ZERO).expect("the network was made before")
}

/// How the scripts of a round compared.
#[derive(Debug, Default)]
struct Compared {
    /// Which differ three times out of three, and how.
    different: Vec<(usize, Vec<String>)>,
    /// How many depend on the order of two timers, or of a timer and a call, that is too close to tell.
    undecided: usize,
    /// How many of those differ.
    undecided_different: usize,
}

fn compare(scripts: &[Script]) -> Compared {
    let simulated: Vec<Outcomes> = scripts.iter().map(simulated::run).collect();
    let mut compared = Compared::default();
    let mut suspects: Vec<(usize, Vec<String>)> =
        (0..scripts.len()).map(|index| (index, Vec::new())).collect();
    for round in 0..TIMES {
        let mut still = Vec::new();
        for chunk in suspects.chunks(AT_ONCE) {
            let played: Vec<Script> = chunk.iter().map(|(index, _)| scripts[*index].clone()).collect();
            for ((index, _), real) in chunk.iter().zip(play_on_linux(&played)) {
                let script = &scripts[*index];
                let found = differences(script, &real, &simulated[*index]);
                let undecided = is_undecided(script, &real)
                    || is_undecided(script, &simulated[*index])
                    || !found.is_empty() && round + 1 == TIMES && happens_elsewhen(script, &real);
                compared.undecided += usize::from(undecided && (round == 0 || !found.is_empty()));
                compared.undecided_different += usize::from(undecided && !found.is_empty());
                if !found.is_empty() && !undecided {
                    still.push((*index, found));
                }
            }
        }
        suspects = still;
    }
    compared.different = suspects;
    compared
}

/// Returns `true` if a simulation shows the same as Linux whose segments take a little longer, some more than others,
/// or whose timers go off a little earlier or later: two of them go off at nearly the same time.
fn happens_elsewhen(script: &Script, real: &Outcomes) -> bool {
    let agrees = |simulated: &Outcomes| differences(script, real, simulated).is_empty();
    (0..8).any(|variant| agrees(&simulated::run_variant(script, variant)))
        || script.variants().iter().any(|variant| agrees(&simulated::run(variant)))
}

/// Drops steps as long as a difference remains.
fn shrunk(script: &Script) -> (Script, Vec<String>) {
    let mut smallest = script.clone();
    let mut found = Vec::new();
    for _ in 0..40 {
        let candidates: Vec<Script> =
            (0..smallest.steps.len()).map(|index| smallest.without(index)).collect();
        // The last step that can go, so that what shows the difference at the end goes first.
        let Some((index, differences)) = compare(&candidates).different.pop() else { break };
        smallest = candidates[index].clone();
        found = differences;
    }
    (smallest, found)
}

/// Returns `true` if this machine lets a test make its network. Otherwise it says what was not compared, also where the
/// harness keeps the output of tests that pass.
fn has_network(what: &str) -> bool {
    let Err(error) = Network::new(std::time::Duration::ZERO, &[]) else { return true };
    let why = "this needs network namespaces (root, /dev/net/tun, the command `ip`)";
    writeln!(std::io::stderr(), "SKIPPED: {what}: {why}: {error}").expect("standard error is open");
    false
}

#[test]
fn another_order_of_ends_is_a_difference() {
    let read = |at| Call::Read { host: 0, at, bytes: 1 };
    let script = Script::of(&[(10, read(0)), (10, read(1))], 1000);
    let took = |first, second| vec![(Outcome::Done(1), first), (Outcome::Done(1), second)];
    assert!(differences(&script, &took(90, 140), &took(120, 150)).is_empty());
    let found = differences(&script, &took(90, 140), &took(180, 100));
    assert!(found.len() == 1 && found[0].ends_with("on Linux, and after it here"), "{found:?}");
}

#[test]
fn the_simulation_does_what_linux_is_known_for() {
    for known in known::all() {
        println!("in the simulation: {}", known.name);
        (known.check)(&simulated::run_delayed(&known.script, known::DELAY));
    }
}

#[test]
fn linux_does_what_it_is_known_for() {
    if !has_network("what Linux does is not looked at") {
        return;
    }
    let takes_long = |known: &known::Known| known.script.times_ms().1 > QUICK_MS;
    let (long, mut played): (Vec<_>, Vec<_>) = known::all().into_iter().partition(takes_long);
    if setting("SCRIPTS_LONG").is_some() {
        played.extend(long);
    } else {
        long.iter().for_each(|known| println!("left to SCRIPTS_LONG=1, as CI sets it: {}", known.name));
    }
    let scripts: Vec<Script> = played.iter().map(|known| known.script.clone()).collect();
    let outcomes = linux::run(&scripts, known::DELAY).expect("the network was made before");
    for (known, outcomes) in played.iter().zip(&outcomes) {
        println!("on Linux: {}", known.name);
        (known.check)(outcomes);
    }
}

/// Ports in TIME-WAIT cannot connect to the same peer again: at last there is none left.
#[test]
fn time_wait_uses_up_ports_in_both_worlds() {
    simulated::use_up_ports();
    if !has_network("ports in TIME-WAIT are not used up on Linux") {
        return;
    }
    let settings = [("net/ipv4/ip_local_port_range", "40000 40003")];
    let network = Network::new(std::time::Duration::ZERO, &settings).expect("the network was made before");
    let address = (Network::address(0, 1), 80);
    let listener = network.on(1, || std::net::TcpListener::bind(address)).expect("a free port");
    let connect = || network.on(0, || std::net::TcpStream::connect(address));
    for _ in 0..4 {
        drop(connect().expect("a port is free"));
        drop(listener.accept().expect("a connection comes"));
    }
    let error = connect().expect_err("all four are in TIME-WAIT");
    assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL));
}

#[test]
fn linux_and_the_simulation_play_scripts_alike() {
    if !has_network("no script is compared with Linux") {
        return;
    }
    let count = setting("SCRIPTS").unwrap_or(SAMPLE);
    let from = setting("SCRIPTS_FROM").unwrap_or(0);
    let scripts: Vec<Script> = (from..from + count).map(Script::draw).collect();
    let Compared { different, undecided, undecided_different } = compare(&scripts);
    println!(
        "{count} scripts from {from}: {} differ; {undecided} depend on the order of timers, {undecided_different} of \
         them differ",
        different.len()
    );
    for (index, found) in different.iter().take(200) {
        println!("script {}:\n{}{}\n", from + *index as u64, scripts[*index], found.join("\n"));
    }
    for (index, _) in different.iter().take(setting("SCRIPTS_SHRINK").unwrap_or(1) as usize) {
        let (script, found) = shrunk(&scripts[*index]);
        println!("script {} shrinks to\n{script}{}\n", from + *index as u64, found.join("\n"));
    }
    assert!(different.is_empty(), "{} of {count} scripts differ", different.len());
    // Usually an eighth. A generator that drew nothing else would find no difference either.
    assert!(undecided as u64 * 4 <= count.max(40), "{undecided} of {count} scripts say nothing");
    // Usually three in a thousand.
    assert!(
        undecided_different as u64 * 50 <= count.max(200),
        "{undecided_different} of {count} differ and are excused"
    );
}
