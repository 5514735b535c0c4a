//! Tests that abort or hang a whole process. Each case is a child process; its output and its status are checked.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use wavetank::runtime::{Std, Threads};

fn misbehave(how: &str) -> Command {
    misbehave_in(Path::new(env!("CARGO_TARGET_TMPDIR")), how)
}

/// The option by which a replay command names the profile of this build.
const PROFILE: &str = if cfg!(debug_assertions) { "" } else { " --release" };

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_stack_overflow_names_thread_test_and_setting() {
    let output = misbehave("overflow").output().expect("the child starts");
    let said = stderr(&output);
    assert!(!output.status.success());
    assert!(
        said.contains("the simulated thread `client/deep` overflowed its stack of 1048576 bytes.\n"),
        "{said}"
    );
    assert!(said.contains("`Sim::stack_bytes`"), "{said}");
    assert!(said.contains("test:  misbehave::overflow, in its warm-up: the default run"), "{said}");
}

#[test]
fn a_panicking_destructor_in_teardown_is_a_failure() {
    let folder = workspace("teardown");
    for how in ["panic-in-teardown", "panic-in-teardown-of-a-seed"] {
        let output = misbehave_in(&folder, how).output().expect("the child starts");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(101), "{said}");
        let what = "  symptom     panic in server/main, when it was dropped at the end of the run: dropped before it";
        assert_eq!(said.matches(what).count(), 1, "{said}");
        assert!(said.contains("  at          sim-tests/src/bin/misbehave.rs:"), "{said}");
        assert!(said.contains("  seed        0x") && said.contains("  recording   seeds/"), "{said}");
        let command = format!("cargo test{PROFILE} {how} -- --exact --nocapture");
        assert!(said.lines().last().is_some_and(|line| line.ends_with(&command)), "{said}");
        assert!(!said.contains("aborting"), "std must not say what is not true: {said}");
    }
}

#[test]
fn a_panic_during_unwinding_shows_both_panics() {
    let folder = workspace("unwinding");
    let output = misbehave_in(&folder, "panic-in-unwind").output().expect("the child starts");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(101), "{said}");
    assert!(said.contains("  symptom     panic in client/main: the hull is open\n"), "{said}");
    assert!(said.contains("while that panic unwound the stack a destructor panicked"), "{said}");
    let output = misbehave("panic-in-unwind-of-a-task").output().expect("the child starts");
    let said = stderr(&output);
    assert_eq!(output.status.code(), None, "Rust ends the process: {said}");
    assert!(said.contains("a destructor of client/main panicked while the stack was unwound"), "{said}");
    let first = said.find("the hull is open").expect("the first panic");
    let second = said.find("dropped before it was finished").expect("the second");
    let test = "test:  misbehave::panic-in-unwind-of-a-task, in its warm-up";
    assert!(first < second && said.contains(test), "{said}");
}

#[test]
fn the_watchdog_names_a_thread_stuck_outside() {
    let output = misbehave("real-lock").output().expect("the child starts");
    let said = stderr(&output);
    assert!(!output.status.success());
    assert!(said.contains("wavetank: misbehave::real-lock failed in its warm-up\n"), "{said}");
    assert!(said.contains("  symptom     stuck in client/waits\n"), "{said}");
    assert!(said.contains("no step for 1s of real time"), "{said}");
    assert!(said.contains("use `Mutex` and `Condvar` of `wavetank::runtime`"), "{said}");
    let (_, place) = said.split_once("it is in, from the innermost:\n").expect("where it is stuck");
    // Which functions are inlined, and so have no name, depends on the build.
    assert!(place.lines().take(8).any(|line| line.contains("recv")), "{said}");
    assert!(
        said.contains("the default run of the test (every value is 0), which comes before all seeds"),
        "{said}"
    );
}

#[test]
fn a_looping_destructor_is_blamed_on_its_server() {
    let output = misbehave("loops-in-teardown").output().expect("the child starts");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(101), "{said}");
    assert!(said.contains("  symptom     stuck in server/main\n"), "{said}");
    let (_, place) = said.split_once("it is in, from the innermost:\n").expect("where it loops");
    assert!(place.contains("misbehave::loops_in_teardown"), "{said}");
}

#[test]
#[cfg(unix)]
fn a_full_disk_leaves_no_temporary_file() {
    let folder = workspace("full-disk");
    // No file may grow: as on a disk that is full, a write fails.
    let script = "ulimit -f 0; trap '' XFSZ; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_misbehave"), "bug"]).arg(&folder);
    let output = command.output().expect("the child starts");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(101), "{said}");
    assert!(said.contains("symptom     panic in client/main: an update was lost"), "{said}");
    assert!(said.contains("an-update-was-lost.seed: cannot write the recording: File too large"), "{said}");
    let of_test =
        fs::read_dir(folder.join("seeds")).expect("a folder").flatten().next().expect("of the test");
    assert_eq!(fs::read_dir(of_test.path()).expect("readable").count(), 0, "no file is left");
}

