//! What cargo knows: the workspace, its packages, and the test binaries that it builds.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::arguments::Build;
use crate::error::Problem;

/// A workspace or a package alone.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) packages: Vec<Package>,
    manifest: Option<PathBuf>,
    /// The folder for what cargo builds.
    target: PathBuf,
}

#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) targets: Vec<Target>,
    /// Whether it depends on wavetank.
    pub(crate) simulates: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// As cargo calls it: `lib`, `bin`, `example`, `test`, `bench`.
    pub(crate) kind: String,
}

/// A test binary that cargo has built.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) executable: PathBuf,
    pub(crate) target: Target,
    /// The folder of its package, in which cargo runs it.
    pub(crate) folder: PathBuf,
}

/// The part of a workspace to build for one test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) package: Option<String>,
    pub(crate) target: Option<Target>,
}

/// The flags of an instrumented build. The simulator has the same, and its guide lists them.
const INSTRUMENTED: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-trace-pc-guard",
    "-Cdebuginfo=line-tables-only",
    "-Cstrip=none",
];

/// Named when cargo builds, so that build scripts and procedural macros are not instrumented.
const INSTRUMENTED_TARGET: &str = "x86_64-unknown-linux-gnu";

/// A hook that does nothing, for binaries without the simulator: unit tests of a library that does not use it, programs
/// of the package. A linker takes it from the library only if nothing else has the hook.
const NO_HOOK: &str = r#"#![no_std]
#[unsafe(no_mangle)]
pub extern "C" fn __sanitizer_cov_trace_pc_guard(_: *mut u32) {}
#[unsafe(no_mangle)]
pub extern "C" fn __sanitizer_cov_trace_pc_guard_init(_: *mut u32, _: *mut u32) {}
"#;

/// Compiles [`NO_HOOK`] into `folder`, unless it is there.
fn no_hook(folder: &Path) -> Result<PathBuf, Problem> {
    let (library, source) = (folder.join("libwavetank_no_hook.rlib"), folder.join("wavetank_no_hook.rs"));
    if std::fs::read(&source).is_ok_and(|text| text == NO_HOOK.as_bytes()) && library.exists() {
        return Ok(library);
    }
    let failed = |why: &str| Problem::new(format!("cannot make {}: {why}", library.display()));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&source, NO_HOOK))
        .map_err(|error| failed(&error.to_string()))?;
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=rlib", "--target", INSTRUMENTED_TARGET, "-Cpanic=abort", "-o"])
        .args([&library, &source])
        .output()
        .map_err(|error| failed(&error.to_string()))?;
    if output.status.success() { Ok(library) } else { Err(failed(&String::from_utf8_lossy(&output.stderr))) }
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

