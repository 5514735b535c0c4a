//! The folder of a test's recordings: `seeds/<package>/<test>/<symptom>.seed`.
//!
//! # Invariants
//!
//! - A file is written whole or not at all: a temporary file beside it is renamed.
//! - A recording is replaced only by a smaller one of the same symptom, if the caller sees that it still fails, or if
//!   it does not parse. Any other file of that name stays (a fixed bug's, another symptom, `expect = passes`, another
//!   version), and the new one gets a number.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Expect, Recording, RecordingError, RecordingErrorKind, text};
use crate::order::Size;

/// The recordings of one test.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    root: PathBuf,
}

/// What happened to a recording that was to be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Written(PathBuf),
    /// The recording on disk is at least as small and stays.
    Untouched(PathBuf),
}

impl Kept {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Written(path) | Self::Untouched(path) => path,
        }
    }
}

impl Store {
    /// Returns the folder of `test` in the workspace of the crate at `manifest_dir`. The name is
    /// `package/module::path`, or any text for a program's own sweep.
    pub(crate) fn new(manifest_dir: &Path, test: &str) -> Self {
        let root = workspace_root(manifest_dir).to_owned();
        let (package, test) = test.split_once('/').unwrap_or(("", test));
        Self { folder: root.join("seeds").join(folder_name(package)).join(folder_name(test)), root }
    }

    /// Returns `path` for reports: relative to the workspace's root.
    pub(crate) fn display<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    /// Returns the file that a setting names: relative to the current folder, or else to the workspace's root.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        let from_root = self.root.join(path);
        if !path.exists() && from_root.exists() { from_root } else { path.to_owned() }
    }

    /// Lists the test's recordings by name.
    ///
    /// # Errors
    ///
    /// If the folder exists and cannot be read.
    pub(crate) fn list(&self) -> Result<Vec<PathBuf>, RecordingError> {
        let unreadable = |error| self.error(&self.folder, RecordingErrorKind::Unreadable(error));
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            // Reading a pipe of that name would never end.
            if path.extension().is_some_and(|extension| extension == "seed") && path.is_file() {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// Reads the recording at `path`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not a recording of this version.
    pub(crate) fn load(&self, path: &Path) -> Result<Recording, RecordingError> {
        let bytes =
            fs::read(path).map_err(|error| self.error(path, RecordingErrorKind::Unreadable(error)))?;
        let text = String::from_utf8(bytes).map_err(|_| self.error(path, RecordingErrorKind::NotUtf8))?;
        text::parse(&text).map_err(|kind| self.error(path, kind))
    }

    /// Saves a recording of a failure under its symptom's name; see the invariants above. `still_fails` replays an old
    /// one of the same symptom.
    ///
    /// # Errors
    ///
    /// If the folder or the file cannot be written.
    ///
    /// # Panics
    ///
    /// If the recording is not of a failure.
    pub(crate) fn keep(
        &self,
        recording: &Recording,
        mut still_fails: impl FnMut(&Recording) -> bool,
    ) -> Result<Kept, RecordingError> {
        let Expect::Fails(symptom) = &recording.expect else {
            panic!("only failures are kept under their symptom");
        };
        let slug = symptom.slug();
        let mut number = 1;
        let path = loop {
            let name = if number == 1 { format!("{slug}.seed") } else { format!("{slug}-{number}.seed") };
            let path = self.folder.join(name);
            if !path.exists() {
                break path;
            }
            if !path.is_file() {
                // A folder, or a pipe that would never end.
                number += 1;
                continue;
            }
            match self.load(&path) {
                Ok(old) if is_of(&old.expect, &symptom.key()) => {
                    if !still_fails(&old) {
                        // Its bug was fixed, and the same symptom has another cause now.
                        number += 1;
                        continue;
                    }
                    if Size::of(&recording.log) < Size::of(&old.log) {
                        break path;
                    }
                    return Ok(Kept::Untouched(path));
                }
                Ok(_) => number += 1,
                Err(error) if error.is_of_a_good_file() => number += 1,
                Err(_) => break path,
            }
        };
        write_whole(&path, &text::write(recording))
            .map_err(|error| self.error(&path, RecordingErrorKind::Unwritable(error)))?;
        Ok(Kept::Written(path))
    }

    /// Replaces the file at `path`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(crate) fn replace(&self, path: &Path, recording: &Recording) -> Result<(), RecordingError> {
        write_whole(path, &text::write(recording))
            .map_err(|error| self.error(path, RecordingErrorKind::Unwritable(error)))
    }

    fn error(&self, path: &Path, kind: RecordingErrorKind) -> RecordingError {
        RecordingError { origin: self.display(path).to_string(), kind }
    }
}

fn is_of(expect: &Expect, key: &str) -> bool {
    matches!(expect, Expect::Fails(symptom) if symptom.key() == key)
}

/// Makes a part of a name into one part of a path, without separators.
fn folder_name(name: &str) -> String {
    let name = name.replace("::", ".");
    let allowed = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' };
    name.trim_start_matches('.').chars().map(allowed).collect()
}

/// Returns the nearest folder from `manifest_dir` up that holds a `Cargo.lock`, or `manifest_dir`.
fn workspace_root(manifest_dir: &Path) -> &Path {
    manifest_dir.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(manifest_dir)
}

fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        // Only the first error matters.
        let _ = fs::remove_file(&temporary);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::log_of;
    use crate::symptom::{Symptom, SymptomKind};
    use crate::test_folder::TestFolder;
    use crate::trace::Trace;

    fn recording(detail: &str, values: &[u32]) -> Recording {
        let choices: Vec<_> = values.iter().map(|value| ("schedule", "a yield", 100, *value)).collect();
        Recording::of_failure(
            "t::x",
            &Symptom::new(SymptomKind::Panic, detail),
            1,
            &Trace::new(),
            &log_of(&choices),
        )
    }

    fn keep(store: &Store, recording: &Recording) -> Kept {
        store.keep(recording, |_| true).expect("the folder is writable")
    }

    #[test]
    fn recordings_lie_under_the_root_of_the_workspace() {
        let folder = TestFolder::new("root");
        let member = folder.path().join("crates/member");
        fs::create_dir_all(&member).expect("creates");
        fs::write(folder.path().join("Cargo.lock"), "").expect("writes");
        let store = Store::new(&member, "the-member/member::inner::closes");
        let kept = keep(&store, &recording("client: gone", &[1]));
        let expected = folder.path().join("seeds/the-member/member.inner.closes/panic-client-gone.seed");
        assert_eq!(kept, Kept::Written(expected.clone()));
        assert_eq!(store.list().expect("lists"), std::slice::from_ref(&expected));
        assert_eq!(
            store.display(&expected).to_string(),
            "seeds/the-member/member.inner.closes/panic-client-gone.seed"
        );
        let from_root =
            store.resolve(Path::new("seeds/the-member/member.inner.closes/panic-client-gone.seed"));
        assert_eq!(from_root, expected);
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        let store = Store::new(Path::new("/w"), "../../etc/x y");
        assert_eq!(store.folder, Path::new("/w/seeds/-etc-x-y"));
        let store = Store::new(Path::new("/w"), "/..");
        assert_eq!(store.folder, Path::new("/w/seeds"));
    }

    #[test]
    fn only_a_smaller_recording_replaces_another() {
        let folder = TestFolder::new("smaller");
        let store = Store::new(folder.path(), "t::x");
        let first = keep(&store, &recording("a: b 1", &[5, 5]));
        let path = first.path().to_owned();
        assert_eq!(keep(&store, &recording("a: b 2", &[5, 6])), Kept::Untouched(path.clone()));
        assert_eq!(store.load(&path).expect("loads").log.choices[1].value, 5);
        assert_eq!(keep(&store, &recording("a: b 3", &[5])), Kept::Written(path.clone()));
        assert_eq!(store.load(&path).expect("loads").log.choices.len(), 1);
        // No longer failing, it is of a bug that is fixed, and stays.
        let second = store.folder.join("panic-a-b-2.seed");
        let still_fails = |old: &Recording| old.log.choices[0].value != 5;
        let keep = |values| store.keep(&recording("a: b 1", values), still_fails).expect("writes");
        assert_eq!(keep(&[9, 9]), Kept::Written(second.clone()));
        assert_eq!(keep(&[9]), Kept::Written(second));
        assert_eq!(store.load(&path).expect("loads").log.choices[0].value, 5);
        assert_eq!(fs::read_dir(&store.folder).expect("lists").count(), 2, "no temporary file stays");
    }

    #[test]
    fn foreign_recordings_are_never_overwritten() {
        let folder = TestFolder::new("foreign");
        let store = Store::new(folder.path(), "t::x");
        let first = keep(&store, &recording("a: b?", &[5])).path().to_owned();
        let second = keep(&store, &recording("a: b!", &[5])).path().to_owned();
        assert_ne!(first, second);
        let passes = Recording { expect: Expect::Passes, ..recording("a: b?", &[5]) };
        fs::write(&first, text::write(&passes)).expect("writes");
        fs::write(&second, "wavetank recording 9\n").expect("writes");
        let third = keep(&store, &recording("a: b?", &[5]));
        assert_eq!(third, Kept::Written(store.folder.join("panic-a-b-3.seed")));
        assert_eq!(store.load(&first).expect("loads"), passes);
    }

    #[test]
    fn a_broken_recording_makes_room() {
        let folder = TestFolder::new("broken");
        let store = Store::new(folder.path(), "t::x");
        let path = keep(&store, &recording("a: b", &[5])).path().to_owned();
        let text = fs::read_to_string(&path).expect("reads");
        fs::write(&path, &text[..text.len() - 9]).expect("writes");
        let error = store.load(&path).expect_err("cut off").to_string();
        assert!(error.starts_with("seeds/t.x/panic-a-b.seed"), "{error}");
        assert_eq!(keep(&store, &recording("a: b", &[5, 5])), Kept::Written(path));
    }

    #[test]
    fn a_failed_write_leaves_no_temporary_file() {
        let folder = TestFolder::new("unwritable");
        // A folder of that name cannot be replaced by a file.
        let path = folder.path().join("panic-a.seed");
        fs::create_dir_all(path.join("inner")).expect("creates");
        write_whole(&path, "text").expect_err("a folder is in the way");
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_among_recordings_does_not_hang() {
        let folder = TestFolder::new("pipe");
        let store = Store::new(folder.path(), "t::x");
        let kept = keep(&store, &recording("a: b", &[5])).path().to_owned();
        let pipe = kept.with_file_name("panic-pipe.seed");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("there is mkfifo");
        assert!(made.success());
        assert_eq!(store.list().expect("lists"), [kept]);
        // Its name is taken, and it is no recording.
        let written = keep(&store, &recording("pipe", &[5]));
        assert!(written.path().is_file() && written.path() != pipe, "{written:?}");
    }
}
