//! UDP sockets: the calls of applications, answered as by Linux.
//!
//! # Invariants
//!
//! - Sending never waits. A receiver that returns `Pending` is reported ([`Ready::Datagram`]) when it is worth another
//!   try.
//! - An error is reported once, to the first call that sees it, and before received datagrams.
//! - Only the latency of a datagram is drawn, unless fates are set ([`Network::set_fates`]).
//!
//! # Not here
//!
//! What happens on the way (`flight`). Broadcast and multicast, fragments, and sockets of both families are not
//! simulated.

mod flight;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;

use wavetank_runtime::DATAGRAM_BYTES_MAX;
use wavetank_runtime::SocketOptions;

pub(crate) use flight::{Chance, Fate, Fates};
pub(crate) use trace::DatagramEvent;

use super::connection::Errno;
use super::{HostId, Nanos, Network, Outside, Ready, buffers};
use flight::Flights;
use trace::DatagramEventKind;

/// A UDP socket. Not used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UdpId(pub(super) u32);

#[derive(Debug)]
struct Received {
    from: SocketAddr,
    bytes: Vec<u8>,
}

impl Received {
    fn memory(&self) -> u64 {
        buffers::datagram(self.bytes.len() as u64)
    }
}

#[derive(Debug)]
struct UdpSocket {
    host: HostId,
    /// The address may be unspecified; connecting specifies it.
    addr: SocketAddr,
    peer: Option<SocketAddr>,
    /// Linux's `sk_err`: the first call to see it takes it.
    error: Option<Errno>,
    queue: VecDeque<Received>,
    /// Memory that counts against the buffer.
    memory: u64,
    buffer: u64,
    /// Datagrams at the head of the queue that a receive has taken over (`reader_queue`), and the memory of those
    /// received since that still counts. Linux frees it when none is left, or by quarters of the buffer.
    taken_over: usize,
    unreleased: u64,
    /// Its readiness was reported and not yet taken.
    reported: bool,
}

/// The name of a socket for traces, also after it is gone: its host, its port, and its peer as "server:53".
#[derive(Debug)]
struct Place {
    host: HostId,
    port: u16,
    peer: Option<String>,
}

/// All UDP sockets of a network, and what is on its way between them.
#[derive(Debug, Default)]
pub(super) struct Udp {
    open: BTreeMap<UdpId, UdpSocket>,
    /// By host and port.
    ports: BTreeMap<(HostId, u16), Vec<UdpId>>,
    /// By number; kept when the socket is gone.
    places: Vec<Place>,
    flights: Flights,
}

impl UdpSocket {
    /// Returns `true` if a datagram may be queued (`__udp_enqueue_schedule_skb`).
    fn has_room(&self, received: &Received) -> bool {
        self.memory == 0 || self.memory + received.memory() <= self.buffer
    }

    fn put(&mut self, received: Received) {
        self.memory += received.memory();
        self.queue.push_back(received);
    }

    /// Takes the oldest datagram (`__skb_recv_udp`, `udp_rmem_release`).
    fn take(&mut self) -> Option<Received> {
        if self.taken_over == 0 {
            self.taken_over = self.queue.len();
        }
        let received = self.queue.pop_front()?;
        self.taken_over -= 1;
        self.unreleased += received.memory();
        if self.taken_over == 0 || self.unreleased >= self.buffer / 4 {
            self.memory -= std::mem::take(&mut self.unreleased);
        }
        Some(received)
    }
}

impl Udp {
    /// Returns the socket that receives a datagram of `from` to `to` of `host`. Linux prefers a connected one, then one
    /// with the exact address.
    fn find(&self, host: HostId, to: SocketAddr, from: SocketAddr) -> Option<UdpId> {
        let candidates = self.ports.get(&(host, to.port()))?;
        let score = |id: &&UdpId| {
            let socket = &self.open[*id];
            let for_all = socket.addr.ip().is_unspecified() && socket.addr.is_ipv4() == to.is_ipv4();
            let at_hand = for_all || socket.addr.ip() == to.ip();
            let welcome = socket.peer.is_none_or(|peer| peer == from);
            (at_hand && welcome).then_some((socket.peer.is_some(), !for_all))
        };
        candidates
            .iter()
            .filter_map(|id| score(&id).map(|score| (score, *id)))
            .max_by_key(|&(score, _)| score)
            .map(|(_, id)| id)
    }

    /// Returns the socket at `local` that is connected to `peer`. Only this socket learns that the port is closed.
    fn find_connected(&self, host: HostId, local: SocketAddr, peer: SocketAddr) -> Option<UdpId> {
        let candidates = self.ports.get(&(host, local.port()))?;
        let connected = |id: &&UdpId| {
            let socket = &self.open[*id];
            socket.peer == Some(peer) && socket.addr == local
        };
        candidates.iter().find(connected).copied()
    }

