//! Tests whose runs depend on the process: a second one, at other addresses, shows it.
//!
//! The tests here are well-behaved unless the environment asks for the opposite, as the child processes of the last
//! test do.

#![expect(clippy::print_stdout, reason = "code under test prints")]

use std::process::{Command, Output};

use wavetank::Sim;

/// Asks the tests here to depend on addresses.
const ASKS: &str = "DEPENDS_ON_ADDRESSES";

static SOMETHING: u8 = 0;

/// The page of a static, if it was asked for: another one in each process.
fn page() -> usize {
    if std::env::var_os(ASKS).is_some() { (&raw const SOMETHING) as usize >> 12 } else { 0 }
}

#[wavetank::test(seeds = 20)]
fn passes(sim: &mut Sim) {
    sim.client("client", async |_| {
        // Runs may print, whatever the other process is told on standard output.
        println!("running");
        tracing::info!("page {}", page());
    });
}

#[wavetank::test(seeds = 20)]
#[should_panic(expected = "always")]
fn fails(sim: &mut Sim) {
    sim.client("client", async |_| {
        tracing::info!("page {}", page());
        panic!("always");
    });
}

#[wavetank::test(seeds = 20)]
#[should_panic(expected = "by chance")]
fn fails_here_alone(sim: &mut Sim) {
    sim.client("client", async |_| {
        let is_here = std::env::args().any(|argument| argument == "--test-threads=1");
        assert!(is_here && page() > 0, "by chance");
    });
}

fn child(test: &str, set: &[(&str, &str)]) -> (Output, String) {
    let mut command = Command::new(std::env::current_exe().expect("this is a program"));
    command.args([test, "--exact", "--nocapture"]).env(ASKS, "1").envs(set.iter().copied());
    let output = command.output().expect("the child starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_second_process_shows_what_depends_on_addresses() {
    let (output, said) = child("passes", &[("WAVETANK_CHECK", "all")]);
    assert_eq!(output.status.code(), Some(101), "{said}");
    let what =
        "nondeterminism: a seed that passed does something else in a second process, at other addresses";
    assert!(said.contains(what), "{said}");
    assert!(
        said.contains("usual suspects: addresses, and ids of OS threads (")
            && said.contains("WAVETANK_ASLR=0"),
        "{said}"
    );
    assert!(said.lines().any(|line| line.starts_with("WAVETANK_SEED=0x")), "{said}");

    let (output, said) = child("fails", &[]);
    assert!(output.status.success(), "{said}");
    let what =
        "note: in a second process, at other addresses, this seed failed in the same way, with another trace";
    assert!(
        said.contains(what) && said.contains("usual suspects: addresses, and ids of OS threads ("),
        "{said}"
    );

    let (output, said) = child("fails_here_alone", &[]);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("note: in a second process, at other addresses, this seed passed\n"), "{said}");
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn fixed_addresses_make_processes_alike() {
    let (output, said) = child("passes", &[("WAVETANK_CHECK", "all"), ("WAVETANK_ASLR", "0")]);
    if said.contains("WAVETANK_ASLR=0: the system does not allow it") {
        eprintln!("SKIPPED: this system does not let a process choose its addresses");
        return;
    }
    assert!(output.status.success(), "{said}");
    let (output, said) = child("fails", &[("WAVETANK_ASLR", "0")]);
    assert!(output.status.success() && !said.contains("second process"), "{said}");
}
