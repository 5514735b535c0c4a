//! The calls of applications on a socket, answered as by Linux.
//!
//! # Invariants
//!
//! - No call of an application panics. An identifier that is no longer open gets `EBADF`.
//! - A call that returns `Pending` is followed by a [`Ready`](super::Ready) when it is worth another try.
//! - An error is reported once, to the first call that sees it; after that reads find the end and writes `EPIPE`.
//!
//! # Not here
//!
//! Listeners (`listen`), and everything that happens by itself (`arrival`).

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::task::Poll;

use wavetank_runtime::SocketOptions;

use super::connection::{Connection, End, FIN_TIMEOUT, Owner, State};
use super::flow::{Content, Flow};
use super::trace::NetEventKind;
use super::{Cx, HostId, Nanos, Network, Outside, SocketId};

/// What `poll(2)` says of a socket.
#[cfg(feature = "process")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer sends nothing any more.
    pub(crate) peer_ended: bool,
    /// There is an error to take.
    pub(crate) failed: bool,
    /// Both directions are closed.
    pub(crate) ended: bool,
}

/// The default size of send and receive buffers.
const BUFFER_BYTES: u32 = 64 * 1024;

/// Returns the size of a buffer that was set, or not, with the limit `max`.
pub(super) fn buffer_bytes(option: Option<u32>, max: u32) -> u64 {
    u64::from(option.unwrap_or(BUFFER_BYTES).min(max).max(1))
}

/// Returns the size of the send buffer of a TCP stream, with the limit `max`.
pub(super) fn send_buffer_bytes(options: SocketOptions, max: u32) -> u64 {
    let unsent = options.unsent_bytes.map_or(u64::MAX, |bytes| u64::from(bytes.max(1)));
    buffer_bytes(options.send_buffer_bytes, max).min(unsent)
}

impl Network {
    /// Opens a socket and sends its SYN to `addr`.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable` for an address outside the network, `AddrNotAvailable` if all ports are taken. Everything
    /// else shows in [`poll_connected`](Self::poll_connected).
    pub(crate) fn connect(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        host: HostId,
        addr: SocketAddr,
        options: SocketOptions,
    ) -> io::Result<SocketId> {
        let route = self.route(host, addr.ip())?;
        let peer = SocketAddr::new(route.destination, addr.port());
        let source = route.source;
        let port = self.take_port(host, |network, port| {
            !network.listeners.has_port(host, port)
                && !network.is_connected_as(now, (host, port, source, peer))
        })?;
        let socket = SocketId::new(self.connections.next_index(), 0);
        let local = SocketAddr::new(source, port);
        let max = self.wire.buffer_bytes_max;
        self.tuples.enter((host, port, source, peer), socket.connection());
        for end in [Some(host), route.host].into_iter().flatten() {
            self.hosts[end.index()].connections.insert(socket.connection());
        }
        self.connections.push(Connection {
            index: self.connections.next_index(),
            ends: [
                End::new(Some(host), local, State::SynSent, Owner::Application),
                End::new(route.host, peer, State::Closed, Owner::Kernel),
            ],
            flows: [
                Flow::new(send_buffer_bytes(options, max), 0),
                Flow::new(0, buffer_bytes(options.receive_buffer_bytes, max)),
            ],
            listener: None,
            handshake_began: [now; 2],
            severed: [false; 2],
            is_cookie: false,
            is_mapped: false,
            is_loop: local == peer,
        });
        self.with(socket, now, outside, |connection, side, cx| {
            connection.meet_links(cx);
            connection.trace_sent(side, NetEventKind::Connecting, cx);
            connection.push(side, Content::Syn, cx);
        });
        Ok(socket)
    }

