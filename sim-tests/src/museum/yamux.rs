//! hashicorp/yamux: `Stream.Close` closes only the writing half, and a peer that keeps writing stalls.
//!
//! # The bug
//!
//! `Close()` sends FIN: "I will write no more". A caller that closes a stream usually also means "I will read no more",
//! but yamux has no frame for that. The peer may continue to write, and does until its window of 256 KiB is used up.
//! Only reading grants more credit, and this end no longer reads: the writer waits. After 5 minutes
//! `StreamCloseTimeout` resets the stream. The connection stays healthy during this time, and pings are answered.
//!
//! Issue #133, "writes to a half-closed stream stall for five minutes": a client writes 10 messages of 100 KiB, the
//! server reads 5 and closes, and the 7th write blocks. The issue is open, and no remedy was merged. The pull requests
//! #84, #124, #125 and #155 propose a `CloseWrite`, so that `Close` can close both halves. libp2p/specs #627 proposes a
//! frame that stops the sender. Users can avoid the stall if they read to the end before they close
//! ([`PeerScript::DrainsThenCloses`]).
//!
//! # The remedies
//!
//! Neither remedy is a release of the original. Both use only frames that peers understand today.
//!
//! - [`Version::AnswersData`]: `close()` closes both halves, and data that arrives later is answered with RST. This
//!   usually suffices. But a writer that has used up its window *before* the close sends nothing that could be
//!   answered. Whether that happens depends on the schedule.
//! - [`Version::StopsSending`]: RST is sent as soon as the peer has no credit left, on arriving data or in `close()`. A
//!   peer that stays within its credit gets no RST, because an RST would cost it the data that it has not yet read.
//!
//! # How it is re-created
//!
//! It follows commit `e14d7fe`, with one module per file of the original: `frame` is `const.go`, `session` is
//! `session.go` and `mux.go`, `stream` and `attributes` are `stream.go`. `outbox` is the channel between
//! `waitForSendErr` and the `send` goroutine. The functions and their originals:
//!
//! - `Session::{open, accept}`: `Open`, `AcceptStream`.
//! - `Shared::{exit, forget}`: `exitErr` and `Close`, `closeStream`.
//! - `Shared::{send, recv, keepalive, ping}`: the goroutines `send`, `recv`, `keepalive`; `Ping`.
//! - `Shared::{handle_stream_message, incoming_stream}`: `handleStreamMessage`, `incomingStream`.
//! - `Outbox::{send, send_no_wait}`: `waitForSendErr`, `sendNoWait`, each with `ConnectionWriteTimeout`.
//! - `Stream::{read, write, close, send_window_update}`: `Read`, `Write` and `write`, `Close` and `sendClose`,
//!   `sendWindowUpdate`.
//! - `StreamShared::{close_timeout, force_close, process_flags, grow_send_window, receive}`: `closeTimeout`,
//!   `forceClose`, `processFlags`, `incrSendWindow`, `readData`.
//!
//! Goroutines are threads. A channel that wakes waiters is a condition variable. The locks and atomics of a stream are
//! one lock, except `sendLock`. A timer (`time.AfterFunc`) is a thread that waits. The defaults are those of
//! `mux.go:68`, the states those of `stream.go:17`.
//!
//! Some behaviour of the original is surprising and kept:
//!
//! - A read after RST fails at once, even if data was received before (`stream.go:123`).
//! - Data for an unknown stream is drained and never answered.
//! - A frame whose sender gave up stays queued and is not charged to the window (`stream.go:222`).
//! - One frame may be as large as the window.
//! - The end of a session sends the peer nothing except TCP's FIN.
//!
//! # Not here
//!
//! GoAway (it ends the session, like an unknown type), the limit of streams that wait for their ACK with
//! `StreamOpenTimeout`, deadlines, other window sizes, and copying from the connection into the stream's buffer under
//! its lock: here a frame is read first.

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

/// What closing a stream means for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Nothing: the original.
    Upstream,
    /// Data that arrives afterwards is answered with RST.
    AnswersData,
    /// The peer gets an RST as soon as it has no credit left.
    StopsSending,
}

impl Version {
    /// Every version.
    pub const ALL: [Self; 3] = [Self::Upstream, Self::AnswersData, Self::StopsSending];
}
