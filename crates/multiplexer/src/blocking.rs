//! Sessions for threads: the same as [`Session`](crate::Session) and its streams, without a runtime.
//!
//! Every handle can be used from any thread, and every method takes `&self`: one thread may read from a stream while
//! another writes to it and a third one closes it. A session has two threads of its own: one reads the transport, the
//! other writes it and keeps the time.
//!
//! # What blocks, and until when
//!
//! - Reads and writes of a stream until they can go on, the stream or the session ends, or their deadline passes.
//! - [`open`](Session::open) while too many streams are unacknowledged, for [`Timeouts::open`](crate::Timeouts::open)
//!   at most.
//! - [`accept`](Session::accept) until the peer opens a stream or the session ends.
//! - [`close`](Session::close) for [`Timeouts::close`](crate::Timeouts::close) at most, whatever the peer does.
//!
//! Timers other than the deadlines of callers may be late by a quarter of a second while the transport takes nothing.

mod reader;
mod session;
mod shared;
mod stream;
mod transport;
mod writer;

pub use session::Session;
pub use stream::{ReadHalf, Stream, WriteHalf};
pub use transport::Transport;
