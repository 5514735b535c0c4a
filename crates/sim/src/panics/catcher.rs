//! What will catch a panic that has just begun: tokio, or code that looks at it.
//!
//! tokio catches what its tasks panic with. The runtime of a run is told to shut down then. But tokio reports neither
//! a task of a `LocalSet` nor a destructor that panics when a task is dropped. So the hook of panics looks at the
//! stack: the innermost `catch_unwind` is tokio's or not.

#[cfg(all(feature = "process", not(miri)))]
mod shared;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::catch_unwind;

use crate::thread_memory::place_of;

#[cfg(all(feature = "process", not(miri)))]
pub(crate) use shared::{Known, share};

/// What a return address on the stack belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `catch_unwind` itself.
    Catch,
    /// std, which may stand between `catch_unwind` and its caller.
    Std,
    /// Where a thread of a process begins.
    Begin,
    /// The code in which tokio polls and drops tasks.
    Tokio,
    Other,
}

/// A function, or one that was inlined into it.
struct Function<'a> {
    /// Without its module if debug information has nothing but lines.
    name: &'a str,
    /// Empty if debug information does not say.
    file: &'a str,
}

impl Function<'_> {
    fn place(&self) -> Place {
        let Self { name, file } = self;
        let is_catch = ["__rust_try", "panicking::try", "panicking::catch_unwind", "panic::catch_unwind"]
            .iter()
            .any(|part| name.contains(part))
            || file.ends_with("/library/std/src/panicking.rs")
                && ["try<", "catch_unwind<", "do_call<"].iter().any(|start| name.starts_with(start));
        // What begins a thread of a process: libc, or the simulator.
        let begins = [
            "start_thread",
            "clone3",
            "__clone3",
            "wavetank::host::process::",
            "wavetank::interpose::user::",
        ];
        let of_std = ["std::", "<std::", "core::", "<core::", "alloc::", "<alloc::"];
        let is_of_tokio = name.contains("tokio::runtime::task::")
            || file.contains("/tokio-") && file.contains("/src/runtime/task/");
        if begins.iter().any(|begin| name.starts_with(begin))
            || file.ends_with("/src/interpose/user.rs")
            || file.ends_with("/src/host/process/threads.rs")
        {
            Place::Begin
        } else if is_catch {
            Place::Catch
        } else if is_of_tokio {
            Place::Tokio
        } else if file.starts_with("/rustc/") || of_std.iter().any(|prefix| name.starts_with(prefix)) {
            Place::Std
        } else {
            Place::Other
        }
    }
}

/// Returns `true` if tokio catches the panic that the hook of panics is called for.
pub(crate) fn is_tokio() -> bool {
    caller_of_catch() == Some(Place::Tokio)
}

/// Returns `true` if an unmodified program catches the panic that the hook of panics is called for, and goes on: not
/// tokio, and not std at the end of a thread. Without symbols that is not known, and nothing counts as caught.
#[cfg(all(feature = "process", not(miri)))]
pub(crate) fn is_caught_by_program() -> bool {
    caller_of_catch() == Some(Place::Other)
}

/// Returns `false` in a program without symbols, where [`is_tokio`] is always `false`.
pub(crate) fn can_tell() -> bool {
    catch_unwind(|| caller_of_catch().is_some()).unwrap_or(false)
}

/// What has called the innermost `catch_unwind`. `None` if no symbol names one.
#[inline(never)]
fn caller_of_catch() -> Option<Place> {
    let mut is_caught = false;
    let mut caller = None;
    backtrace::trace(|frame| {
        for place in places(frame.ip() as usize) {
            match place {
                Place::Catch => is_caught = true,
                Place::Std => {}
                Place::Begin | Place::Tokio | Place::Other if !is_caught => {}
                found => {
                    caller = Some(found);
                    return false;
                }
            }
        }
        true
    });
    caller
}

thread_local! {
    /// To resolve an address takes much longer than to walk over a frame, and a shrinker panics a thousand times.
    static KNOWN: RefCell<BTreeMap<usize, Vec<Place>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Where the thread-local value of this module is.
pub(super) fn known() -> Range<usize> {
    KNOWN.with(place_of)
}

/// The functions at a return address, from the innermost out.
fn places(address: usize) -> Vec<Place> {
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&address).cloned()) {
        return known;
    }
    #[cfg(all(feature = "process", not(miri)))]
    if let Some(known) = shared::places(address) {
        KNOWN.with_borrow_mut(|all| all.insert(address, known.clone()));
        return known;
    }
    let mut places = Vec::new();
    backtrace::resolve(address as *mut _, |symbol| {
        let name = symbol.name().map(|name| format!("{name:#}")).unwrap_or_default();
        let file = symbol.filename().map(|file| file.display().to_string()).unwrap_or_default();
        places.push(Function { name: &name, file: &file }.place());
    });
    // A function that is inlined into one of the same kind tells nothing more.
    places.dedup();
    #[cfg(all(feature = "process", not(miri)))]
    shared::keep(address, &places);
    KNOWN.with_borrow_mut(|known| known.insert(address, places.clone()));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_apart_by_name_or_file() {
        let place = |name, file| Function { name, file }.place();
        let std = "/rustc/0123abc/library/std/src/panicking.rs";
        assert_eq!(place("__rust_try", ""), Place::Catch);
        assert_eq!(place("std::panicking::catch_unwind::do_call", ""), Place::Catch);
        assert_eq!(place("catch_unwind<(), chat::serve::{closure_env#0}>", std), Place::Catch);
        assert_eq!(place("begin_panic_handler", std), Place::Std);
        assert_eq!(
            place("<core::panic::unwind_safe::AssertUnwindSafe<F> as FnOnce>::call_once", ""),
            Place::Std
        );
        assert_eq!(place("tokio::runtime::task::harness::poll_future", ""), Place::Tokio);
        let harness = "/registry/tokio-1.52.3/src/runtime/task/harness.rs";
        assert_eq!(place("poll_future<chat::serve>", harness), Place::Tokio);
        assert_eq!(place("chat::serve", "/chat/src/lib.rs"), Place::Other);
    }
}
