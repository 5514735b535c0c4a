//! [`Runtime`](crate::Runtime) on Tokio.

/// Production's async runtime: the Tokio runtime that the calling task runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;
