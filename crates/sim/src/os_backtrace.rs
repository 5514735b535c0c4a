//! Finds the functions that another OS thread of this process is in. The watchdog uses it for its report of a stuck
//! run.
//!
//! A signal interrupts the thread. The signal's handler notes the addresses of the thread's frames. The thread that
//! asks turns the addresses into names.
//!
//! # Invariants
//!
//! - The handler allocates nothing, takes no lock, and writes only while the asking thread waits.
//! - An answer that comes late does not count. The thread may be in code that blocks signals.

use std::fmt;

#[cfg(all(target_os = "linux", not(miri)))]
mod linux;

/// The most lines of an answer.
const LINES_MAX: usize = 12;

/// How many of std's innermost functions are shown, besides those that tested code calls directly. With debug
/// information, a single call into std is a dozen functions.
const OF_STD_MAX: usize = 2;

/// Returns the functions that the OS thread with this number is in, from the innermost out, without the simulator's
/// own. Empty if the system does not tell.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn of_thread(thread: i32) -> Vec<String> {
    let mut frames = Vec::new();
    for address in linux::frames(thread) {
        backtrace::resolve(address as *mut _, |symbol| {
            let name = symbol.name().map(|name| format!("{name:#}"));
            frames.push(Frame {
                name: name.unwrap_or_else(|| NAMELESS.to_owned()),
                file: symbol.filename().map(|file| file.display().to_string()).unwrap_or_default(),
                line: symbol.lineno(),
            });
        });
    }
    of_tested_code(&frames).map(Frame::to_string).collect()
}

/// Returns nothing, because this system does not tell.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) fn of_thread(_: i32) -> Vec<String> {
    Vec::new()
}

const NAMELESS: &str = "a function without a name";

/// A function on a stack.
#[cfg_attr(not(all(target_os = "linux", not(miri))), expect(dead_code, reason = "only Linux tells"))]
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    /// Without the module if debug information has nothing but lines.
    name: String,
    /// Empty if debug information does not say.
    file: String,
    line: Option<u32>,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, file, line } = self;
        match line {
            _ if file.is_empty() => f.write_str(name),
            None => write!(f, "{name} ({file})"),
            Some(line) => write!(f, "{name} ({file}:{line})"),
        }
    }
}

impl Frame {
    /// Returns `true` if the function is in this module of the simulator, or in one below it.
    fn is_in(&self, module: &str) -> bool {
        let folder = env!("CARGO_MANIFEST_DIR").rsplit('/').next().unwrap_or_default();
        let path = format!("/{folder}/src/{}", module.replace("::", "/"));
        let after = self.file.rsplit_once(&path).map_or("", |(_, after)| after);
        self.name.starts_with(&format!("wavetank::{module}::")) || after.starts_with('/') || after == ".rs"
    }

    fn is_of_the_handler(&self) -> bool {
        self.is_in("os_backtrace::linux")
            || self.name.starts_with("backtrace::")
            || self.file.contains("/backtrace-")
    }

    fn is_of_the_simulator(&self) -> bool {
        ["sched", "pool", "run"].iter().any(|module| self.is_in(module))
    }

    fn is_of_std(&self) -> bool {
        let prefixes = ["std::", "<std::", "core::", "<core::", "alloc::", "<alloc::"];
        self.file.starts_with("/rustc/") || prefixes.iter().any(|prefix| self.name.starts_with(prefix))
    }

    /// Returns `true` if it is the frame that the kernel puts between a function and the handler.
    fn is_trampoline(&self) -> bool {
        self.name.starts_with("__restore_rt") || self.name == NAMELESS
    }
}

