//! UDP for tasks ([`Datagrams`]) and for threads ([`BlockingDatagrams`]).
//!
//! Both are extensions of [`Runtime`] and [`Threads`]. A runtime without UDP does not implement them. Code that needs
//! UDP says so in its bounds (`R: Datagrams`).
//!
//! A datagram has at most [`DATAGRAM_BYTES_MAX`] bytes. It arrives whole or not at all. The network may lose, repeat
//! and reorder datagrams. A receiver loses the datagrams that arrive while its buffer is full.
//!
//! # Not here
//!
//! Broadcast and multicast, TTL and other socket options, messages with ancillary data.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::{Runtime, SocketOptions, Threads};

/// The largest payload of a datagram over IPv4, in bytes. Sending more fails with the error `EMSGSIZE`.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// A runtime that offers UDP to tasks.
pub trait Datagrams: Runtime {
    /// A UDP socket.
    type UdpSocket: UdpSocket;

    /// Opens a UDP socket at `address`; port 0 asks for a free port. Ports of UDP and of TCP are independent.
    ///
    /// # Errors
    ///
    /// `AddrInUse`. `AddrNotAvailable` if the address is not this host's.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    fn bind_udp(
        &self,
        address: SocketAddr,
        options: SocketOptions,
    ) -> impl Future<Output = io::Result<Self::UdpSocket>> + Send;
}

/// A UDP socket of tasks. Several tasks may use it at once, by reference. Dropping it closes it and loses the datagrams
/// that were not received.
///
/// # Errors
///
/// On a connected socket any call may fail once with `ConnectionRefused`: no socket was open at the port that an
/// earlier datagram reached. The socket stays usable. A socket that is not connected does not report this.
pub trait UdpSocket: Send + Sync + 'static {
    /// Connects the socket to `peer`: [`send`](Self::send) sends to it, and only its datagrams are received from now
    /// on. May be called again. Nothing is sent.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable` if there is no route to the address.
    fn connect(&self, peer: SocketAddr) -> impl Future<Output = io::Result<()>> + Send;

    /// Sends a datagram to `target` and returns its size in bytes.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` beyond [`DATAGRAM_BYTES_MAX`], `NetworkUnreachable`, `InvalidInput` for port 0.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, nothing was sent.
    fn send_to(&self, bytes: &[u8], target: SocketAddr) -> impl Future<Output = io::Result<usize>> + Send;

    /// Waits for a datagram and copies it into `buffer`. Returns the number of bytes copied, and the sender. Bytes that
    /// do not fit are lost. A datagram may be empty, so 0 does not mean an end.
    ///
    /// # Errors
    ///
    /// See the trait.
    ///
    /// # Cancel safety
    ///
    /// No datagram is lost if the future is dropped.
    fn recv_from(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;

    /// Sends a datagram to the connected peer, as [`send_to`](Self::send_to) does.
    ///
    /// # Errors
    ///
    /// `EDESTADDRREQ` if the socket is not connected; otherwise those of `send_to`.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, nothing was sent.
    fn send(&self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Waits for a datagram, as [`recv_from`](Self::recv_from) does, and returns only its size.
    ///
    /// # Errors
    ///
    /// See the trait.
    ///
    /// # Cancel safety
    ///
    /// No datagram is lost if the future is dropped.
    fn recv(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Returns the socket's address, with the port the system chose.
    ///
    /// # Errors
    ///
    /// The system's, if the socket is no longer usable.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Returns the connected peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}

/// A runtime that offers UDP to threads.
pub trait BlockingDatagrams: Threads {
    /// A UDP socket.
    type UdpSocket: BlockingUdpSocket;

    /// Opens a UDP socket at `address`; port 0 asks for a free port. Ports of UDP and of TCP are independent.
    ///
    /// # Errors
    ///
    /// `AddrInUse`. `AddrNotAvailable` if the address is not this host's.
    fn bind_udp(&self, address: SocketAddr, options: SocketOptions) -> io::Result<Self::UdpSocket>;
}

/// A UDP socket of threads. All clones are one socket. Dropping the last clone closes it and loses the datagrams that
/// were not received.
///
/// # Errors
///
/// On a connected socket any call may fail once with `ConnectionRefused`: no socket was open at the port that an
/// earlier datagram reached. The socket stays usable. A socket that is not connected does not report this.
pub trait BlockingUdpSocket: Send + Sync + Sized + 'static {
    /// Makes a second handle to the same socket, for another thread.
    ///
    /// # Errors
    ///
    /// The system's, if no descriptor is free.
    fn try_clone(&self) -> io::Result<Self>;

    /// Connects the socket to `peer`: [`send`](Self::send) sends to it, and only its datagrams are received from now
    /// on. May be called again. Nothing is sent.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable` if there is no route to the address.
    fn connect(&self, peer: SocketAddr) -> io::Result<()>;

    /// Sets how long receiving may block; `None` means without limit. A call that waited this long fails with
    /// `WouldBlock` and may be repeated. All clones share the setting.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Sends a datagram to `target` and returns its size in bytes.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` beyond [`DATAGRAM_BYTES_MAX`], `NetworkUnreachable`, `InvalidInput` for port 0.
    fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize>;

    /// Waits for a datagram and copies it into `buffer`. Returns the number of bytes copied, and the sender. Bytes that
    /// do not fit are lost. A datagram may be empty, so 0 does not mean an end.
    ///
    /// # Errors
    ///
    /// `WouldBlock` after the read timeout, and those of the trait.
    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Sends a datagram to the connected peer, as [`send_to`](Self::send_to) does.
    ///
    /// # Errors
    ///
    /// `EDESTADDRREQ` if the socket is not connected; otherwise those of `send_to`.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits for a datagram, as [`recv_from`](Self::recv_from) does, and returns only its size.
    ///
    /// # Errors
    ///
    /// `WouldBlock` after the read timeout, and those of the trait.
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Returns the socket's address, with the port the system chose.
    ///
    /// # Errors
    ///
    /// The system's, if the socket is no longer usable.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Returns the connected peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}
