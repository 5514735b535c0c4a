//! How a peer can break the protocol.

/// A violation of the protocol by the peer. It ends the session with GoAway(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A frame of another version than 0.
    #[error("a frame of version {0}: only version 0 is known")]
    Version(u8),
    /// A frame of a type that does not exist.
    #[error("a frame of the unknown type {0}")]
    UnknownType(u8),
    /// A data frame or window update for stream 0, which is the session itself.
    #[error("a stream frame for stream 0")]
    StreamZero,
    /// A ping or GoAway for a stream.
    #[error("a session frame for stream {0}")]
    SessionFrameOnStream(u32),
    /// The peer opened a stream whose id is for us to use: clients use odd ids, servers even ones.
    #[error("the peer opened stream {0}: ids of this parity are ours")]
    WrongParity(u32),
    /// The peer opened a stream whose id it had used before.
    #[error("the peer opened stream {0} again")]
    ReusedId(u32),
    /// The peer sent more than it had credit for.
    #[error("{length} bytes on stream {stream}, where the peer had credit for {credit}")]
    CreditExceeded {
        /// The stream.
        stream: u32,
        /// The length of the frame in bytes.
        length: u32,
        /// What the peer was allowed to send, in bytes.
        credit: u32,
    },
    /// The peer granted more credit than fits into 32 bits.
    #[error("{delta} bytes of credit for stream {stream} on top of {credit}: more than 32 bits hold")]
    CreditOverflow {
        /// The stream.
        stream: u32,
        /// What was granted, in bytes.
        delta: u32,
        /// What we had, in bytes.
        credit: u32,
    },
    /// The peer sent payload on a stream after its FIN.
    #[error("payload on stream {0} after its FIN")]
    DataAfterFin(u32),
    /// The peer opened and reset streams before they were accepted, more often than
    /// [`Limits::early_resets`](crate::Limits::early_resets) allows.
    #[error("more than {0} streams were reset by the peer before they were accepted")]
    RapidReset(u32),
    /// The peer opened streams over the limits faster than it read the refusals.
    #[error("more than {0} refusals wait to be read by the peer")]
    TooManyRefusals(u32),
    /// The peer sent frames without effect, more than [`Limits::idle_frames`](crate::Limits::idle_frames) allows.
    #[error("more than {0} frames without effect")]
    IdleFrames(u32),
}
