//! Counts of a connection.

use std::time::Duration;

/// Counts of a connection, since its opening handshake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The latency of the latest ping that was answered.
    pub latency: Option<Duration>,
    /// Bytes of the frames that were received. A part of a frame counts once the frame's head is there.
    pub bytes_received: u64,
    /// Frames that were received, control frames included, each counted when its head is there.
    pub frames_received: u64,
    /// Messages that were received whole, including those that were discarded.
    pub messages_received: u64,
    /// Messages that were received and discarded, because the connection was closing and too many waited already.
    pub messages_discarded: u64,
    /// Bytes that were written to the transport.
    pub bytes_sent: u64,
    /// Frames that were put into the output, control frames included.
    pub frames_sent: u64,
    /// Messages that were put into the output.
    pub messages_sent: u64,
    /// Pings that were received.
    pub pings_received: u64,
    /// Pings that were not answered because a later one came before there was room for the answer.
    pub pings_superseded: u64,
}

impl Statistics {
    #[inline]
    pub(super) fn frame_received(&mut self, bytes: usize) {
        self.bytes_received += bytes as u64;
        self.frames_received += 1;
    }

    #[inline]
    pub(super) fn message_received(&mut self, discarded: bool) {
        self.messages_received += 1;
        self.messages_discarded += u64::from(discarded);
    }
}
