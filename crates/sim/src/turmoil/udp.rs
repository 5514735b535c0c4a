//! A UDP socket of turmoil.
//!
//! turmoil's own socket does the work: it binds, sends, keeps received datagrams, and drops those from others than the
//! connected peer. This module adds what it lacks: sending to that peer, several receivers at once, timeouts, and the
//! errors by which Linux refuses to send.
//!
//! # Invariants
//!
//! - As with TCP (`socket`), a socket is used on its own host, and no lock is held while code under test runs.
//!
//! # Not here
//!
//! Refusals: turmoil drops a datagram for a port without a socket, and its sender gets no error.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use wavetank_runtime::DATAGRAM_BYTES_MAX;

use super::TurmoilHost;
use super::ports::{Bound, at_once, errno};
use super::socket::{Object, Waiters, lock};
use crate::host::{DatagramSocket, timeout_nanos};
use crate::trace::{Next, TraceEvent};
use crate::wait::Operation;
use crate::world::Run;

const VERB: &str = "receive from";

/// A UDP socket that its handles share. Dropping it closes the socket.
#[derive(Debug)]
pub struct Socket {
    inner: Bound<::turmoil::net::UdpSocket>,
    ends: Mutex<Ends>,
    receivers: Arc<Waiters>,
    /// In nanoseconds; 0 is none.
    read_timeout: AtomicU64,
}

/// The part of a socket that connecting changes.
#[derive(Clone, Copy, Debug)]
struct Ends {
    object: Object,
    local: SocketAddr,
    peer: Option<SocketAddr>,
}

impl Socket {
    pub(super) fn bind(host: TurmoilHost, address: SocketAddr) -> io::Result<Self> {
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

    fn try_receive(
        &self,
        run: &Run,
        context: &Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let waker = self.receivers.with(context.waker());
        let mut context = Context::from_waker(&waker);
        // The future is dropped after each attempt. What a pending attempt has taken stays with the socket.
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
}

impl DatagramSocket for Socket {
    fn scheduling_point(&self, verb: &'static str) {
        if let Ok(run) = self.host().on_network() {
            run.scheduler.scheduling_point(Operation::new(verb));
        }
    }

    fn poll_turn(&self, context: &Context<'_>) -> Poll<()> {
        let turn = Next::Operation(Operation::new("send a datagram"));
        self.host().run().scheduler.poll_turn(context, turn)
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        let host = self.host();
        host.on_network()?;
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
        let run = host.on_network()?;
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

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout.store(timeout_nanos(timeout)?, Ordering::Relaxed);
        Ok(())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.ends().local)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.ends().peer.ok_or_else(|| errno(libc::ENOTCONN))
    }
}

/// Refuses what Linux refuses to send and turmoil would send.
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