    /// Returns `true` if a connecting socket has become open.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, or `HostUnreachable` if no host has the address.
    pub(crate) fn poll_connected(&mut self, socket: SocketId) -> Poll<io::Result<()>> {
        let Some(end) = self.open_end(socket) else { return Poll::Ready(Err(bad_descriptor())) };
        if let Some(error) = end.take_error() {
            return Poll::Ready(Err(error));
        }
        match end.state {
            State::SynSent => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Reads what has arrived, up to the size of `buffer`; 0 is the end.
    ///
    /// # Errors
    ///
    /// After everything that arrived has been read: the reset or timeout that ended the connection, once.
    #[inline]
    pub(crate) fn read(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        socket: SocketId,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.application(socket, now, outside, |connection, side, cx| {
            connection.read(connection.reader(side), buffer, cx)
        })
        .unwrap_or_else(|| Poll::Ready(Err(bad_descriptor())))
    }

    /// Writes as much of `bytes` as the send buffer has room for.
    ///
    /// # Errors
    ///
    /// The reset or timeout that ended the connection, once; then, and after a shutdown of writing, `BrokenPipe`.
    #[inline]
    pub(crate) fn write(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        socket: SocketId,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.application(socket, now, outside, |connection, side, cx| connection.write(side, bytes, cx))
            .unwrap_or_else(|| Poll::Ready(Err(bad_descriptor())))
    }

    /// Shuts down reading, writing or both.
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection is over.
    pub(crate) fn shutdown(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        socket: SocketId,
        how: Shutdown,
    ) -> io::Result<()> {
        self.application(socket, now, outside, |connection, side, cx| connection.shutdown(side, how, cx))
            .unwrap_or_else(|| Err(bad_descriptor()))
    }

    /// Makes [`close`](Self::close) abortive: RST instead of FIN.
    pub(crate) fn set_linger_zero(&mut self, socket: SocketId) {
        if let Some(end) = self.open_end(socket) {
            end.linger_zero = true;
        }
    }

    /// Switches Nagle's algorithm off (`TCP_NODELAY`) or on. Switching it off sends what it has delayed.
    pub(crate) fn set_nodelay(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        socket: SocketId,
        nodelay: bool,
    ) {
        self.application(socket, now, outside, |connection, side, cx| {
            connection.flows[side].nodelay = nodelay;
            connection.send_more(side, cx);
        });
    }

    /// Returns `true` if a write found no room, and the socket has not woken its writer since.
    pub(crate) fn awaits_room(&self, socket: SocketId) -> bool {
        let connection = self.connections.get(socket.connection());
        connection.is_some_and(|connection| connection.flows[socket.side()].writer_waits)
    }

    /// Closes the socket, because its last handle was dropped. The kernel still sends what was written, and a FIN.
    pub(crate) fn close(&mut self, now: Nanos, outside: &mut dyn Outside, socket: SocketId) {
        self.application(socket, now, outside, Connection::close);
    }

    /// Returns the host of this socket, and how many bytes a read could return now.
    pub(crate) fn readable(&self, socket: SocketId) -> Option<(HostId, u64)> {
        let connection = self.connections.get(socket.connection())?;
        let side = socket.side();
        Some((connection.ends[side].host?, connection.flows[1 - connection.reader(side)].readable()))
    }

    /// Returns the host of this socket, and how many bytes its send buffer has room for now.
    pub(crate) fn writable(&self, socket: SocketId) -> Option<(HostId, u64)> {
        let connection = self.connections.get(socket.connection())?;
        let side = socket.side();
        Some((connection.ends[side].host?, connection.flows[side].room()))
    }

    /// Returns what `poll(2)` would say of a socket.
    #[cfg(feature = "process")]
    pub(crate) fn readiness(&mut self, now: Nanos, socket: SocketId) -> Readiness {
        let Some(connection) = self.connections.get_mut(socket.connection()) else {
            return Readiness {
                readable: true,
                writable: true,
                peer_ended: true,
                failed: false,
                ended: true,
            };
        };
        let side = socket.side();
        connection.absorb_acks(side, now);
        let end = &connection.ends[side];
        let failed = end.error.is_some();
        let ended = end.state.is_over();
        let peer_ended = end.fin_seen || end.read_shut || ended;
        let (inward, outward) = (&connection.flows[1 - connection.reader(side)], &connection.flows[side]);
        // Linux: at least a third of the send buffer is free.
        let room = outward.room() >= (outward.send_buffer_bytes / 3).max(1);
        let writable = end.state != State::SynSent && (room || !end.state.sends());
        let can_send = end.state == State::SynSent || end.state.sends();
        Readiness {
            readable: inward.readable() > 0 || peer_ended || failed,
            writable: writable || failed,
            peer_ended,
            failed,
            ended: ended || (peer_ended && !can_send),
        }
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// `EBADF` if the socket is closed.
    pub(crate) fn local_addr(&self, socket: SocketId) -> io::Result<SocketAddr> {
        let connection = self.connections.get(socket.connection()).ok_or_else(bad_descriptor)?;
        Ok(connection.seen_by(socket.side(), connection.ends[socket.side()].addr))
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// `NotConnected` while connecting and once the connection is over.
    pub(crate) fn peer_addr(&mut self, socket: SocketId) -> io::Result<SocketAddr> {
        let now = self.now;
        let connection = self.connections.get_mut(socket.connection()).ok_or_else(bad_descriptor)?;
        connection.absorb_acks(socket.side(), now);
        let state = connection.ends[socket.side()].state;
        if state == State::SynSent || state.is_over() {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        }
        Ok(connection.seen_by(socket.side(), connection.ends[1 - socket.side()].addr))
    }

    /// Lists the sockets that the applications of `host` hold, as "client:49152 -> server:80".
    pub(crate) fn open_sockets(&self, host: HostId) -> Vec<(SocketId, String)> {
        let mut open = Vec::new();
        let connections = self.hosts[host.index()].connections.iter();
        for connection in connections.filter_map(|&index| self.connections.get(index)) {
            for (side, end) in connection.ends.iter().enumerate() {
                if end.host == Some(host) && end.owner == Owner::Application {
                    open.push((connection.socket(side), self.describe_socket(connection, side)));
                }
            }
        }
        open
    }

    pub(super) fn describe_socket(&self, connection: &Connection, side: usize) -> String {
        let [local, peer] = [&connection.ends[side], &connection.ends[1 - side]].map(|end| {
            let name = end.host.map_or("unknown", |host| self.host_name(host));
            format!("{name}:{}", end.addr.port())
        });
        format!("{local} -> {peer}")
    }

    fn open_end(&mut self, socket: SocketId) -> Option<&mut End> {
        let end = &mut self.connections.get_mut(socket.connection())?.ends[socket.side()];
        (end.owner == Owner::Application).then_some(end)
    }

    /// Runs one call of an application, if it holds the socket.
    fn application<R>(
        &mut self,
        socket: SocketId,
        now: Nanos,
        outside: &mut dyn Outside,
        call: impl FnOnce(&mut Connection, usize, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        self.open_end(socket)?;
        self.with(socket, now, outside, call)
    }
}

impl Connection {
    fn read(&mut self, side: usize, buffer: &mut [u8], cx: &mut Cx<'_>) -> Poll<io::Result<usize>> {
        let flow = &mut self.flows[1 - side];
        if flow.readable() > 0 {
            let count = flow.take(buffer);
            flow.last_read_at = cx.now;
            self.tell_window(1 - side, cx);
            return Poll::Ready(Ok(count));
        }
        let end = &mut self.ends[side];
        if end.fin_seen {
            return Poll::Ready(Ok(0));
        }
        if let Some(error) = end.take_error() {
            return Poll::Ready(Err(error));
        }
        if end.read_shut || end.state.is_over() { Poll::Ready(Ok(0)) } else { Poll::Pending }
    }

    fn write(&mut self, side: usize, bytes: &[u8], cx: &mut Cx<'_>) -> Poll<io::Result<usize>> {
        self.absorb_acks(side, cx.now);
        let end = &mut self.ends[side];
        if let Some(error) = end.take_error() {
            return Poll::Ready(Err(error));
        }
        if end.state == State::SynSent {
            return Poll::Pending;
        }
        if !end.state.sends() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(libc::EPIPE)));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let flow = &mut self.flows[side];
        let room = usize::try_from(flow.room()).unwrap_or(usize::MAX);
        let count = bytes.len().min(room);
        if count == 0 {
            flow.writer_waits = true;
            self.want_ack(side, cx);
            return Poll::Pending;
        }
        flow.write(&bytes[..count]);
        self.send_more(side, cx);
        if count < bytes.len() {
            // Linux notes that there was no room for the rest.
            self.flows[side].writer_waits = true;
            self.want_ack(side, cx);
        }
        Poll::Ready(Ok(count))
    }

    /// Linux's `inet_shutdown`.
    fn shutdown(&mut self, side: usize, how: Shutdown, cx: &mut Cx<'_>) -> io::Result<()> {
        self.absorb_acks(side, cx.now);
        if self.ends[side].state.is_over() {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        }
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.ends[self.reader(side)].read_shut = true;
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.flows[side].writer_waits = false;
            self.finish(side, cx);
            if self.is_loop {
                self.finish(1 - side, cx);
            }
        }
        self.report_all(side, cx);
        Ok(())
    }

    /// Linux's `tcp_close`.
    fn close(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.absorb_acks(side, cx.now);
        self.report_all(side, cx);
        self.ends[side].owner = Owner::Kernel;
        self.ends[side].read_shut = true;
        let reader = self.reader(side);
        let unread = self.flows[1 - reader].readable() > 0;
        self.ends[reader].read_shut = true;
        self.flows[1 - reader].discard_readable();
        if self.ends[side].state.is_over() {
            return;
        }
        // RFC 2525 section 2.17: the peer must learn that its data was lost.
        if unread || self.ends[side].linger_zero {
            return self.reset(side, None, cx);
        }
        self.finish(side, cx);
        if self.is_loop {
            self.finish(1 - side, cx);
        }
        if self.ends[side].state == State::FinWait2 {
            self.ends[side].orphan_until = cx.now.saturating_add(FIN_TIMEOUT);
        }
        self.watch(side, cx);
    }

    /// Handles that the application sends no more (RFC 9293 section 3.10.4).
    fn finish(&mut self, side: usize, cx: &mut Cx<'_>) {
        let end = &mut self.ends[side];
        end.state = match end.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            State::SynSent => return self.die(side, None, cx),
            _ => return,
        };
        self.queue_fin(side, cx);
    }
}

/// The errno of a socket that is not open.
fn bad_descriptor() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::*;

