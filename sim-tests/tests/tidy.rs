//! Rules of this repository that no lint checks: which code may name what, and how long files and lines may be.

#[path = "tidy/citations.rs"]
mod citations;

use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/graphql_scenarios.rs"]
mod graphql_scenarios;
#[path = "tidy/guide.rs"]
mod guide;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/multiplexer_scenarios.rs"]
mod multiplexer_scenarios;
#[path = "tidy/scenarios.rs"]
mod scenarios;
#[path = "tidy/words.rs"]
mod words;

/// A source file: its path below the workspace's root, with `/` as separator, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Whether only tests compile it: a file of an integration test, or of a module under `#[cfg(test)]`.
    fn is_test(&self) -> bool {
        let is_integration = !self.path.contains("/src/") && self.path.contains("/tests/");
        is_integration || modules::test_only_files().contains(&self.path)
    }

    /// Returns the lines of code with their numbers, without comments and without the `#[cfg(test)]` module at the end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let before_tests = match self.text.find("#[cfg(test)]\nmod tests {") {
            Some(end) => &self.text[..end],
            None => &self.text,
        };
        let lines = before_tests.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }

    /// Returns the places where code names one of `words`.
    fn naming(&self, words: &[&str]) -> Vec<String> {
        let named = self.code().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        named.map(|(number, line)| format!("{}:{number}: {line}", self.path)).collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}

/// Returns the files below `crates` and `sim-tests` with this extension, in order.
fn files(extension: &str) -> Vec<Source> {
    let mut folders = vec![root().join("crates"), root().join("sim-tests")];
    let mut paths: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).expect("text"),
        path: path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/"),
    };
    paths.into_iter().map(read).collect()
}

#[track_caller]
fn none(found: impl Iterator<Item = String>, rule: &str) {
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let sources = files("rs");
    assert!(sources.len() > 100, "the files are found");
    let silent = sources.into_iter().filter(|source| !source.text.starts_with("//! "));
    none(silent.map(|source| source.path), "begins with `//!`");
}

#[test]
fn files_are_short_and_never_called_mod() {
    let mut wrong = Vec::new();
    for source in files("rs") {
        let lines = source.text.lines().count();
        if lines > 800 {
            wrong.push(format!("{}: {lines} lines, more than 800", source.path));
        }
        if source.path.ends_with("/mod.rs") {
            wrong.push(format!("{}: `foo.rs`, not `foo/mod.rs`", source.path));
        }
    }
    none(wrong.into_iter(), "one concept a file");
}

#[test]
fn snapshots_can_be_read_at_a_glance() {
    let long = files("snap").into_iter().filter_map(|snapshot| {
        // The header is between two lines of dashes.
        let body = snapshot.text.splitn(3, "---\n").nth(2).unwrap_or(&snapshot.text);
        let lines = body.lines().count();
        (lines > 60).then(|| format!("{}: {lines} lines", snapshot.path))
    });
    none(long, "at most 60 lines");
}

#[test]
fn nothing_is_left_undone_or_ignored() {
    // In two parts, so that this file does not contain them.
    let marks =
        ["FIX|ME", "X|XX", "TO|DO", "todo|!(", "unimplemented|!(", "#[ig|nore", "#[all|ow(", "#![all|ow("];
    let marks = marks.map(|mark| mark.replace('|', ""));
    let left = files("rs").into_iter().flat_map(|source| {
        let lines = source.text.lines().enumerate();
        let marked = lines.filter(|(_, line)| marks.iter().any(|mark| line.contains(mark.as_str())));
        marked.map(|(index, line)| format!("{}:{}: {line}", source.path, index + 1)).collect::<Vec<_>>()
    });
    none(left, "nothing is promised for later");
}

/// The only modules of the production runtime that may use real clocks, sockets, threads and entropy.
const REAL: [&str; 4] = ["tokio_runtime", "std_threads", "clock", "entropy"];

/// Crates that are the simulator.
const SIMULATOR: [&str; 2] = ["crates/sim/", "crates/macros/"];

/// The command, which drives tests from outside.
const COMMAND: &str = "crates/cli/";

/// Simulated code that is in the same crate as its simulations.
const MUSEUM: &str = "sim-tests/src/museum/";

/// What is lost if a call is dropped stands under the same heading everywhere.
#[test]
fn every_async_call_documents_cancel_safety() {
    let mut calls = 0;
    let mut silent = Vec::new();
    for source in
        files("rs").into_iter().filter(|source| source.path.starts_with("crates/") && !source.is_test())
    {
        let mut is_documented = false;
        for (index, line) in source.text.lines().map(str::trim).enumerate() {
            if line.starts_with("///") {
                is_documented |= line == "/// # Cancel safety";
            } else if !line.starts_with("#[") {
                if line.starts_with("pub async fn ") {
                    calls += 1;
                    if !is_documented {
                        silent.push(format!("{}:{}: {line}", source.path, index + 1));
                    }
                }
                is_documented = false;
            }
        }
    }
    assert!(calls > 20, "the calls are found");
    none(silent.into_iter(), "has `# Cancel safety`");
}

