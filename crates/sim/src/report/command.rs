//! The command that runs one test again: its package, its target, the profile and the features that it was built with.
//!
//! The compiler of the test knows the kind of its target and its features ([`Built`], filled in by the macro); the
//! folder of the executable tells profile and platform; the manifest tells how a target is spelt.
//!
//! # Not here
//!
//! What nothing in the program tells: flags of the compiler (`RUSTFLAGS`), the toolchain, and features of
//! dependencies that only another package of the workspace turned on.

use std::fs;
use std::path::Path;

/// What the compiler of a test's crate knew. Filled in by `#[wavetank::test]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// The name of the binary or example that the test is in.
    pub binary: Option<&'static str>,
    /// Whether the test is in an integration test or a benchmark.
    pub is_integration: bool,
    /// The features of the package.
    pub features: &'static [Feature],
}

/// A feature of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// Whether the test was built with it.
    pub is_on: bool,
    /// The features of the same package that it turns on.
    pub implies: &'static [&'static str],
}

/// Returns the option that selects the target that `crate_name` is compiled from, if that can be told.
pub(super) fn target(
    built: Option<Built>,
    executable: &Path,
    manifest_dir: &Path,
    package: &str,
    crate_name: &str,
) -> Option<String> {
    let Some(built) = built else {
        return target_by_folder(manifest_dir, package, crate_name);
    };
    if let Some(name) = built.binary {
        let kind = if folder_is(executable, "examples") { "example" } else { "bin" };
        return Some(format!("--{kind} {name}"));
    }
    if !built.is_integration {
        return Some("--lib".to_owned());
    }
    let manifest = fs::read_to_string(manifest_dir.join("Cargo.toml")).unwrap_or_default();
    let spelt = |kind: &str, folder: &str| {
        target_in_manifest(&manifest, kind, crate_name)
            .or_else(|| target_in_folder(&manifest_dir.join(folder), crate_name))
            .map(|name| format!("--{kind} {name}"))
    };
    spelt("test", "tests")
        .or_else(|| spelt("bench", "benches"))
        .or_else(|| Some(format!("--test {crate_name}")))
}

/// What the folder tells of a sweep that no macro has made.
fn target_by_folder(manifest_dir: &Path, package: &str, crate_name: &str) -> Option<String> {
    if package.replace('-', "_") == crate_name && manifest_dir.join("src/lib.rs").is_file() {
        return Some("--lib".to_owned());
    }
    target_in_folder(&manifest_dir.join("tests"), crate_name).map(|name| format!("--test {name}"))
}

fn is_spelling(name: &str, crate_name: &str) -> bool {
    name.replace('-', "_") == crate_name
}

/// Finds the name of a target that cargo finds by itself, in `tests` or `benches`.
fn target_in_folder(folder: &Path, crate_name: &str) -> Option<String> {
    let targets = fs::read_dir(folder).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_target =
            path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
        let name = path.file_stem()?.to_str()?;
        (is_target && is_spelling(name, crate_name)).then(|| name.to_owned())
    });
    // Two files can only compile to one name if the manifest says so; it was asked before.
    targets.min()
}

/// Finds the name of a target in the sections `[[kind]]` of a manifest.
fn target_in_manifest(manifest: &str, kind: &str, crate_name: &str) -> Option<String> {
    let header = format!("[[{kind}]]");
    let mut is_inside = false;
    manifest.lines().map(str::trim).find_map(|line| {
        if line.starts_with('[') {
            is_inside = line.starts_with(&header);
        }
        let value = line.strip_prefix("name").filter(|_| is_inside)?.trim_start().strip_prefix('=')?;
        let name = value.trim_start().strip_prefix(['"', '\''])?.split(['"', '\'']).next()?;
        is_spelling(name, crate_name).then(|| name.to_owned())
    })
}

