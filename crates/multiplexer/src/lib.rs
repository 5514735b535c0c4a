//! A stream multiplexer that speaks yamux, async and blocking, over one core that does no I/O.
//!
//! # Where to begin
//!
//! - On Tokio: [`Session`] opens and accepts [`Stream`]s.
//! - On threads: [`blocking::Session`], [`blocking::Stream`].
//! - What may be set on a session, with its default: [`Config`].
//! - What a call may say: [`OpenError`], [`ReadError`], [`WriteError`], [`PingError`]. How a session ended:
//!   [`Closed`]. Each tells whose fault it is ([`Fault`]).
//! - What happens when a reader stops: [`protocol`](protocol#stop-sending).
//!
//! # Map
//!
//! The module list is a map of the crate. The core: [`protocol`] is one side of a session, in bytes and calls. The
//! drivers: `session` for tasks, [`blocking`] for threads. `config`, `violation`, `closed` and `error` are the words
//! they share.
//!
//! # Invariants
//!
//! - The core reads no clock, draws no entropy and does no I/O: `now` and a seed are arguments, output is polled.
//! - Nothing a peer sends makes the core panic, or take more memory than its configuration says.
//! - Reading never waits on writing, and no stream on another.
//! - A session has one outcome ([`Closed`]): every call sees the same one, and it can be seen before a call that
//!   waits for it is woken.
//!
//! # Specification
//!
//! hashicorp/yamux at `e14d7fe` (`spec.md`), with the reset codes of go-yamux v5. Deviations are in the README.

#![forbid(unsafe_code)]

pub mod blocking;
mod closed;
mod config;
mod error;
pub mod protocol;
mod session;
mod violation;

pub use closed::{Cause, Closed, GoAwayCode, Violation};
pub use config::{Config, Keepalive, Limits, Timeouts, Window};
pub use error::{Fault, LocalReset, OpenError, PingError, ReadError, ResetCode, WriteEnd, WriteError};
pub use session::{ReadHalf, Session, Stream, WriteHalf};

/// The README's code is compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
