//! hashicorp/yamux, whose `Stream.Close` tells the peer half of what its caller means.
//!
//! # The bug
//!
//! `Close()` sends FIN: "I will write no more". A caller who closes a stream mostly means "I will not read any more,
//! either", and yamux has no frame that says so. The peer may go on writing, and does, until the 256 KiB of its window
//! are used up. Credit comes from reading, and nobody reads: the writer waits. `StreamCloseTimeout`, 5 minutes after
//! the close, resets the stream at last. Meanwhile the connection is in perfect health, and pings are answered.
//!
//! Issue #133, "writes to a half-closed stream stall for five minutes": a client writes 10 messages of 100 KiB, the
//! server reads 5 and closes; the 7th write blocks. It is open, and no remedy was merged: pull requests #84, #124, #125
//! and #155 propose a `CloseWrite`, so that `Close` may mean both halves, and libp2p/specs #627 a frame that stops the
//! sender. A user's way out is to read on to the end before closing ([`PeerScript::DrainsThenCloses`]).
//!
//! # The remedies
//!
//! Neither is a release of the original; both use what its peers understand today.
//!
//! - [`Version::AnswersData`]: `close()` means both halves, and data that arrives afterwards is answered with RST. It
//!   looks sufficient, and mostly is. But a writer that has used up its window *before* the close sends nothing that
//!   could be answered: it depends on the schedule.
//! - [`Version::StopsSending`]: RST goes out at the moment when the peer has no credit left, be that with data that
//!   arrives or in `close()` itself. A peer that stays within its credit is not disturbed: an RST costs it what it has
//!   not read yet.
//!
//! # How it is re-created
//!
//! After `e14d7fe`, one module per file of the original: `frame` is `const.go`, `session` is `session.go` and `mux.go`,
//! `stream` and `attributes` are `stream.go`; `outbox` is the channel between `waitForSendErr` and the `send` goroutine.
//!
//! | Here | There |
//! |---|---|
//! | `Session::{open, accept}`, `Shared::{exit, forget}` | `Open`, `AcceptStream`, `exitErr` and `Close`, `closeStream` |
//! | `Shared::{send, recv, keepalive, ping}` | the goroutines `send`, `recv`, `keepalive`; `Ping` |
//! | `Shared::{handle_stream_message, incoming_stream}` | `handleStreamMessage`, `incomingStream` |
//! | `Outbox::{send, send_no_wait}` | `waitForSendErr`, `sendNoWait`, each with `ConnectionWriteTimeout` |
//! | `Stream::{read, write, close, send_window_update}` | `Read`, `Write` and `write`, `Close` and `sendClose`, `sendWindowUpdate` |
//! | `StreamShared::{close_timeout, force_close, process_flags, grow_send_window, receive}` | `closeTimeout`, `forceClose`, `processFlags`, `incrSendWindow`, `readData` |
//!
//! Goroutines are threads; a channel that wakes waiters is a condition variable; the locks and atomics of a stream are
//! one lock, but for `sendLock`. A timer (`time.AfterFunc`) is a thread that waits. Defaults are those of `mux.go:68`,
//! states those of `stream.go:17`. What the original does and one would not: a read after RST fails at once, whatever
//! was received (`stream.go:123`); data for a stream it does not know is drained and never answered; a frame whose
//! sender gave up stays queued and is not charged to the window (`stream.go:222`); one frame may be as large as the
//! window; a session's end tells the peer nothing but TCP's.
//!
//! # Not here
//!
//! GoAway (ends the session, as an unknown type), the limit of streams that wait for their ACK with
//! `StreamOpenTimeout`, deadlines, windows of another size, and copying from the connection into the stream's buffer
//! under its lock: a frame is read first.

mod attributes;
mod error;
mod frame;
mod outbox;
pub mod scenarios;
pub mod session;
pub mod stream;

pub use error::Error;
pub use frame::INITIAL_STREAM_WINDOW;
pub use scenarios::{PeerScript, Workload};
pub use session::{Config, Session};
pub use stream::Stream;

/// What closing a stream says about reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Nothing: the original.
    Upstream,
    /// Data that arrives afterwards is answered with RST.
    AnswersData,
    /// The peer gets an RST once it has no credit left.
    StopsSending,
}

impl Version {
    /// Every version.
    pub const ALL: [Self; 3] = [Self::Upstream, Self::AnswersData, Self::StopsSending];
}
