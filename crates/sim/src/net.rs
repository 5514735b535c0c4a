//! The simulated network: TCP between hosts as on Linux, without any I/O.
//!
//! Hosts have a name and an address. Their sockets exchange segments over links that take time and can break. Bytes are
//! counted, not packets. A message costs one event. An acknowledgement costs none unless the sender waits for it. The
//! network neither waits nor wakes: time is an argument, [`Network::next_event`] returns when it must be called again,
//! and [`Network::take_ready`] returns which calls to try again.
//!
//! The modules: [`connection`] is a connection's state, and [`flow`] is one direction of it. [`socket`] and [`listen`]
//! are the calls of applications. [`transmit`] sends, [`arrival`] receives, [`ack`] acknowledges. [`link`] is the way
//! between hosts, [`conditions`] its state, and [`faults`] changes it. [`hosts`] has names and addresses, [`udp`]
//! datagrams, [`local`] Unix sockets. [`event`] is the queue, and [`trace`] has the facts for the trace.
//!
//! # Invariants
//!
//! - The same calls and the same answers from [`Outside`] give the same network. Nothing here draws a random number.
//! - No call of an application or a fault driver panics. Assertions guard against bugs here.
//! - Applications see what they would see on Linux.
//!
//! # Not here
//!
//! Wakers and waiting (the scheduler), when faults happen, IPv6 beyond `::1`. Congestion control is not simulated: it
//! only shifts times, and latencies already do that. Nagle's algorithm is simulated while a fault delays
//! acknowledgements. Without a fault it delays a segment by a round trip at most.

mod ack;
mod arrival;
mod buffers;
#[cfg(test)]
mod chaos;
mod conditions;
mod connection;
mod event;
mod faults;
mod flow;
#[cfg(test)]
mod harness;
mod hosts;
mod link;
#[cfg(test)]
mod linux;
mod listen;
mod local;
mod object;
#[cfg(test)]
mod property;
mod socket;
mod trace;
mod transmit;
mod tuples;
mod udp;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use conditions::Conditions;
pub(crate) use link::{LatencyRange, LinkId};
pub(crate) use local::{LocalEvent, LocalId, LocalListenerId};
pub(crate) use trace::NetEvent;
pub(crate) use udp::{Chance, DatagramEvent, Fate, Fates, UdpId};

use connection::{Connection, Connections};
use event::EventQueue;
use hosts::Host;
use link::Links;
use listen::{Handshakes, Listeners};
use local::Local;
use tuples::Tuples;
use udp::Udp;

pub(crate) use crate::time::Nanos;

/// Linux's `tcp_retries2` = 15: a segment is tried for 924.6 s.
const USER_TIMEOUT: Nanos = 924_600_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostId(u32);

/// One end of a connection. Not used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SocketId(u64);

/// A listener. Not used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListenerId(u32);

impl HostId {
    /// The `index`-th host that was added.
    pub(crate) const fn new(index: usize) -> Self {
        Self(index as u32)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl ListenerId {
    /// The number of the listener among all of the run.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl SocketId {
    const fn new(connection: u32, side: usize) -> Self {
        Self((connection as u64) << 1 | side as u64)
    }

    const fn connection(self) -> u32 {
        (self.0 >> 1) as u32
    }

    const fn side(self) -> usize {
        (self.0 & 1) as usize
    }

    /// The number of the socket among all of the run.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a call into the network needs from outside.
pub(crate) trait Outside {
    /// Chooses one of `bound` latencies for a segment on `link`; 0 is the shortest.
    fn pick_latency(&mut self, link: LinkId, bound: u32) -> u32;

    /// Chooses how often in a row a segment on `link`, which loses one in `one_in`, is lost: less than `bound`; 0 is
    /// not at all.
    fn pick_losses(&mut self, link: LinkId, bound: u32, one_in: u32) -> u32;

    /// Takes a fact worth a line in the trace.
    fn event(&mut self, event: NetEvent);

    /// Chooses one of `bound` answers about a datagram on `link`; 0 is the default.
    fn pick_datagram(&mut self, link: LinkId, chance: Chance, bound: u32) -> u32;

    /// Takes a fact about a datagram.
    fn datagram_event(&mut self, event: DatagramEvent);

    /// Takes a fact about a Unix socket.
    fn local_event(&mut self, event: LocalEvent);
}

/// What a blocked call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    Connect,
    Read,
    Write,
}

impl Direction {
    pub(crate) const COUNT: usize = 3;
}

/// A call that may be worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ready {
    Socket(SocketId, Direction),
    Listener(ListenerId),
    Datagram(UdpId),
    Local(LocalId, Direction),
    LocalListener(LocalListenerId),
    /// The backlog of a listener may have room.
    LocalRoom(LocalListenerId),
}

/// What connections share.
#[derive(Debug)]
struct Wire {
    links: Links,
    queue: EventQueue,
    ready: Vec<Ready>,
    user_timeout: Nanos,
    /// The limit of every socket's buffers.
    buffer_bytes_max: u32,
    /// By listener.
    handshakes: BTreeMap<ListenerId, Handshakes>,
}

/// What a step of a connection works with.
struct Cx<'a> {
    now: Nanos,
    wire: &'a mut Wire,
    outside: &'a mut dyn Outside,
}