fn folder_is(executable: &Path, name: &str) -> bool {
    executable.parent().and_then(Path::file_name).is_some_and(|folder| folder == name)
}

/// Returns the options that select the profile and the platform that an executable was built for, which lies where
/// cargo puts it: `target/[PLATFORM/]PROFILE/deps/NAME`. One from elsewhere is of a profile that only `is_optimised`
/// tells.
pub(super) fn build_options(executable: &Path, is_optimised: bool) -> Vec<String> {
    let mut folder = executable.parent();
    if folder_is(executable, "deps") || folder_is(executable, "examples") {
        folder = folder.and_then(Path::parent);
    } else if folder.is_some_and(|folder| !folder.join("deps").is_dir()) {
        folder = None;
    }
    let name_of = |folder: Option<&Path>| Some(folder?.file_name()?.to_str()?.to_owned());
    let mut options = match name_of(folder).as_deref() {
        Some("debug") => Vec::new(),
        Some("release") => vec!["--release".to_owned()],
        Some(profile) => vec![format!("--profile {profile}")],
        None if is_optimised => vec!["--release".to_owned()],
        None => Vec::new(),
    };
    let is_platform = |name: &String| {
        name.strip_prefix(std::env::consts::ARCH).is_some_and(|rest| rest.matches('-').count() >= 2)
    };
    let platform = name_of(folder.and_then(Path::parent)).filter(is_platform);
    options.extend(platform.map(|platform| format!("--target {platform}")));
    options
}

/// Returns the options that turn on the features that are on, and no others.
pub(super) fn feature_options(features: &[Feature]) -> Vec<String> {
    let find = |name: &str| features.iter().find(|feature| feature.name == name);
    let default = find("default");
    let by_default =
        default.filter(|default| default.is_on).map_or_else(Vec::new, |_| closure(features, "default"));
    let mut asked_for: Vec<&str> = features
        .iter()
        .filter(|feature| feature.is_on && !by_default.contains(&feature.name))
        .map(|feature| feature.name)
        .collect();
    asked_for.sort_unstable();
    let all = asked_for.clone();
    // What another one turns on need not be said. Of two that turn on each other, the first is.
    asked_for.retain(|&name| {
        !all.iter().any(|&other| {
            let turns_on = |one, two| closure(features, one).contains(&two);
            other != name && turns_on(other, name) && !(turns_on(name, other) && name < other)
        })
    });
    let mut options = Vec::new();
    if default.is_some_and(|default| !default.is_on) {
        options.push("--no-default-features".to_owned());
    }
    if !asked_for.is_empty() {
        options.push(format!("--features {}", asked_for.join(",")));
    }
    options
}

