//! Listeners: which ports are open, and the server's half of the handshake.
//!
//! # Invariants
//!
//! - A backlog of `n` keeps `n + 1` connections, as Linux does (`sk_acceptq_is_full` asks for more than `n`).
//! - A connection that is not yet accepted belongs to its listener and ends with it.
//! - A listener keeps the state of as many handshakes. Further SYNs are answered with SYN cookies (`tcp_syncookies` =
//!   1):
//!   nothing is sent again for them, and their clients get in with a segment that finds room.
//!
//! # Not here
//!
//! Ports of connecting sockets (`socket`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;

use wavetank_runtime::{ListenOptions, SocketOptions};

use super::connection::{Connection, End, Owner, State};
use super::flow::Content;
use super::link::SECOND;
use super::socket::{buffer_bytes, send_buffer_bytes};
use super::trace::NetEventKind;
use super::{Cx, Direction, HostId, ListenerId, Nanos, Network, Outside, Ready, SocketId};

/// How long an answer to a SYN cookie is accepted: `MAX_SYNCOOKIE_AGE` is two periods of a minute.
const COOKIE_AGE_MAX: Nanos = 120 * SECOND;

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) host: HostId,
    pub(super) addr: SocketAddr,
    backlog: usize,
    accepted: SocketOptions,
    queue: VecDeque<SocketId>,
    /// Its readiness was reported and not yet taken.
    pub(super) reported: bool,
}

/// Handshakes that a listener has answered and that are not complete.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    connections: BTreeSet<u32>,
    /// How many of them it keeps a state for.
    kept: usize,
}

#[derive(Debug, Default)]
pub(super) struct Listeners {
    open: BTreeMap<ListenerId, Listener>,
    /// By host and port, then by address, which may be unspecified.
    addresses: BTreeMap<(HostId, u16), Vec<(IpAddr, ListenerId)>>,
    /// The place of each listener, also after it is gone: by its number, and for traces.
    places: Vec<(HostId, u16)>,
}

impl Listeners {
    /// Returns `true` if any address of the port has a listener.
    pub(super) fn has_port(&self, host: HostId, port: u16) -> bool {
        self.addresses.contains_key(&(host, port))
    }

    fn overlaps(&self, host: HostId, addr: SocketAddr) -> bool {
        self.addresses
            .get(&(host, addr.port()))
            .is_some_and(|listeners| listeners.iter().any(|&(ip, _)| share_addresses(ip, addr.ip())))
    }

    fn find(&self, host: HostId, addr: SocketAddr) -> Option<ListenerId> {
        let listeners = self.addresses.get(&(host, addr.port()))?;
        // Listeners that could both accept at `addr` exclude each other.
        let found = listeners.iter().find(|&&(ip, _)| share_addresses(ip, addr.ip()));
        found.map(|&(_, listener)| listener)
    }

    fn remove(&mut self, id: ListenerId) -> Option<Listener> {
        let listener = self.open.remove(&id)?;
        let place = (listener.host, listener.addr.port());
        if let Some(listeners) = self.addresses.get_mut(&place) {
            listeners.retain(|&(_, open)| open != id);
            if listeners.is_empty() {
                self.addresses.remove(&place);
            }
        }
        Some(listener)
    }

    pub(super) fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener> {
        self.open.get_mut(&id)
    }

    pub(super) fn of_host(&self, host: HostId) -> Vec<ListenerId> {
        let of_host = self.addresses.range((host, 0)..=(host, u16::MAX));
        let mut listeners: Vec<ListenerId> =
            of_host.flat_map(|(_, open)| open.iter().map(|&(_, id)| id)).collect();
        listeners.sort_unstable();
        listeners
    }
}

/// Returns `true` if sockets bound to `a` and to `b` have an address in common. `0.0.0.0` means all addresses of IPv4,
/// and `::` for all of both families (`bindv6only` is 0).
fn share_addresses(a: IpAddr, b: IpAddr) -> bool {
    let covers = |all: IpAddr, ip: IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    a == b || covers(a, b) || covers(b, a)
}

impl Listener {
    fn is_full(&self) -> bool {
        self.queue.len() > self.backlog
    }
}

