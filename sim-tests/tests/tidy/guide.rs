//! The guide: its table of contents, its links, and that its code is compiled.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Source, files, none, root};

const GUIDE: &str = "crates/sim/guide/src/";

/// Targets of the links in a Markdown text, without code blocks and tables of characters.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut links = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            links.extend(targets.map(str::to_owned));
        }
    }
    links
}

/// The anchor that mdBook and GitHub give to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn has_anchor(text: &str, wanted: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).any(|found| found == wanted)
}

#[test]
fn the_summary_lists_each_chapter_once() {
    let summary = fs::read_to_string(root().join(GUIDE).join("SUMMARY.md")).expect("text");
    let listed = links(&summary);
    let chapters: BTreeSet<String> = files("md")
        .iter()
        .filter_map(|file| file.path.strip_prefix(GUIDE).map(str::to_owned))
        .filter(|name| name != "SUMMARY.md")
        .collect();
    assert!(chapters.len() >= 10, "the chapters are found");
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), chapters);
    assert_eq!(listed.len(), chapters.len(), "each once");
}

#[test]
fn code_of_the_guide_is_compiled() {
    let sources: Vec<String> = files("rs")
        .into_iter()
        .filter(|file| file.path.starts_with("crates/sim/src/"))
        .map(|file| file.text)
        .collect();
    let chapters = files("md").into_iter().filter(|file| file.path.starts_with(GUIDE));
    let chapters: Vec<Source> = chapters.filter(|file| file.text.contains("```rust")).collect();
    let is_included = |file: &&Source| {
        let name = file.path.strip_prefix("crates/sim/").expect("below the crate");
        sources.iter().any(|text| text.contains(&format!("include_str!(\"../{name}\")")))
    };
    let left_out = chapters.iter().filter(|file| !is_included(file));
    none(left_out.map(|file| file.path.clone()), "a chapter with Rust code is included in the crate's docs");
    // Without a harness the compiler drops the bodies of tests.
    let is_dropped = |block: &str| block.starts_with('\n') && block.contains("#[wavetank::test");
    let without_harness = chapters.iter().filter(|file| {
        let blocks = file.text.split("```rust").skip(1);
        blocks.filter_map(|rest| rest.split("```").next()).any(is_dropped)
    });
    none(without_harness.map(|file| file.path.clone()), "a block with tests is `rust,test_harness,no_run`");
}

#[test]
fn the_guide_shows_the_tested_job_script() {
    let script = fs::read_to_string(root().join("sim-tests/slurm/sweep.sh")).expect("text");
    let chapter = fs::read_to_string(root().join(GUIDE).join("ci.md")).expect("text");
    assert!(chapter.contains(&format!("```bash\n{script}```")), "the script of sim-tests/slurm");
}

#[test]
fn relative_links_lead_to_files() {
    let mut judged = files("md");
    judged.retain(|file| file.path.starts_with(GUIDE) || file.path.ends_with("README.md"));
    let readme = fs::read_to_string(root().join("README.md")).expect("text");
    judged.push(Source { path: "README.md".to_owned(), text: readme });
    let mut broken = Vec::new();
    let mut count = 0;
    for file in &judged {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        for link in links(&file.text).into_iter().filter(|link| !link.contains("://")) {
            count += 1;
            let (path, wanted) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if path.is_empty() { root().join(&file.path) } else { root().join(folder).join(path) };
            let is_there = target.exists()
                && (wanted.is_empty()
                    || fs::read_to_string(&target).is_ok_and(|text| has_anchor(&text, wanted)));
            if !is_there {
                broken.push(format!("{}: {link}", file.path));
            }
        }
    }
    assert!(count > 20, "the links are found");
    none(broken.into_iter(), "a link leads to a file, and to a heading of it");
}
