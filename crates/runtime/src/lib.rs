//! The seam: everything protocol code may ask of the world.
//!
//! Two traits, because there are two kinds of protocol code: [`Runtime`] for async tasks and [`Threads`] for
//! blocking threads. Code that is written against them runs on Tokio ([`Tokio`]) or on plain threads ([`Std`])
//! in production, and inside Wavetank's simulation in tests, unchanged.
//!
//! The module list is a map of the crate: [`instant`] is time, [`runtime`] and [`threads`] are the two traits,
//! [`socket`] what both say of sockets, [`sync`] the locks of blocking code, [`join`] how a task or thread ends.
//!
//! # Invariants
//!
//! - No trait method has a default body that reaches the real world.
//! - `tokio_runtime` and `std_threads` are the only modules of the workspace that touch real clocks, sockets,
//!   threads and entropy.

pub mod instant;
pub mod join;
pub mod runtime;
pub mod socket;
mod std_threads;
pub mod sync;
pub mod threads;
mod tokio_runtime;

pub use instant::Instant;
pub use join::JoinError;
pub use runtime::{Listener, Runtime, Sleep, Stream, TaskHandle};
pub use socket::{ListenOptions, SocketOptions};
pub use std_threads::Std;
pub use sync::{Condvar, Mutex, WaitOutcome};
pub use threads::{BlockingListener, BlockingStream, ThreadHandle, Threads};
pub use tokio_runtime::Tokio;