#[test]
fn a_sweep_that_ran_no_seed_says_so() {
    let folder = workspace("no-seeds");
    let none = |name: &str, value: &str| {
        let output = misbehave_in(&folder, "passes").env(name, value).output().expect("the child starts");
        (output.status.success(), stderr(&output))
    };
    let (passed, said) = none("WAVETANK_SHARD", "8/8");
    let why = "misbehave::passes ran no seed: WAVETANK_SHARD has more machines than the test has seeds (5)";
    assert!(passed && said.contains(why), "{said}");
    let (passed, said) = none("WAVETANK_TIME_BUDGET", "0");
    let why = "misbehave::passes ran no seed\n\nnote: WAVETANK_TIME_BUDGET was spent before the first seed";
    assert!(!passed && said.contains(why), "{said}");
    for (name, value) in [("WAVETANK_SHARD", "5/8"), ("WAVETANK_TIME_BUDGET", "60"), ("WAVETANK_SEEDS", "0")]
    {
        assert_eq!(none(name, value), (true, String::new()), "{name}={value}");
    }
}

/// Makes a folder that is a workspace of its own, for the recordings of `test`.
fn workspace(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("process").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    fs::write(folder.join("Cargo.lock"), "").expect("writable");
    folder
}

/// Makes a child that misbehaves in a workspace at `folder`. It does not inherit the settings of these tests.
fn misbehave_in(folder: &Path, how: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_misbehave"));
    command.arg(how).arg(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (setting, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WAVETANK_"))
    {
        command.env_remove(setting);
    }
    command
}

/// Returns the path and the text of the only recording in a workspace.
fn recording(folder: &Path) -> (PathBuf, String) {
    let mut folders = fs::read_dir(folder.join("seeds")).expect("there are recordings");
    let of_test = folders.next().expect("of one test").expect("readable").path();
    let mut files = fs::read_dir(of_test).expect("readable");
    let path = files.next().expect("a recording").expect("readable").path();
    assert!(folders.next().is_none() && files.next().is_none(), "one recording");
    let text = fs::read_to_string(&path).expect("text");
    (path, text)
}

#[test]
fn a_thread_that_catches_its_end_is_named() {
    let output = misbehave("catches-all").output().expect("the child starts");
    let said = stderr(&output);
    assert!(!output.status.success());
    assert!(said.contains("server/main catches every panic and goes on"), "{said}");
    assert!(said.contains("test:  misbehave::catches-all, in its warm-up: the default run"), "{said}");
}

#[test]
fn an_invalid_setting_fails_naming_allowed_ones() {
    for (variable, value, allowed) in [
        ("WAVETANK_SEEDS", "1e3", "invalid WAVETANK_SEEDS=1e3: allowed is a count of seeds"),
        ("WAVETANK_SEEED", "1", "unknown variable WAVETANK_SEEED: the variables are WAVETANK_SEED, "),
        ("WAVETANKS_SEED", "1", "unknown variable WAVETANKS_SEED: the variables are WAVETANK_SEED, "),
        ("WAVETANK_ASLR", "no", "invalid WAVETANK_ASLR=no: allowed is 0 or 1"),
        ("WAVETANK_REPLAY", "seeds/none.seed", "seeds/none.seed: cannot read the recording: No such file"),
        ("WAVETANK_REPLAY", "v1:2a", "WAVETANK_REPLAY: expected "),
    ] {
        let folder = workspace("settings");
        let output = misbehave_in(&folder, "bug").env(variable, value).output().expect("the child starts");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(101), "{said}");
        assert!(said.contains(&format!("note: {allowed}")), "{said}");
        assert!(!folder.join("seeds").exists(), "nothing ran");
    }
}

#[test]
fn an_outdated_recording_fails_only_strict_replay() {
    let folder = workspace("other-code");
    let output = misbehave_in(&folder, "bug").output().expect("the child starts");
    assert_eq!(output.status.code(), Some(101), "{}", stderr(&output));
    let before = recording(&folder);
    let strict = misbehave_in(&folder, "changed-bug").env("WAVETANK_STRICT", "1").output();
    let strict = strict.expect("the child starts");
    let said = stderr(&strict);
    assert_eq!(strict.status.code(), Some(101), "{said}");
    assert!(said.contains("wavetank: misbehave::bug left a recording\n"), "{said}");
    assert!(said.contains("an-update-was-lost.seed does not replay strictly: choice "), "{said}");
    assert!(said.contains("the recording has `") && said.contains(", the run asked `"), "{said}");
    assert!(said.contains("note: the file is unchanged"), "{said}");
    let lenient = misbehave_in(&folder, "changed-bug").env("WAVETANK_REPLAY", &before.0).output();
    let lenient = lenient.expect("the child starts");
    let said = stderr(&lenient);
    assert!(lenient.status.success(), "{said}");
    let passes_now = "recorded as failing, it passes now. Either the bug is fixed, or the run depends on";
    assert!(said.contains("no longer fails") && said.contains(passes_now), "{said}");
    let usual = misbehave_in(&folder, "changed-bug").output().expect("the child starts");
    let said = String::from_utf8_lossy(&usual.stdout).into_owned();
    assert!(usual.status.success() && said.contains(passes_now), "{said}");
    assert_eq!(recording(&folder), before);
}

#[test]
fn a_truncated_recording_fails_and_is_kept() {
    let folder = workspace("cut-off");
    misbehave_in(&folder, "bug").output().expect("the child starts");
    let (path, text) = recording(&folder);
    let half = &text[..text.len() / 2];
    fs::write(&path, half).expect("writable");
    let output = misbehave_in(&folder, "bug").output().expect("the child starts");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(101), "{said}");
    assert!(said.contains("an-update-was-lost.seed: expected a last line with a checksum"), "{said}");
    assert!(said.contains("it was cut off; restore the file from version control"), "{said}");
    assert_eq!(recording(&folder), (path, half.to_owned()));
}