impl Network {
    /// Opens a listener at `addr` of `host`. An unspecified address means all addresses, and port 0 means a free port.
    ///
    /// Connections of an earlier listener are no obstacle (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// `AddrInUse` beside another listener or a socket that connected from this port, also in TIME-WAIT;
    /// `AddrNotAvailable` for an address that is not the host's.
    pub(crate) fn listen(
        &mut self,
        now: Nanos,
        host: HostId,
        addr: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<ListenerId> {
        let ip = addr.ip();
        if !ip.is_unspecified() && !self.is_own_address(host, ip) {
            return Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL));
        }
        self.now = self.now.max(now);
        let now = self.now;
        let port = match addr.port() {
            0 => self.take_port(host, |network, port| {
                !network.listeners.has_port(host, port) && !network.connects_from(now, host, ip, port)
            })?,
            port => port,
        };
        let addr = SocketAddr::new(ip, port);
        if self.listeners.overlaps(host, addr) || self.connects_from(now, host, ip, port) {
            return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
        }
        let id = ListenerId(u32::try_from(self.listeners.places.len()).expect("fewer than 2^32 listeners"));
        let backlog = options.backlog as usize;
        let listener = Listener {
            host,
            addr,
            backlog,
            accepted: options.accepted,
            queue: VecDeque::new(),
            reported: false,
        };
        self.listeners.open.insert(id, listener);
        self.listeners.places.push((host, port));
        self.listeners.addresses.entry((host, port)).or_default().push((ip, id));
        Ok(id)
    }

    /// The listeners of `host` that are open.
    pub(super) fn open_listeners(&self, host: HostId) -> Vec<ListenerId> {
        self.listeners.of_host(host)
    }

    /// Where a listener listens, or listened.
    pub(super) fn listener_place(&self, id: ListenerId) -> Option<(HostId, u16)> {
        self.listeners.places.get(id.0 as usize).copied()
    }

    /// Returns the address of a listener, with the port it was given.
    ///
    /// # Errors
    ///
    /// `EBADF` once it is closed.
    pub(crate) fn listener_addr(&self, id: ListenerId) -> io::Result<SocketAddr> {
        self.listeners.open.get(&id).map(|listener| listener.addr).ok_or_else(closed)
    }

    /// Closes a listener and resets the connections it has not accepted.
    pub(crate) fn close_listener(&mut self, now: Nanos, outside: &mut dyn Outside, id: ListenerId) {
        let Some(listener) = self.listeners.remove(id) else { return };
        let handshakes = self.wire.handshakes.remove(&id);
        if !listener.reported {
            self.wire.ready.push(Ready::Listener(id));
        }
        for socket in listener.queue {
            self.with(socket, now, outside, |connection, side, cx| {
                connection.ends[side].owner = Owner::Kernel;
                connection.listener = None;
                connection.reset(side, None, cx);
            });
        }
        // Half-open connections vanish; the client's next segment is answered with RST.
        for index in handshakes.map(|handshakes| handshakes.connections).unwrap_or_default() {
            let socket = SocketId::new(index, 1);
            self.with(socket, now, outside, |connection, side, cx| {
                if connection.listener == Some(id) {
                    connection.listener = None;
                    connection.die(side, None, cx);
                }
            });
        }
    }

    /// Removes a listener without closing its connections. The caller closes them.
    pub(super) fn forget_listener(&mut self, id: ListenerId) {
        self.wire.handshakes.remove(&id);
        if self.listeners.remove(id).is_some_and(|listener| !listener.reported) {
            self.wire.ready.push(Ready::Listener(id));
        }
    }

    /// Returns the host of a listener that has a connection to accept.
    pub(crate) fn could_accept(&self, id: ListenerId) -> Option<HostId> {
        self.listeners
            .open
            .get(&id)
            .filter(|listener| !listener.queue.is_empty())
            .map(|listener| listener.host)
    }

    /// Returns `true` if [`accept`](Self::accept) has something to return.
    #[cfg(feature = "process")]
    pub(crate) fn can_accept(&self, id: ListenerId) -> bool {
        self.listeners.open.get(&id).is_none_or(|listener| !listener.queue.is_empty())
    }

    /// Takes the oldest complete connection.
    ///
    /// # Errors
    ///
    /// `EBADF` once the listener is closed. A connection that was reset while it waited is no error here: it is
    /// accepted and then fails, as on Linux.
    pub(crate) fn accept(&mut self, id: ListenerId) -> Poll<io::Result<(SocketId, SocketAddr)>> {
        let Some(listener) = self.listeners.open.get_mut(&id) else { return Poll::Ready(Err(closed())) };
        let Some(socket) = listener.queue.pop_front() else { return Poll::Pending };
        let connection = self
            .connections
            .get_mut(socket.connection())
            .expect("a connection lives as long as its end is queued");
        connection.listener = None;
        connection.ends[1].owner = Owner::Application;
        Poll::Ready(Ok((socket, connection.seen_by(1, connection.ends[0].addr))))
    }
}