impl Workspace {
    /// Reads the workspace around the current folder, or around the manifest that `build` names.
    pub(crate) fn load(build: &Build) -> Result<Self, Problem> {
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--format-version=1"]);
        if let Some(path) = &build.manifest_path {
            command.arg("--manifest-path").arg(path);
        }
        command.args(build.locked.then_some("--locked")).args(build.offline.then_some("--offline"));
        let output = command.stderr(Stdio::piped()).output().map_err(|error| {
            Problem::new(format!("cannot run cargo: {error}")).help("install Rust from https://rustup.rs")
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().trim_start_matches("error: ");
            let problem = Problem::new(said.to_owned());
            let is_outside = said.contains("could not find `Cargo.toml`");
            return Err(if is_outside {
                problem.help("go to the folder of a package, or name one with --manifest-path")
            } else {
                problem
            });
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| Problem::new(format!("cannot read what `cargo metadata` says: {error}")))?;
        Ok(Self {
            root: text(&metadata["workspace_root"]).into(),
            packages: list(&metadata["packages"]).iter().map(package).collect(),
            manifest: build.manifest_path.clone(),
            target: text(&metadata["target_directory"]).into(),
        })
    }

    /// Builds the tests of `scope`, or what `build` selects, and returns their binaries.
    pub(crate) fn build(&self, build: &Build, scope: &Scope) -> Result<Vec<Binary>, Problem> {
        self.check(build)?;
        let mut command = cargo();
        command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]);
        command.args(self.options(build, scope));
        if build.fine {
            self.instrument(&mut command)?;
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut binaries = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            binaries.extend(lines.filter_map(|line| binary(&serde_json::from_str(&line).ok()?)));
        }
        if !child.wait()?.success() {
            return Err(Problem::new("the tests do not build"));
        }
        Ok(binaries)
    }

    /// Has `command` build with preemption at basic blocks, in a folder of its own.
    fn instrument(&self, command: &mut Command) -> Result<(), Problem> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Err(Problem::new("--fine: only Linux on x86-64 has preemption at basic blocks"));
        }
        let folder = self.target.join("fine");
        eprintln!("building for preemption at basic blocks, in {}", folder.display());
        let links = format!("-Clink-arg={}", no_hook(&folder)?.display());
        let flags = INSTRUMENTED.into_iter().chain([&*links]);
        command.arg("--target").arg(INSTRUMENTED_TARGET).arg("--target-dir").arg(&folder);
        match std::env::var_os("RUSTFLAGS") {
            // The variable would replace the flags of the configuration.
            Some(mut before) => {
                for flag in flags {
                    before.push(" ");
                    before.push(flag);
                }
                command.env("RUSTFLAGS", before);
            }
            None => {
                let flags: Vec<String> = flags.map(|flag| format!("{flag:?}")).collect();
                command.arg("--config").arg(format!("build.rustflags=[{}]", flags.join(",")));
            }
        }
        Ok(())
    }

    /// The options of `cargo test` that select what to build.
    pub(crate) fn options(&self, build: &Build, scope: &Scope) -> Vec<String> {
        let mut options: Vec<String> = Vec::new();
        let mut pair = |name: &str, value: &str| options.extend([name.to_owned(), value.to_owned()]);
        if let Some(manifest) = &self.manifest {
            pair("--manifest-path", &manifest.to_string_lossy());
        }
        if !build.workspace {
            match &scope.package {
                Some(package) => pair("--package", package),
                None => build.packages.iter().for_each(|package| pair("--package", package)),
            }
        }
        match &scope.target {
            Some(Target { kind, .. }) if kind == "lib" => options.push("--lib".to_owned()),
            Some(Target { kind, name }) => pair(&format!("--{kind}"), name),
            None => build.tests.iter().for_each(|test| pair("--test", test)),
        }
        for features in &build.features {
            options.extend(["--features".to_owned(), features.clone()]);
        }
        if let Some(profile) = &build.profile {
            options.extend(["--profile".to_owned(), profile.clone()]);
        }
        let flags = [
            ("--workspace", build.workspace),
            ("--lib", build.lib && scope.target.is_none()),
            ("--all-features", build.all_features),
            ("--no-default-features", build.no_default_features),
            ("--release", build.release),
            ("--locked", build.locked),
            ("--offline", build.offline),
        ];
        options.extend(flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag.to_owned()));
        options
    }

    /// Checks the names of packages, for which cargo proposes no others.
    fn check(&self, build: &Build) -> Result<(), Problem> {
        for name in &build.packages {
            let is_pattern = name.contains(['*', '?', '@', '#', ':', '/']);
            if !is_pattern && self.packages.iter().all(|package| package.name != *name) {
                let known = self.packages.iter().map(|package| &*package.name);
                return Err(Problem::unknown("package", name, known));
            }
        }
        Ok(())
    }

    /// The part of the workspace that has the test of this name: `package/[bin/|test/]crate::path`.
    pub(crate) fn scope_of(&self, identity: &str) -> Result<Scope, Problem> {
        let Some((package, rest)) = identity.split_once('/') else { return Ok(Scope::default()) };
        let Some(found) = self.packages.iter().find(|known| known.name == package) else {
            let known = self.packages.iter().map(|package| &*package.name);
            return Err(Problem::unknown("package", package, known));
        };
        let (kinds, path): (&[&str], _) = match rest.split_once('/') {
            Some(("bin", path)) => (&["bin", "example"], path),
            Some(("test", path)) => (&["test", "bench"], path),
            _ => (&["lib", "test", "bench"], rest),
        };
        let crate_name = path.split("::").next().unwrap_or(path);
        let is_it =
            |target: &&Target| kinds.contains(&&*target.kind) && target.name.replace('-', "_") == crate_name;
        let targets: Vec<&Target> = found.targets.iter().filter(is_it).collect();
        // Two targets of one name are told apart by what they list.
        let target = (targets.len() == 1).then(|| targets[0].clone());
        if targets.is_empty() {
            let known = found.targets.iter().map(|target| &*target.name);
            return Err(Problem::unknown("target", crate_name, known)
                .help(format!("the package `{package}` has no target for the test `{identity}` any more")));
        }
        Ok(Scope { package: Some(package.to_owned()), target })
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], |list| list)
}