    fn overlaps(&self, host: HostId, addr: SocketAddr) -> bool {
        let ip = addr.ip();
        self.ports.get(&(host, addr.port())).is_some_and(|sockets| {
            sockets.iter().map(|id| self.open[id].addr.ip()).any(|other| {
                other == ip
                    || other.is_ipv4() == ip.is_ipv4() && (other.is_unspecified() || ip.is_unspecified())
            })
        })
    }

    fn remove(&mut self, id: UdpId) -> Option<UdpSocket> {
        let socket = self.open.remove(&id)?;
        let port = (socket.host, socket.addr.port());
        if let Some(sockets) = self.ports.get_mut(&port) {
            sockets.retain(|&open| open != id);
            if sockets.is_empty() {
                self.ports.remove(&port);
            }
        }
        Some(socket)
    }

    /// Reports that `id` may be ready.
    fn report(&mut self, id: UdpId, ready: &mut Vec<Ready>) {
        if let Some(socket) = self.open.get_mut(&id)
            && !socket.reported
        {
            socket.reported = true;
            ready.push(Ready::Datagram(id));
        }
    }

    pub(super) fn report_taken(&mut self, id: UdpId) {
        if let Some(socket) = self.open.get_mut(&id) {
            socket.reported = false;
        }
    }

    /// Returns when the next datagram arrives.
    #[inline]
    pub(super) fn next_arrival(&self) -> Option<Nanos> {
        self.flights.next_arrival()
    }
}

impl Network {
    /// Opens a socket at `addr` of `host`. An unspecified address means all addresses of its family, and port 0 means a
    /// free port.
    ///
    /// # Errors
    ///
    /// `AddrInUse` beside another UDP socket, `AddrNotAvailable` for an address that is not the host's.
    pub(crate) fn udp_bind(
        &mut self,
        host: HostId,
        addr: SocketAddr,
        options: SocketOptions,
    ) -> io::Result<UdpId> {
        let ip = addr.ip();
        if !ip.is_unspecified() && !self.is_own_address(host, ip) {
            return Err(errno(libc::EADDRNOTAVAIL));
        }
        let port = match addr.port() {
            0 => self.take_port(host, |network, port| !network.udp.ports.contains_key(&(host, port)))?,
            port => port,
        };
        let addr = SocketAddr::new(ip, port);
        if self.udp.overlaps(host, addr) {
            return Err(errno(libc::EADDRINUSE));
        }
        let id = UdpId(u32::try_from(self.udp.places.len()).expect("fewer than 2^32 sockets"));
        self.udp.places.push(Place { host, port, peer: None });
        self.udp.ports.entry((host, port)).or_default().push(id);
        self.udp.open.insert(
            id,
            UdpSocket {
                host,
                addr,
                peer: None,
                error: None,
                queue: VecDeque::new(),
                memory: 0,
                buffer: buffers::receive_buffer(options.receive_buffer_bytes),
                taken_over: 0,
                unreleased: 0,
                reported: false,
            },
        );
        Ok(id)
    }

    /// Sets the peer of a socket, and its own address if that was unspecified.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable` for an address outside the network, `EINVAL` from a loopback address to another host,
    /// `EAFNOSUPPORT` for another family.
    pub(crate) fn udp_connect(&mut self, id: UdpId, peer: SocketAddr) -> io::Result<()> {
        let (source, peer, target) = self.udp_route(id, peer)?;
        let name = target.map_or("unknown", |host| self.host_name(host));
        self.udp.places[id.0 as usize].peer = Some(format!("{name}:{}", peer.port()));
        let socket = self.udp.open.get_mut(&id).expect("the route began there");
        socket.addr = source;
        socket.peer = Some(peer);
        Ok(())
    }

