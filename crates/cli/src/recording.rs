//! Recordings as this command sees them: files with a header. What the choices mean is the simulator's business.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::arguments::Build;
use crate::error::Problem;

/// The first line of a recording.
const FIRST_LINE: &str = "wavetank recording 1";

/// The header of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recording {
    pub(crate) path: PathBuf,
    /// The name of its test.
    pub(crate) test: String,
    /// The symptom that it shows; `None` if it must pass.
    pub(crate) symptom: Option<String>,
    pub(crate) seed: String,
    /// Whether only a build with preemption at basic blocks replays it.
    pub(crate) is_instrumented: bool,
    /// How many choices it holds.
    pub(crate) choices: u64,
}

impl Recording {
    pub(crate) fn load(path: &Path) -> Result<Self, Problem> {
        let bytes = fs::read(path).map_err(|error| missing(path, &error))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Problem::new(format!("{}: a recording is text, and this is not", path.display())))?;
        parse(path, &text)
    }

    /// Returns what to build for its replay.
    pub(crate) fn build(&self, build: &Build) -> Build {
        Build { fine: build.fine || self.is_instrumented, ..build.clone() }
    }

    pub(crate) fn json(&self, root: &Path) -> Value {
        json!({
            "file": shown(root, &self.path),
            "test": self.test,
            "expects": self.symptom,
            "seed": self.seed,
            "choices": self.choices,
        })
    }
}

/// A path below the workspace's root, or as it is.
pub(crate) fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

fn missing(path: &Path, error: &std::io::Error) -> Problem {
    let problem = Problem::of_file(path, "read", error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = all_below(folder).iter().map(|path| path.display().to_string()).collect();
    let name = path.display().to_string();
    if error.kind() == std::io::ErrorKind::NotFound && !names.is_empty() {
        return Problem::unknown("recording", &name, names.iter().map(String::as_str));
    }
    problem
}

fn parse(path: &Path, text: &str) -> Result<Recording, Problem> {
    let broken = |what: &str| {
        Problem::new(format!("{}: {what}", path.display())).help(
            "restore the file from version control, or delete it and let a sweep find the failure again",
        )
    };
    let mut lines = text.lines();
    match lines.next() {
        None => return Err(broken("the file is empty")),
        Some(FIRST_LINE) => {}
        Some(other) if other.starts_with("wavetank recording ") => {
            return Err(Problem::new(format!("{}: it is a `{other}`, and this is not", path.display()))
                .help(format!(
                    "this command reads a `{FIRST_LINE}`: use the version of wavetank that wrote it"
                )));
        }
        Some(_) => {
            return Err(Problem::new(format!("{}: it is neither a recording nor a trace", path.display()))
                .help(
                    "a recording begins with `wavetank recording 1`; a trace is what `show --json` prints",
                ));
        }
    }
    let mut field = |name: &str| {
        let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        value.ok_or_else(|| broken(&format!("expected a line `{name} = …`")))
    };
    let test = field("test")?.to_owned();
    let expect = field("expect")?.to_owned();
    let seed = field("seed")?.to_owned();
    let symptom = expect.strip_prefix("fails(").and_then(|rest| rest.strip_suffix(')'));
    if symptom.is_none() && expect != "passes" {
        return Err(broken("expected a line `expect = fails(…)` or `expect = passes`"));
    }
    let last = text.lines().next_back().unwrap_or_default();
    let choices = last.strip_prefix("end ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let choices = choices.ok_or_else(|| broken("the last line is missing: the file was cut off"))?;
    let built = field("built")?.to_owned();
    let is_instrumented = built.ends_with(" instrumented");
    Ok(Recording {
        path: path.to_owned(),
        test,
        is_instrumented,
        symptom: symptom.map(str::to_owned),
        seed,
        choices,
    })
}

/// The recordings below a folder, in order.
pub(crate) fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "seed") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "wavetank recording 1\ntest = chat/t::closes\nexpect = fails(panic in client/main: x)\n\
                        seed = 0x2a\nbuilt = linux tokio_unstable\ntrace = 0x1\n\nend 17 choices, checksum 0x1\n";

    #[test]
    fn the_header_of_a_recording_is_read() {
        let recording = parse(Path::new("a.seed"), TEXT).expect("good");
        assert_eq!((&*recording.test, &*recording.seed, recording.choices), ("chat/t::closes", "0x2a", 17));
        assert_eq!(recording.symptom.as_deref(), Some("panic in client/main: x"));
        assert!(!recording.is_instrumented);
        let instrumented = TEXT.replace("tokio_unstable", "tokio_unstable instrumented");
        assert!(parse(Path::new("a.seed"), &instrumented).expect("good").is_instrumented);
        let passes = TEXT.replace("fails(panic in client/main: x)", "passes");
        assert_eq!(parse(Path::new("a.seed"), &passes).expect("good").symptom, None);
    }

    #[test]
    fn a_broken_recording_says_what_is_wrong() {
        let said = |text: &str| parse(Path::new("a.seed"), text).expect_err("broken").to_string();
        assert!(said("").contains("the file is empty"));
        assert!(said(&TEXT.replace("seed =", "sed =")).contains("expected a line `seed = …`"));
        assert!(said(&TEXT.replace("recording 1", "recording 2")).contains("the version of wavetank"));
        assert!(said("[package]\n").contains("neither a recording nor a trace"));
        assert!(said(TEXT.split("end").next().expect("a part")).contains("cut off"));
    }
}