fn kind(target: &Value) -> String {
    let kind = text(&target["kind"][0]);
    // `lib`, `rlib`, `proc-macro`, `cdylib`: all are the library.
    if ["bin", "example", "test", "bench", "custom-build"].contains(&&*kind) {
        kind
    } else {
        "lib".to_owned()
    }
}

fn package(value: &Value) -> Package {
    let targets = list(&value["targets"]).iter();
    Package {
        name: text(&value["name"]),
        targets: targets.map(|target| Target { name: text(&target["name"]), kind: kind(target) }).collect(),
        simulates: list(&value["dependencies"]).iter().any(|dependency| dependency["name"] == "wavetank"),
    }
}

/// Reads a message of cargo about a test binary.
fn binary(message: &Value) -> Option<Binary> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    Some(Binary {
        executable: message["executable"].as_str()?.into(),
        target: Target { name: text(&message["target"]["name"]), kind: kind(&message["target"]) },
        folder: Path::new(message["manifest_path"].as_str()?).parent()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        let target = |name: &str, kind: &str| Target { name: name.to_owned(), kind: kind.to_owned() };
        let targets = vec![
            target("chat", "lib"),
            target("chat", "bin"),
            target("chat", "test"),
            target("on-tcp", "test"),
        ];
        let package = Package { name: "chat".to_owned(), targets, simulates: true };
        Workspace { root: "/w".into(), packages: vec![package], manifest: None, target: "/w/target".into() }
    }

    #[test]
    fn a_tests_name_gives_its_target() {
        let options = |identity: &str| {
            let workspace = workspace();
            let scope = workspace.scope_of(identity).expect("exists");
            workspace.options(&Build::default(), &scope).join(" ")
        };
        assert_eq!(options("chat/on_tcp::closes"), "--package chat --test on-tcp");
        assert_eq!(options("chat/bin/chat::closes"), "--package chat --bin chat");
        assert_eq!(options("chat/test/chat::closes"), "--package chat --test chat");
        assert_eq!(options("chat/chat::closes"), "--package chat", "the library or a test of its name");
    }

    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn instrumented_programs_link_without_the_simulator() {
        let target = std::env::temp_dir().join(format!("cargo-wavetank-{}", std::process::id()));
        let folder = target.join("fine");
        let mut command = Command::new("cargo");
        let workspace = Workspace { target: target.clone(), ..workspace() };
        workspace.instrument(&mut command).expect("this platform has it");
        let words: Vec<String> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert!(words.contains(&folder.display().to_string()), "{words:?}");

        let (source, program) = (folder.join("counts.rs"), folder.join("counts"));
        std::fs::write(&source, "fn main() { (0..std::env::args().count()).for_each(drop) }")
            .expect("a file");
        let links = format!("-Clink-arg={}", folder.join("libwavetank_no_hook.rlib").display());
        let mut rustc = Command::new("rustc");
        let output = rustc.args(INSTRUMENTED).arg(links).arg("-o").args([&program, &source]).output();
        let output = output.expect("rustc starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(Command::new(&program).status().expect("it starts").success());
        std::fs::remove_dir_all(target).expect("a folder");
    }

    #[test]
    fn an_unknown_package_gets_the_nearest() {
        let problem = workspace().scope_of("chatt/a::b").expect_err("there is none");
        assert_eq!(problem.to_string(), "no package matches `chatt`\n  help: did you mean `chat`?");
    }
}
