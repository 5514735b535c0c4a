//! What ends or hangs a whole process: each case is a child process, judged by what it prints and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

fn misbehave(how: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_misbehave"));
    command.args([how, env!("CARGO_TARGET_TMPDIR")]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_stack_overflow_names_the_thread_the_seed_and_the_setting() {
    let output = misbehave("overflow").output().expect("the child starts");
    let said = stderr(&output);
    assert!(!output.status.success());
    assert!(
        said.contains("the simulated thread `client/deep` overflowed its stack of 1048576 bytes (seed "),
        "{said}"
    );
    assert!(said.contains("`Sim::stack_bytes`"), "{said}");
}

#[test]
fn a_destructor_that_panics_in_teardown_is_named_before_the_process_ends() {
    let output = misbehave("panic-in-teardown").output().expect("the child starts");
    let said = stderr(&output);
    assert!(!output.status.success());
    assert!(said.contains("dropped before it was finished"), "{said}");
    assert!(said.contains("misbehave.rs"), "{said}");
}

#[test]
fn a_thread_stuck_on_a_real_lock_is_named_by_the_watchdog() {
    let output = misbehave("real-lock").output().expect("the child starts");
    let said = stderr(&output);
    assert!(!output.status.success());
    assert!(said.contains("client/waits"), "{said}");
}

#[test]
fn ctrl_c_ends_a_sweep_and_says_how_far_it_came() {
    let mut child: Child = misbehave("never-ends").spawn().expect("the child starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("the child speaks");
    assert_eq!(first, "sweeping\n");
    let interrupted =
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(interrupted.success());
    let status = child.wait().expect("the child ends");
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("seeds"), "{said}");
}