impl Connection {
    /// RFC 9293 section 3.10.7.2. A SYN that finds no room is dropped. Its sender tries again.
    pub(super) fn syn_arrives(&mut self, listeners: &Listeners, cx: &mut Cx<'_>) {
        if self.ends[0].state != State::SynSent {
            // A late duplicate, or a client that is gone. Any answer would end with the client's answer.
            return;
        }
        if self.is_loop {
            return self.open_loop(cx);
        }
        if self.ends[1].state == State::SynReceived {
            return self.push(1, Content::SynAck, cx);
        }
        let target = self.ends[1].host.and_then(|host| listeners.find(host, self.ends[1].addr));
        let Some(id) = target else { return self.answer_with_reset(1, cx) };
        let listener = &listeners.open[&id];
        if listener.is_full() {
            self.trace_received(1, NetEventKind::BacklogFull, cx);
            return self.await_handshake(0, cx);
        }
        let handshakes = cx.wire.handshakes.entry(id).or_default();
        self.is_cookie = handshakes.kept > listener.backlog;
        handshakes.kept += usize::from(!self.is_cookie);
        handshakes.connections.insert(self.index);
        self.is_mapped = listener.addr.is_ipv6() && self.ends[1].addr.is_ipv4();
        self.listener = Some(id);
        self.handshake_began[1] = cx.now;
        // A new state: an earlier try may have been given up or reset.
        self.ends[1] = End::new(self.ends[1].host, self.ends[1].addr, State::SynReceived, Owner::Kernel);
        self.flows[0].receive_buffer_bytes =
            buffer_bytes(listener.accepted.receive_buffer_bytes, cx.wire.buffer_bytes_max);
        self.flows[1].send_buffer_bytes = send_buffer_bytes(listener.accepted, cx.wire.buffer_bytes_max);
        self.flows[1].abandoned = false;
        self.flows[1].open_window();
        self.push(1, Content::SynAck, cx);
    }

    /// Handles a SYN that came back to its sender, which then is its own peer (RFC 9293 section 3.5, simultaneous
    /// open).
    fn open_loop(&mut self, cx: &mut Cx<'_>) {
        let [client, server] = &mut self.ends;
        *server = End::new(client.host, client.addr, State::Established, Owner::Kernel);
        client.state = State::Established;
        self.flows[0].receive_buffer_bytes = self.flows[1].receive_buffer_bytes;
        for flow in &mut self.flows {
            flow.open_window();
        }
        self.trace_sent(0, NetEventKind::Connected, cx);
        self.report(0, Direction::Connect, cx);
        self.report(0, Direction::Write, cx);
    }

    /// Handles the client's answer: the server's end is open, if the backlog has room. Returns `true` if it is open.
    pub(super) fn complete_handshake(&mut self, listeners: &mut Listeners, cx: &mut Cx<'_>) -> bool {
        if self.ends[1].state != State::SynReceived {
            return true;
        }
        let Some(id) = self.listener else { return true };
        let Some(listener) = listeners.open.get_mut(&id) else { return true };
        if listener.is_full() {
            self.await_handshake(1, cx);
            return false;
        }
        self.end_handshake(cx);
        self.ends[1].state = State::Established;
        self.ends[1].handshake_event = None;
        self.ends[1].owner = Owner::Listener;
        listener.queue.push_back(self.socket(1));
        if !listener.reported {
            listener.reported = true;
            cx.wire.ready.push(Ready::Listener(id));
        }
        self.trace_received(1, NetEventKind::Queued, cx);
        true
    }
}

