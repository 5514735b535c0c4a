//! Everything that can be set on a connection.
//!
//! # Example: no automatic pings, no compression, messages of at most 1 MiB
//!
//! ```
//! use wavetank_websocket::Config;
//!
//! let mut config = Config::default();
//! config.keepalive().interval(None);
//! config.compression().enabled(false);
//! config.limits().message(1 << 20);
//! ```

use std::time::Duration;

use wavetank_runtime::SocketOptions;

/// How many bytes that cannot be sent yet a client's socket takes, unless that is set. They are sent before a ping that
/// follows them.
const UNSENT_BYTES: u32 = 128 << 10;

/// Returns the options of the sockets that a client opens.
pub(crate) const fn socket_options(options: SocketOptions) -> SocketOptions {
    if options.unsent_bytes.is_none() { options.unsent_bytes(UNSENT_BYTES) } else { options }
}

/// Deadlines, limits, keepalive and compression of a connection.
///
/// # Defaults
///
/// Opening and closing take at most 10 s each. The parts: [`Limits`], [`Keepalive`], [`Compression`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub(crate) open_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) limits: Limits,
    pub(crate) keepalive: Keepalive,
    pub(crate) compression: Compression,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            open_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(10),
            limits: Limits::default(),
            keepalive: Keepalive::default(),
            compression: Compression::default(),
        }
    }
}

impl Config {
    /// Sets how long opening a connection may take in all. A client counts name lookup, TCP, proxy, TLS, HTTP and
    /// redirects; a server counts TLS, the request and the answer. Default: 10 s.
    ///
    /// Zero fails every attempt. A very long time lets a silent peer hold the attempt, and its socket, for so long.
    pub fn open_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.open_timeout = timeout;
        self
    }

    /// Sets how long closing may take, from the first Close frame, or failure, to the end of the transport.
    /// Afterwards the connection is over, whatever the peer and the socket do. Default: 10 s.
    ///
    /// Zero ends a connection without waiting for the peer's Close frame: the end is never clean, and what is not yet
    /// written is lost. A very long time lets a silent peer hold a call of `close` for so long.
    pub fn close_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.close_timeout = timeout;
        self
    }

    /// Returns the bounds of memory, to set them.
    pub fn limits(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// Returns the automatic pings, to set them.
    pub fn keepalive(&mut self) -> &mut Keepalive {
        &mut self.keepalive
    }

    /// Returns the compression, to set it.
    pub fn compression(&mut self) -> &mut Compression {
        &mut self.compression
    }
}

/// Bounds of memory.
///
/// The peer can make a connection hold about `read_buffer + frame` unparsed bytes, and `receive_queue_bytes +
/// message` parsed bytes: one message may exceed the queue, because it can only be taken once it is complete. Once
/// the connection is closing, or its transport has ended, that is `closing_queue_bytes + message`. Messages are views
/// of the buffers that were read, and some of these are not full: in memory it may be twice as much. Each fragment of
/// a message takes up to 256 bytes more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub(crate) message: usize,
    pub(crate) frame: usize,
    pub(crate) fragments: usize,
    pub(crate) receive_queue_messages: usize,
    pub(crate) receive_queue_bytes: usize,
    pub(crate) closing_queue_bytes: usize,
    pub(crate) write_buffer: usize,
    pub(crate) read_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 64 << 20,
            frame: 64 << 20,
            fragments: 131_072,
            receive_queue_messages: 1024,
            receive_queue_bytes: 1 << 20,
            closing_queue_bytes: 16 << 20,
            write_buffer: 64 << 10,
            read_buffer: 64 << 10,
        }
    }
}

impl Limits {
    /// Sets the longest message to receive, in bytes, after inflating. Also holds for messages that are taken in
    /// fragments. Default: 64 MiB.
    ///
    /// A longer message fails the connection with 1009 before memory is allocated for it. 0 allows empty messages
    /// only. With `usize::MAX` a peer can make the process run out of memory.
    pub fn message(&mut self, bytes: usize) -> &mut Self {
        self.message = bytes;
        self
    }

    /// Sets the longest data frame to receive, in bytes, as it comes from the wire. Default: 64 MiB.
    ///
    /// A longer frame fails the connection with 1009. 0 allows empty frames only. A value above that of
    /// [`message`](Self::message) matters for compressed frames only.
    pub fn frame(&mut self, bytes: usize) -> &mut Self {
        self.frame = bytes;
        self
    }

    /// Sets how many fragments one message may have. Default: 131,072.
    ///
    /// A message of more fails the connection with 1009; 0 fails it at the first message. Each fragment takes up to
    /// 256 bytes beside its payload, so that a very large count lets empty fragments fill the memory.
    pub fn fragments(&mut self, count: usize) -> &mut Self {
        self.fragments = count;
        self
    }

