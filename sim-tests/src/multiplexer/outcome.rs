//! Values that the hosts of a simulation share, and the errors of failed calls.

use std::sync::{Arc, Mutex, PoisonError};

use wavetank_multiplexer::{ReadError, WriteError};

/// A value that one host sets and another reads. Clones share it.
#[derive(Debug)]
pub struct Cell<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Cell<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Cell<T> {
    /// Makes one without a value.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value.
    pub fn set(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    /// Returns the value, if it was set.
    #[must_use]
    pub fn get(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Returns the error of a failed read.
///
/// # Panics
///
/// If the error is not one of this crate.
#[must_use]
pub fn read_error(error: &std::io::Error) -> ReadError {
    ReadError::from_io(error).unwrap_or_else(|| panic!("not of this crate: {error}")).clone()
}

/// Returns the error of a failed write.
///
/// # Panics
///
/// If the error is not one of this crate.
#[must_use]
pub fn write_error(error: &std::io::Error) -> WriteError {
    WriteError::from_io(error).unwrap_or_else(|| panic!("not of this crate: {error}")).clone()
}
