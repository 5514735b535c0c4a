//! A test binary that runs one test, and what its journal says meanwhile.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::clock::pause;
use crate::error::Problem;
use crate::simulations::Test;

/// Between two looks at a journal.
const LOOK: Duration = Duration::from_millis(20);

/// Whether the user wants everything to end, and the signal that said so.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    raised: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Handles Ctrl-C, SIGTERM and SIGHUP: the first ends the work with what it found, the second kills.
    pub(crate) fn install() -> Self {
        let interrupt = Self { raised: Arc::default(), signal: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Without a handler Ctrl-C kills at once.
            let _ = signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&interrupt.raised),
            );
            let _ = signal_hook::flag::register_usize(signal, Arc::clone(&interrupt.signal), signal as usize);
            let _ = signal_hook::flag::register(signal, Arc::clone(&interrupt.raised));
        }
        interrupt
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// A terminal sends Ctrl-C to the tests, too. Other signals come to this process alone.
    fn must_pass_on(&self) -> bool {
        self.is_raised() && self.signal.load(Ordering::SeqCst) != SIGINT as usize
    }
}

/// A folder for the files of one command, deleted at its end.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn make() -> Result<Self, Problem> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("cargo-wavetank-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| Problem::of_file(&folder, "make", &error))?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a test's process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it printed on both outputs.
    pub(crate) output: String,
    /// The entry `end` of its journal, which a process that was killed has not written.
    pub(crate) end: Option<Value>,
}

/// The command that runs one test, with these variables.
pub(crate) fn command(test: &Test, variables: &[(&str, String)]) -> Command {
    let mut command = Command::new(&test.executable);
    command.args([&*test.path, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"]);
    environment(&mut command, test, variables);
    command
}

/// Sets what cargo sets for a test, and these variables.
pub(crate) fn environment(command: &mut Command, test: &Test, variables: &[(&str, String)]) {
    command
        .current_dir(&test.folder)
        .env("CARGO_MANIFEST_DIR", &test.folder)
        .env("CARGO_PKG_NAME", &test.package);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    // Snapshots are for `cargo test`. A sweep must not leave pending ones.
    command.env("INSTA_UPDATE", "no");
}

/// Runs a test with a journal, and hands every entry of it to `note`.
pub(crate) fn run(
    test: &Test,
    variables: &[(&str, String)],
    interrupt: &Interrupt,
    mut note: impl FnMut(&Value),
) -> Result<Ended, Problem> {
    let scratch = Scratch::make()?;
    let (journal, output) = (scratch.path("journal"), scratch.path("output"));
    let create = |path: &Path| File::create(path).map_err(|error| Problem::of_file(path, "write", &error));
    create(&journal)?;
    let printed = create(&output)?;
    let mut variables = variables.to_vec();
    variables.push(("WAVETANK_JOURNAL", journal.to_string_lossy().into_owned()));
    let mut command = command(test, &variables);
    command.stdin(Stdio::null()).stdout(printed.try_clone()?).stderr(printed);
    let mut child = command
        .spawn()
        .map_err(|error| Problem::new(format!("cannot run {}: {error}", test.executable.display())))?;
    let mut reader = Reader::open(&journal)?;
    let mut end = None;
    let mut passed_on = false;
    let status = loop {
        let status = child.try_wait()?;
        for entry in reader.read()? {
            if entry["event"] == "end" {
                end = Some(entry);
            } else {
                note(&entry);
            }
        }
        if let Some(status) = status {
            break status;
        }
        if interrupt.must_pass_on() && !passed_on {
            passed_on = true;
            terminate(&child);
        }
        pause(LOOK);
    };
    let output = fs::read(&output).map_err(|error| Problem::of_file(&output, "read", &error))?;
    Ok(Ended { status, output: String::from_utf8_lossy(&output).into_owned(), end })
}

fn terminate(child: &Child) {
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
}

/// Reads the entries of a journal while it is written.
struct Reader {
    file: File,
    at: u64,
    rest: Vec<u8>,
}

impl Reader {
    fn open(path: &Path) -> Result<Self, Problem> {
        let file = File::open(path).map_err(|error| Problem::of_file(path, "read", &error))?;
        Ok(Self { file, at: 0, rest: Vec::new() })
    }

    /// Reads what is new, up to the last whole line.
    fn read(&mut self) -> Result<Vec<Value>, Problem> {
        self.file.seek(SeekFrom::Start(self.at))?;
        self.at += self.file.read_to_end(&mut self.rest)? as u64;
        let Some(end) = memchr::memrchr(b'\n', &self.rest) else { return Ok(Vec::new()) };
        let lines: Vec<u8> = self.rest.drain(..=end).collect();
        let lines = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_journal_is_read_line_by_line() {
        let scratch = Scratch::make().expect("makes");
        let path = scratch.path("journal");
        let mut writer = File::create(&path).expect("creates");
        let mut reader = Reader::open(&path).expect("opens");
        writer.write_all(b"{\"a\":1}\n{\"b\"").expect("writes");
        assert_eq!(reader.read().expect("reads").len(), 1);
        writer.write_all(b":2}\n").expect("writes");
        assert_eq!(reader.read().expect("reads")[0]["b"], 2);
        assert!(reader.read().expect("reads").is_empty());
    }
}
