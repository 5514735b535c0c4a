//! The order of the modules: no circles among the top-level modules of a crate, and the simulator's own order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::{Source, files, none};

/// The source files of a crate below `src`, without test-only code.
pub(crate) struct Crate {
    name: String,
    files: Vec<Source>,
}

/// All crates, by name those below `crates`, by folder the others.
fn crates() -> Vec<Crate> {
    let mut crates: BTreeMap<String, Vec<Source>> = BTreeMap::new();
    for source in files("rs") {
        if let Some((folder, _)) = source.path.split_once("/src/") {
            let name = folder.strip_prefix("crates/").unwrap_or(folder);
            crates.entry(name.to_owned()).or_default().push(source);
        }
    }
    crates.into_iter().map(|(name, files)| Crate { name, files }).collect()
}

/// Ends of the item that begins at `start`: behind its `;` or behind its closing brace.
fn end_of_item(text: &str, start: usize) -> usize {
    let mut depth = 0;
    for (index, c) in text[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                // The braces of `use a::{b, c};` end before the `;`.
                if depth == 0 && !text[start + index + 1..].starts_with(';') {
                    return start + index + 1;
                }
            }
            ';' if depth == 0 => return start + index + 1,
            _ => {}
        }
    }
    text.len()
}

/// The attribute that makes an item test-only.
const TEST: &str = "#[cfg(test)]";

/// Names of the modules that are declared test-only in `text` and are in their own files.
fn test_modules(text: &str) -> impl Iterator<Item = &str> {
    text.split(TEST).skip(1).filter_map(|rest| {
        let mut words =
            rest[..end_of_item(rest, 0)].split_whitespace().filter(|word| !word.starts_with("pub"));
        (words.next() == Some("mod")).then(|| words.next()).flatten()?.strip_suffix(';')
    })
}

/// Code without its test-only items and without comments.
fn production_code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(TEST) {
        code.push_str(&rest[..start]);
        rest = &rest[end_of_item(rest, start + TEST.len())..];
    }
    code.push_str(rest);
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Paths of files that only tests compile: modules declared under `#[cfg(test)]`, and all below them.
pub(crate) fn test_only_files() -> &'static BTreeSet<String> {
    static FILES: LazyLock<BTreeSet<String>> = LazyLock::new(find_test_only_files);
    &FILES
}

fn find_test_only_files() -> BTreeSet<String> {
    let sources = files("rs");
    let mut roots: Vec<String> = Vec::new();
    for source in &sources {
        let stem = source.path.trim_end_matches(".rs");
        let is_root = ["lib", "main"].iter().any(|name| stem.ends_with(&format!("/{name}")));
        let folder = if is_root { stem.rsplit_once('/').map_or("", |(folder, _)| folder) } else { stem };
        roots.extend(test_modules(&source.text).map(|name| format!("{folder}/{name}")));
    }
    let is_below = |path: &str| {
        roots.iter().any(|root| path == format!("{root}.rs") || path.starts_with(&format!("{root}/")))
    };
    sources.into_iter().map(|source| source.path).filter(|path| is_below(path)).collect()
}

impl Crate {
    /// The top-level module of a file; `None` for the root.
    fn module<'a>(&self, source: &'a Source) -> Option<&'a str> {
        let below = source.path.split_once("/src/")?.1;
        let module = below.split('/').next()?.trim_end_matches(".rs");
        (!matches!(module, "lib" | "main")).then_some(module)
    }

    /// Which module each name that the root re-exports comes from.
    fn exports(&self) -> BTreeMap<String, String> {
        let root = self.files.iter().find(|source| source.path.ends_with("/src/lib.rs"));
        let root = root.map(|source| production_code(&source.text)).unwrap_or_default();
        let mut exports = BTreeMap::new();
        for statement in root.split("use ").skip(1).filter_map(|rest| rest.split(';').next()) {
            let path = statement.trim_start_matches("crate::").trim_start_matches("self::");
            if let Some((module, names)) = path.split_once("::") {
                let names = names.split(|c: char| !(c.is_alphanumeric() || c == '_'));
                let named = names.filter(|name| !name.is_empty());
                exports.extend(named.map(|name| (name.to_owned(), module.to_owned())));
            }
        }
        exports
    }

    /// Which modules each top-level module names, with a file that does.
    fn imports(&self, tests: &BTreeSet<String>) -> BTreeMap<(String, String), String> {
        let modules: BTreeSet<&str> = self.files.iter().filter_map(|source| self.module(source)).collect();
        let exports = self.exports();
        let mut imports = BTreeMap::new();
        for source in self.files.iter().filter(|source| !tests.contains(&source.path)) {
            let Some(module) = self.module(source) else { continue };
            let code = production_code(&source.text);
            for name in named_at_root(&code) {
                let target =
                    if modules.contains(name) { Some(name) } else { exports.get(name).map(String::as_str) };
                if let Some(target) = target.filter(|target| modules.contains(target) && *target != module) {
                    imports
                        .entry((module.to_owned(), target.to_owned()))
                        .or_insert_with(|| source.path.clone());
                }
            }
        }
        imports
    }
}

