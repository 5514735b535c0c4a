//! One word for one thing: home-made and archaic words, each with the word to use instead.

use std::fs;

use super::{Source, files, none, root};

/// A phrase that is not used, and what to write instead. A phrase is matched word by word, without regard to case.
const REPLACED: [(&str, &str); 38] = [
    ("tank", "simulation, simulator"),
    ("in-tank", "simulated"),
    ("seam", "runtime traits"),
    ("dull", "default"),
    ("dull one", "default"),
    ("mended", "fixed"),
    ("mend", "fix"),
    ("withhold", "delay"),
    ("withheld", "delayed"),
    ("held back", "delayed"),
    ("hold back", "delay"),
    ("holds back", "delays"),
    ("are held for", "wait for"),
    ("weather", "link conditions, faults"),
    ("exhibit", "an entry of the zoo"),
    ("tanks", "simulations"),
    ("seams", "runtime traits"),
    ("manners", "peer scripts"),
    ("whom", "that, which"),
    ("whoever", "the task that, the thread that"),
    ("somebody", "a task, a peer, a thread"),
    ("nobody", "no task, no peer, no thread"),
    ("anybody", "any task, any peer"),
    ("anybody's", "any task's, any peer's"),
    ("those who", "tasks that, peers that, callers that"),
    ("told to wait", "pending, delayed"),
    ("tells of", "reports, announces"),
    ("in vain", "without result"),
    ("befall", "happen to"),
    ("befalls", "happens to"),
    ("so that it be", "so that it is"),
    ("in peace", "cleanly"),
    ("is dear", "is expensive"),
    ("are dear", "are expensive"),
    ("it is told", "it learns"),
    ("has it end", "ends it"),
    ("who waits", "the task that waits"),
    ("who reads", "the task that reads"),
];

/// Symptoms of recordings, which keep their text.
const RECORDED: [&str; 1] = ["a pong for every ping, kept while nobody read"];

/// Files whose subject is these words, and the lane texts that recordings contain.
const EXEMPT: [&str; 2] = ["sim-tests/tests/tidy/words.rs", "crates/sim/src/choice/lane.rs"];

fn words(line: &str) -> Vec<String> {
    let separate = |c: char| !(c.is_alphanumeric() || c == '\'' || c == '-');
    line.split(separate).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// The line with the words of its identifiers apart: `seam_is_dull` and `SeamIsDull` are three.
fn apart(line: &str) -> String {
    let mut apart = String::with_capacity(line.len());
    let mut before = ' ';
    for c in line.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            apart.push(' ');
        }
        apart.push(if c == '_' { ' ' } else { c });
        before = c;
    }
    apart
}

/// Names of types that said nothing to a reader, and what stands in their place.
const REPLACED_TYPES: [(&str, &str); 5] = [
    ("Eye", "ReadPermit"),
    ("Pen", "WritePermit"),
    ("Fact", "NetEventKind, TraceEvent"),
    ("Spell", "ScheduledFault"),
    ("Kernel", "Scheduler"),
];

/// The type that a line defines.
fn defined(line: &str) -> Option<&str> {
    let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    words.find(|word| ["struct", "enum", "trait", "type"].contains(word))?;
    words.next()
}

#[test]
fn types_have_names_of_the_glossary() {
    let found =
        files("rs").into_iter().filter(|source| !EXEMPT.contains(&source.path.as_str())).flat_map(|source| {
            let lines = source.text.lines().enumerate();
            let found = lines.flat_map(|(index, line)| {
                let place = format!("{}:{}", source.path, index + 1);
                let is_named =
                    |name: &str| !line.trim_start().starts_with("//") && defined(line) == Some(name);
                let named = REPLACED_TYPES.into_iter().filter(move |(name, _)| is_named(name));
                named.map(move |(name, instead)| format!("{place}: `{name}`: write `{instead}`"))
            });
            found.collect::<Vec<_>>()
        });
    none(found, "types with names of the glossary");
    assert_eq!(defined("pub(crate) struct Eye<T> {"), Some("Eye"));
}

