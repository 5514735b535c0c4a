//! What may be set on a session, with the defaults and their reasons.

use std::time::Duration;

/// The window that both sides of every stream begin with: 256 KiB. Fixed by the protocol.
pub const INITIAL_WINDOW_BYTES: u32 = 256 * 1024;

/// The settings of a session. Both sides choose their own.
///
/// # Defaults
///
/// Each field names its default and the reason for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// How much the peer may send ahead of our readers.
    pub window: Window,
    /// How the session notices that the peer has gone.
    pub keepalive: Keepalive,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What bounds memory and work.
    pub limits: Limits,
    /// The id of the first stream that we open, for tests of what happens when ids run out. `None`: the first.
    #[doc(hidden)]
    pub first_id: Option<u32>,
}

impl Config {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`window`](Self::window).
    #[must_use]
    pub fn window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// Sets [`keepalive`](Self::keepalive).
    #[must_use]
    pub fn keepalive(mut self, keepalive: Keepalive) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// Sets [`timeouts`](Self::timeouts).
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets [`limits`](Self::limits).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// How much the peer may send on one stream ahead of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Window {
    /// Always this many bytes: at least 256 KiB, as the protocol has it (a smaller value counts as that); at most 1 GiB. A
    /// stream moves at most one window in a round trip.
    Fixed(u32),
    /// Begins with 256 KiB, and doubles while the reader empties it within two round trips, up to this many bytes, as long as
    /// [`Limits::receive_budget_bytes`] allows.
    Tuned {
        /// The largest window in bytes, from 256 KiB to 1 GiB.
        bytes_max: u32,
    },
}

impl Default for Window {
    /// Tuned up to 16 MiB, which fills 1 Gbit/s over 100 ms.
    fn default() -> Self {
        Self::Tuned { bytes_max: 16 * 1024 * 1024 }
    }
}

impl Window {
    const BYTES_MAX: u32 = 1 << 30;

    /// The window of a new stream.
    pub(crate) fn first(self) -> u32 {
        match self {
            Self::Fixed(bytes) => bytes.clamp(INITIAL_WINDOW_BYTES, Self::BYTES_MAX),
            Self::Tuned { .. } => INITIAL_WINDOW_BYTES,
        }
    }

    /// The largest window that a stream may get.
    pub(crate) fn last(self) -> u32 {
        match self {
            Self::Fixed(_) => self.first(),
            Self::Tuned { bytes_max } => bytes_max.clamp(INITIAL_WINDOW_BYTES, Self::BYTES_MAX),
        }
    }
}

/// How the session notices that the peer has gone.
///
/// Life is any byte that was received, and any byte that the transport took after it had been full. A link that is slow but
/// moves bytes is alive, however late a pong is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// After how long without life a ping is sent. `None` sends none. Default 30 s, as in hashicorp/yamux: below the minutes
    /// after which NATs forget a connection. Each wait is shortened by up to a quarter at random, so that the sessions of a
    /// restarted server do not ping at one instant.
    pub interval: Option<Duration>,
    /// How long after that ping without life the session ends. Default 30 s: longer than most partitions heal.
    pub timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Some(Duration::from_secs(30)), timeout: Duration::from_secs(30) }
    }
}

