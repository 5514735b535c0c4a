//! Everything that can be set on a session.

use std::time::Duration;

/// The window that both directions of every stream begin with: 256 KiB. Fixed by the protocol.
pub(crate) const INITIAL_WINDOW_BYTES: u32 = 256 << 10;

/// Windows, keepalive, timeouts and limits of a session. Each side chooses its own.
///
/// # Defaults
///
/// Windows tuned up to 16 MiB. The parts: [`Keepalive`], [`Timeouts`], [`Limits`].
///
/// # Example: no automatic pings, at most 100 streams of the peer, windows of up to 64 MiB
///
/// ```
/// use wavetank_multiplexer::{Config, Window};
///
/// let mut config = Config::default();
/// config.keepalive().interval(None);
/// config.limits().inbound_streams(100);
/// config.window(Window::Tuned { bytes_max: 64 << 20 });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    pub(crate) window: Window,
    pub(crate) keepalive: Keepalive,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) first_id: Option<u32>,
}

impl Config {
    /// Sets how much the peer may send on a stream ahead of its reader. Default: tuned up to 16 MiB.
    pub fn window(&mut self, window: Window) -> &mut Self {
        self.window = window;
        self
    }

    /// Returns how the session notices that the peer has gone, to set it.
    pub fn keepalive(&mut self) -> &mut Keepalive {
        &mut self.keepalive
    }

    /// Returns how long things may take, to set it.
    pub fn timeouts(&mut self) -> &mut Timeouts {
        &mut self.timeouts
    }

    /// Returns the bounds of memory and work, to set them.
    pub fn limits(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// Sets the id of the first stream that this side opens (rounded to its parity), for tests of what happens when
    /// ids run out.
    #[doc(hidden)]
    pub fn first_id(&mut self, id: u32) -> &mut Self {
        self.first_id = Some(id);
        self
    }
}

/// How much the peer may send on one stream ahead of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Window {
    /// Always this many bytes: from 256 KiB, which the protocol fixes, to 1 GiB. Values outside count as the nearest
    /// one.
    ///
    /// A stream moves at most one window in a round trip. The session can hold as many bytes as all windows together.
    Fixed(u32),
    /// Begins with 256 KiB and grows up to this many bytes, as long as [`Limits::receive_budget_bytes`] allows: to four
    /// times its size when the reader has emptied three eighths of it within about one round trip, to twice when within
    /// two. It never shrinks while the stream lives.
    ///
    /// A bulk stream reaches 16 MiB within three round trips. A link is filled by a window of 1.6 times its bandwidth
    /// times its round-trip time, because credit is granted for three eighths of the window at once.
    Tuned {
        /// The largest window in bytes, from 256 KiB to 1 GiB. Values outside count as the nearest one.
        bytes_max: u32,
    },
}

impl Default for Window {
    /// Tuned up to 16 MiB, which fills 1 Gbit/s over 60 ms.
    fn default() -> Self {
        Self::Tuned { bytes_max: 16 << 20 }
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
/// Any byte that was received is a sign of life, and so is any byte that the transport took after it had been full. A
/// link that is slow but moves bytes is alive, however late a pong is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepalive {
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Some(Duration::from_secs(30)), timeout: Duration::from_secs(30) }
    }
}

impl Keepalive {
    /// Sets after how long without a sign of life a ping is sent; `None` sends none. Default: 30 s, as in
    /// hashicorp/yamux: below the minutes after which routers forget a connection.
    ///
    /// Each wait is shortened by up to a quarter at random, so that the sessions of a restarted server do not ping at
    /// one instant. Zero pings all the time.
    pub fn interval(&mut self, interval: Option<Duration>) -> &mut Self {
        self.interval = interval;
        self
    }

    /// Sets how long after a ping the session ends if there is no sign of life. It also bounds a call of `ping`.
    /// Default: 30 s, longer than most partitions last.
    ///
    /// Zero ends an idle session at its first ping.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Self {
        self.timeout = timeout;
        self
    }
}

/// How long things may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    pub(crate) open: Option<Duration>,
    pub(crate) close_linger: Duration,
    pub(crate) no_credit: Option<Duration>,
    pub(crate) transport_stall: Duration,
    pub(crate) close: Duration,
    pub(crate) tombstone: Duration,
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

impl Timeouts {
    /// Sets how long a new stream may go without any frame of the peer for it, before the stream is reset; the
    /// session lives on. It also bounds a call of `open`. Default: 75 s, as in hashicorp/yamux.
    ///
    /// `None` waits for ever, for peers that acknowledge only when they have something to say (rust yamux) on streams
    /// that only we write to.
    pub fn open(&mut self, timeout: Option<Duration>) -> &mut Self {
        self.open = timeout;
        self
    }

    /// Sets how long a stream lingers on which we have sent FIN and stopped reading, before it is reset. Default: 30
    /// s. In this time an answer that is not read any more can end on its own, which spares its sender a reset.
    ///
    /// Zero resets at once: some peers then discard what they have not read. A very long time holds the stream for so
    /// long.
    pub fn close_linger(&mut self, timeout: Duration) -> &mut Self {
        self.close_linger = timeout;
        self
    }

