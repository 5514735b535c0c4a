//! The simulations in test binaries. `#[wavetank::test]` leaves a line about each in the executable, so that they are
//! found without running anything.

use std::path::{Path, PathBuf};

use memchr::memmem;
use serde_json::{Value, json};

use crate::arguments::Build;
use crate::cargo::{Binary, Scope, Workspace};
use crate::error::Problem;

/// What begins a line about a test. In two parts, so that this program does not contain it.
const BEGIN: [&str; 2] = ["\u{1}wavetank", " test\u{1}"];

/// What ends it.
const END: u8 = 2;

/// The longest line about a test.
const LINE_MAX: usize = 4096;

/// A test with `#[wavetank::test]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) package: String,
    /// The source file, as the compiler names it.
    pub(crate) file: String,
    pub(crate) line: u32,
    /// The name in the workspace, as recordings have it.
    pub(crate) name: String,
    /// The name in its binary, as libtest has it.
    pub(crate) path: String,
    /// How many seeds it runs by itself: a number, or the name of a constant.
    pub(crate) seeds: String,
    /// The symptom that it must find.
    pub(crate) finds: Option<String>,
    pub(crate) executable: PathBuf,
    /// The folder in which it runs.
    pub(crate) folder: PathBuf,
    /// The options of `cargo test` that select its target.
    pub(crate) target: String,
}

impl Test {
    pub(crate) fn json(&self) -> Value {
        json!({
            "test": self.name,
            "package": self.package,
            "path": self.path,
            "target": self.target,
            "file": self.file,
            "line": self.line,
            "seeds": self.seeds.parse::<u64>().map_or_else(|_| json!(self.seeds), |seeds| json!(seeds)),
            "finds": self.finds,
            "executable": self.executable,
        })
    }

    /// The folder of its recordings, below `seeds/`.
    pub(crate) fn matches(&self, filters: &[String]) -> bool {
        filters.is_empty() || filters.iter().any(|filter| self.name.contains(filter.as_str()))
    }
}

/// Builds what is selected and returns its simulations, in the order of packages and files.
pub(crate) fn build(workspace: &Workspace, build: &Build, scope: &Scope) -> Result<Vec<Test>, Problem> {
    let binaries = workspace.build(build, scope)?;
    let mut tests = Vec::new();
    for binary in &binaries {
        let bytes = std::fs::read(&binary.executable)
            .map_err(|error| Problem::of_file(&binary.executable, "read", &error))?;
        tests.extend(listed(&bytes, binary));
    }
    tests.sort();
    tests.dedup();
    if tests.is_empty() {
        return Err(none(workspace, &binaries));
    }
    Ok(tests)
}

fn none(workspace: &Workspace, binaries: &[Binary]) -> Problem {
    let problem = match binaries.len() {
        0 => Problem::new("nothing was selected to build that has tests"),
        1 => Problem::new("the selected test binary has no `#[wavetank::test]`"),
        count => {
            Problem::new(format!("none of the {count} selected test binaries has a `#[wavetank::test]`"))
        }
    };
    let simulating: Vec<String> = workspace
        .packages
        .iter()
        .filter(|package| package.simulates)
        .map(|package| format!("`-p {}`", package.name))
        .collect();
    match &simulating[..] {
        [] => problem.help("no package here depends on wavetank: `cargo wavetank new` sets one up"),
        some => problem.help(format!("packages that depend on wavetank: {}", some.join(", "))),
    }
}

/// Keeps the tests whose names match, of which there must be one.
pub(crate) fn select(tests: Vec<Test>, filters: &[String]) -> Result<Vec<Test>, Problem> {
    let exact: Vec<Test> = tests
        .iter()
        .filter(|test| filters.iter().any(|filter| *filter == test.name || *filter == test.path))
        .cloned()
        .collect();
    if !filters.is_empty() && exact.len() == filters.len() {
        return Ok(exact);
    }
    for filter in filters {
        if !tests.iter().any(|test| test.name.contains(filter.as_str())) {
            let names = tests.iter().map(|test| &*test.path);
            return Err(Problem::unknown("simulation", filter, names));
        }
    }
    Ok(tests.into_iter().filter(|test| test.matches(filters)).collect())
}