    /// Sends a datagram to `target`, or to the peer.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` beyond [`DATAGRAM_BYTES_MAX`], `EDESTADDRREQ` without target and peer, `EINVAL` for port 0; those of
    /// [`udp_connect`](Self::udp_connect); then `ConnectionRefused` if an earlier datagram met a closed port, once.
    pub(crate) fn udp_send(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        id: UdpId,
        bytes: &[u8],
        target: Option<SocketAddr>,
    ) -> io::Result<usize> {
        let socket = self.udp.open.get(&id).ok_or_else(bad_descriptor)?;
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return Err(errno(libc::EMSGSIZE));
        }
        let to = target.or(socket.peer).ok_or_else(|| errno(libc::EDESTADDRREQ))?;
        // A socket may be connected to port 0, and send there.
        if target.is_some() && to.port() == 0 {
            return Err(errno(libc::EINVAL));
        }
        let (source, to, host) = self.udp_route(id, to)?;
        let socket = self.udp.open.get_mut(&id).expect("the route began there");
        if let Some(error) = socket.error.take() {
            return Err(errno(error));
        }
        let from = socket.host;
        self.now = self.now.max(now);
        self.launch(now, outside, (from, source), (host, to), bytes);
        Ok(bytes.len())
    }

    /// Takes the oldest datagram that has arrived: its size, cut to that of `buffer`, and its sender.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if an earlier datagram met a closed port, once.
    pub(crate) fn udp_receive(
        &mut self,
        id: UdpId,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let Some(socket) = self.udp.open.get_mut(&id) else { return Poll::Ready(Err(bad_descriptor())) };
        if let Some(error) = socket.error.take() {
            return Poll::Ready(Err(errno(error)));
        }
        let Some(received) = socket.take() else { return Poll::Pending };
        let count = received.bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&received.bytes[..count]);
        Poll::Ready(Ok((count, received.from)))
    }

    /// Returns `true` if [`udp_receive`](Self::udp_receive) has something to return.
    #[cfg(feature = "process")]
    pub(crate) fn udp_readable(&self, id: UdpId) -> bool {
        self.udp.open.get(&id).is_none_or(|socket| !socket.queue.is_empty() || socket.error.is_some())
    }

    /// Closes the socket, because its last handle was dropped.
    pub(crate) fn udp_close(&mut self, id: UdpId) {
        if self.udp.remove(id).is_some_and(|socket| !socket.reported) {
            self.wire.ready.push(Ready::Datagram(id));
        }
    }

    /// Returns the socket's address.
    ///
    /// # Errors
    ///
    /// `EBADF` if the socket is closed.
    pub(crate) fn udp_local_addr(&self, id: UdpId) -> io::Result<SocketAddr> {
        self.udp.open.get(&id).map(|socket| socket.addr).ok_or_else(bad_descriptor)
    }

    /// Returns the connected peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected`; `EBADF` if the socket is closed.
    pub(crate) fn udp_peer_addr(&self, id: UdpId) -> io::Result<SocketAddr> {
        let socket = self.udp.open.get(&id).ok_or_else(bad_descriptor)?;
        // Linux looks at the port only (`inet_getname`).
        socket.peer.filter(|peer| peer.port() != 0).ok_or_else(|| errno(libc::ENOTCONN))
    }

    /// Describes the sockets that the applications of `host` hold.
    pub(super) fn open_udp_sockets(&self, host: HostId) -> Vec<UdpId> {
        let of_host = self.udp.ports.range((host, 0)..=(host, u16::MAX));
        let mut sockets: Vec<UdpId> = of_host.flat_map(|(_, open)| open.iter().copied()).collect();
        sockets.sort_unstable();
        sockets
    }

    /// Describes a socket, also when it is gone: "the UDP socket client:49152 -> server:53".
    pub(super) fn describe_udp_socket(&self, id: UdpId) -> String {
        let Place { host, port, peer } = &self.udp.places[id.0 as usize];
        let peer = peer.as_ref().map_or_else(String::new, |peer| format!(" -> {peer}"));
        format!("the UDP socket {}:{port}{peer}", self.host_name(*host))
    }

    /// Removes all sockets of a machine that is gone. Datagrams on their way stay.
    pub(super) fn udp_vanish(&mut self, host: HostId) {
        self.open_udp_sockets(host).into_iter().for_each(|id| self.udp_close(id));
    }

    /// The source address, the destination and the destination's host of what `id` sends to `to`.
    fn udp_route(&self, id: UdpId, to: SocketAddr) -> io::Result<(SocketAddr, SocketAddr, Option<HostId>)> {
        let socket = self.udp.open.get(&id).ok_or_else(bad_descriptor)?;
        if socket.addr.is_ipv4() != to.is_ipv4() {
            return Err(errno(libc::EAFNOSUPPORT));
        }
        let route = self.route(socket.host, to.ip())?;
        let source: IpAddr = if socket.addr.ip().is_unspecified() { route.source } else { socket.addr.ip() };
        if source.is_loopback() && route.host != Some(socket.host) {
            return Err(errno(libc::EINVAL));
        }
        let destination = SocketAddr::new(route.destination, to.port());
        Ok((SocketAddr::new(source, socket.addr.port()), destination, route.host))
    }
}

fn errno(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

fn bad_descriptor() -> io::Error {
    errno(libc::EBADF)
}
