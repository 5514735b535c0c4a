//! Sentences of specifications that code cites, in the format of [duvet](https://github.com/awslabs/duvet):
//!
//! ```text
//! //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//! //# A client MUST close a connection if it detects a masked frame.
//! ```
//!
//! marks the code that follows the sentence. With the line `//= type=test` after the first, it marks a test.

use std::collections::{BTreeMap, BTreeSet};

use super::{files, none};

/// A section, and a sentence of it.
type Sentence = (String, String);

/// The places that cite sentences: code that follows them, and tests.
#[derive(Default)]
struct Citations {
    followed: BTreeMap<Sentence, String>,
    tested: BTreeMap<Sentence, String>,
}

impl Citations {
    fn of_all_files() -> Self {
        let mut citations = Self::default();
        for source in files("rs") {
            let mut lines = source.text.lines().map(str::trim).enumerate().peekable();
            while let Some((index, line)) = lines.next() {
                let Some(section) = line.strip_prefix("//= http") else { continue };
                let is_test = lines.next_if(|(_, line)| *line == "//= type=test").is_some();
                let mut words = Vec::new();
                while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with("//#")) {
                    words.extend(line["//#".len()..].split_whitespace());
                }
                let side = if is_test { &mut citations.tested } else { &mut citations.followed };
                side.insert((section.to_owned(), words.join(" ")), format!("{}:{}", source.path, index + 1));
            }
        }
        citations
    }
}

#[test]
fn every_cited_sentence_is_followed_and_tested() {
    let Citations { followed, tested } = Citations::of_all_files();
    assert!(followed.len() > 50, "the citations are found");
    let sentences: BTreeSet<_> = followed.keys().chain(tested.keys()).collect();
    let lacking =
        sentences.into_iter().filter_map(|sentence| match (followed.get(sentence), tested.get(sentence)) {
            (Some(place), None) => Some(format!("{place}: no test cites {:?}", sentence.1)),
            (None, Some(place)) => Some(format!("{place}: no code cites {:?}", sentence.1)),
            _ => None,
        });
    none(lacking, "cited word by word in both places");
}