    /// Sets how long a writer waits for credit from an unmodified peer that has sent FIN. Such a peer may have
    /// stopped reading, which it cannot say. Credit that comes starts the time again. Default: 10 s.
    ///
    /// The time begins when the peer has received all data of the stream, which the answer to a ping shows. So a slow
    /// link fails no writer. While there is no answer, the writer fails when no byte has moved for
    /// [`Keepalive::timeout`], or for this time if it is longer.
    ///
    /// A slow reader gets more time, because peers grant credit after half a window. The time is twice as long if the
    /// peer's window has 4 MiB or more. It is at least twice the longest wait that credit of this stream has ended.
    ///
    /// Zero fails the writer as soon as it would wait. `None` waits for ever.
    pub fn no_credit(&mut self, timeout: Option<Duration>) -> &mut Self {
        self.no_credit = timeout;
        self
    }

    /// Sets how long the transport may take no byte while there is something to write, before the session ends. It
    /// measures the lack of progress, never the size of what is written. Default: 60 s, because TCP may be silent for
    /// twice as long as a link is cut: half a minute without a link is survived.
    ///
    /// Zero ends the session as soon as the transport is full.
    pub fn transport_stall(&mut self, timeout: Duration) -> &mut Self {
        self.transport_stall = timeout;
        self
    }

    /// Sets how long a session may take to end: from `close`, or from a violation by the peer, to the end of the
    /// transport. Default: 5 s: a slow link (1 Mbit/s) moves two full write buffers in it, and a process that exits
    /// waits no longer.
    ///
    /// Zero does not wait until what was written has gone out.
    pub fn close(&mut self, timeout: Duration) -> &mut Self {
        self.close = timeout;
        self
    }

    /// Sets how long a closed stream is remembered, to answer a peer that goes on sending on it. Default: 60 s, in
    /// which what was on its way when the stream closed has come.
    pub fn tombstone(&mut self, time: Duration) -> &mut Self {
        self.tombstone = time;
        self
    }
}

/// What bounds memory and work, whatever the peer sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub(crate) inbound_streams: u32,
    pub(crate) outbound_streams: u32,
    pub(crate) accept_backlog: u32,
    pub(crate) unacknowledged_opens: u32,
    pub(crate) receive_budget_bytes: usize,
    pub(crate) drain_budget_bytes: u64,
    pub(crate) write_buffer_bytes: usize,
    pub(crate) read_buffer_bytes: usize,
    pub(crate) frame_bytes: u32,
    pub(crate) control_bytes: usize,
    pub(crate) pending_pongs: u32,
    pub(crate) pending_refusals: u32,
    pub(crate) early_resets: u32,
    pub(crate) idle_frames: u32,
    pub(crate) skipped_ids: u32,
    pub(crate) tombstones: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbound_streams: 1024,
            outbound_streams: 65_536,
            accept_backlog: 1024,
            unacknowledged_opens: 256,
            receive_budget_bytes: 64 << 20,
            drain_budget_bytes: 16 << 20,
            write_buffer_bytes: 128 << 10,
            read_buffer_bytes: 64 << 10,
            frame_bytes: 32 << 10,
            control_bytes: 64 << 10,
            pending_pongs: 8,
            pending_refusals: 1024,
            early_resets: 1024,
            idle_frames: 100_000,
            skipped_ids: 1024,
            tombstones: 256,
        }
    }
}

impl Limits {
    /// Sets how many streams of the peer may exist at once. A stream counts until both of its halves are dropped
    /// here. More are refused. Default: 1024, because thousands of handlers for one connection are mostly a
    /// mistake.
    ///
    /// 0 refuses all.
    pub fn inbound_streams(&mut self, count: u32) -> &mut Self {
        self.inbound_streams = count;
        self
    }

    /// Sets how many streams this side may have open at once. More fail in `open`, which does not disturb the
    /// session. Default: 65,536, which take about 26 MiB while they are idle. More are mostly a leak.
    pub fn outbound_streams(&mut self, count: u32) -> &mut Self {
        self.outbound_streams = count;
        self
    }

    /// Sets how many streams of the peer may wait to be accepted. More are refused. Default: 1024, because some peers
    /// open that many at once without waiting for acknowledgements (the protocol's own number is 256).
    ///
    /// 0 refuses all.
    pub fn accept_backlog(&mut self, count: u32) -> &mut Self {
        self.accept_backlog = count;
        self
    }

    /// Sets how many streams this side opens ahead of the peer's acknowledgement; `open` waits beyond. Default: 256,
    /// from the protocol.
    ///
    /// 0 makes every `open` time out. If it is more than the peer allows, the peer refuses some.
    pub fn unacknowledged_opens(&mut self, count: u32) -> &mut Self {
        self.unacknowledged_opens = count;
        self
    }