/// Everything that a feature turns on, itself included.
fn closure<'a>(features: &'a [Feature], name: &'a str) -> Vec<&'a str> {
    let mut found = vec![name];
    let mut next = 0;
    while let Some(&name) = found.get(next) {
        next += 1;
        let implied =
            features.iter().find(|feature| feature.name == name).map_or(&[][..], |found| found.implies);
        for &implied in implied {
            if !found.contains(&implied) {
                found.push(implied);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::TestFolder;

    const LIBRARY: Built = Built { binary: None, is_integration: false, features: &[] };
    const INTEGRATION: Built = Built { is_integration: true, ..LIBRARY };

    fn folder_of_targets(name: &str) -> TestFolder {
        let folder = TestFolder::new(name);
        let files = [
            "src/lib.rs",
            "tests/one-file.rs",
            "tests/folder/main.rs",
            "tests/helpers/lib.rs",
            "benches/speed-of.rs",
        ];
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("creates");
            fs::write(path, "").expect("writes");
        }
        let manifest = "[package]\nname = \"elsewhere\"\n\n[[bin]]\nname = \"else-where\"\n\n[[test]] # elsewhere\n\
                        path = \"other/x.rs\"\nname = 'else-where'\n";
        fs::write(folder.path().join("Cargo.toml"), manifest).expect("writes");
        folder
    }

    #[test]
    fn the_command_names_the_compiled_target() {
        let folder = folder_of_targets("built");
        let target = |built, executable: &str, crate_name| {
            target(Some(built), Path::new(executable), folder.path(), "chat-tests", crate_name)
                .expect("it is known")
        };
        let deps = "/w/target/debug/deps/x-0123";
        assert_eq!(target(LIBRARY, deps, "renamed"), "--lib");
        let tool = Built { binary: Some("chat-tool"), ..LIBRARY };
        assert_eq!(target(tool, deps, "chat_tool"), "--bin chat-tool");
        assert_eq!(
            target(tool, "/w/target/debug/examples/chat_tool-0123", "chat_tool"),
            "--example chat-tool"
        );
        assert_eq!(target(INTEGRATION, deps, "one_file"), "--test one-file");
        assert_eq!(target(INTEGRATION, deps, "folder"), "--test folder");
        assert_eq!(
            target(INTEGRATION, deps, "else_where"),
            "--test else-where",
            "the manifest's test, not its binary"
        );
        assert_eq!(target(INTEGRATION, deps, "speed_of"), "--bench speed-of");
        assert_eq!(target(INTEGRATION, deps, "hidden"), "--test hidden");
    }

    #[test]
    fn without_macro_the_folder_gives_the_target() {
        let folder = folder_of_targets("target");
        let target = |crate_name| {
            target(None, Path::new("/w/target/debug/deps/x"), folder.path(), "chat-tests", crate_name)
        };
        assert_eq!(target("chat_tests").as_deref(), Some("--lib"));
        assert_eq!(target("one_file").as_deref(), Some("--test one-file"));
        assert_eq!(target("folder").as_deref(), Some("--test folder"));
        assert_eq!(target("helpers"), None);
    }

    #[test]
    fn the_executables_folder_gives_profile_and_platform() {
        let arch = std::env::consts::ARCH;
        let options = |path: &str| build_options(Path::new(path), true).join(" ");
        assert_eq!(options("/w/target/debug/deps/x-0123"), "");
        assert_eq!(options("/w/target/release/deps/x-0123"), "--release");
        assert_eq!(options("/w/target/sim/examples/x-0123"), "--profile sim");
        let elsewhere = format!("/w/target/{arch}-unknown-linux-gnu/release/deps/x-0123");
        assert_eq!(options(&elsewhere), format!("--release --target {arch}-unknown-linux-gnu"));
        assert_eq!(options("/usr/bin/x"), "--release", "all that is known is that it was optimised");
        assert_eq!(build_options(Path::new("/usr/bin/x"), false), [""; 0]);
    }

    #[test]
    fn implied_features_are_not_named() {
        let options = |on: &[&str]| {
            let features = [
                ("default", &["std", "tls"][..]),
                ("std", &[]),
                ("tls", &["crypto"]),
                ("crypto", &[]),
                ("full", &["extra", "tls"]),
                ("extra", &[]),
                ("this", &["that"]),
                ("that", &["this"]),
            ];
            let features =
                features.map(|(name, implies)| Feature { name, is_on: on.contains(&name), implies });
            feature_options(&features).join(" ")
        };
        assert_eq!(options(&["default", "std", "tls", "crypto"]), "");
        assert_eq!(options(&["default", "std", "tls", "crypto", "extra"]), "--features extra");
        assert_eq!(options(&["default", "std", "tls", "crypto", "extra", "full"]), "--features full");
        assert_eq!(options(&[]), "--no-default-features");
        assert_eq!(options(&["std", "extra"]), "--no-default-features --features extra,std");
        assert_eq!(options(&["tls", "crypto"]), "--no-default-features --features tls");
        assert_eq!(options(&["this", "that"]), "--no-default-features --features that");
        assert_eq!(feature_options(&[]), [""; 0]);
    }
}
