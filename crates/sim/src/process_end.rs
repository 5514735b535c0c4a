//! Prints the test and the seed when code under test ends the process.
//!
//! A report needs a living process. `std::process::exit` inside a run would end the test binary with any status, and
//! earlier failures would never be reported. A signal (SIGABRT, SIGSEGV, an overflow of the OS thread's own stack)
//! would leave no name. So an exit from a run's OS thread becomes a failure, and fatal signals there print the run's
//! name first. An OS thread that a run has started has the run's name, too.

#![expect(unsafe_code, reason = "signal handlers, exit handlers and their registration are libc calls")]

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use libc::{c_int, c_void};

use crate::thread_memory::{place_of, uncounted};

/// The name of a run, leaked while the run lasts, because it must outlive the destructors of thread-local values.
#[derive(Clone, Copy)]
struct Name {
    text: *const u8,
    length: usize,
}

const NONE: Name = Name { text: std::ptr::null(), length: 0 };

thread_local! {
    // Const-initialised and without a destructor: a signal handler may read them, and an exit handler still finds them.
    static NAME: Cell<Name> = const { Cell::new(NONE) };
    static SAID: Cell<bool> = const { Cell::new(false) };
}

/// The exit status of a process that a run ended: that of a failed test binary.
const STATUS: c_int = 101;

/// Signals that end a process by default, and their names.
const SIGNALS: [(c_int, &str); 5] = [
    (libc::SIGABRT, "SIGABRT (`abort`, or a second panic while one unwinds)"),
    (libc::SIGSEGV, "SIGSEGV (a fault of memory, or a stack that overflowed)"),
    (libc::SIGBUS, "SIGBUS (a fault of memory)"),
    (libc::SIGILL, "SIGILL (an illegal instruction)"),
    (libc::SIGFPE, "SIGFPE (an arithmetic fault)"),
];

/// The handlers that were there before, in the order of [`SIGNALS`].
static PREVIOUS: [AtomicUsize; SIGNALS.len()] = [const { AtomicUsize::new(libc::SIG_DFL) }; SIGNALS.len()];

/// Makes this process name the runs that end it. Only the first call has an effect.
pub(crate) fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // SAFETY: the handlers have the signatures that are asked for and live as long as the process; the
        // structures are plain data, zeroed where unused. SA_ONSTACK uses the alternate stack that std gives
        // each of its threads.
        unsafe {
            libc::atexit(at_exit);
            for ((signal, _), previous) in SIGNALS.iter().zip(&PREVIOUS) {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = on_signal as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                let mut before: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(*signal, &action, &mut before) == 0 {
                    previous.store(before.sa_sigaction, Ordering::Release);
                }
            }
        }
    });
}

/// Clears the name when an OS thread ends. A key of POSIX and not a thread-local value: code under test may end the
/// process in the destructor of a thread-local value, and those run before, also in `exit`.
static AT_END: OnceLock<libc::pthread_key_t> = OnceLock::new();

extern "C" fn at_end(_: *mut c_void) {
    clear();
}

/// Sets the name of the run of this OS thread, until the thread ends.
pub(crate) fn set_name(name: &str) {
    clear();
    let make_key = || {
        let mut key = 0;
        // SAFETY: `key` is writable, and the destructor has the signature that is asked for.
        unsafe { libc::pthread_key_create(&mut key, Some(at_end)) };
        key
    };
    uncounted(|| {
        // SAFETY: a plain call. Any value but null has the destructor called.
        unsafe { libc::pthread_setspecific(*AT_END.get_or_init(make_key), std::ptr::dangling()) }
    });
    let text = Box::leak(name.to_owned().into_boxed_str());
    NAME.set(Name { text: text.as_ptr(), length: text.len() });
    SAID.set(false);
}

/// Returns the name of the run of this OS thread, for an OS thread that it starts.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only interposed on Linux"))]
pub(crate) fn name() -> Option<Box<str>> {
    let Name { text, length } = NAME.try_with(Cell::get).unwrap_or(NONE);
    if text.is_null() {
        return None;
    }
    // SAFETY: these are the pointer and the length of a leaked `str`, which only this OS thread frees.
    let name = unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(text, length)) };
    Some(name.into())
}

/// Where the thread-local values of this module are.
pub(crate) fn thread_locals() -> Vec<Range<usize>> {
    vec![NAME.with(place_of), SAID.with(place_of)]
}

/// Clears the name of the run of this OS thread.
pub(crate) fn clear() {
    let Name { text, length } = NAME.replace(NONE);
    if !text.is_null() {
        // SAFETY: these are the pointer and the length of a box that `set_name` leaked, taken out of the only
        // place that keeps them.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(text.cast_mut(), length)) });
    }
}

/// Notes that the end of the process was already explained.
pub(crate) fn said() {
    SAID.set(true);
}

/// Writes to standard error, with calls that a signal handler may make.
fn say(parts: &[&[u8]]) {
    for part in parts {
        // SAFETY: the pointer and length are those of a slice.
        unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
    }
}

/// Returns the name of the run of this OS thread, if there is one and its end was not yet explained.
fn unexplained() -> Option<&'static [u8]> {
    let Name { text, length } = NAME.get();
    if text.is_null() || SAID.replace(true) {
        return None;
    }
    // SAFETY: the text was leaked, and `clear` runs on this OS thread only, which is about to end its process.
    Some(unsafe { std::slice::from_raw_parts(text, length) })
}

extern "C" fn at_exit() {
    if let Some(name) = unexplained() {
        let what = b"\nwavetank: code under test ended the process (`std::process::exit`), and with it all \
                     other tests. \
                     A host ends by returning from its main.\n";
        say(&[what, name, b"\n"]);
        // SAFETY: ends the process without running exit handlers again.
        unsafe { libc::_exit(STATUS) };
    }
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let index = SIGNALS.iter().position(|(known, _)| *known == signal).unwrap_or(0);
    if let Some(name) = unexplained() {
        say(&[
            b"\nwavetank: code under test ended the process by ",
            SIGNALS[index].1.as_bytes(),
            b".\n",
            name,
            b"\n",
        ]);
    }
    match PREVIOUS[index].load(Ordering::Acquire) {
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: both calls are async-signal-safe. A fault happens again when the handler returns; of what
            // was raised, the second time is delivered then.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if signal == libc::SIGABRT {
                    libc::raise(signal);
                }
            }
        }
        previous => {
            // SAFETY: the address was registered as a signal handler; std's handlers take these three
            // arguments, and one that takes only the first ignores the others.
            let previous: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(previous) };
            previous(signal, info, context);
        }
    }
}
