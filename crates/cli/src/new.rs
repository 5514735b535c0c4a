//! `cargo wavetank new`: what a package needs for its first simulation, shown before it is written.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, value};

use crate::arguments::{Build, New};
use crate::cargo::Workspace;
use crate::error::Problem;
use crate::seeds::confirmed;

/// The version of wavetank that this command belongs to.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

const TEST: &str = include_str!("new/simulation.rs.txt");

/// A file that changes.
struct Change {
    path: PathBuf,
    before: Option<String>,
    after: String,
}

/// Runs the command.
pub(crate) fn run(arguments: &New) -> Result<bool, Problem> {
    let changes = changes(arguments)?;
    if arguments.json {
        let shown: Vec<_> = changes
            .iter()
            .map(|change| json!({"file": change.path, "is_new": change.before.is_none(), "text": change.after}))
            .collect();
        println!("{}", json!(shown));
    } else {
        changes.iter().for_each(print);
    }
    if changes.is_empty() {
        eprintln!("nothing to change: the package is set up");
        return Ok(true);
    }
    if arguments.dry_run || !(arguments.yes || confirmed("\nwrite this?")?) {
        eprintln!("nothing was written");
        return Ok(true);
    }
    for change in &changes {
        let cannot = |error| Problem::of_file(&change.path, "write", &error);
        if let Some(folder) = change.path.parent() {
            fs::create_dir_all(folder).map_err(cannot)?;
        }
        fs::write(&change.path, &change.after).map_err(cannot)?;
    }
    eprintln!("\nnow run   cargo wavetank sweep");
    Ok(true)
}

fn changes(arguments: &New) -> Result<Vec<Change>, Problem> {
    let manifest = arguments.folder.join("Cargo.toml");
    let Ok(text) = fs::read_to_string(&manifest) else {
        return Err(Problem::new(format!("{} is not the folder of a package", arguments.folder.display()))
            .help("make one with `cargo new --lib NAME`, or name the folder"));
    };
    let build = Build { manifest_path: Some(manifest.clone()), ..Build::default() };
    let root = Workspace::load(&build)?.root;
    let mut document = parse(&manifest, &text)?;
    if document.get("package").is_none() {
        return Err(Problem::new(format!("{} describes a workspace, not a package", manifest.display()))
            .help("name the folder of one of its packages: cargo wavetank new PACKAGE"));
    }
    let is_root = same(&root.join("Cargo.toml"), &manifest);
    add_dependencies(&mut document, arguments.checkout.as_deref())?;
    let mut changes = Vec::new();
    if is_root {
        set_profile(&mut document);
    } else {
        let path = root.join("Cargo.toml");
        let text = read(&path)?.unwrap_or_default();
        let mut document = parse(&path, &text)?;
        set_profile(&mut document);
        add(&mut changes, path, document.to_string())?;
    }
    add(&mut changes, manifest, document.to_string())?;
    let config = root.join(".cargo/config.toml");
    let mut document = parse(&config, &read(&config)?.unwrap_or_default())?;
    set_flags(&mut document, &config)?;
    add(&mut changes, config, document.to_string())?;
    let test = arguments.folder.join("tests/simulation.rs");
    if !test.exists() {
        add(&mut changes, test, TEST.to_owned())?;
    }
    Ok(changes)
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn read(path: &Path) -> Result<Option<String>, Problem> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Problem::of_file(path, "read", &error)),
    }
}

fn parse(path: &Path, text: &str) -> Result<DocumentMut, Problem> {
    text.parse().map_err(|error| Problem::new(format!("{}: {error}", path.display())))
}

fn add(changes: &mut Vec<Change>, path: PathBuf, after: String) -> Result<(), Problem> {
    let before = read(&path)?;
    if before.as_deref() != Some(&*after) {
        changes.push(Change { path, before, after });
    }
    Ok(())
}

/// Adds what the first test needs, unless it is there.
fn add_dependencies(document: &mut DocumentMut, checkout: Option<&Path>) -> Result<(), Problem> {
    let of = |folder: &str| match checkout {
        None => Ok(value(VERSION)),
        Some(checkout) => {
            let path = std::path::absolute(checkout.join(folder))?;
            let mut table = InlineTable::new();
            table.insert("version", VERSION.into());
            table.insert("path", path.to_string_lossy().into_owned().into());
            Ok::<Item, Problem>(value(table))
        }
    };
    let mut tokio = InlineTable::new();
    tokio.insert("version", "1.52".into());
    tokio.insert("features", Array::from_iter(["io-util", "time"]).into());
    set(document, "dependencies", "wavetank-runtime", of("crates/runtime")?);
    set(document, "dev-dependencies", "wavetank", of("crates/sim")?);
    set(document, "dev-dependencies", "tokio", value(tokio));
    Ok(())
}

