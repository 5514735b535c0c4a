//! Symptoms: what failed, in a form that can be compared between runs.
//!
//! Two runs fail "the same way" if their symptoms have the same [key](Symptom::key): the kind, and the first line of
//! the detail without the parts that change from run to run or machine to machine (numbers, addresses, folders). The
//! shrinker, recordings and the museum compare keys. People read the [`Display`](fmt::Display) form.
//!
//! # Invariants
//!
//! - `Symptom::parse(symptom.key())` has the same key: recordings hold keys.
//! - A key is one line without control characters.

use std::fmt;

use crate::choice::fnv1a;

/// What failed in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symptom {
    kind: SymptomKind,
    detail: String,
}

/// The oracle that saw a symptom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SymptomKind {
    /// A task or thread of a host panicked.
    Panic,
    /// An `always!` did not hold.
    Invariant,
    /// The main of a host returned an error.
    HostError,
    /// Nothing can run, no timer is set, nothing is on its way, and a main has not ended.
    Deadlock,
    /// An operation took longer than the bound that the test set.
    Stall,
    /// Tasks, threads, sockets or timers were left after the mains had ended.
    Leak,
    /// A second run of the same choices differed.
    Nondeterminism,
    /// The run reached its limit of virtual time.
    TimeLimit,
    /// The run reached its limit of steps.
    StepLimit,
    /// The run made no progress in real time: it waits for something that the simulator does not control, or loops.
    Stuck,
    /// An OS thread from outside the run woke one of its tasks.
    ForeignWake,
    /// Code under test used something real: a socket, a name service, an OS thread.
    Uncontrolled,
    /// The test's body panicked, outside every host.
    Setup,
    /// A strict replay left its recording.
    Diverged,
}

impl SymptomKind {
    /// Every kind, with the words that begin its symptoms and the text between them and the detail. Recordings contain
    /// these words. Changing one orphans recordings.
    const WORDS: [(Self, &'static str, &'static str); 14] = [
        (Self::Invariant, "invariant broken", " in "),
        (Self::Panic, "panic", " in "),
        (Self::HostError, "error", " in "),
        (Self::Deadlock, "deadlock", ": "),
        (Self::Stall, "stall", ": "),
        (Self::Leak, "leak", ": "),
        (Self::Nondeterminism, "nondeterminism", ": "),
        (Self::TimeLimit, "time limit", ": "),
        (Self::StepLimit, "step limit", ": "),
        (Self::Stuck, "stuck", " in "),
        (Self::ForeignWake, "foreign wake", ": "),
        (Self::Uncontrolled, "uncontrolled", ": "),
        (Self::Setup, "setup", ": "),
        (Self::Diverged, "diverged", ": "),
    ];

    /// Where it stands among all kinds, for another process of this program.
    #[cfg(all(feature = "process", not(miri)))]
    pub(crate) fn number(self) -> u32 {
        Self::WORDS.iter().position(|(kind, ..)| *kind == self).expect("every kind has its words") as u32
    }

    /// The kind with this number.
    #[cfg(all(feature = "process", not(miri)))]
    pub(crate) fn of_number(number: u32) -> Self {
        Self::WORDS[number as usize].0
    }

    fn words(self) -> (&'static str, &'static str) {
        let (_, words, joint) =
            Self::WORDS.iter().find(|(kind, ..)| *kind == self).expect("every kind has its words");
        (words, joint)
    }
}

impl fmt::Display for SymptomKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().0)
    }
}

impl Symptom {
    /// Makes a symptom. Symptoms are compared by the first line of `detail`.
    pub fn new(kind: SymptomKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: crate::printable::cut(detail.into()) }
    }

    /// Returns the oracle that saw it.
    pub const fn kind(&self) -> SymptomKind {
        self.kind
    }

    /// Returns where and what, in words, in one or more lines.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns the normalised form: symptoms with equal keys are the same symptom.
    pub(crate) fn key(&self) -> String {
        let (words, joint) = self.kind.words();
        format!("{words}{joint}{}", normalise(self.detail.lines().next().unwrap_or_default()))
    }

    /// Returns 32 bits of the key, for places where the whole key is too long.
    pub(crate) fn key_hash(&self) -> u32 {
        let hash = fnv1a(self.key().as_bytes());
        (hash ^ (hash >> 32)) as u32
    }

    /// Returns `true` if `wanted` is a part of this symptom's key, numbers aside.
    pub fn matches(&self, wanted: &str) -> bool {
        self.key().contains(&normalise(wanted))
    }

    /// Returns a file name for the symptom, without extension: at most 60 of `a-z`, `0-9` and `-`.
    pub(crate) fn slug(&self) -> String {
        let mut slug = format!("{}-", self.kind.words().0.replace(' ', "-"));
        for c in normalise(self.detail.lines().next().unwrap_or_default()).chars() {
            if c.is_ascii_alphanumeric() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.ends_with('-') {
                slug.push('-');
            }
        }
        slug.truncate(60);
        slug.truncate(slug.trim_end_matches('-').len());
        slug
    }

    /// Reads a key from a recording. `None` if it begins with no kind of symptom.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        SymptomKind::WORDS.iter().find_map(|(kind, words, joint)| {
            // An editor may have removed the trailing space of a key with an empty detail.
            let rest = key.strip_prefix(words)?;
            let detail = rest.strip_prefix(joint).or_else(|| (rest == joint.trim_end()).then_some(""))?;
            Some(Self::new(*kind, detail))
        })
    }
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (words, joint) = self.kind.words();
        write!(f, "{words}{joint}{}", self.detail)
    }
}