/// Builds and returns the test of this name.
pub(crate) fn named(workspace: &Workspace, options: &Build, name: &str) -> Result<Test, Problem> {
    let scope = workspace.scope_of(name)?;
    let tests = build(workspace, options, &scope)?;
    match tests.iter().find(|test| test.name == name) {
        Some(test) => Ok(test.clone()),
        None => Err(Problem::unknown("simulation", name, tests.iter().map(|test| &*test.name))),
    }
}

/// Finds the tests that a binary lists.
fn listed(bytes: &[u8], binary: &Binary) -> Vec<Test> {
    let begin = BEGIN.concat();
    memmem::find_iter(bytes, begin.as_bytes())
        .filter_map(|at| {
            let rest = &bytes[at + begin.len()..];
            let rest = &rest[..rest.len().min(LINE_MAX)];
            let end = memchr::memchr(END, rest)?;
            test(std::str::from_utf8(&rest[..end]).ok()?, binary)
        })
        .collect()
}

fn test(line: &str, binary: &Binary) -> Option<Test> {
    let mut parts = line.split('\u{1}');
    let (package, name) = (parts.next()?, parts.next()?);
    let (file, number) = (parts.next()?, parts.next()?.parse().ok()?);
    let (seeds, finds) = (parts.next()?, parts.next()?);
    let (crate_name, path) = name.split_once("::")?;
    let is_called_as_package = crate_name == package.replace('-', "_");
    let target = &binary.target;
    let prefix = match &*target.kind {
        "bin" | "example" => "bin/",
        "test" | "bench" if is_called_as_package => "test/",
        _ => "",
    };
    let options =
        if target.kind == "lib" { "--lib".to_owned() } else { format!("--{} {}", target.kind, target.name) };
    Some(Test {
        package: package.to_owned(),
        file: file.to_owned(),
        line: number,
        name: format!("{package}/{prefix}{name}"),
        path: path.to_owned(),
        seeds: seeds.to_owned(),
        finds: (!finds.is_empty()).then(|| finds.to_owned()),
        executable: binary.executable.clone(),
        folder: binary.folder.clone(),
        target: options,
    })
}

/// Makes a path of the compiler's absolute, if a file is there.
pub(crate) fn source(root: &Path, file: &str) -> PathBuf {
    let below = root.join(file);
    if below.is_file() { below } else { file.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::Target;

    fn binary(kind: &str) -> Binary {
        Binary {
            executable: "/t/x-1".into(),
            target: Target { name: "on-tcp".to_owned(), kind: kind.to_owned() },
            folder: "/w/chat".into(),
        }
    }

    #[test]
    fn lines_in_a_binary_become_tests() {
        let begin = BEGIN.concat();
        let line =
            |name: &str| format!("\0junk{begin}chat\u{1}{name}\u{1}tests/a.rs\u{1}7\u{1}100\u{1}\u{2}more");
        let bytes = format!("{}{}{begin}cut", line("on_tcp::closes"), line("on_tcp::deep::opens"));
        let found = listed(bytes.as_bytes(), &binary("test"));
        let names: Vec<&str> = found.iter().map(|test| &*test.name).collect();
        assert_eq!(names, ["chat/on_tcp::closes", "chat/on_tcp::deep::opens"]);
        assert_eq!((&*found[1].path, found[1].line, &*found[1].target), ("deep::opens", 7, "--test on-tcp"));
        let of_package = listed(line("chat::x").as_bytes(), &binary("test"));
        assert_eq!(of_package[0].name, "chat/test/chat::x");
        assert_eq!(listed(line("chat::x").as_bytes(), &binary("bin"))[0].name, "chat/bin/chat::x");
    }

    #[test]
    fn an_exact_name_selects_one_test() {
        let begin = BEGIN.concat();
        let line = |name: &str| format!("{begin}chat\u{1}{name}\u{1}a.rs\u{1}7\u{1}100\u{1}\u{2}");
        let bytes = format!("{}{}", line("t::closes"), line("t::closes_late"));
        let tests = listed(bytes.as_bytes(), &binary("test"));
        let selected = |filter: &str| select(tests.clone(), &[filter.to_owned()]).map(|found| found.len());
        assert_eq!((selected("closes"), selected("close"), selected("late")), (Ok(1), Ok(2), Ok(1)));
        let problem = selected("clsoes").expect_err("none");
        assert!(problem.to_string().contains("did you mean `closes`"), "{problem}");
    }
}
