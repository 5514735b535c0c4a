//! How a task or a thread ended, as its handle reports it.

use std::fmt;

/// Why a task or thread has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// It panicked, with this message.
    Panicked(String),
    /// Its handle aborted it, or its runtime shut down, before it ended.
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

/// Returns the message of a panic payload: the text given to `panic!`, or a placeholder for other types.
#[must_use]
pub fn panic_message(payload: &dyn std::any::Any) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is not text".to_owned()
    }
}
