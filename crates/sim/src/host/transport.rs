//! The network of a host: its sockets and names. There are two: the simulator's own and turmoil's.
//!
//! The runtime traits are implemented once, for [`Host`], over these traits.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use wavetank_runtime::{ListenOptions, SocketOptions};

use super::Host;

/// The network that a host is on.
pub trait Transport: Copy + Eq + Send + Sync + 'static {
    /// The name of the type of its hosts.
    const HOST: &'static str;
    /// One end of a TCP connection.
    type Socket: StreamSocket;
    /// A listening socket.
    type Listening: ListeningSocket<Socket = Self::Socket>;
    /// A UDP socket.
    type Datagrams: DatagramSocket;

    /// Returns the host's address.
    fn ip(host: Host<Self>) -> IpAddr;

    /// Is a scheduling point of a thread that is about to use the network.
    ///
    /// # Errors
    ///
    /// If the host has no network any more.
    fn scheduling_point(host: Host<Self>, verb: &'static str) -> io::Result<()>;

    /// Looks `name` up.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    fn resolve(host: Host<Self>, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// Connects a task.
    fn connect(
        host: Host<Self>,
        address: SocketAddr,
        options: SocketOptions,
    ) -> impl Future<Output = io::Result<Self::Socket>> + Send;

    /// Connects a thread, within `timeout`.
    ///
    /// # Errors
    ///
    /// Those of `Threads::connect`.
    fn connect_blocking(
        host: Host<Self>,
        address: SocketAddr,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<Self::Socket>;

    /// Listens on `address`.
    ///
    /// # Errors
    ///
    /// Those of `Runtime::listen`.
    fn listen(host: Host<Self>, address: SocketAddr, options: ListenOptions) -> io::Result<Self::Listening>;

    /// Binds a UDP socket to `address`.
    ///
    /// # Errors
    ///
    /// Those of `Datagrams::bind_udp`.
    fn bind(host: Host<Self>, address: SocketAddr, options: SocketOptions) -> io::Result<Self::Datagrams>;
}

/// One end of a stream, as its handles share it. Dropping it closes the end.
pub trait StreamSocket: Send + Sync + 'static {
    /// Returns `true` if a vectored write takes more than the first slice.
    fn is_vectored(&self) -> bool;

    /// Returns `true` if the socket's host runs now. Otherwise dropping a handle does nothing.
    fn can_act(&self) -> bool;

    /// Is a scheduling point of a thread.
    fn scheduling_point(&self, verb: &'static str);

    /// Reads, for a task.
    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes, for a task.
    fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Writes several slices, for a task.
    fn poll_write_vectored(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(context, first_filled(slices))
    }

    /// Reads, for a thread.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes, for a thread.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes several slices, for a thread.
    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(first_filled(slices))
    }

    /// Sets the timeout of reads of threads.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Sets the timeout of writes of threads.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Closes one direction or both.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Turns Nagle's algorithm off or on.
    fn set_nodelay(&self, nodelay: bool);

    /// Makes the socket reset its connection when it is dropped.
    fn linger_zero(&self);

    /// Returns this end's address.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Returns the peer's address.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}

/// A listening socket. Dropping it stops listening.
pub trait ListeningSocket: Send + Sync + 'static {
    /// The accepted sockets.
    type Socket;

    /// Accepts, for a task.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Socket, SocketAddr)>> + Send;

    /// Accepts, for a thread.
    fn accept_blocking(&self) -> io::Result<(Self::Socket, SocketAddr)>;

    /// Returns the address it listens on.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A UDP socket, as its handles share it. Dropping it closes the socket.
pub trait DatagramSocket: Send + Sync + 'static {
    /// Is a scheduling point of a thread.
    fn scheduling_point(&self, verb: &'static str);

    /// Is a scheduling point of a task that is about to send.
    fn poll_turn(&self, context: &Context<'_>) -> Poll<()>;

    /// Sets the only peer.
    fn connect(&self, peer: SocketAddr) -> io::Result<()>;

    /// Sends to `target`, or to the peer.
    fn send(&self, bytes: &[u8], target: Option<SocketAddr>) -> io::Result<usize>;

    /// Is a scheduling point of a task or thread that has sent.
    fn has_sent(&self) {}

    /// Receives, for a task.
    fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>>;

    /// Receives, for a thread.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Sets the timeout of threads that receive.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Returns this end's address.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Returns the peer's address.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}

fn first_filled<'a>(slices: &'a [IoSlice<'_>]) -> &'a [u8] {
    slices.iter().find(|slice| !slice.is_empty()).map_or(&[], |slice| slice)
}