/// The simulated network of one run.
#[derive(Debug)]
pub(crate) struct Network {
    hosts: Vec<Host>,
    /// Names of hosts, in lower case.
    by_lower_name: BTreeMap<String, HostId>,
    connections: Connections,
    listeners: Listeners,
    udp: Udp,
    local: Local,
    /// Ports of sockets that connected.
    tuples: Tuples,
    wire: Wire,
    /// The latest time of any call.
    now: Nanos,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self {
            hosts: Vec::new(),
            by_lower_name: BTreeMap::new(),
            connections: Connections::default(),
            listeners: Listeners::default(),
            udp: Udp::default(),
            local: Local::default(),
            tuples: Tuples::default(),
            wire: Wire {
                links: Links::new(),
                queue: EventQueue::default(),
                ready: Vec::new(),
                user_timeout: USER_TIMEOUT,
                buffer_bytes_max: u32::MAX,
                handshakes: BTreeMap::new(),
            },
            now: 0,
        }
    }

    /// Sets the latency of all links without one of their own.
    pub(crate) fn set_latency(&mut self, range: LatencyRange) {
        self.wire.links.set_default_latency(range);
    }

    /// Sets the latency between two hosts, both ways, from the next segment on.
    pub(crate) fn set_link_latency(&mut self, a: HostId, b: HostId, range: LatencyRange) {
        let link = LinkId { from: a, to: b };
        self.wire.links.set_latency(link, range);
        self.wire.links.set_latency(link.reverse(), range);
    }

    /// Sets how long sent data may stay unacknowledged before its sender gives up (`TCP_USER_TIMEOUT`).
    ///
    /// # Defaults
    ///
    /// 924.6 s, as with Linux's 15 retransmissions.
    pub(crate) fn set_user_timeout(&mut self, timeout: Duration) {
        self.wire.user_timeout = link::nanos(timeout);
    }

    /// Limits the send and receive buffers of every socket from now on, whatever its options say.
    pub(crate) fn set_buffer_bytes_max(&mut self, bytes: u32) {
        self.wire.buffer_bytes_max = bytes;
    }

    /// Returns the time of the next event.
    #[inline]
    pub(crate) fn next_event(&mut self) -> Option<Nanos> {
        // Calls of applications since the last `process` can have left a cancelled event in front.
        self.drop_cancelled();
        let segment = self.wire.queue.peek().map(|event| event.at);
        match self.udp.next_arrival() {
            None => segment,
            Some(datagram) => Some(segment.map_or(datagram, |segment| segment.min(datagram))),
        }
    }

    /// Returns `true` if nothing is on its way that an application could ever notice.
    pub(crate) fn quiet(&self) -> bool {
        let segments = self.wire.queue.unordered().any(|event| {
            self.stands(event)
                && self
                    .connections
                    .get(event.socket.connection())
                    .is_some_and(Connection::concerns_application)
        });
        !segments && !self.datagrams_concern_application()
    }

    /// Returns `true` if [`take_ready`](Self::take_ready) has something to take.
    pub(crate) const fn has_ready(&self) -> bool {
        !self.wire.ready.is_empty()
    }

    /// Takes the calls that may be worth another try since the last take, each once, in the order of occurrence. Some
    /// are spurious, but none is missing.
    #[inline]
    pub(crate) fn take_ready(&mut self) -> std::vec::Drain<'_, Ready> {
        for ready in &self.wire.ready {
            match *ready {
                Ready::Socket(socket, direction) => {
                    if let Some(connection) = self.connections.get_mut(socket.connection()) {
                        connection.ends[socket.side()].reported[direction as usize] = false;
                    }
                }
                Ready::Listener(listener) => {
                    if let Some(listener) = self.listeners.get_mut(listener) {
                        listener.reported = false;
                    }
                }
                Ready::Datagram(socket) => self.udp.report_taken(socket),
                ready @ (Ready::Local(..) | Ready::LocalListener(_) | Ready::LocalRoom(_)) => {
                    self.local.report_taken(ready);
                }
            }
        }
        self.wire.ready.drain(..)
    }

    fn stands(&self, event: &event::Event) -> bool {
        self.connections
            .get(event.socket.connection())
            .is_some_and(|connection| connection.expects(event.socket.side(), event))
    }

    /// Drops cancelled events from the front of the queue.
    fn drop_cancelled(&mut self) {
        while self.wire.queue.peek().is_some_and(|event| !self.stands(event)) {
            self.wire.queue.pop();
        }
    }

    /// Runs one step of a socket's connection, if it exists, and forgets the connection if it has ended.
    fn with<R>(
        &mut self,
        socket: SocketId,
        now: Nanos,
        outside: &mut dyn Outside,
        step: impl FnOnce(&mut Connection, usize, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        self.now = self.now.max(now);
        let connection = self.connections.get_mut(socket.connection())?;
        let result = step(connection, socket.side(), &mut Cx { now, wire: &mut self.wire, outside });
        if connection.is_over() {
            self.forget(socket.connection());
        }
        Some(result)
    }

    fn forget(&mut self, index: u32) {
        if let Some(connection) = self.connections.get(index) {
            if let Some(tuple) = connection.tuple() {
                self.tuples.leave(tuple, index, connection.time_wait(self.now), self.now);
            }
            for host in connection.ends.iter().filter_map(|end| end.host) {
                self.hosts[host.index()].connections.remove(&index);
            }
            self.connections.remove(index);
        }
    }
}

