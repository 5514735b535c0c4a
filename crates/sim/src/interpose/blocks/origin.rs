//! Whose code an instruction belongs to, by the files and functions that debug information names.

use std::path::Path;

/// A function at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) file: String,
    /// 0 if unknown.
    pub(super) line: u32,
}

/// Whose a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// std, or unknown: its caller decides.
    Std,
    /// The simulator, or what shares state among the tasks of an OS thread.
    Simulator,
    Tested,
}

/// Packages whose sites do not count: the simulator's own dependencies, and searches whose paths depend on addresses.
const LEFT_OUT: [&str; 28] = [
    "addr2line",
    "backtrace",
    "chacha20",
    "corosensei",
    "foldhash",
    "gimli",
    "hashbrown",
    "httparse",
    "insta",
    "lazy_static",
    "libc",
    "libm",
    "memchr",
    "miniz_oxide",
    "object",
    "once_cell",
    "ppv-lite86",
    "rand_chacha",
    "rand_core",
    "rustc-demangle",
    "sharded-slab",
    "simdutf8",
    "thread_local",
    "tokio",
    "tracing",
    "tracing-core",
    "tracing-subscriber",
    "turmoil",
];

impl Frame {
    fn owner(&self) -> Owner {
        let file = &*self.file;
        if file.is_empty() || file.starts_with("/rustc/") || file.contains("/rustlib/src/rust/library/") {
            return Owner::Std;
        }
        if is_of_the_simulator(file) || LEFT_OUT.iter().any(|package| is_of(file, package)) {
            // What tasks share by tokio's channels and locks is as on any runtime.
            let is_of_sync = is_of(file, "tokio") && file.contains("/src/sync/");
            return if is_of_sync { Owner::Tested } else { Owner::Simulator };
        }
        Owner::Tested
    }

    /// Returns `true` for a function of std that runs code while a thread-local variable is in use.
    fn is_in_thread_local(&self) -> bool {
        self.owner() == Owner::Std && self.file.ends_with("/std/src/thread/local.rs")
    }

    /// Returns `true` for a function of std by which a lock asks whether this thread panics. It takes another path
    /// while any OS thread of the process panics, as one of another test may.
    fn asks_for_panics(&self) -> bool {
        ["/std/src/panicking.rs", "/std/src/sync/poison.rs"].iter().any(|file| self.file.ends_with(file))
    }

    fn is_allocator(&self) -> bool {
        ["__rust_alloc", "__rust_dealloc", "__rust_realloc", "__rg_alloc", "__rg_dealloc", "__rg_realloc"]
            .iter()
            .any(|name| self.name.contains(name))
    }
}

fn is_of_the_simulator(file: &str) -> bool {
    let own = env!("CARGO_MANIFEST_DIR");
    let beside = own.rsplit_once('/').map_or("", |(parent, _)| parent);
    let after = |folder: &str| file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    // Among this repository's crates, or among those of a registry.
    after(&format!("{own}/src"))
        || after(&format!("{beside}/runtime/src"))
        || file.starts_with(&format!("{beside}/wavetank-runtime-"))
}

