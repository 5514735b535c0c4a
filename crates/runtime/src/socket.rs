//! Options of sockets, for both runtime traits.

/// Options of a TCP stream. Connecting takes them; a listener takes those of its accepted streams.
///
/// # Defaults
///
/// The system chooses the size of both buffers. In a simulation those of TCP hold 64 KiB. Those of UDP and Unix
/// sockets are Linux's 212,992 bytes, of which each message takes 768 bytes or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// Bytes the stream takes from its writer before the peer has acknowledged them (`SO_SNDBUF`). A hint: Linux
    /// doubles it and uses at least about 4 KiB. A small buffer makes the writer wait early; a large one hides a slow
    /// peer.
    pub send_buffer_bytes: Option<u32>,
    /// Bytes the stream holds for its reader before the peer must wait (`SO_RCVBUF`). A hint, as above.
    pub receive_buffer_bytes: Option<u32>,
    /// Bytes the stream takes from its writer before they can be sent (`TCP_NOTSENT_LOWAT`). A hint: a write may exceed
    /// it, and a writer that waits is woken at half of it. The system's send buffer grows to megabytes to hold
    /// bytes in flight. This limit stops a writer from filling it with bytes that cannot be sent yet. So the writer
    /// notices a slow peer, and what it writes next is not sent late.
    ///
    /// On Linux, Android and Apple's systems for TCP; elsewhere without effect, as for UDP and Unix sockets. In a
    /// simulation a TCP stream takes no more than this beyond what the peer has acknowledged.
    pub unsent_bytes: Option<u32>,
}

impl SocketOptions {
    /// Leaves everything to the system.
    #[must_use]
    pub const fn new() -> Self {
        Self { send_buffer_bytes: None, receive_buffer_bytes: None, unsent_bytes: None }
    }

    /// Sets the size of the send buffer in bytes.
    #[must_use]
    pub const fn send_buffer_bytes(mut self, bytes: u32) -> Self {
        self.send_buffer_bytes = Some(bytes);
        self
    }

    /// Sets the size of the receive buffer in bytes.
    #[must_use]
    pub const fn receive_buffer_bytes(mut self, bytes: u32) -> Self {
        self.receive_buffer_bytes = Some(bytes);
        self
    }

    /// Sets how many bytes the stream takes before they can be sent.
    #[must_use]
    pub const fn unsent_bytes(mut self, bytes: u32) -> Self {
        self.unsent_bytes = Some(bytes);
        self
    }
}

/// Options of a listener.
///
/// # Defaults
///
/// A backlog of 1024, and [`SocketOptions::new`] for accepted streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Connections that the system completes before they are accepted, 1 to 4096. Linux keeps one more. Further clients
    /// wait in their handshake and retry after 1, 2, 3, 4, 5, 7… seconds.
    pub backlog: u32,
    /// Options of the accepted streams.
    pub accepted: SocketOptions,
}

impl ListenOptions {
    /// A backlog of 1024 and default streams.
    #[must_use]
    pub const fn new() -> Self {
        Self { backlog: 1024, accepted: SocketOptions::new() }
    }

    /// Sets the number of connections that wait to be accepted.
    #[must_use]
    pub const fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Sets the options of accepted streams.
    #[must_use]
    pub const fn accepted(mut self, options: SocketOptions) -> Self {
        self.accepted = options;
        self
    }
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self::new()
    }
}