    /// Sets how many received pieces, messages or fragments of them, may wait for the application. When so many wait,
    /// reading stops, and TCP slows the peer down. What the last read brought beyond it waits unparsed, control
    /// frames behind data too. Default: 1024.
    ///
    /// With 0 or 1 each message is taken before the next is parsed, and pings behind it wait for that. A very large
    /// value leaves the bound to [`receive_queue_bytes`](Self::receive_queue_bytes).
    pub fn receive_queue_messages(&mut self, count: usize) -> &mut Self {
        self.receive_queue_messages = count;
        self
    }

    /// Sets how many received bytes, inflated, may wait for the application before reading stops. The last message
    /// may overshoot it. Default: 1 MiB.
    ///
    /// With 0 one message waits at a time. A very large value lets a fast peer fill the memory while the application
    /// is busy.
    pub fn receive_queue_bytes(&mut self, bytes: usize) -> &mut Self {
        self.receive_queue_bytes = bytes;
        self
    }

    /// Sets how many received bytes may wait while the connection is closing. Reading then goes on, to find the
    /// peer's Close frame behind the data that it had in flight. Each message, or fragment of one, counts as its
    /// length and 256 bytes. Default: 16 MiB.
    ///
    /// Data beyond is discarded and counted; with 0 all of it is. A very large value lets a peer that sends until the
    /// close timeout fill the memory.
    pub fn closing_queue_bytes(&mut self, bytes: usize) -> &mut Self {
        self.closing_queue_bytes = bytes;
        self
    }

    /// Sets how many bytes may wait for the transport before senders have to wait. A message is put there as a whole,
    /// so that one message may overshoot it. 0 counts as 1. Default: 64 KiB.
    ///
    /// With 1, each sender waits until the message before it is written. A very large value lets senders fill the
    /// memory while the peer does not read.
    pub fn write_buffer(&mut self, bytes: usize) -> &mut Self {
        self.write_buffer = bytes;
        self
    }

    /// Sets how many bytes are read at once. 0 counts as 1. Default: 64 KiB.
    ///
    /// A connection holds a buffer of this size while something is received, and TLS another one. An idle connection
    /// gives them back with its automatic pings, and holds 512 bytes on threads. A large value saves calls of the
    /// system where much is received; 4 KiB is enough for many connections that are mostly idle. Tasks read longer
    /// frames straight into a buffer of their size; threads never read more than this at once.
    pub fn read_buffer(&mut self, bytes: usize) -> &mut Self {
        self.read_buffer = bytes;
        self
    }
}

/// Automatic pings, which keep middleboxes awake and find peers that are gone.
///
/// # Defaults
///
/// A ping every 20 s; the connection fails after 20 s without a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepalive {
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Some(Duration::from_secs(20)), timeout: Some(Duration::from_secs(20)) }
    }
}

impl Keepalive {
    /// Sets how long after the opening, or after the previous automatic ping, the next is sent; `None`: never. Less
    /// than 1 ms counts as 1 ms. While a pong is awaited, no further ping is sent. Default: 20 s.
    ///
    /// A short interval costs traffic, and wakes devices that would sleep. With a long one, or `None`, a peer that is
    /// gone is noticed late, or only when the system gives up on what was sent.
    ///
    /// With each automatic ping a connection also gives back the memory that it does not use: buffers, and what it
    /// compresses with, if it has compressed nothing since the ping before. With `None` it keeps that memory to its
    /// end.
    pub fn interval(&mut self, interval: Option<Duration>) -> &mut Self {
        self.interval = interval;
        self
    }

    /// Sets how long the peer may give no sign of life while a pong is awaited; then the connection fails with 1011.
    /// `None`: any time. Default: 20 s.
    ///
    /// It is a time without progress, and does not depend on how much is being sent or received. It runs from when
    /// the ping has left, and starts again with each sign of life: bytes received, and bytes that the transport takes
    /// although it had been full. So a slow link keeps its connection, and a peer that is gone is found within
    /// interval and timeout. A transport is full if it has refused output for 10 ms (or an eighth of the timeout, if
    /// that is shorter), until all output is written. On threads times are exact to a sixteenth of the timeout.
    ///
    /// When the timeout has passed, a Close frame with 1011 is written, and the connection is over. If the transport
    /// is full, nothing can be said to the peer, and the connection is over at once. If the transport has taken all
    /// output before but does not take the Close frame, it is over 10 ms later.
    ///
    /// A short timeout ends connections whose peer is slow to answer; with 0 the first ping ends the connection. It
    /// should be longer than the round trip, and longer than it takes to send what is ahead of the ping in the buffers
    /// of both systems. Sockets that a client opens hold at most about 128 KiB that cannot be sent yet
    /// ([`SocketOptions::unsent_bytes`](wavetank_runtime::SocketOptions::unsent_bytes)); the peer's system may hold a
    /// few hundred KiB that its application has not read. Together that takes 4 s at 100 kB/s. The socket of a server,
    /// and one that [`connect_over`](crate::client::Client::connect_over) or
    /// [`from_upgraded`](crate::client::WebSocket::from_upgraded) is given, may hold megabytes unless its options are
    /// set: 4 MiB take 40 s at 100 kB/s.
    ///
    /// Only time in which we read counts: while the queue of received messages is full, the pong may be behind it. A
    /// timeout during which the queue was full, even for a moment, is followed by another.
    pub fn timeout(&mut self, timeout: Option<Duration>) -> &mut Self {
        self.timeout = timeout;
        self
    }
}