/// Returns `true` for a file of this package, in a folder `PACKAGE-VERSION`.
fn is_of(file: &str, package: &str) -> bool {
    let mut parts = file.split('/');
    parts.any(|part| {
        let version = part.strip_prefix(package).and_then(|rest| rest.strip_prefix('-'));
        version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// Returns `true` if tested code is at an address with these functions: the innermost that is not std's is its own.
pub(super) fn counts(frames: &[Frame]) -> bool {
    // Where the compiler has no line, the function alone is known, and not what is inlined there.
    let is_vague = matches!(frames, [only] if only.line == 0);
    let of_std = frames.iter().take_while(|frame| frame.owner() == Owner::Std).count();
    let (inner, outer) = frames.split_at(of_std);
    outer.first().is_some_and(|frame| frame.owner() == Owner::Tested)
        && !is_vague
        && !inner.iter().any(Frame::asks_for_panics)
        && !forbids(frames)
}

/// Returns `true` if no task may stop below one of these functions.
pub(super) fn forbids(frames: &[Frame]) -> bool {
    frames.iter().any(|frame| frame.is_in_thread_local() || frame.is_allocator())
}

/// Returns file and line of tested code, without what differs from machine to machine.
pub(super) fn place(frames: &[Frame]) -> Option<String> {
    let frame = frames.iter().find(|frame| frame.owner() == Owner::Tested)?;
    Some(format!("{}:{}", short(&frame.file), frame.line))
}

/// Returns a path from the package on, or from the working directory's workspace on.
fn short(file: &str) -> String {
    if let Some((_, rest)) = file.split_once("/registry/src/") {
        return rest.split_once('/').map_or(rest, |(_, path)| path).to_owned();
    }
    let current = std::env::current_dir().unwrap_or_default();
    let common =
        current.ancestors().find(|folder| *folder != Path::new("/") && Path::new(file).starts_with(folder));
    let rest = common.and_then(|folder| Path::new(file).strip_prefix(folder).ok());
    rest.map_or_else(|| file.to_owned(), |rest| rest.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(files: &[&str]) -> Vec<Frame> {
        files.iter().map(|file| Frame { name: "f".to_owned(), file: (*file).to_owned(), line: 7 }).collect()
    }

    const STD: &str = "/rustc/0123/library/std/src/sync/poison/mutex.rs";

    const COUNT: &str = "/rustc/0123/library/std/src/panicking.rs";

    #[test]
    fn tested_code_counts_and_the_simulator_does_not() {
        let own = format!("{}/src/sched.rs", env!("CARGO_MANIFEST_DIR"));
        let runtime = own.replace("sim/src/sched.rs", "runtime/src/lib.rs");
        let registry = |file: &str| format!("/home/a/.cargo/registry/src/index.crates.io-1/{file}");
        for (counted, files) in [
            (true, vec!["/home/a/chat/src/lib.rs".to_owned()]),
            (true, vec![STD.to_owned(), "/home/a/chat/src/lib.rs".to_owned()]),
            (true, vec![registry("bb8-0.8.1/src/inner.rs")]),
            (true, vec![registry("tokio-1.52.2/src/sync/notify.rs")]),
            (true, vec![registry("tokio-util-0.7.1/src/lib.rs")]),
            (false, vec![registry("tokio-1.52.2/src/runtime/context.rs")]),
            (false, vec![registry("memchr-2.8.0/src/lib.rs"), "/home/a/chat/src/lib.rs".to_owned()]),
            (false, vec![STD.to_owned()]),
            (false, vec![own.clone()]),
            (false, vec![STD.to_owned(), own]),
            (false, vec![COUNT.to_owned(), STD.to_owned(), "/home/a/chat/src/lib.rs".to_owned()]),
            (true, vec!["/home/a/chat/src/lib.rs".to_owned(), COUNT.to_owned()]),
            (false, vec![runtime]),
            (false, vec![]),
        ] {
            let files: Vec<&str> = files.iter().map(|file| &**file).collect();
            assert_eq!(counts(&frames(&files)), counted, "{files:?}");
        }
    }

    #[test]
    fn thread_locals_and_allocators_are_not_interrupted() {
        let own = "/home/a/chat/src/lib.rs";
        assert!(!counts(&frames(&[own, "/rustc/0123/library/std/src/thread/local.rs", own])));
        let mut allocating = frames(&[own, own]);
        assert!(!forbids(&allocating));
        allocating[1].name = "__rustc::__rust_alloc".to_owned();
        assert!(forbids(&allocating));
        allocating[1].line = 0;
        assert!(!counts(&allocating[1..]), "the line is unknown");
    }

    #[test]
    fn places_are_the_same_on_every_machine() {
        let here = std::env::current_dir().expect("there is one");
        let own = frames(&[STD, &format!("{}/tests/chat.rs", here.display())]);
        assert_eq!(place(&own).as_deref(), Some("tests/chat.rs:7"));
        let other = frames(&["/home/a/.cargo/registry/src/index.crates.io-1/bb8-0.8.1/src/inner.rs"]);
        assert_eq!(place(&other).as_deref(), Some("bb8-0.8.1/src/inner.rs:7"));
        assert_eq!(place(&frames(&[STD])), None);
    }
}