#[cfg(test)]
impl Network {
    /// Asserts the invariants of everything.
    fn check(&self) {
        self.connections.iter().flat_map(|connection| &connection.flows).for_each(flow::Flow::check);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use wavetank_runtime::ListenOptions;

    use super::harness::Harness;
    use super::*;

    #[test]
    fn a_closed_socket_is_a_bad_descriptor() {
        let (mut harness, client, server) = Harness::connected();
        harness.close(client);
        harness.close(client);
        let bad = Some(libc::EBADF);
        let Poll::Ready(Err(error)) = harness.read(client, 9) else { panic!("closed") };
        assert_eq!(error.raw_os_error(), bad);
        let Poll::Ready(Err(error)) = harness.write(client, b"x") else { panic!("closed") };
        assert_eq!(error.raw_os_error(), bad);
        harness.settle();
        harness.close(server);
        harness.settle();
        assert!(harness.network.local_addr(client).is_err() && harness.network.peer_addr(client).is_err());
        harness.network.set_linger_zero(client);
    }

    #[test]
    fn ready_names_each_once() {
        let (mut harness, client, server) = Harness::connected();
        for _ in 0..3 {
            harness.send(client, b"x");
            harness.settle();
        }
        assert_eq!(harness.ready(), [Ready::Socket(server, Direction::Read)]);
        assert_eq!(harness.ready(), []);
        harness.send(client, b"x");
        harness.settle();
        assert_eq!(harness.ready(), [Ready::Socket(server, Direction::Read)]);
    }

    #[test]
    fn a_message_costs_one_event() {
        let (mut harness, client, server) = Harness::connected();
        for _ in 0..5000 {
            harness.send(client, &[1; 64]);
            assert!(harness.step());
            harness.receive(server);
            assert!(harness.network.next_event().is_none());
        }
    }

    #[test]
    fn closing_a_connecting_socket_leaves_nothing_behind() {
        let mut harness = Harness::new();
        let listener = harness.listen(ListenOptions::new());
        let client = harness.connect();
        harness.close(client);
        harness.settle();
        assert!(harness.network.accept(listener).is_pending());
        assert!(harness.is_empty());
    }
}