    /// Sets how many received bytes may wait to be read on all streams together. A stream whose bytes exceed it is
    /// reset. Windows are tuned only while all of them together are below it. Default: 64 MiB, far below streams
    /// times window.
    ///
    /// In memory it may be up to four times as much. Pieces of 16 KiB or more stay in the buffers that they were read
    /// into, so that the factor is [`read_buffer_bytes`](Self::read_buffer_bytes) divided by 16 KiB. It is at least
    /// two, because the buffers of smaller pieces grow by doubling.
    ///
    /// 0 resets every stream that receives something.
    pub fn receive_budget_bytes(&mut self, bytes: usize) -> &mut Self {
        self.receive_budget_bytes = bytes;
        self
    }

    /// Sets how many bytes of an unmodified peer are discarded on a stream on which we have stopped reading and still
    /// write, before the stream is reset. Default: 16 MiB, the largest window by default: all of it may have been
    /// granted before.
    ///
    /// 0 resets it at the first byte.
    pub fn drain_budget_bytes(&mut self, bytes: u64) -> &mut Self {
        self.drain_budget_bytes = bytes;
        self
    }

    /// Sets how many bytes may wait for the transport before writers wait. At least 1 KiB. Default: 128 KiB, two of
    /// the largest frames: a bulk writer fills one while the other is written.
    ///
    /// More makes small messages wait behind more bulk data.
    pub fn write_buffer_bytes(&mut self, bytes: usize) -> &mut Self {
        self.write_buffer_bytes = bytes;
        self
    }

    /// Sets how many bytes are read from the transport at once. At least 1 KiB. Default: 64 KiB, as much as the
    /// largest frame of this crate, which then takes one or two reads.
    ///
    /// Tasks begin with 8 KiB, and read more as long as a read fills the buffer.
    pub fn read_buffer_bytes(&mut self, bytes: usize) -> &mut Self {
        self.read_buffer_bytes = bytes;
        self
    }

    /// Sets the longest data frame while several streams write, which is also the least that each of them writes in
    /// its turn. At least 1 KiB. Default: 32 KiB, of which the header is less than a thousandth. A small message waits
    /// for so much of each bulk stream. A stream that writes alone uses frames of up to 64 KiB.
    pub fn frame_bytes(&mut self, bytes: u32) -> &mut Self {
        self.frame_bytes = bytes;
        self
    }

    /// Sets how many bytes of control frames may wait for the transport before no stream is opened or accepted.
    /// Default: 64 KiB, which is 5461 frames: five for each of the 1024 streams that a peer may open.
    ///
    /// Beyond it come only what other limits bound, and two frames a stream that is open. 0 opens and accepts a stream
    /// only when no control frame waits.
    pub fn control_bytes(&mut self, bytes: usize) -> &mut Self {
        self.control_bytes = bytes;
        self
    }

    /// Sets how many pongs may wait to be written. Of more pings the latest are answered. At least 1. Default: 8,
    /// because peers have one ping under way, or a few where several callers ask.
    pub fn pending_pongs(&mut self, count: u32) -> &mut Self {
        self.pending_pongs = count;
        self
    }

    /// Sets how many refusals of streams may wait to be written: of streams beyond the limits, and of streams that were
    /// reset for [`receive_budget_bytes`](Self::receive_budget_bytes) before they were accepted. More end the session.
    /// Default: 1024, because some peers open that many at once, and all of them may be refused.
    pub fn pending_refusals(&mut self, count: u32) -> &mut Self {
        self.pending_refusals = count;
        self
    }

    /// Sets how many streams the peer may open and reset before they are accepted, beyond the number of those
    /// accepted. More end the session. Default: 1024, so that a peer may give up a whole backlog at once.
    pub fn early_resets(&mut self, count: u32) -> &mut Self {
        self.early_resets = count;
        self
    }

    /// Sets how many frames without effect the peer may send, beyond the number of useful ones. More within about a
    /// minute end the session. Default: 100,000, which is 1.2 MB: far more than the pings and late frames of a peer
    /// that works.
    ///
    /// Without effect are pings, repeated FIN, stop and GoAway, frames for unknown streams, and window updates for more
    /// than was sent. Useful are frames with data and those that begin or end a stream. Credit for what was sent counts
    /// as neither.
    pub fn idle_frames(&mut self, count: u32) -> &mut Self {
        self.idle_frames = count;
        self
    }

    /// Sets how many ids the peer may skip and use later: peers with threads open streams in another order than they
    /// number them. Ids that were skipped before count as used. Default: 1024, because each of 1024 threads may have
    /// drawn an id that it has not sent yet.
    ///
    /// 0 ends the session for any id below an earlier one.
    pub fn skipped_ids(&mut self, count: u32) -> &mut Self {
        self.skipped_ids = count;
        self
    }

    /// Sets how many closed streams are remembered. Default: 256, a few KiB of memory: data comes late only for streams
    /// that have closed just now.
    ///
    /// 0 leaves data on closed streams without an answer.
    pub fn tombstones(&mut self, count: u32) -> &mut Self {
        self.tombstones = count;
        self
    }
}