fn set(document: &mut DocumentMut, section: &str, name: &str, item: Item) {
    let elsewhere = ["dependencies", "dev-dependencies"];
    let has = |section: &str| document.get(section).and_then(|table| table.get(name)).is_some();
    if has(section) || (name == "tokio" && elsewhere.into_iter().any(has) && has("dev-dependencies")) {
        return;
    }
    let table = document.entry(section).or_insert(Item::Table(Table::new()));
    table[name] = item;
}

/// Sets `opt-level` of the profile for tests, unless it is set.
fn set_profile(document: &mut DocumentMut) {
    let profile = document.entry("profile").or_insert(Item::Table(implicit()));
    if profile.get("dev").is_none() {
        profile["dev"] = Item::Table(Table::new());
    }
    if profile["dev"].get("opt-level").is_none() {
        profile["dev"]["opt-level"] = value(1);
    }
}

fn implicit() -> Table {
    let mut table = Table::new();
    table.set_implicit(true);
    table
}

/// Adds `--cfg tokio_unstable` to the flags of the compiler, unless it is there.
fn set_flags(document: &mut DocumentMut, path: &Path) -> Result<(), Problem> {
    let build = document.entry("build").or_insert(Item::Table(Table::new()));
    let Some(known) = build.get("rustflags") else {
        build["rustflags"] = value(Array::from_iter(["--cfg", "tokio_unstable"]));
        return Ok(());
    };
    if known.to_string().contains("tokio_unstable") {
        return Ok(());
    }
    let Some(flags) = build["rustflags"].as_array_mut() else {
        return Err(Problem::new(format!("{}: `build.rustflags` is not an array", path.display()))
            .help("make it an array, or add `--cfg tokio_unstable` to it by hand"));
    };
    flags.push("--cfg");
    flags.push("tokio_unstable");
    Ok(())
}

/// Prints a change: a new file whole, another by the lines that differ.
fn print(change: &Change) {
    match &change.before {
        None => {
            println!("\n{} (new)", change.path.display());
            change.after.lines().for_each(|line| println!("  + {line}"));
        }
        Some(before) => {
            println!("\n{}", change.path.display());
            let before: Vec<&str> = before.lines().collect();
            let after: Vec<&str> = change.after.lines().collect();
            let mut rest = &before[..];
            for line in after {
                match rest.iter().position(|known| *known == line) {
                    Some(at) => {
                        rest[..at].iter().for_each(|line| println!("  - {line}"));
                        rest = &rest[at + 1..];
                    }
                    None => println!("  + {line}"),
                }
            }
            rest.iter().for_each(|line| println!("  - {line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str) -> String {
        let mut document: DocumentMut = text.parse().expect("TOML");
        add_dependencies(&mut document, None).expect("no checkout");
        set_profile(&mut document);
        document.to_string()
    }

    #[test]
    fn a_manifest_keeps_its_comments() {
        let text = "[package]\nname = \"a\" # mine\n\n[dependencies]\ntokio = \"1\"\n";
        let after = changed(text);
        assert!(after.starts_with("[package]\nname = \"a\" # mine\n"), "{after}");
        for part in ["wavetank-runtime = \"0.1\"", "[dev-dependencies]\nwavetank = \"0.1\"", "opt-level = 1"]
        {
            assert!(after.contains(part), "{after}");
        }
        assert_eq!(changed(&after), after, "a second time changes nothing");
    }

    #[test]
    fn flags_that_exist_stay() {
        let path = Path::new(".cargo/config.toml");
        let mut empty = DocumentMut::new();
        set_flags(&mut empty, path).expect("nothing is in the way");
        assert_eq!(empty.to_string(), "[build]\nrustflags = [\"--cfg\", \"tokio_unstable\"]\n");
        let mut document: DocumentMut = "[build]\nrustflags = [\"-g\"]\n".parse().expect("TOML");
        set_flags(&mut document, path).expect("an array");
        assert_eq!(document.to_string(), "[build]\nrustflags = [\"-g\", \"--cfg\", \"tokio_unstable\"]\n");
        let mut text: DocumentMut = "[build]\nrustflags = \"-g\"\n".parse().expect("TOML");
        assert!(set_flags(&mut text, path).is_err());
    }
}
