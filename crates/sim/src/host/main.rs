//! What the main of a host returns.

use std::fmt::Display;

/// The result of a main: nothing, or a result whose error fails the run.
pub trait MainResult {
    /// Returns the error's text, if it is an error.
    fn failure(self) -> Option<String>;
}

impl MainResult for () {
    fn failure(self) -> Option<String> {
        None
    }
}

/// The type of `loop {}`, which has no name in stable Rust. A server that never ends needs no result.
type Never = <fn() -> ! as Returns>::Output;

/// Names the result type of a function pointer.
pub trait Returns {
    /// The result type.
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
