//! How a task or a thread ended, as its handle reports it.

use std::fmt;

/// Why a task or thread has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// It panicked; the panic's message. Its own fault.
    Panicked(String),
    /// It was aborted by its handle, or its runtime was shut down, before it ended.
    Cancelled,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Cancelled => f.write_str("cancelled before it ended"),
        }
    }
}

impl std::error::Error for JoinError {}

/// The message of a panic payload: what `panic!` was given, or a placeholder for a payload of another type.
#[must_use]
pub fn panic_message(payload: &dyn std::any::Any) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is no text".to_owned()
    }
}
