//! Drives a network by hand, for tests: two hosts, a clock that jumps from event to event, and short calls.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use wavetank_runtime::{ListenOptions, SocketOptions};

use super::faults::Way;
use super::*;

/// Answers latency questions and keeps the trace.
pub(super) struct Recorder {
    pub(super) pick: Box<dyn FnMut(u32) -> u32>,
    /// Losses to come, the next one last; then none.
    pub(super) losses: Vec<u32>,
    pub(super) events: Vec<NetEvent>,
    pub(super) chance: Box<dyn FnMut(Chance, u32) -> u32>,
    pub(super) datagrams: Vec<DatagramEvent>,
    pub(super) locals: Vec<LocalEvent>,
}

impl Outside for Recorder {
    fn pick_latency(&mut self, _: LinkId, bound: u32) -> u32 {
        (self.pick)(bound)
    }

    fn pick_losses(&mut self, _: LinkId, bound: u32, one_in: u32) -> u32 {
        assert!(one_in > 0);
        let losses = self.losses.pop().unwrap_or(0);
        assert!(losses < bound);
        losses
    }

    fn event(&mut self, event: NetEvent) {
        self.events.push(event);
    }

    fn pick_datagram(&mut self, _: LinkId, chance: Chance, bound: u32) -> u32 {
        (self.chance)(chance, bound)
    }

    fn datagram_event(&mut self, event: DatagramEvent) {
        self.datagrams.push(event);
    }

    fn local_event(&mut self, event: LocalEvent) {
        self.locals.push(event);
    }
}

pub(super) struct Harness {
    pub(super) network: Network,
    pub(super) outside: Recorder,
    pub(super) now: Nanos,
    pub(super) client: HostId,
    pub(super) server: HostId,
}

/// The latency of a segment between the hosts of a harness, unless a test says otherwise.
pub(super) const LATENCY: Nanos = 1_000_000;

pub(super) const SERVER_PORT: u16 = 80;

pub(super) fn fixed(latency: Duration) -> LatencyRange {
    LatencyRange { min: latency, max: latency }
}

impl Harness {
    pub(super) fn new() -> Self {
        let mut network = Network::new();
        let client = network.add_host("client").unwrap();
        let server = network.add_host("server").unwrap();
        network.set_latency(fixed(Duration::from_nanos(LATENCY)));
        let outside = Recorder {
            pick: Box::new(|_| 0),
            losses: Vec::new(),
            events: Vec::new(),
            chance: Box::new(|_, _| 0),
            datagrams: Vec::new(),
            locals: Vec::new(),
        };
        Self { network, outside, now: 0, client, server }
    }

    pub(super) fn server_addr(&self) -> SocketAddr {
        SocketAddr::new(self.network.host_ip(self.server), SERVER_PORT)
    }

    pub(super) fn listen(&mut self, options: ListenOptions) -> ListenerId {
        let addr = self.server_addr();
        self.network.listen(self.now, self.server, addr, options).unwrap()
    }

    pub(super) fn connect(&mut self) -> SocketId {
        self.connect_with(SocketOptions::new())
    }

    pub(super) fn connect_with(&mut self, options: SocketOptions) -> SocketId {
        let addr = self.server_addr();
        self.network.connect(self.now, &mut self.outside, self.client, addr, options).unwrap()
    }

    /// A connection with default buffers: the client's end and the server's.
    pub(super) fn connected() -> (Self, SocketId, SocketId) {
        Self::connected_with(SocketOptions::new(), SocketOptions::new())
    }

    pub(super) fn connected_with(client: SocketOptions, server: SocketOptions) -> (Self, SocketId, SocketId) {
        let mut harness = Self::new();
        let listener = harness.listen(ListenOptions::new().accepted(server));
        let near = harness.connect_with(client);
        harness.settle();
        assert!(matches!(harness.network.poll_connected(near), Poll::Ready(Ok(()))));
        let far = harness.accept(listener);
        harness.network.close_listener(harness.now, &mut harness.outside, listener);
        let _ = harness.network.take_ready();
        harness.outside.events.clear();
        (harness, near, far)
    }

    pub(super) fn accept(&mut self, listener: ListenerId) -> SocketId {
        match self.network.accept(listener) {
            Poll::Ready(Ok((socket, _))) => socket,
            other => panic!("a connection waits, not {other:?}"),
        }
    }

    /// Jumps to the next event and runs what is due. Returns whether there was one.
    pub(super) fn step(&mut self) -> bool {
        let Some(at) = self.network.next_event() else { return false };
        assert!(at >= self.now, "events are in the future");
        self.now = at;
        self.network.process(at, &mut self.outside);
        true
    }

    /// Runs until nothing more comes by itself.
    pub(super) fn settle(&mut self) {
        while self.step() {}
    }

