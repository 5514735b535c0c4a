//! UDP for a host inside of turmoil: [`Datagrams`] for tasks, [`BlockingDatagrams`] for threads.
//!
//! turmoil's own socket does the work: it binds, sends, keeps what has come, and drops what comes from others than the
//! connected peer. What it lacks is added on top: sending to that peer, several receivers at once, timeouts, and the
//! errors by which Linux refuses to send.
//!
//! # Invariants
//!
//! - As with TCP (`socket`): a socket is used on its own host, and no lock is held while code under test runs.
//!
//! # Not here
//!
//! Refusals: turmoil drops a datagram for a port without a socket, and its sender does not learn it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use wavetank_runtime::DATAGRAM_BYTES_MAX;
use wavetank_runtime::{BlockingDatagrams, BlockingUdpSocket, Datagrams, SocketOptions, UdpSocket};

use super::TurmoilHost;
use super::ports::{Bound, at_once, errno};
use super::socket::{Object, Waiters, lock, refuse_zero};
use crate::time::nanos;
use crate::trace::{Next, TraceEvent};
use crate::wait::Operation;
use crate::world::Run;

const VERB: &str = "receive from";

/// A UDP socket as its handles share it. Dropping it closes the socket.
#[derive(Debug)]
struct Socket {
    inner: Bound<::turmoil::net::UdpSocket>,
    ends: Mutex<Ends>,
    receivers: Arc<Waiters>,
    /// In nanoseconds; 0 is none.
    read_timeout: AtomicU64,
}

/// What connecting a socket changes.
#[derive(Clone, Copy, Debug)]
struct Ends {
    object: Object,
    local: SocketAddr,
    peer: Option<SocketAddr>,
}

impl Socket {
    fn bind(host: TurmoilHost, address: SocketAddr) -> io::Result<Self> {
        let inner =
            Bound::new(host, "bind a UDP socket to", address, ::turmoil::net::UdpSocket::bind::<SocketAddr>)?;
        let local = SocketAddr::new(address.ip(), inner.local_addr()?.port());
        let object = Object::new(host, &format!("the UDP socket {}", host.place(local)))?;
        let ends = Mutex::new(Ends { object, local, peer: None });
        Ok(Self { inner, ends, receivers: Arc::default(), read_timeout: AtomicU64::new(0) })
    }

    fn host(&self) -> TurmoilHost {
        self.inner.host
    }

    fn ends(&self) -> Ends {
        *lock(&self.ends)
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        let host = self.host();
        host.acts()?;
        let Ends { mut local, .. } = self.ends();
        if local.is_ipv4() != peer.is_ipv4() {
            return Err(errno(libc::EAFNOSUPPORT));
        }
        at_once(self.inner.connect(peer))?;
        if local.ip().is_unspecified() {
            local.set_ip(if peer.ip().is_loopback() { peer.ip() } else { host.ip() });
        }
        let label = format!("the UDP socket {} -> {}", host.place(local), host.place(peer));
        *lock(&self.ends) = Ends { object: Object::new(host, &label)?, local, peer: Some(peer) };
        Ok(())
    }

    fn send(&self, bytes: &[u8], target: Option<SocketAddr>) -> io::Result<usize> {
        let host = self.host();
        let run = host.acts()?;
        if run.scheduler.is_tearing_down() {
            return Err(io::Error::other("the host has crashed"));
        }
        let Ends { local, peer, .. } = self.ends();
        let target = target.or(peer).ok_or_else(|| errno(libc::EDESTADDRREQ))?;
        refuse(local, bytes, target)?;
        let sent = self.inner.try_send_to(bytes, target).map_err(|error| match error.kind() {
            // No host has the address: turmoil has no link to it.
            io::ErrorKind::ConnectionRefused => errno(libc::ENETUNREACH),
            _ => error,
        })?;
        self.record(&run, local, target, "sends", sent);
        Ok(sent)
    }

