//! What a session and a stream have counted.

use std::time::Duration;

/// The counts of a session, and what it holds now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Streams that this side opened.
    pub opened: u64,
    /// Streams of the peer that were accepted.
    pub accepted: u64,
    /// Streams of the peer that were refused, because of a limit or while shutting down.
    pub refused: u64,
    /// Streams that the peer reset or refused.
    pub resets_received: u64,
    /// Streams that this side reset.
    pub resets_sent: u64,
    /// Frames received.
    pub frames_received: u64,
    /// Frames sent.
    pub frames_sent: u64,
    /// Bytes received, with headers.
    pub bytes_received: u64,
    /// Bytes written to the transport, with headers.
    pub bytes_sent: u64,
    /// Payload of streams received, in bytes.
    pub payload_received: u64,
    /// Payload of streams sent, in bytes.
    pub payload_sent: u64,
    /// Received frames without effect.
    pub idle_frames: u64,
    /// Streams on the wire now.
    pub streams: usize,
    /// Streams now, including those that have ended and whose handles are still held.
    pub streams_held: usize,
    /// Streams that wait to be accepted now.
    pub backlog: usize,
    /// Received bytes that wait to be read now, on all streams.
    pub buffered_bytes: usize,
    /// Bytes that wait for the transport now.
    pub pending_bytes: usize,
    /// By how much windows are tuned above the initial one now, in bytes, on all streams.
    pub tuned_bytes: u64,
    /// The latest measurement of the round-trip time.
    pub round_trip: Option<Duration>,
    /// Whether the peer understands being asked to stop: it is one of this crate.
    pub peer_understands_stop: bool,
}

/// The counts of a stream, and what it holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStatistics {
    /// Payload received, in bytes.
    pub bytes_received: u64,
    /// Payload sent, in bytes.
    pub bytes_sent: u64,
    /// Received bytes that wait to be read now.
    pub buffered_bytes: usize,
    /// What the peer allows us to send now, in bytes.
    pub send_credit: u32,
    /// What we allow the peer to send now, in bytes.
    pub receive_credit: u32,
    /// How much the peer may send ahead of the reader, in bytes.
    pub receive_window: u32,
}
