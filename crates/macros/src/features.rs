//! The features of the package that is being compiled, as its manifest declares them.
//!
//! Only the names are needed: the code that the macro returns asks whether a feature is on (`cfg!`). So the manifest is
//! read line by line. A feature written in an unusual way is missed, and the command that replays a failure then does
//! not name it.

use std::collections::BTreeMap;
use std::path::Path;

/// The features by name, each with the features of the same package that it turns on.
pub(crate) type Features = BTreeMap<String, Vec<String>>;

/// Returns the features of the package that cargo is compiling, or none if the manifest cannot be read.
pub(crate) fn of_this_package() -> Features {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo names the package that it compiles in the environment"
    )]
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    std::fs::read_to_string(Path::new(&folder).join("Cargo.toml"))
        .map_or_else(|_| Features::new(), |text| parse(&text))
}

fn parse(manifest: &str) -> Features {
    let mut features = Features::new();
    let mut optional: Vec<String> = Vec::new();
    let mut section = String::new();
    let mut open: Option<String> = None;
    for line in manifest.lines().map(without_comment) {
        let line = line.trim();
        if let Some(name) = open.take() {
            // The list of a feature continues.
            features.entry(name.clone()).or_default().extend(texts(line));
            open = (!line.contains(']')).then_some(name);
            continue;
        }
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).trim().to_owned();
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let key = key.trim().trim_matches(['"', '\'']);
        if section == "features" {
            features.insert(key.to_owned(), texts(value).collect());
            open = (!value.contains(']')).then(|| key.to_owned());
        } else if section.ends_with("dependencies") && is_optional(value) {
            optional.push(key.to_owned());
        } else if key == "optional" && value.trim() == "true" {
            optional.extend(section.rsplit_once("dependencies.").map(|(_, name)| name.to_owned()));
        }
    }
    // An optional dependency is a feature, unless a feature names it with `dep:`.
    let named: Vec<String> =
        features.values().flatten().filter_map(|name| name.strip_prefix("dep:").map(str::to_owned)).collect();
    for name in optional {
        if !named.contains(&name) {
            features.entry(name).or_default();
        }
    }
    let names: Vec<String> = features.keys().cloned().collect();
    for implied in features.values_mut() {
        // `package/feature` turns on the optional dependency as well; `package?/feature` does not.
        implied.iter_mut().for_each(|name| name.truncate(name.find('/').unwrap_or(name.len())));
        implied.retain(|name| names.contains(name));
    }
    features
}

/// Removes a comment. A `#` inside quotes does not begin one.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '#' => return &line[..at],
            _ => {}
        }
    }
    line
}

/// Returns the quoted texts of a line.
fn texts(line: &str) -> impl Iterator<Item = String> {
    line.split(['"', '\'']).skip(1).step_by(2).map(str::to_owned)
}

/// Returns `true` if an inline table says `optional = true`.
fn is_optional(table: &str) -> bool {
    let entries = table.trim().trim_matches(['{', '}']).split(',');
    entries
        .filter_map(|entry| entry.split_once('='))
        .any(|(key, value)| key.trim() == "optional" && value.trim() == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_with_what_they_turn_on() {
        let manifest = r#"
            [package]
            name = "chat" # no feature
            [features] # all of them
            default = ["std", 'tls'] # both
            std = []
            "tls" = [
                "dep:rustls", # with a comment, "full"
                "std",
                "url/serde",
                "log?/std",
            ]
            full = ["tls", "json"]
            [dependencies]
            rustls = { version = "0.23", optional = true }
            url = { version = "2", optional = true, features = ["x"] }
            log = { version = "0.4", optional=true }
            bytes = "1"
            [target.'cfg(unix)'.dependencies.json]
            version = "1"
            optional = true
        "#;
        let features = parse(manifest);
        let shown: Vec<String> =
            features.iter().map(|(name, implied)| format!("{name}: {}", implied.join(" "))).collect();
        assert_eq!(
            shown,
            ["default: std tls", "full: tls json", "json: ", "log: ", "std: ", "tls: std url", "url: "]
        );
    }

    #[test]
    fn a_package_without_features_has_none() {
        assert_eq!(parse("[package]\nname = \"chat\"\n[dependencies]\nbytes = \"1\"\n"), Features::new());
        assert_eq!(parse(""), Features::new());
    }
}
