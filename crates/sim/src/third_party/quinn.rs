//! A host as quinn's runtime, and its UDP sockets as quinn's.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime as QuinnRuntime, UdpPoller};
use wavetank_runtime::{Runtime, UdpSocket};

use super::until;
use crate::host::{DatagramSocket, Host, SimSleep, SimUdpSocket, Transport};

/// Runs quinn's drivers as tasks of the host, with the name `quinn`, in virtual time.
///
/// Deadlines are differences of `std::time::Instant`, which is virtual on Linux only.
impl<N: Transport> QuinnRuntime for Host<N> {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Runtime::sleep(self, until(at)))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(Runtime::spawn(self, "quinn", future));
    }

    /// Refuses. Use `Endpoint::new_with_abstract_socket` with a socket of the host.
    fn wrap_udp_socket(&self, _: StdUdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let text = "a simulated host has no real sockets: use `Endpoint::new_with_abstract_socket`";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }
}

impl AsyncTimer for SimSleep {
    fn reset(self: Pin<&mut Self>, at: Instant) {
        self.reset_after(until(at));
    }

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Future::poll(self, context)
    }
}

/// Sends and receives one datagram at a time, without ECN.
impl<S: DatagramSocket + std::fmt::Debug> AsyncUdpSocket for SimUdpSocket<S> {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.try_send_to(transmit.contents, transmit.destination).map(|_| ())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        let (len, addr) = ready!(self.poll_recv_from(context, buffer))?;
        *meta = RecvMeta::default();
        (meta.len, meta.stride, meta.addr) = (len, len, addr);
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        UdpSocket::local_addr(self)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// A simulated socket always takes a datagram.
#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
