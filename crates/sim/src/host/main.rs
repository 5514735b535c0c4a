//! What the main of a host returns.

use std::fmt::Display;

/// What a main returns: nothing, or a result whose error fails the run.
pub trait MainResult {
    /// The error's text, if it is one.
    fn failure(self) -> Option<String>;
}

impl MainResult for () {
    fn failure(self) -> Option<String> {
        None
    }
}

/// The type of `loop {}`, which has no name of its own in stable Rust: a server that never ends needs no result.
type Never = <fn() -> ! as Returns>::Output;

/// Names what a function pointer returns.
#[doc(hidden)]
pub trait Returns {
    /// What the function returns.
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

impl MainResult for Never {
    fn failure(self) -> Option<String> {
        self
    }
}

impl<T, E: Display> MainResult for Result<T, E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}
