//! Tokio's UDP sockets, with the options of the runtime traits.

use std::io;
use std::net::SocketAddr;

use crate::{Datagrams, SocketOptions, Tokio, std_threads};

/// A UDP socket of Tokio.
#[derive(Debug)]
pub struct UdpSocket {
    inner: tokio::net::UdpSocket,
}

impl Datagrams for Tokio {
    type UdpSocket = UdpSocket;

    async fn bind_udp(&self, address: SocketAddr, options: SocketOptions) -> io::Result<UdpSocket> {
        let socket = std_threads::udp::socket_at(address, options)?;
        socket.set_nonblocking(true)?;
        Ok(UdpSocket { inner: tokio::net::UdpSocket::from_std(socket.into())? })
    }
}

impl crate::UdpSocket for UdpSocket {
    async fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.inner.connect(peer).await
    }

    async fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.inner.send_to(bytes, target).await
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner.recv_from(buffer).await
    }

    async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.send(bytes).await
    }

    async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.recv(buffer).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}
