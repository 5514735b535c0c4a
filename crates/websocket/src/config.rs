//! Everything that can be set on a connection, with its default.

use std::time::Duration;

/// Limits, keepalive, deadlines and compression of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long opening a connection may take in all: name lookup, TCP, proxy, TLS, HTTP, redirects; on the accept side TLS, the
    /// request, and the answer. Default: 10 s.
    pub open_timeout: Duration,
    /// How long closing may take, from the first Close frame (or failure) to the end of the transport. When it has passed the
    /// connection is over, whatever the peer and the socket do. Default: 10 s.
    pub close_timeout: Duration,
    /// Bounds of memory.
    pub limits: Limits,
    /// Automatic pings.
    pub keepalive: Keepalive,
    /// permessage-deflate.
    pub compression: Compression,
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

/// Bounds of memory.
///
/// The peer can make a connection hold about `read_buffer + frame` unparsed bytes, and `receive_queue_bytes + message` parsed
/// ones (one message may exceed the queue: it is read to its end, as nobody could take it otherwise), or
/// `closing_queue_bytes + message` once it is closing or its transport has ended. Messages are views of the buffers that were
/// read, some of which are not full: in memory it may be twice that. Each fragment of a message takes up to 256 bytes more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest message to receive, in bytes, after inflating. A longer one fails the connection with 1009, before memory is
    /// allocated for it. Holds for messages that are taken in fragments, too. Default: 64 MiB.
    pub message: usize,
    /// The longest data frame to receive, in bytes, as it comes from the wire. Default: 64 MiB.
    pub frame: usize,
    /// The most fragments of one message to receive. Default: 131,072.
    pub fragments: usize,
    /// How many received pieces (messages, or fragments of them) may wait for the application before reading stops and TCP
    /// slows the peer down. What the last read brought beyond it waits unparsed, control frames behind data too. Default: 1024.
    pub receive_queue_messages: usize,
    /// How many received bytes, inflated, may wait likewise. The last message may overshoot it. Default: 1 MiB.
    pub receive_queue_bytes: usize,
    /// How many received bytes may wait while the connection is closing: then reading goes on, so that the peer's Close is found
    /// behind the data it had in flight. Each message, or fragment of one, counts as its length and 256 bytes. Data beyond is
    /// discarded and counted. Default: 16 MiB.
    pub closing_queue_bytes: usize,
    /// How many bytes may wait for the transport before senders have to wait. A message is put there as a whole, so that one
    /// message may overshoot it. 0 counts as 1. Default: 64 KiB.
    pub write_buffer: usize,
    /// How many bytes are read at once. 0 counts as 1. Default: 64 KiB.
    ///
    /// What it costs: so much memory a connection once something has come, on threads twice that (from the beginning, for the half
    /// of it), and once more in TLS. What it brings: fewer calls of the system where much comes. For many connections that are
    /// mostly idle, 4 KiB will do. Tasks read longer frames straight into a buffer of their size; threads never read more than
    /// this at once.
    pub read_buffer: usize,
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

/// Automatic pings, which keep middleboxes awake and find peers that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepalive {
    /// How long after the opening, or after the previous automatic ping, the next is sent; `None`: never. Less than 1 ms counts
    /// as 1 ms. If there is a timeout, one is outstanding at a time. Default: 20 s.
    pub interval: Option<Duration>,
    /// How long the pong may take before the connection fails with 1011; `None`: any time. Default: 20 s.
    ///
    /// Only time during which we read counts: while the queue of received messages is full, the pong may be behind it. A timeout
    /// during which it was full, be it for a moment, is followed by another.
    pub timeout: Option<Duration>,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Some(Duration::from_secs(20)), timeout: Some(Duration::from_secs(20)) }
    }
}

/// permessage-deflate (RFC 7692).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// Whether a client offers it and a server accepts it. Default: `true`.
    pub enabled: bool,
    /// From 0 (store) to 9 (smallest). Default: 6.
    pub level: u32,
    /// Messages of fewer bytes are sent uncompressed; of a message that is sent in fragments, the first decides. Default: 256.
    pub threshold: usize,
    /// Asks (client) or promises (server) that the server forgets what it sent before at each message: saves memory here, costs
    /// size. Default: `false`.
    pub server_no_context_takeover: bool,
    /// The same for what the client sends. Default: `false`.
    pub client_no_context_takeover: bool,
    /// The base-2 logarithm of the window that the server compresses with: 9 to 15. Default: 15.
    pub server_max_window_bits: u8,
    /// The same for the client. Default: 15.
    pub client_max_window_bits: u8,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            enabled: true,
            level: 6,
            threshold: 256,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}
