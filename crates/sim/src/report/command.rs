//! The command that runs one test again: its package, its target, the profile and the features that it was built with.
//!
//! The macro knows the target and its features ([`Built`]). The folder of the executable gives the profile and the
//! platform.
//!
//! # Not here
//!
//! What nothing in the program knows: flags of the compiler (`RUSTFLAGS`), the toolchain, and features of dependencies
//! that only another package of the workspace turned on.

use std::fs;
use std::path::Path;

/// What the compiler of a test's crate knew. Filled in by `#[wavetank::test]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// Whether the test is in a binary or an example.
    pub is_binary: bool,
    /// Whether the test is in an integration test or a benchmark.
    pub is_integration: bool,
    /// The options of `cargo test` that select the target, with its features.
    pub options: &'static str,
}

/// Returns the option that selects the target of a sweep that no macro has made, if the package's folder shows it.
pub(super) fn target_by_folder(manifest_dir: &Path, package: &str, crate_name: &str) -> Option<String> {
    if package.replace('-', "_") == crate_name && manifest_dir.join("src/lib.rs").is_file() {
        return Some("--lib".to_owned());
    }
    let targets = fs::read_dir(manifest_dir.join("tests")).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_target =
            path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
        let name = path.file_stem()?.to_str()?;
        (is_target && name.replace('-', "_") == crate_name).then(|| format!("--test {name}"))
    });
    targets.min()
}

fn folder_is(executable: &Path, name: &str) -> bool {
    executable.parent().and_then(Path::file_name).is_some_and(|folder| folder == name)
}

/// Returns the options that select the profile and the platform that an executable was built for. Cargo puts it at
/// `target/[PLATFORM/]PROFILE/deps/NAME`. For an executable elsewhere only `is_optimised` is known.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::TestFolder;

    fn folder_of_targets(name: &str) -> TestFolder {
        let folder = TestFolder::new(name);
        let files = ["src/lib.rs", "tests/one-file.rs", "tests/folder/main.rs", "tests/helpers/lib.rs"];
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("creates");
            fs::write(path, "").expect("writes");
        }
        folder
    }

    #[test]
    fn without_macro_the_folder_gives_the_target() {
        let folder = folder_of_targets("target");
        let target = |crate_name| target_by_folder(folder.path(), "chat-tests", crate_name);
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
}
