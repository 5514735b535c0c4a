//! std's UDP sockets, with the options of the runtime traits.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::{BlockingDatagrams, BlockingUdpSocket, SocketOptions, Std};

/// A UDP socket of std.
#[derive(Debug)]
pub struct UdpSocket {
    inner: std::net::UdpSocket,
}

/// Opens a blocking socket at `address`.
pub(crate) fn socket_at(address: SocketAddr, options: SocketOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if let Some(bytes) = options.send_buffer_bytes {
        socket.set_send_buffer_size(bytes as usize)?;
    }
    if let Some(bytes) = options.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes as usize)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

impl BlockingDatagrams for Std {
    type UdpSocket = UdpSocket;

    fn bind_udp(&self, address: SocketAddr, options: SocketOptions) -> io::Result<UdpSocket> {
        Ok(UdpSocket { inner: socket_at(address, options)?.into() })
    }
}

impl BlockingUdpSocket for UdpSocket {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { inner: self.inner.try_clone()? })
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.inner.connect(peer)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_read_timeout(timeout)
    }

    fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.inner.send_to(bytes, target)
    }

    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner.recv_from(buffer)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.send(bytes)
    }

    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.recv(buffer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}