    use super::super::Ready;
    use super::super::harness::{Harness, LATENCY, fails, gives, outcome};
    use super::*;

    const NOTHING: Poll<Result<Vec<u8>, io::ErrorKind>> = Poll::Pending;

    #[test]
    fn bytes_arrive_in_order_after_the_latency() {
        let (mut harness, client, server) = Harness::connected();
        let began = harness.now;
        harness.send(client, b"hello ");
        harness.send(client, b"world");
        assert_eq!(outcome(harness.read(server, 100)), NOTHING);
        harness.settle();
        assert_eq!(harness.now, began + LATENCY);
        assert_eq!(outcome(harness.read(server, 3)), gives(b"hel"));
        assert_eq!(outcome(harness.read(server, 100)), gives(b"lo world"));
        assert_eq!(outcome(harness.read(server, 100)), NOTHING);
    }

    #[test]
    fn a_writer_fills_both_buffers_then_waits() {
        let (mut harness, client, server) = Harness::connected();
        assert_eq!(harness.fill(client), 64 << 10, "the send buffer, until something is acknowledged");
        harness.settle();
        assert_eq!(harness.fill(client), 64 << 10, "once more, with the receive buffer full");
        harness.settle();
        assert!(outcome(harness.write(client, b"x")).is_pending());
        harness.ready();
        let mut received = harness.receive(server).len();
        assert_eq!(received, 64 << 10);
        harness.settle();
        assert!(harness.ready().contains(&Ready::Socket(client, super::super::Direction::Write)));
        received += harness.receive(server).len();
        harness.settle();
        assert_eq!(received, 128 << 10);
        assert_eq!(harness.fill(client), 64 << 10);
    }

    #[test]
    fn each_direction_ends_by_itself() {
        let (mut harness, client, server) = Harness::connected();
        harness.send(client, b"last");
        harness.shutdown(client, Shutdown::Write).unwrap();
        assert_eq!(outcome(harness.write(client, b"more")), fails(BrokenPipe));
        harness.settle();
        assert_eq!(outcome(harness.read(server, 100)), gives(b"last"));
        assert_eq!(outcome(harness.read(server, 100)), gives(b""));
        harness.send(server, b"answer");
        harness.close(server);
        harness.settle();
        assert_eq!(outcome(harness.read(client, 100)), gives(b"answer"));
        assert_eq!(outcome(harness.read(client, 100)), gives(b""));
        harness.close(client);
        harness.settle();
        assert!(harness.is_empty());
        assert!(harness.network.tuples.is_empty());
    }
}
