//! Starting examples, and reading what they print.

use std::io::{BufRead, BufReader, Lines, PipeWriter};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// Returns where an example is, built first: `cargo test --test examples` alone does not.
fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let test = std::env::current_exe().expect("a test is a file");
        let profile = test.ancestors().nth(2).expect("it lies in target/PROFILE/deps").to_owned();
        let release = profile.ends_with("release");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--examples"]);
        cargo.args(release.then_some("--release"));
        assert!(cargo.status().expect("cargo runs").success(), "the examples do not compile");
        profile.join("examples")
    });
    folder.join(name)
}

/// A process that is killed when the test ends.
pub(crate) struct Process {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(example(name));
        command.args(arguments);
        Self::run(command)
    }

    /// As [`start`](Self::start), with at most this many file descriptors.
    pub(crate) fn start_with_few_files(files: u32, name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")])
            .arg(example(name))
            .args(arguments);
        Self::run(command)
    }

    /// Starts an example whose output has no reader.
    pub(crate) fn start_unread(name: &str, arguments: &[&str]) -> Child {
        let mut command = Command::new(example(name));
        command.args(arguments).stdin(Stdio::null()).stderr(closed_pipe()).stdout(closed_pipe());
        command.spawn().expect("the example starts")
    }

    fn run(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the example starts");
        let output = child.stdout.take().expect("it is piped");
        Self { child, lines: BufReader::new(output).lines() }
    }

    /// The next line of its output; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        self.lines.next().map(|line| line.expect("text"))
    }

    /// The exit code, once it has ended.
    pub(crate) fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("it can be waited for").code()
    }
}

fn closed_pipe() -> PipeWriter {
    std::io::pipe().expect("a pipe").1
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}