#[test]
fn ctrl_c_ends_a_sweep_with_its_count() {
    let (status, said) = interrupted(misbehave("never-ends"), "sweeping");
    assert_eq!(status, Some(130), "{said}");
    for (signal, status) in [("-TERM", 143), ("-HUP", 129)] {
        let (ended, said) = ended_by(misbehave("never-ends"), "sweeping", signal);
        assert_eq!(ended, Some(status), "{said}");
        assert!(said.contains("wavetank: misbehave::never-ends interrupted after "), "{said}");
    }
    let seeds = said.trim().strip_prefix("wavetank: misbehave::never-ends interrupted after ");
    let seeds = seeds.and_then(|rest| rest.strip_suffix(" seeds, all passed")).map(str::parse::<u64>);
    // The child prints its line in the 100th run. One seed in 64 runs twice, and some runs are unfinished.
    assert!(matches!(seeds, Some(Ok(80..))), "{said}");
}

#[test]
fn ctrl_c_ends_shrinking_and_keeps_the_recording() {
    let folder = workspace("shrinking");
    let (status, said) = interrupted(misbehave_in(&folder, "slow-bug"), "shrinking");
    assert_eq!(status, Some(130), "{said}");
    assert!(said.contains("symptom     panic in client/main: an update was lost"), "{said}");
    assert!(said.contains("; interrupted)"), "{said}");
    assert!(said.contains("  seed        0x") && said.contains("  recording   seeds/"), "{said}");
    assert!(said.lines().last().is_some_and(|command| command.starts_with("WAVETANK_")), "{said}");
    let (_, text) = recording(&folder);
    assert!(text.contains("expect = fails(panic in client/main: an update was lost)"), "{text}");
}

/// A child that is still running after this time hangs. Without its signal the sweep never ends.
const HANGS: Duration = Duration::from_secs(300);

/// Interrupts a child when it prints `word`. Returns its status and its error output.
fn interrupted(command: Command, word: &str) -> (Option<i32>, String) {
    ended_by(command, word, "-INT")
}

/// Sends a child this signal when it prints `word`. Returns its status and its error output.
fn ended_by(mut command: Command, word: &str, signal: &str) -> (Option<i32>, String) {
    let mut child: Child = command.spawn().expect("the child starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("the child prints");
    assert_eq!(first.trim_end(), word);
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let status = ended(&mut child);
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    (status.code(), said)
}

/// Waits for a child. Kills one that hangs, so that its test fails instead of waiting for ever.
fn ended(child: &mut Child) -> ExitStatus {
    let hangs_at = Std.now() + HANGS;
    loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return status;
        }
        if Std.now() > hangs_at {
            child.kill().expect("the child can be killed");
            panic!("the child was still running {HANGS:?} after its signal");
        }
        Std.sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_ends_the_process_names_test_and_seed() {
    let exit = "code under test ended the process (`std::process::exit`), and with it all other tests";
    for (how, status, what) in [
        ("exits", Some(101), exit),
        ("exits-in-a-thread", Some(101), exit),
        ("exits-in-an-os-thread", Some(101), exit),
        ("exits-in-a-thread-local", Some(101), exit),
        ("panic-in-a-thread-local", None, "code under test ended the process by SIGABRT"),
        ("aborts", None, "code under test ended the process by SIGABRT"),
        ("faults", None, "code under test ended the process by SIGSEGV"),
        ("overflow-in-a-task", None, "code under test ended the process by SIG"),
        ("overflow-in-the-body", None, "code under test ended the process by SIG"),
    ] {
        let output = misbehave_in(&workspace(how), how).output().expect("the child starts");
        let said = stderr(&output);
        assert_eq!(output.status.code(), status, "{how}: {said}");
        assert!(said.contains(&format!("wavetank: {what}")), "{how}: {said}");
        let run = if how == "exits" { ", seed 0x" } else { ", in its warm-up" };
        assert!(said.contains(&format!("test:  misbehave::{how}{run}")), "{how}: {said}");
        assert_eq!(said.matches("to see it again:").count(), 1, "{how}: {said}");
    }
}