/// Replaces what differs between runs and machines: `/long/way/file.rs` becomes `file.rs`, `0x7ffd12` becomes
/// `<address>`, and every run of digits `#`. Normalising twice gives the same as normalising once.
fn normalise(line: &str) -> String {
    without_digits(&without_addresses(&without_folders(line)))
}

fn without_folders(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let begins_word = out
            .chars()
            .next_back()
            .is_none_or(|before| !before.is_alphanumeric() && !"/:.\\<".contains(before));
        let length = if begins_word { absolute_path_length(rest) } else { 0 };
        if length > 0 {
            let (path, after) = rest.split_at(length);
            let name = path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(path);
            out.push_str(name);
            rest = after;
        } else {
            out.push(if c.is_control() { ' ' } else { c });
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Returns the length of the absolute path that `text` begins with (Unix or Windows), 0 if there is none.
fn absolute_path_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let root = match bytes {
        [b'/', ..] => 1,
        [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic() => 3,
        _ => return 0,
    };
    let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'`,:;()[]{}<>".contains(c);
    let end = text[root..].find(ends).map_or(text.len(), |end| root + end);
    if text[root..end].contains(|c| c != '/' && c != '\\') { end } else { 0 }
}

fn without_addresses(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("0x") {
        let (before, from) = rest.split_at(at);
        let digits = from[2..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(from.len() - 2);
        out.push_str(before);
        if digits > 0 && !out.ends_with(char::is_alphanumeric) {
            out.push_str("<address>");
            rest = &from[2 + digits..];
        } else {
            out.push_str("0x");
            rest = &from[2..];
        }
    }
    out.push_str(rest);
    out
}

fn without_digits(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panic(detail: &str) -> Symptom {
        Symptom::new(SymptomKind::Panic, detail)
    }

    #[test]
    fn a_symptom_gives_a_sentence_and_a_slug() {
        let symptom = panic("client/closer: connection isn't closed yet");
        assert_eq!(symptom.to_string(), "panic in client/closer: connection isn't closed yet");
        assert_eq!(symptom.slug(), "panic-client-closer-connection-isn-t-closed-yet");
    }

    #[test]
    fn volatile_details_do_not_change_the_key() {
        let here = panic("/home/a/src/lib.rs:10:5: left 17, peer 10.0.0.1:80 at 0x7ffd12\nleft: 1");
        let there = panic("C:\\work\\src\\lib.rs:9:44: left 3, peer 10.0.0.12:8080 at 0x1\nleft: 2");
        assert_eq!(here.key(), "panic in lib.rs:#:#: left #, peer #.#.#.#:# at <address>");
        assert_eq!(here.key(), there.key());
        assert_eq!(here.key_hash(), there.key_hash());
        assert_ne!(here.key(), panic("lib.rs: right").key());
    }

    #[test]
    fn hosts_and_addresses_of_services_keep_their_slashes() {
        assert_eq!(
            panic("client/closer: GET http://host/chat").key(),
            "panic in client/closer: GET http://host/chat"
        );
        assert_eq!(panic("a / b").key(), "panic in a / b");
    }

    #[test]
    fn parsing_a_key_restores_the_symptom() {
        for detail in [
            "",
            "a",
            "/a//0x12: 5\t6",
            "x0x12 0xzz",
            "//",
            "'/q/r/' (/s)",
            "0x00x1",
            "5#5",
            "/a:/b c/d",
            "é 1",
        ] {
            for (kind, ..) in SymptomKind::WORDS {
                let symptom = Symptom::new(kind, detail);
                let again = Symptom::parse(&symptom.key()).expect("a key parses");
                assert_eq!((again.kind(), again.key()), (kind, symptom.key()), "{detail:?}");
            }
        }
        assert_eq!(Symptom::parse("deadlock:").expect("no detail").kind(), SymptomKind::Deadlock);
        assert_eq!(Symptom::parse("happiness in a"), None);
    }

    #[test]
    fn matching_a_symptom_ignores_its_numbers() {
        let symptom = panic("server/main: 5 bytes left");
        assert!(symptom.matches("server/main: 12 bytes"));
        assert!(symptom.matches("panic"));
        assert!(!symptom.matches("client"));
    }

    #[test]
    fn a_slug_is_short_and_plain() {
        let symptom = Symptom::new(SymptomKind::TimeLimit, format!("{} é/ü ../..", "word ".repeat(40)));
        let slug = symptom.slug();
        assert!(slug.len() <= 60 && slug.starts_with("time-limit-word-") && !slug.ends_with('-'), "{slug}");
        assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
    }
}