impl Keepalive {
    /// Returns a keepalive with these times.
    #[must_use]
    pub const fn new(interval: Option<Duration>, timeout: Duration) -> Self {
        Self { interval, timeout }
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// How long a new stream may go without a sign of the peer (ACK, or any frame of it) before *it* is reset; the session
    /// lives on. It also bounds the wait of `open` for its turn. `None`: for ever, for peers that acknowledge only when they
    /// have something to say. Default 75 s, as in hashicorp/yamux.
    pub open: Option<Duration>,
    /// How long a stream lingers on which we have sent FIN and stopped reading, before it is reset. Default 30 s: enough for
    /// an answer that nobody reads any more to end on its own, which spares its sender a reset.
    pub close_linger: Duration,
    /// How long a writer waits for credit from an unmodified peer that has sent FIN. Such a peer may have stopped reading and
    /// cannot say so. `None`: for ever. Default 10 s. Credit that comes starts it again.
    pub no_credit: Option<Duration>,
    /// How long the transport may take no byte while there is something to write, before the session ends. Measures the lack
    /// of progress, never the size of what is written. Default 60 s.
    pub transport_stall: Duration,
    /// How long the session may take to end: from `close`, or from the peer's violation, to the end of the transport.
    /// Default 5 s.
    pub close: Duration,
    /// How long a closed stream is remembered, to answer a peer that goes on sending on it. Default 60 s.
    pub tombstone: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            open: Some(Duration::from_secs(75)),
            close_linger: Duration::from_secs(30),
            no_credit: Some(Duration::from_secs(10)),
            transport_stall: Duration::from_secs(60),
            close: Duration::from_secs(5),
            tombstone: Duration::from_secs(60),
        }
    }
}

/// What bounds memory and work, whatever the peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Streams of the peer that may exist at once, until both of our halves are dropped. More are refused. Default 1024:
    /// thousands of handlers for one connection are more often a mistake than a wish.
    pub inbound_streams: u32,
    /// Streams that we may have open at once. More fail in `open`. Default 65,536.
    pub outbound_streams: u32,
    /// Streams of the peer that may wait in the queue of `accept`. More are refused. Default 1024, because some peers open
    /// that many at once without waiting for acknowledgements (the protocol's own number is 256).
    pub accept_backlog: u32,
    /// Streams that we open ahead of the peer's acknowledgement; `open` waits beyond. Default 256, from the protocol.
    pub unacknowledged_opens: u32,
    /// Bytes of all streams together that may wait for our readers. What exceeds it resets the stream it came on. Windows are
    /// tuned only as long as all of them together are below it. Default 64 MiB, far below streams times window.
    pub receive_budget_bytes: usize,
    /// Bytes of a stream on which we have stopped reading but still write, and whose unmodified peer goes on sending, that are
    /// discarded before the stream is reset. Default 16 MiB.
    pub drain_budget_bytes: u64,
    /// Bytes that wait for the transport before writers wait, from 1 KiB. Default 128 KiB: two of the largest frames, so that a
    /// bulk writer fills one while the other is written.
    pub write_buffer_bytes: usize,
    /// Bytes of one read of the transport, from 1 KiB. Default 64 KiB.
    pub read_buffer_bytes: usize,
    /// Bytes of a data frame while other streams wait to write, and the share of each of them in a turn, from 1 KiB.
    /// Default 16 KiB: a short wait for the others. A stream that writes alone uses frames of up to 64 KiB.
    pub frame_bytes: u32,
    /// Pongs that wait to be written. Of more pings the latest are answered. Default 8.
    pub pending_pongs: u32,
    /// Refusals of streams that wait to be written; more end the session. Default 1024.
    pub pending_refusals: u32,
    /// Streams that the peer may open and reset before they are accepted, beyond the number of those accepted; more end the
    /// session. Default 1024.
    pub early_resets: u32,
    /// Frames without effect (empty data, zero credit, unknown streams, pings), beyond the number of useful ones; more within
    /// about a minute end the session. Default 100,000.
    pub idle_frames: u32,
    /// Closed streams that are remembered. Default 256.
    pub tombstones: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbound_streams: 1024,
            outbound_streams: 65_536,
            accept_backlog: 1024,
            unacknowledged_opens: 256,
            receive_budget_bytes: 64 * 1024 * 1024,
            drain_budget_bytes: 16 * 1024 * 1024,
            write_buffer_bytes: 128 * 1024,
            read_buffer_bytes: 64 * 1024,
            frame_bytes: 16 * 1024,
            pending_pongs: 8,
            pending_refusals: 1024,
            early_resets: 1024,
            idle_frames: 100_000,
            tombstones: 256,
        }
    }
}