    /// Runs all events of the next `duration` and lets it pass.
    pub(super) fn pass(&mut self, duration: Nanos) {
        let end = self.now + duration;
        while self.network.next_event().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
        self.network.process(end, &mut self.outside);
    }

    pub(super) fn write(&mut self, socket: SocketId, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.network.write(self.now, &mut self.outside, socket, bytes)
    }

    /// Writes what must fit.
    pub(super) fn send(&mut self, socket: SocketId, bytes: &[u8]) {
        match self.write(socket, bytes) {
            Poll::Ready(Ok(count)) => assert_eq!(count, bytes.len(), "the send buffer has room"),
            other => panic!("the socket takes bytes, not {other:?}"),
        }
    }

    pub(super) fn nodelay(&mut self, socket: SocketId) {
        self.network.set_nodelay(self.now, &mut self.outside, socket, true);
    }

    pub(super) fn read(&mut self, socket: SocketId, size: usize) -> Poll<io::Result<Vec<u8>>> {
        let mut buffer = vec![0; size];
        self.network.read(self.now, &mut self.outside, socket, &mut buffer).map_ok(|count| {
            buffer.truncate(count);
            buffer
        })
    }

    /// Reads what must be there.
    pub(super) fn receive(&mut self, socket: SocketId) -> Vec<u8> {
        match self.read(socket, 1 << 20) {
            Poll::Ready(Ok(bytes)) => bytes,
            other => panic!("there is something to read, not {other:?}"),
        }
    }

    pub(super) fn shutdown(&mut self, socket: SocketId, how: Shutdown) -> io::Result<()> {
        self.network.shutdown(self.now, &mut self.outside, socket, how)
    }

    pub(super) fn close(&mut self, socket: SocketId) {
        self.network.close(self.now, &mut self.outside, socket);
    }

    pub(super) fn abort(&mut self, socket: SocketId) {
        self.network.set_linger_zero(socket);
        self.close(socket);
    }

    /// Changes the link conditions between the two hosts, both ways.
    pub(super) fn conditions(&mut self, conditions: Conditions) {
        let link = LinkId { from: self.client, to: self.server };
        self.network.set_conditions(
            self.now,
            &mut self.outside,
            &[(link, conditions), (link.reverse(), conditions)],
        );
    }

    /// Changes the link conditions one way.
    pub(super) fn change_one_way(&mut self, from_client: bool, conditions: Conditions) {
        let link = LinkId { from: self.client, to: self.server };
        let link = if from_client { link } else { link.reverse() };
        self.network.set_conditions(self.now, &mut self.outside, &[(link, conditions)]);
    }

    pub(super) fn partition(&mut self, way: Way) {
        self.network.partition(self.now, &mut self.outside, self.client, self.server, way);
    }

    pub(super) fn partition_from_server(&mut self) {
        self.network.partition(self.now, &mut self.outside, self.server, self.client, Way::OneWay);
    }

    pub(super) fn heal(&mut self) {
        self.network.heal(self.now, &mut self.outside, self.client, self.server);
    }

    pub(super) fn ready(&mut self) -> Vec<Ready> {
        self.network.take_ready().collect()
    }

    /// The trace so far, described.
    pub(super) fn trace(&self) -> Vec<String> {
        self.outside.events.iter().map(|event| event.describe(&self.network)).collect()
    }

    /// Bytes that a writer can write before it has to wait.
    pub(super) fn fill(&mut self, socket: SocketId) -> usize {
        let mut total = 0;
        while let Poll::Ready(result) = self.write(socket, &[7; 4096]) {
            total += result.expect("the connection is open");
        }
        total
    }

    /// Nothing is left of any connection.
    pub(super) fn is_empty(&self) -> bool {
        self.network.connections.iter().next().is_none()
    }

    pub(super) fn loopback(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), SERVER_PORT)
    }
}

/// Draws link conditions: each kind has probability one half.
pub(super) fn any_conditions(rng: &mut rand_chacha::ChaCha8Rng) -> Conditions {
    let mut maybe = |value: u64| value * u64::from(crate::choice::below(rng, 2));
    Conditions {
        cut: maybe(1) * maybe(1) == 1,
        paused: maybe(1) == 1,
        delay: maybe(700_000_000),
        one_lost_in: maybe(4) as u32,
        bytes_per_second: maybe(20_000),
    }
}

/// A result in a form that tests can compare: what a read gave, or the kind of its error.
pub(super) fn outcome<T>(result: Poll<io::Result<T>>) -> Poll<Result<T, ErrorKind>> {
    result.map_err(|error| error.kind())
}

pub(super) fn fails<T>(kind: ErrorKind) -> Poll<Result<T, ErrorKind>> {
    Poll::Ready(Err(kind))
}

pub(super) fn gives(bytes: &[u8]) -> Poll<Result<Vec<u8>, ErrorKind>> {
    Poll::Ready(Ok(bytes.to_vec()))
}