/// The first names behind `crate::`: of `crate::a::b` it is `a`, of `crate::{a, b::c}` both `a` and `b`.
fn named_at_root(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            names.extend(first_name(rest));
            continue;
        };
        let mut depth = 0;
        let mut at_start = true;
        for (index, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_start = true,
                _ if at_start && !c.is_whitespace() => {
                    at_start = false;
                    names.extend(first_name(&group[index..]));
                }
                _ => {}
            }
        }
    }
    names
}

fn first_name(text: &str) -> Option<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().filter(|name| !name.is_empty())
}

/// A circle of modules, if there is one: each imports from the next, the last from the first.
fn circle(imports: &BTreeMap<(String, String), String>) -> Option<Vec<String>> {
    let mut left: BTreeSet<&str> =
        imports.keys().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
    let next = |module: &str, left: &BTreeSet<&str>| {
        let mut targets = imports.keys().filter(|(from, _)| from == module).map(|(_, to)| to.clone());
        targets.find(|to| left.contains(to.as_str()))
    };
    while let Some(&free) = left.iter().find(|module| next(module, &left).is_none()) {
        left.remove(free);
    }
    // Of what is left, each imports from another one that is left.
    let mut path: Vec<String> = vec![left.first()?.to_string()];
    loop {
        let to = next(path.last()?, &left)?;
        if let Some(start) = path.iter().position(|module| *module == to) {
            return Some(path.split_off(start));
        }
        path.push(to);
    }
}

#[test]
fn modules_of_a_crate_form_no_circle() {
    let tests = test_only_files();
    let crates = crates();
    assert!(crates.iter().any(|one| one.name == "sim" && one.files.len() > 100), "the files are found");
    let circles = crates.iter().filter_map(|one| {
        let imports = one.imports(tests);
        circle(&imports).map(|circle| {
            let steps = circle.iter().zip(circle.iter().cycle().skip(1));
            let steps = steps.map(|(from, to)| {
                format!("{from} imports from {to} ({})", imports[&(from.clone(), to.clone())])
            });
            format!("crate {}: {}", one.name, steps.collect::<Vec<_>>().join(", "))
        })
    });
    none(circles, "top-level modules import in one direction");
}

/// The modules of the simulator as its documentation lists them, the lowest first.
fn documented_order(root: &str) -> Vec<&str> {
    let section = root.split("//! # Modules").nth(1).expect("a section on modules");
    let block = section.split("//! ```").nth(1).expect("a block");
    let lines = block.lines().skip(1).filter_map(|line| line.strip_prefix("//! "));
    let names = lines.map(|line| line.split("  ").next().unwrap_or_default());
    names.flat_map(|names| names.split(", ").map(str::trim)).filter(|name| !name.is_empty()).collect()
}

#[test]
fn simulator_modules_import_only_from_below() {
    let crates = crates();
    let sim = crates.iter().find(|one| one.name == "sim").expect("the simulator");
    let root = sim.files.iter().find(|source| source.path.ends_with("sim/src/lib.rs")).expect("its root");
    let order = documented_order(&root.text);
    let tests = test_only_files();
    let modules = sim.files.iter().filter(|source| !tests.contains(&source.path));
    let modules: BTreeSet<&str> = modules.filter_map(|source| sim.module(source)).collect();
    assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), modules, "the docs list every module once");
    assert_eq!(order.len(), modules.len(), "the docs list every module once");
    let place = |module: &str| order.iter().position(|known| *known == module);
    let upward = sim.imports(tests).into_iter().filter(|((from, to), _)| place(from) < place(to));
    none(
        upward.map(|((from, to), file)| format!("{file}: {from} imports from {to}")),
        "a module imports only from those that the crate's docs list before it",
    );
}

#[test]
fn the_reading_of_imports_is_right() {
    let code = production_code(
        "use crate::a::B;\n#[cfg(test)]\nuse crate::no;\nuse crate::{c, d::{e, f}, g};\n\
         #[cfg(test)]\nmod tests {\n    use crate::no;\n}\nfn x() { crate::h::y() } // crate::no\n",
    );
    assert_eq!(named_at_root(&code), ["a", "c", "d", "g", "h"]);
    let declares = "#[cfg(test)]\nmod a;\n#[cfg(test)]\npub(crate) mod b;\n#[cfg(test)]\nmod c {}\nmod d;";
    assert_eq!(test_modules(declares).collect::<Vec<_>>(), ["a", "b"]);
    let imports = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(from, to)| (((*from).to_owned(), (*to).to_owned()), String::new())).collect()
    };
    assert_eq!(circle(&imports(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let round = circle(&imports(&[("a", "b"), ("b", "c"), ("c", "b")])).expect("b and c");
    assert_eq!(round, ["b", "c"]);
}