    fn try_receive(
        &self,
        run: &Run,
        context: &Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let waker = self.receivers.with(context.waker());
        let mut context = Context::from_waker(&waker);
        // Abandoned after each attempt: what it has taken in an attempt that is pending stays with the socket.
        let received = std::pin::pin!(self.inner.recv_from(buffer));
        let (count, from) = ready!(received.poll(&mut context))?;
        self.record(run, self.ends().local, from, "receives", count);
        Poll::Ready(Ok((count, from)))
    }

    fn record(&self, run: &Run, local: SocketAddr, other: SocketAddr, verb: &str, bytes: usize) {
        let host = self.host();
        let what =
            format!("{} -> {} {verb} a datagram of {bytes} B", host.place(local), host.place(other)).into();
        run.scheduler.trace_event(TraceEvent::Socket { what, transfer: true });
    }

    fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.ends().object.poll(VERB, context, |run, context| self.try_receive(run, context, buffer))
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let timeout = self.read_timeout.load(Ordering::Relaxed);
        self.ends().object.block(VERB, timeout, |run, context| self.try_receive(run, context, buffer))
    }

    /// A scheduling point of a thread.
    fn point(&self, verb: &'static str) {
        if let Ok(run) = self.host().acts() {
            run.scheduler.scheduling_point(Operation::new(verb));
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.ends().local
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.ends().peer.ok_or_else(|| errno(libc::ENOTCONN))
    }
}

/// What Linux refuses to send, and turmoil would.
fn refuse(local: SocketAddr, bytes: &[u8], target: SocketAddr) -> io::Result<()> {
    if bytes.len() > DATAGRAM_BYTES_MAX {
        return Err(errno(libc::EMSGSIZE));
    }
    if target.port() == 0 {
        return Err(errno(libc::EINVAL));
    }
    if local.is_ipv4() != target.is_ipv4() {
        return Err(errno(libc::EAFNOSUPPORT));
    }
    Ok(())
}

impl Datagrams for TurmoilHost {
    type UdpSocket = TurmoilUdpSocket;

    /// Opens a UDP socket. The options are without effect: the buffer of each is `Builder::udp_capacity` datagrams,
    /// however large they are.
    async fn bind_udp(&self, address: SocketAddr, _: SocketOptions) -> io::Result<TurmoilUdpSocket> {
        Ok(TurmoilUdpSocket { socket: Socket::bind(*self, address)? })
    }
}

/// A UDP socket of tasks inside of turmoil.
#[derive(Debug)]
pub struct TurmoilUdpSocket {
    socket: Socket,
}

impl TurmoilUdpSocket {
    async fn send_now(&self, bytes: &[u8], target: Option<SocketAddr>) -> io::Result<usize> {
        let turn = Next::Operation(Operation::new("send a datagram"));
        poll_fn(|context| self.socket.host().inner.run().scheduler.poll_turn(context, turn)).await;
        self.socket.send(bytes, target)
    }
}

impl UdpSocket for TurmoilUdpSocket {
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
        Ok(self.socket.local_addr())
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

impl BlockingDatagrams for TurmoilHost {
    type UdpSocket = TurmoilBlockingUdpSocket;

    /// Opens a UDP socket. The options are without effect: the buffer of each is `Builder::udp_capacity` datagrams,
    /// however large they are.
    fn bind_udp(&self, address: SocketAddr, _: SocketOptions) -> io::Result<TurmoilBlockingUdpSocket> {
        self.acts()?.scheduler.scheduling_point(Operation::new("bind"));
        Ok(TurmoilBlockingUdpSocket { socket: Arc::new(Socket::bind(*self, address)?) })
    }
}

/// A UDP socket of threads inside of turmoil. Its clones share it.
#[derive(Debug)]
pub struct TurmoilBlockingUdpSocket {
    socket: Arc<Socket>,
}

impl BlockingUdpSocket for TurmoilBlockingUdpSocket {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.clone() })
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.point("connect");
        self.socket.connect(peer)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        refuse_zero(timeout)?;
        self.socket.read_timeout.store(timeout.map_or(0, nanos), Ordering::Relaxed);
        Ok(())
    }

    fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.socket.point("send");
        self.socket.send(bytes, Some(target))
    }

    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.receive(buffer)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.point("send");
        self.socket.send(bytes, None)
    }

    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.socket.receive(buffer)?.0)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.local_addr())
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}
