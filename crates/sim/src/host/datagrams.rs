//! UDP of both kinds of code: [`Datagrams`] for tasks, [`BlockingDatagrams`] for threads.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use wavetank_runtime::{BlockingDatagrams, BlockingUdpSocket, Datagrams, SocketOptions, UdpSocket};

use super::Host;
use super::transport::{DatagramSocket, Transport};

impl<N: Transport> Datagrams for Host<N> {
    type UdpSocket = SimUdpSocket<N::Datagrams>;

    async fn bind_udp(&self, address: SocketAddr, options: SocketOptions) -> io::Result<Self::UdpSocket> {
        Ok(SimUdpSocket { socket: N::bind(*self, address, options)? })
    }
}

/// A UDP socket of tasks.
#[derive(Debug)]
pub struct SimUdpSocket<S> {
    socket: S,
}

impl<S: DatagramSocket> SimUdpSocket<S> {
    /// Receives as `UdpSocket::recv_from` does, for code that polls. Only the most recent poller of a socket is woken.
    ///
    /// # Errors
    ///
    /// Those of `UdpSocket`.
    ///
    /// # Panics
    ///
    /// Outside of the run that the socket belongs to.
    pub fn poll_recv_from(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.socket.poll_receive(context, buffer)
    }

    /// Sends as `UdpSocket::send_to` does, without a scheduling point before it. A simulated socket is never too full
    /// to send.
    ///
    /// # Errors
    ///
    /// Those of `UdpSocket::send_to`.
    ///
    /// # Panics
    ///
    /// Outside of the run that the socket belongs to.
    pub fn try_send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        let sent = self.socket.send(bytes, Some(target));
        self.socket.has_sent();
        sent
    }

    async fn send_now(&self, bytes: &[u8], target: Option<SocketAddr>) -> io::Result<usize> {
        poll_fn(|context| self.socket.poll_turn(context)).await;
        let sent = self.socket.send(bytes, target);
        self.socket.has_sent();
        sent
    }
}

impl<S: DatagramSocket> UdpSocket for SimUdpSocket<S> {
    async fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(peer)
    }

    async fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.send_now(bytes, Some(target)).await
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        poll_fn(|context| self.socket.poll_receive(context, buffer)).await
    }

    async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_now(bytes, None).await
    }

    async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(buffer).await?.0)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

impl<N: Transport> BlockingDatagrams for Host<N> {
    type UdpSocket = SimBlockingUdpSocket<N::Datagrams>;

    fn bind_udp(&self, address: SocketAddr, options: SocketOptions) -> io::Result<Self::UdpSocket> {
        N::scheduling_point(*self, "bind")?;
        Ok(SimBlockingUdpSocket { socket: Arc::new(N::bind(*self, address, options)?) })
    }
}

/// A UDP socket of threads. Its clones share it.
#[derive(Debug)]
pub struct SimBlockingUdpSocket<S> {
    socket: Arc<S>,
}

impl<S: DatagramSocket> BlockingUdpSocket for SimBlockingUdpSocket<S> {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.clone() })
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.scheduling_point("connect");
        self.socket.connect(peer)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.socket.scheduling_point("send");
        let sent = self.socket.send(bytes, Some(target));
        self.socket.has_sent();
        sent
    }

    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.receive(buffer)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.scheduling_point("send");
        let sent = self.socket.send(bytes, None);
        self.socket.has_sent();
        sent
    }

    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.socket.receive(buffer)?.0)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}