/// permessage-deflate (RFC 7692).
///
/// # Defaults
///
/// Offered and accepted, at level 6, for messages of at least 256 bytes, with whole windows that are kept from
/// message to message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    pub(crate) enabled: bool,
    pub(crate) level: u32,
    pub(crate) threshold: usize,
    pub(crate) server_no_context_takeover: bool,
    pub(crate) client_no_context_takeover: bool,
    pub(crate) server_max_window_bits: u8,
    pub(crate) client_max_window_bits: u8,
    pub(crate) require_limits: bool,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            enabled: cfg!(feature = "compression"),
            level: 6,
            threshold: 256,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            require_limits: true,
        }
    }
}

impl Compression {
    /// Sets whether a client offers compression, and a server accepts it. Default: `true` with the Cargo feature
    /// `compression`; without it nothing is compressed, whatever is set here.
    ///
    /// Without it, messages are longer on the wire, and cost less time and memory.
    pub fn enabled(&mut self, enabled: bool) -> &mut Self {
        self.enabled = enabled;
        self
    }

    /// Sets the level, from 0 (stored, fast) to 9 (smallest, slow); more counts as 9. Default: 6. With 0 messages are
    /// framed as compressed and do not become shorter.
    pub fn level(&mut self, level: u32) -> &mut Self {
        self.level = level;
        self
    }

    /// Sets how many bytes a message needs at least to be sent compressed. Of a message that is sent in fragments,
    /// the first decides. Default: 256.
    ///
    /// 0 compresses everything, and makes some short messages longer. `usize::MAX` compresses nothing that is sent.
    pub fn threshold(&mut self, bytes: usize) -> &mut Self {
        self.threshold = bytes;
        self
    }

    /// Sets whether the server forgets, at each message, what it sent before: a client asks for it, a server promises
    /// it. Default: `false`.
    ///
    /// Forgetting saves memory between messages and costs size, most with short messages that resemble each other.
    pub fn server_no_context_takeover(&mut self, forget: bool) -> &mut Self {
        self.server_no_context_takeover = forget;
        self
    }

    /// Sets whether the client forgets, at each message, what it sent before: a client promises it, a server asks for
    /// it. Default: `false`.
    ///
    /// As [`server_no_context_takeover`](Self::server_no_context_takeover).
    pub fn client_no_context_takeover(&mut self, forget: bool) -> &mut Self {
        self.client_no_context_takeover = forget;
        self
    }

    /// Sets the base-2 logarithm of the window that the server compresses with, 8 to 15; other values count as the
    /// nearest of these. Default: 15.
    ///
    /// 9 is a window of 512 bytes: little memory, and little is found in it. 15 is one of 32 KiB. With 8 what this
    /// crate sends is not compressed, because its compressor has no window of 256 bytes.
    pub fn server_max_window_bits(&mut self, bits: u8) -> &mut Self {
        self.server_max_window_bits = bits;
        self
    }

    /// Sets the base-2 logarithm of the window that the client compresses with, as
    /// [`server_max_window_bits`](Self::server_max_window_bits). Default: 15.
    pub fn client_max_window_bits(&mut self, bits: u8) -> &mut Self {
        self.client_max_window_bits = bits;
        self
    }

    /// Sets whether a client insists that the server confirms the limits that it asks for:
    /// `server_no_context_takeover` and `server_max_window_bits`. Default: `true`, as RFC 7692 has it (sections
    /// 7.1.1.1 and 7.1.2.1).
    ///
    /// Some servers accept an offer and do not confirm its limits. With `true` such a handshake fails; with `false`
    /// the connection goes on without them, and takes more memory.
    /// [`compression`](crate::client::WebSocket::compression) tells what was agreed on.
    pub fn require_limits(&mut self, require: bool) -> &mut Self {
        self.require_limits = require;
        self
    }
}