#[test]
fn simulated_code_uses_only_the_runtime_traits() {
    let words = [
        "std::time::Instant",
        "SystemTime",
        "std::thread",
        "thread::spawn",
        "thread::sleep",
        "TcpStream",
        "TcpListener",
        "std::net::Udp",
        "std::os::unix::net",
        "tokio::net",
        "tokio::spawn",
        "tokio::time",
        "tokio::task::spawn",
        "getrandom",
        "thread_rng",
    ];
    let judged = files("rs").into_iter().filter(|source| {
        let is_real = |module: &&str| source.path.starts_with(&format!("crates/runtime/src/{module}"));
        let exempt = SIMULATOR.iter().chain([&COMMAND]).any(|folder| source.path.starts_with(folder));
        let of_crates = source.path.starts_with("crates/") && source.path.contains("/src/") && !exempt;
        (of_crates || source.path.starts_with(MUSEUM)) && !source.is_test() && !REAL.iter().any(is_real)
    });
    let judged: Vec<Source> = judged.collect();
    for folder in ["crates/runtime/", "crates/websocket/", "crates/graphql/", MUSEUM] {
        assert!(judged.iter().any(|source| source.path.starts_with(folder)), "{folder} is looked at");
    }
    for folder in SIMULATOR {
        assert!(root().join(folder).is_dir(), "{folder} exists");
    }
    none(
        judged.iter().flat_map(|source| source.naming(&words)),
        "no clock, socket, thread or entropy of its own",
    );
}

#[test]
fn only_choice_makes_random_number_generators() {
    let words = ["SeedableRng", "seed_from_u64", "from_seed", "from_rng", "set_stream"];
    let tests = modules::test_only_files();
    assert!(tests.contains("crates/sim/src/net/chaos.rs"), "test-only modules are found");
    let simulator = files("rs").into_iter().filter(|source| source.path.starts_with("crates/sim/src/"));
    let others =
        simulator.filter(|source| !tests.contains(&source.path) && source.path != "crates/sim/src/choice.rs");
    none(others.flat_map(|source| source.naming(&words)), "all randomness comes from `choice`");
}

#[test]
fn no_collection_has_a_random_order() {
    // A program that uses every source of randomness, and published crates.
    let exempt = ["sim-tests/src/mixture.rs", "sim-tests/zoo/"];
    let judged = files("rs")
        .into_iter()
        .filter(|source| !source.is_test() && !exempt.iter().any(|exempt| source.path.starts_with(exempt)));
    none(judged.flat_map(|source| source.naming(&["HashMap", "HashSet"])), "`BTreeMap` and `BTreeSet`");
}

/// Returns the code blocks of module docs that begin with "```", without hidden lines, in order.
fn doc_examples(text: &str) -> Vec<Vec<String>> {
    let mut examples = Vec::new();
    let mut inside: Option<Vec<String>> = None;
    for line in text.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.strip_prefix(' ').unwrap_or(line);
        match (line == "```", inside.as_mut()) {
            (true, None) => inside = Some(Vec::new()),
            (true, Some(_)) => examples.extend(inside.take()),
            (false, Some(_)) if line.starts_with("# ") => {}
            // A doc test cannot have an attribute, so it is commented out there.
            (false, Some(lines)) => lines.push(line.replace("// #[", "#[")),
            (false, None) => {}
        }
    }
    examples
}

#[test]
fn the_page_on_turmoil_shows_tested_examples() {
    let docs = fs::read_to_string(root().join("crates/sim/src/turmoil.rs")).expect("text");
    let page = fs::read_to_string(root().join("crates/sim/guide/src/turmoil.md")).expect("text");
    let diff = page.split("```diff\n").nth(1).expect("a diff").split("```").next().expect("its end");
    let side = |mark: char| -> Vec<String> {
        let of_side = diff.lines().filter(|line| line.starts_with([' ', mark]));
        of_side.map(|line| line[1..].to_owned()).collect()
    };
    assert_eq!(doc_examples(&docs), [side('-'), side('+')], "before and after");
}

/// The bodies of the README's two tests, as `sim-tests/tests/readme.rs` runs them.
#[test]
fn the_readme_shows_tested_code() {
    let tests = fs::read_to_string(root().join("sim-tests/tests/readme.rs")).expect("text");
    let readme = fs::read_to_string(root().join("README.md")).expect("text");
    let bodies: Vec<String> = tests
        .split("(sim: &mut Sim) {\n")
        .skip(1)
        .map(|rest| rest.split("\n    }\n").next().expect("its end"))
        .map(|body| body.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect::<Vec<_>>())
        .map(|lines| lines.join("\n"))
        .collect();
    assert_eq!(bodies.len(), 2, "one with tasks, one with threads");
    // With the attribute, the signature and the closing brace.
    assert!(bodies[0].lines().count() + 3 <= 20, "the first test fits twenty lines");
    for body in bodies {
        assert!(readme.contains(&body), "the README shows:\n{body}");
    }
}

/// The README's test of an ordinary program, as `sim-tests/tests/processes/readme.rs` runs it.
#[test]
fn the_readme_shows_a_tested_process() {
    let tests = fs::read_to_string(root().join("sim-tests/tests/processes/readme.rs")).expect("text");
    let readme = fs::read_to_string(root().join("README.md")).expect("text");
    let (_, shown) = tests.rsplit_once("#[wavetank::test]\n").expect("a test");
    assert!(shown.contains("sim.process("), "{shown}");
    assert!(readme.contains(&format!("#[wavetank::test]\n{shown}```\n")), "the README shows:\n{shown}");
}
