//! Calling foreign code: a panic of it is an error of what called it, and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wavetank_runtime::__private::panic_message;

use crate::error::{GraphqlError, RequestErrors};

/// Calls foreign code. `Err` is the message of its panic.
pub(crate) fn contained<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    // What panicked is dropped, and not looked at again.
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| panic_message(&*payload))
}

/// What a client learns of a panic.
pub(crate) fn internal_error() -> RequestErrors {
    GraphqlError::new("Internal server error").code("INTERNAL_SERVER_ERROR").into()
}
