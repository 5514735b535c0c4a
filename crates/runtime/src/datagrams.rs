//! UDP: what a task ([`Datagrams`]) or a thread ([`BlockingDatagrams`]) may ask beyond the two runtime traits.
//!
//! Extensions, and not parts of [`Runtime`] and [`Threads`]: a world that has no UDP does not implement them, and code
//! that needs UDP says so in its bounds (`R: Datagrams`).
//!
//! A datagram arrives whole, at most [`DATAGRAM_BYTES_MAX`] bytes of it, or not at all: the network may lose, repeat
//! and reorder datagrams, and a receiver that does not read fast enough loses what comes while its buffer is full.
//!
//! # Not here
//!
//! Broadcast and multicast, TTL and other socket options, messages with ancillary data.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::{Runtime, SocketOptions, Threads};

/// The largest payload of a datagram over IPv4, in bytes. Sending more fails with the system's `EMSGSIZE`.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// A runtime that offers UDP to tasks.
pub trait Datagrams: Runtime {
    /// A UDP socket.
    type UdpSocket: UdpSocket;

    /// Opens a UDP socket at `address`; port 0 asks for a free port. Ports of UDP and of TCP are independent.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, or `AddrNotAvailable` where the address is not this host's.
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

/// A UDP socket of tasks. Several may use it at once, by reference. Dropping it closes it; datagrams that were not
/// received are lost.
///
/// # Errors
///
/// On a connected socket any call may fail once with `ConnectionRefused`: an earlier datagram met a host where no
/// socket receives at that port. The socket stays usable. A socket that is not connected is never told.
pub trait UdpSocket: Send + Sync + 'static {
    /// Makes `peer` the one address that [`send`](Self::send) sends to, and from which datagrams are received from now
    /// on. May be called again. Nothing is sent.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable` where there is no way to the address.
    fn connect(&self, peer: SocketAddr) -> impl Future<Output = io::Result<()>> + Send;

    /// Sends a datagram to `target` and returns its size in bytes.
    ///
    /// # Errors
    ///
    /// The system's `EMSGSIZE` beyond [`DATAGRAM_BYTES_MAX`], `NetworkUnreachable`, `InvalidInput` for port 0.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, nothing was sent.
    fn send_to(&self, bytes: &[u8], target: SocketAddr) -> impl Future<Output = io::Result<usize>> + Send;

    /// Waits for a datagram, copies as much of it as `buffer` holds, and returns that size in bytes and the sender.
    /// What does not fit is lost. A datagram may be empty: 0 is no end.
    ///
    /// # Errors
    ///
    /// See the trait.
    ///
    /// # Cancel safety
    ///
    /// No datagram is lost if the future is dropped.
    fn recv_from(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;

    /// Sends a datagram to the connected peer, as [`send_to`](Self::send_to).
    ///
    /// # Errors
    ///
    /// The system's `EDESTADDRREQ` where the socket is not connected; otherwise as `send_to`.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, nothing was sent.
    fn send(&self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Waits for a datagram, as [`recv_from`](Self::recv_from), without telling its sender.
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
    /// The system's, where the socket is no longer usable.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Returns the connected peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}

/// A world that offers UDP to threads.
pub trait BlockingDatagrams: Threads {
    /// A UDP socket.
    type UdpSocket: BlockingUdpSocket;

    /// Opens a UDP socket at `address`; port 0 asks for a free port. Ports of UDP and of TCP are independent.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, or `AddrNotAvailable` where the address is not this host's.
    fn bind_udp(&self, address: SocketAddr, options: SocketOptions) -> io::Result<Self::UdpSocket>;
}

/// A UDP socket of threads. All clones are one socket; it closes when the last of them is dropped, and datagrams that
/// were not received are lost.
///
/// # Errors
///
/// On a connected socket any call may fail once with `ConnectionRefused`: an earlier datagram met a host where no
/// socket receives at that port. The socket stays usable. A socket that is not connected is never told.
pub trait BlockingUdpSocket: Send + Sync + Sized + 'static {
    /// Makes a second handle to the same socket, for another thread.
    ///
    /// # Errors
    ///
    /// The system's, where no descriptor is free.
    fn try_clone(&self) -> io::Result<Self>;

    /// Makes `peer` the one address that [`send`](Self::send) sends to, and from which datagrams are received from now
    /// on. May be called again. Nothing is sent.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable` where there is no way to the address.
    fn connect(&self, peer: SocketAddr) -> io::Result<()>;

    /// Sets how long receiving may block: `None` is for ever. Afterwards a call that has waited this long fails with
    /// `WouldBlock` and may be tried again. Shared by all clones.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Sends a datagram to `target` and returns its size in bytes.
    ///
    /// # Errors
    ///
    /// The system's `EMSGSIZE` beyond [`DATAGRAM_BYTES_MAX`], `NetworkUnreachable`, `InvalidInput` for port 0.
    fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize>;

    /// Waits for a datagram, copies as much of it as `buffer` holds, and returns that size in bytes and the sender.
    /// What does not fit is lost. A datagram may be empty: 0 is no end.
    ///
    /// # Errors
    ///
    /// `WouldBlock` after the read timeout; and see the trait.
    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Sends a datagram to the connected peer, as [`send_to`](Self::send_to).
    ///
    /// # Errors
    ///
    /// The system's `EDESTADDRREQ` where the socket is not connected; otherwise as `send_to`.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits for a datagram, as [`recv_from`](Self::recv_from), without telling its sender.
    ///
    /// # Errors
    ///
    /// `WouldBlock` after the read timeout; and see the trait.
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Returns the socket's address, with the port the system chose.
    ///
    /// # Errors
    ///
    /// The system's, where the socket is no longer usable.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Returns the connected peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}