impl Connection {
    /// Ends the server's half of the handshake: its listener forgets the state of it.
    pub(super) fn end_handshake(&mut self, cx: &mut Cx<'_>) {
        if let Some(handshakes) = self.listener.and_then(|id| cx.wire.handshakes.get_mut(&id))
            && handshakes.connections.remove(&self.index)
        {
            handshakes.kept -= usize::from(!self.is_cookie);
        }
    }

    /// Returns `true` if the SYN cookie of the server's end is out of date.
    pub(super) fn has_stale_cookie(&self, now: Nanos) -> bool {
        self.is_cookie && now >= self.handshake_began[1].saturating_add(COOKIE_AGE_MAX)
    }

    /// Returns an address of the connection as `side` sees it.
    pub(super) fn seen_by(&self, side: usize, addr: SocketAddr) -> SocketAddr {
        match addr.ip() {
            IpAddr::V4(ip) if side == 1 && self.is_mapped => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port())
            }
            _ => addr,
        }
    }
}

fn closed() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::*;

    use super::super::harness::{Harness, fails, gives, outcome};
    use super::super::link::SECOND;
    use super::*;

    /// `backlog` + 1 clients are connected, one more waits.
    fn full(backlog: u32) -> (Harness, ListenerId, SocketId) {
        let mut harness = Harness::new();
        let listener = harness.listen(ListenOptions::new().backlog(backlog));
        for _ in 0..=backlog {
            let client = harness.connect();
            harness.pass(SECOND / 100);
            assert_eq!(outcome(harness.network.poll_connected(client)), Poll::Ready(Ok(())));
            harness.send(client, b"early");
        }
        let late = harness.connect();
        harness.pass(SECOND / 10);
        assert!(harness.network.poll_connected(late).is_pending());
        (harness, listener, late)
    }

    #[test]
    fn a_full_backlog_drops_syns() {
        for backlog in [0, 1, 5] {
            let (mut harness, listener, late) = full(backlog);
            let began = harness.now;
            let server = harness.accept(listener);
            harness.settle();
            assert_eq!(outcome(harness.read(server, 99)), gives(b"early"));
            assert_eq!(outcome(harness.network.poll_connected(late)), Poll::Ready(Ok(())));
            assert_eq!((harness.now - began) / 100_000_000, 9, "the SYN is tried again after a second");
        }
    }

    #[test]
    fn closing_a_listener_refuses_clients_waiting_for_room() {
        let (mut harness, listener, late) = full(1);
        harness.network.close_listener(harness.now, &mut harness.outside, listener);
        harness.settle();
        assert_eq!(outcome(harness.network.poll_connected(late)), fails(ConnectionRefused));
        assert_eq!(harness.now / SECOND, 1);
    }

    #[test]
    fn a_client_without_room_times_out() {
        let (mut harness, _, late) = full(0);
        let began = harness.now - SECOND / 10;
        harness.settle();
        assert_eq!(outcome(harness.network.poll_connected(late)), fails(TimedOut));
        assert_eq!(harness.now - began, 131 * SECOND);
    }

    /// Two clients whose SYNs are answered before either handshake completes, at a listener with room for one more.
    fn overtaken() -> (Harness, ListenerId, [SocketId; 2]) {
        let mut harness = Harness::new();
        let listener = harness.listen(ListenOptions::new().backlog(1));
        harness.connect();
        harness.pass(SECOND / 100);
        let clients = [harness.connect(), harness.connect()];
        harness.pass(SECOND / 100);
        for client in clients {
            assert_eq!(outcome(harness.network.poll_connected(client)), Poll::Ready(Ok(())));
        }
        (harness, listener, clients)
    }

    fn accept_two(harness: &mut Harness, listener: ListenerId) {
        harness.accept(listener);
        harness.accept(listener);
    }

    #[test]
    fn a_late_handshake_completes_with_the_clients_data() {
        let (mut harness, listener, [_, second]) = overtaken();
        harness.send(second, b"patience");
        harness.pass(SECOND / 2);
        accept_two(&mut harness, listener);
        assert!(harness.network.accept(listener).is_pending());
        harness.settle();
        let server = harness.accept(listener);
        assert_eq!(outcome(harness.read(server, 99)), gives(b"patience"));
        assert_eq!(harness.now / 100_000_000, 8, "with the data's third retransmission");
    }

    #[test]
    fn another_syn_ack_queues_a_silent_client() {
        let (mut harness, listener, [_, second]) = overtaken();
        harness.pass(SECOND / 2);
        accept_two(&mut harness, listener);
        harness.settle();
        let server = harness.accept(listener);
        assert_eq!(harness.now / SECOND, 1);
        harness.send(server, b"welcome");
        harness.settle();
        assert_eq!(outcome(harness.read(second, 99)), gives(b"welcome"));
    }

    #[test]
    fn a_client_that_closed_is_queued_later() {
        let (mut harness, listener, [first, second]) = overtaken();
        harness.send(second, b"all");
        harness.close(second);
        harness.close(first);
        harness.pass(SECOND / 2);
        accept_two(&mut harness, listener);
        assert!(!harness.network.quiet(), "the listener will see it");
        harness.settle();
        let server = harness.accept(listener);
        assert_eq!(outcome(harness.read(server, 99)), gives(b"all"));
        assert_eq!(outcome(harness.read(server, 99)), gives(b""));
    }

    #[test]
    fn a_client_that_timed_out_is_never_queued() {
        let (mut harness, listener, [_, second]) = overtaken();
        harness.network.set_user_timeout(std::time::Duration::from_secs(2));
        harness.send(second, b"impatient");
        harness.pass(5 * SECOND / 2);
        assert_eq!(outcome(harness.read(second, 9)), fails(TimedOut));
        accept_two(&mut harness, listener);
        harness.settle();
        assert!(harness.network.accept(listener).is_pending());
    }

    #[test]
    fn a_client_of_an_abandoned_handshake_is_reset() {
        let (mut harness, listener, [_, second]) = overtaken();
        harness.pass(100 * SECOND);
        assert!(harness.network.quiet());
        accept_two(&mut harness, listener);
        harness.settle();
        assert!(harness.network.accept(listener).is_pending());
        harness.send(second, b"too late");
        harness.settle();
        assert_eq!(outcome(harness.read(second, 9)), fails(ConnectionReset));
    }

    #[test]
    fn a_listener_is_ready_once_for_many_connections() {
        let mut harness = Harness::new();
        let listener = harness.listen(ListenOptions::new());
        harness.connect();
        harness.connect();
        harness.settle();
        let ready = harness.ready();
        assert_eq!(ready.iter().filter(|ready| **ready == Ready::Listener(listener)).count(), 1);
        harness.accept(listener);
        harness.accept(listener);
        assert!(harness.network.accept(listener).is_pending());
        harness.connect();
        harness.settle();
        assert!(harness.ready().contains(&Ready::Listener(listener)));
        harness.network.close_listener(harness.now, &mut harness.outside, listener);
        assert_eq!(harness.ready(), [Ready::Listener(listener)], "a task that waits must notice");
        assert!(matches!(harness.network.accept(listener), Poll::Ready(Err(_))));
        assert!(harness.network.listener_addr(listener).is_err());
    }

    #[test]
    fn port_zero_gives_a_free_port() {
        let mut harness = Harness::new();
        let any = "0.0.0.0:0".parse().unwrap();
        let [first, second] = [0, 1]
            .map(|_| harness.network.listen(harness.now, harness.server, any, ListenOptions::new()).unwrap());
        assert_eq!(harness.network.listener_addr(first).unwrap().to_string(), "0.0.0.0:49152");
        assert_eq!(harness.network.listener_addr(second).unwrap().to_string(), "0.0.0.0:49153");
    }
}