/// Returns the frames of tested code. Leaves out the handler's functions, those of the simulator, and most of std's.
#[cfg_attr(not(all(target_os = "linux", not(miri))), expect(dead_code, reason = "only Linux tells"))]
fn of_tested_code(frames: &[Frame]) -> impl Iterator<Item = &Frame> {
    let begin = frames.iter().rposition(Frame::is_of_the_handler).map_or(0, |last| last + 1);
    let frames = frames[begin..].iter().skip_while(|frame| frame.is_trampoline());
    let mut frames = frames.take_while(|frame| !frame.is_of_the_simulator()).enumerate().peekable();
    let shown = std::iter::from_fn(move || {
        let (index, frame) = frames.next()?;
        let is_called_by_std = frames.peek().is_some_and(|(_, caller)| caller.is_of_std());
        Some((frame, index < OF_STD_MAX || !frame.is_of_std() || !is_called_by_std))
    });
    shown.filter(|(_, is_shown)| *is_shown).map(|(frame, _)| frame).take(LINES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(name: &str, file: &str) -> Frame {
        Frame { name: name.to_owned(), file: file.to_owned(), line: None }
    }

    #[test]
    fn names_with_modules_show_tested_code() {
        let names = [
            "backtrace::backtrace::trace_unsynchronized",
            "wavetank::os_backtrace::linux::answer",
            "__restore_rt",
            "syscall",
            "std::sync::mpsc::Receiver::recv",
            "chat::waits",
            "wavetank::sched::coroutine::run_to_end",
            "main",
        ];
        let frames = names.map(|name| frame(name, ""));
        let shown = of_tested_code(&frames).map(|frame| frame.name.as_str());
        assert_eq!(shown.collect::<Vec<_>>(), ["syscall", "std::sync::mpsc::Receiver::recv", "chat::waits"]);
    }

    #[test]
    fn files_show_tested_code_without_modules() {
        let own = env!("CARGO_MANIFEST_DIR");
        let frames = [
            frame("trace<F>", "/registry/backtrace-0.3.77/src/backtrace/mod.rs"),
            frame("answer", &format!("{own}/src/os_backtrace/linux.rs")),
            frame("__restore_rt", ""),
            frame("recv<()>", "/rustc/library/std/src/sync/mpsc.rs"),
            frame("waits", "/chat/src/run.rs"),
            frame("step", &format!("{own}/src/sched.rs")),
            frame("main", "/chat/src/main.rs"),
        ];
        let shown = of_tested_code(&frames).map(|frame| frame.name.as_str());
        assert_eq!(shown.collect::<Vec<_>>(), ["recv<()>", "waits"]);
        assert_eq!(frames[4].to_string(), "waits (/chat/src/run.rs)");
    }

    #[test]
    fn many_functions_of_std_hide_no_others() {
        let mut frames = vec![frame("park", "/rustc/library/std/src/sync/mpsc.rs"); 20];
        frames.extend([
            frame("recv<()>", "/rustc/library/std/src/sync/mpsc.rs"),
            frame("waits", "/chat/src/lib.rs"),
        ]);
        let shown = of_tested_code(&frames).map(|frame| frame.name.as_str());
        assert_eq!(shown.collect::<Vec<_>>(), ["park", "park", "recv<()>", "waits"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_waiting_thread_is_found_where_it_waits() {
        use std::sync::mpsc;
        #[inline(never)]
        fn waits_in_here(released: &mpsc::Receiver<()>) {
            // A tail call would leave no frame.
            std::hint::black_box(released.recv().is_ok());
        }
        let (told, hear) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let waits = std::thread::Builder::new().spawn(move || {
            let link = std::fs::read_link("/proc/thread-self").expect("Linux has it");
            let number =
                link.file_name().expect("a number").to_string_lossy().parse::<i32>().expect("a number");
            told.send(number).expect("it is heard");
            waits_in_here(&released);
        });
        let thread = hear.recv().expect("the thread says who it is");
        let found = (0..1_000).find_map(|_| {
            let frames = of_thread(thread);
            frames.iter().any(|frame| frame.contains("waits_in_here")).then_some(frames)
        });
        let frames = found.expect("it waits there sooner or later");
        let is_of_the_handler =
            |frame: &String| frame.contains("os_backtrace::linux") || frame.contains("os_backtrace/linux");
        assert!(!frames.iter().any(is_of_the_handler), "{frames:?}");
        drop(release);
        waits.expect("it starts").join().expect("the signal has not harmed it");
        assert_eq!(of_thread(thread), Vec::<String>::new(), "it is gone");
    }
}