/// The phrases of `REPLACED` that a line contains, each with its replacement.
fn replaced(line: &str) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
    let words = words(&apart(line));
    REPLACED.into_iter().filter(move |(phrase, _)| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        words.windows(phrase.len()).any(|window| window.iter().zip(&phrase).all(|(word, part)| word == part))
    })
}

/// All prose and code of the project: sources, Markdown, manifests and scripts.
fn texts() -> Vec<Source> {
    let mut texts: Vec<Source> = ["rs", "md", "toml"].into_iter().flat_map(files).collect();
    let loose = [
        "README.md",
        "Cargo.toml",
        ".clippy.toml",
        ".cargo/config.toml",
        ".ci/run",
        ".github/CONTRIBUTING.md",
        ".github/SECURITY.md",
        ".github/workflows/ci.yml",
        "sim-tests/first_steps/run",
        "sim-tests/zoo/run",
        "sim-tests/peers/run",
        "sim-tests/slurm/run",
    ];
    texts.extend(loose.map(|path| Source {
        path: path.to_owned(),
        text: fs::read_to_string(root().join(path)).expect("text"),
    }));
    texts
}

#[test]
fn one_word_stands_for_one_thing() {
    let found = texts().into_iter().filter(|text| !EXEMPT.contains(&text.path.as_str())).flat_map(|text| {
        let is_recorded = |line: &str| RECORDED.iter().any(|symptom| line.contains(symptom));
        let lines = text.text.lines().enumerate().filter(|(_, line)| !is_recorded(line));
        let found = lines.flat_map(|(index, line)| {
            let place = format!("{}:{}", text.path, index + 1);
            replaced(line).map(move |(phrase, instead)| format!("{place}: `{phrase}`: write `{instead}`"))
        });
        found.collect::<Vec<_>>()
    });
    none(found, "words of the glossary");
}

#[test]
fn phrases_match_whole_words_only() {
    let found = |line| replaced(line).map(|(phrase, _)| phrase).collect::<Vec<_>>();
    assert_eq!(found("use wavetank::Sim;"), [""; 0]);
    assert_eq!(found("fn tells_nobody_of_it()"), ["nobody"]);
    assert_eq!(found("/// The Tank."), ["tank"]);
    assert_eq!(found("pub struct LinkWeather {"), ["weather"]);
    assert_eq!(found("a seamless, dullness"), [""; 0]);
}

#[test]
fn lines_fit_a_screen() {
    let long = files("rs").into_iter().flat_map(|source| {
        let lines = source.text.lines().enumerate();
        // A line without a space in its text (a long address), data and the command of a report cannot be wrapped.
        let is_data =
            |line: &str| !line.trim().contains(' ') || line.contains("r#\"") || line.contains("=v1:");
        let long = lines.filter(|(_, line)| line.chars().count() > 120 && !is_data(line));
        long.map(|(index, line)| format!("{}:{}: {} columns", source.path, index + 1, line.chars().count()))
            .collect::<Vec<_>>()
    });
    none(long, "at most 120 columns, comments included");
}

#[test]
fn test_names_have_at_most_eight_words() {
    let long = files("rs").into_iter().flat_map(|source| {
        let mut is_test = false;
        let mut long = Vec::new();
        for (index, line) in source.text.lines().enumerate() {
            let line = line.trim();
            let is_attribute = line.starts_with("#[test]") || line.starts_with("#[wavetank::test");
            if is_attribute
                || line.starts_with("#[") && (line.contains("::test]") || line.contains("::test("))
            {
                is_test = true;
            }
            let function = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
            if let (true, Some(function)) = (is_test, function) {
                let name = function.split(['(', '<']).next().unwrap_or_default();
                if name.split('_').count() > 8 {
                    long.push(format!("{}:{}: {name}", source.path, index + 1));
                }
                is_test = false;
            }
        }
        long
    });
    none(long, "at most eight words, saying what holds");
}
