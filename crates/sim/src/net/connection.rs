//! A connection: two ends and the two flows between them.
//!
//! # Invariants
//!
//! - End 0 is the client's, end 1 the server's; flow `n` carries what end `n` writes.
//! - An end without an owner is the kernel's: an orphan that still sends, or the rest of one.
//! - A connection exists until neither end has an owner and nothing of it is on its way.
//!
//! # Not here
//!
//! Sending (`transmit`), receiving (`arrival`), what applications call (`socket`).

use std::io;
use std::net::SocketAddr;

use super::conditions::Passage;
use super::event::{Due, Event, Token};
use super::flow::{Fin, Flow};
use super::link::{LinkId, Links, SECOND};
use super::trace::{NetEventKind, Path};
use super::{Cx, Direction, HostId, ListenerId, Nanos, NetEvent, Ready, SocketId};

/// How long an orphan waits for its peer's FIN (`tcp_fin_timeout`).
pub(super) const FIN_TIMEOUT: Nanos = 60 * SECOND;

/// How long an orphan retransmits without an answer: `tcp_orphan_retries` is 8, and 0.2 s · (2^9 - 1).
pub(super) const ORPHAN_TIMEOUT: Nanos = 102_200_000_000;

/// How long an orphan probes a closed window: until its timeout has doubled to 120 s (`tcp_probe_timer`).
pub(super) const ORPHAN_STALL_TIMEOUT: Nanos = 204_600_000_000;

/// The states of RFC 9293 section 3.3.2. LISTEN belongs to listeners.
///
/// ```text
///   client                                    server
///   SynSent ── SYN-ACK ──> Established <── ACK ── SynReceived
///                          │         │
///                  we send FIN     FIN comes
///                          v         v
///       ACK  ┌──────── FinWait1    CloseWait
///            v             │ FIN     │ we send FIN
///        FinWait2       Closing    LastAck
///            │ FIN         │ ACK     │ ACK
///            └─> TimeWait <┘         └───> Closed
/// ```
///
/// RST, a timeout and a refusal lead from every state to `Closed`. A state changes when the application acts or a
/// segment arrives. Acknowledgements are looked at lazily, so an end may be in `FinWait1`, `Closing` or `LastAck` a
/// little longer than in a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

impl State {
    /// The application can still write.
    pub(super) const fn sends(self) -> bool {
        matches!(self, Self::Established | Self::CloseWait)
    }

    /// The connection is gone for the application: Linux frees the socket's state in TIME-WAIT.
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::TimeWait | Self::Closed)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Kernel,
    /// Waits to be accepted.
    Listener,
    Application,
}

/// An error that a socket keeps until a call takes it: an `errno`.
pub(super) type Errno = i32;

#[derive(Debug)]
pub(super) struct End {
    /// `None`: no host has the address.
    pub(super) host: Option<HostId>,
    pub(super) addr: SocketAddr,
    pub(super) state: State,
    pub(super) owner: Owner,
    /// Linux's `sk_err`: the first call to see it takes it.
    pub(super) error: Option<Errno>,
    /// Linux's `SOCK_DONE`: the peer's FIN came. Later errors do not disturb the reader.
    pub(super) fin_seen: bool,
    pub(super) read_shut: bool,
    pub(super) linger_zero: bool,
    /// When an orphan stops waiting for its peer's FIN.
    pub(super) orphan_until: Nanos,
    /// When it entered TIME-WAIT, if it has.
    pub(super) time_wait_since: Nanos,
    pub(super) handshake_event: Option<Token>,
    /// Readiness that was reported and not yet taken, by [`Direction`].
    pub(super) reported: [bool; 3],
}

impl End {
    pub(super) const fn new(host: Option<HostId>, addr: SocketAddr, state: State, owner: Owner) -> Self {
        Self {
            host,
            addr,
            state,
            owner,
            error: None,
            fin_seen: false,
            read_shut: false,
            linger_zero: false,
            orphan_until: Nanos::MAX,
            time_wait_since: 0,
            handshake_event: None,
            reported: [false; 3],
        }
    }

    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take().map(io::Error::from_raw_os_error)
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) index: u32,
    pub(super) ends: [End; 2],
    pub(super) flows: [Flow; 2],
    /// The listener that the server's end belongs to, or belonged to when it was in its handshake.
    pub(super) listener: Option<ListenerId>,
    /// When the first SYN, and the first SYN-ACK, was sent.
    pub(super) handshake_began: [Nanos; 2],
    /// A device on the path has forgotten the connection: segments of this side are lost for good.
    pub(super) severed: [bool; 2],
    /// The server's half of the handshake is a SYN cookie: the listener keeps no state and sends nothing again.
    pub(super) is_cookie: bool,
    /// The server's end has IPv4 addresses mapped to IPv6, because its listener is at `::`.
    pub(super) is_mapped: bool,
    /// The socket connected to itself: both ends are the client's. It writes by end 0 and reads by end 1.
    pub(super) is_loop: bool,
}

impl Connection {
    pub(super) const fn socket(&self, side: usize) -> SocketId {
        SocketId::new(self.index, side)
    }

    /// The end by which the socket of `side` reads.
    pub(super) const fn reader(&self, side: usize) -> usize {
        if self.is_loop { 1 } else { side }
    }

    /// The link that segments of `side` take. `None` if no host has the peer's address.
    pub(super) fn link(&self, side: usize) -> Option<LinkId> {
        Some(LinkId { from: self.ends[side].host?, to: self.ends[1 - side].host? })
    }

    /// Returns what happens to a segment of `side` that is sent now.
    pub(super) fn passage(&self, side: usize, links: &Links) -> Passage {
        match self.link(side) {
            Some(link) if !self.severed[side] => links.passage(link),
            _ => Passage::Lost,
        }
    }

    /// Returns `true` if a segment of `side` that is sent now arrives without waiting for a fault to end.
    pub(super) fn passes(&self, side: usize, cx: &Cx<'_>) -> bool {
        self.passage(side, &cx.wire.links) == Passage::Open
    }

    /// Returns the least time that a segment of `side` takes.
    pub(super) fn min_latency(&self, side: usize, cx: &Cx<'_>) -> Nanos {
        self.link(side).map_or(0, |link| cx.wire.links.min_latency(link))
    }

    /// Returns `true` if `event` of `side` is still valid.
    pub(super) fn expects(&self, side: usize, event: &Event) -> bool {
        let kept = match event.due {
            Due::Segment => self.flows[side].line_event,
            Due::Ack => self.flows[side].ack_event,
            Due::ProbeSent | Due::Probe => self.flows[side].probe_event,
            Due::TailProbe => self.flows[side].tail_probe,
            Due::Retransmission => self.flows[side].retransmission_event,
            Due::Timeout => self.flows[side].timeout.map(|(_, token)| token),
            Due::Handshake | Due::HandshakeAck => self.ends[side].handshake_event,
        };
        kept == Some(event.token)
    }

    /// Returns `true` if an application can still see anything that comes.
    pub(super) fn concerns_application(&self) -> bool {
        self.ends[1].state == State::SynReceived || self.ends.iter().any(|end| end.owner != Owner::Kernel)
    }

    /// Returns `true` if nothing of the connection is left but memory.
    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(|end| end.owner == Owner::Kernel) && self.flows.iter().all(Flow::is_exhausted)
    }

    /// Reports that `side` may be ready.
    pub(super) fn report(&mut self, side: usize, direction: Direction, cx: &mut Cx<'_>) {
        // The socket of a loop has both ends.
        let side = if self.is_loop { 0 } else { side };
        let socket = self.socket(side);
        let end = &mut self.ends[side];
        if end.owner == Owner::Application && !end.reported[direction as usize] {
            end.reported[direction as usize] = true;
            cx.wire.ready.push(Ready::Socket(socket, direction));
        }
    }

    pub(super) fn report_all(&mut self, side: usize, cx: &mut Cx<'_>) {
        for direction in [Direction::Connect, Direction::Read, Direction::Write] {
            self.report(side, direction, cx);
        }
    }

    /// Adds an event to the trace that `side` caused.
    pub(super) fn trace_sent(&self, side: usize, what: NetEventKind, cx: &mut Cx<'_>) {
        self.trace(side, side, what, cx);
    }

    /// Adds an event to the trace about what arrived at `side`.
    pub(super) fn trace_received(&self, side: usize, what: NetEventKind, cx: &mut Cx<'_>) {
        self.trace(side, 1 - side, what, cx);
    }

    fn trace(&self, side: usize, from: usize, what: NetEventKind, cx: &mut Cx<'_>) {
        let (source, target) = (&self.ends[from], &self.ends[1 - from]);
        // Only a host sends; the end without one can be no source.
        let Some(host) = source.host else { return };
        let path = Path {
            socket: self.socket(side),
            from: host,
            from_port: source.addr.port(),
            to: target.host,
            to_port: target.addr.port(),
        };
        cx.outside.event(NetEvent { path, what });
    }

    /// Takes arrived acknowledgements of what `side` sent, and moves its state on if its FIN was among them.
    #[inline]
    pub(super) fn absorb_acks(&mut self, side: usize, now: Nanos) {
        if self.flows[side].acks.front().is_none_or(|ack| ack.at > now) {
            return;
        }
        let Some(at) = self.flows[side].absorb_acks(now) else { return };
        let end = &mut self.ends[side];
        end.state = match end.state {
            State::FinWait1 => {
                if end.owner == Owner::Kernel {
                    end.orphan_until = at.saturating_add(FIN_TIMEOUT);
                }
                State::FinWait2
            }
            State::Closing => {
                end.time_wait_since = at;
                State::TimeWait
            }
            State::LastAck => State::Closed,
            other => other,
        };
    }

    /// Ends `side` at once, without a segment to its peer. Its application gets `error`.
    pub(super) fn die(&mut self, side: usize, error: Option<Errno>, cx: &mut Cx<'_>) {
        let end = &mut self.ends[side];
        let was = std::mem::replace(&mut end.state, State::Closed);
        end.error = error.or(end.error);
        end.handshake_event = None;
        if was == State::SynReceived {
            self.end_handshake(cx);
        }
        self.flows[side].abandon();
        if self.ends[side].owner == Owner::Kernel {
            self.flows[1 - side].discard_readable();
        }
        self.report_all(side, cx);
        self.lose_receiver(1 - side, cx);
    }

    /// Starts the FIN that follows the last byte of `side`.
    pub(super) fn queue_fin(&mut self, side: usize, cx: &mut Cx<'_>) {
        assert_eq!(self.flows[side].fin, Fin::No, "a direction ends once");
        self.flows[side].fin = Fin::Queued;
        self.send_more(side, cx);
    }
}

/// All connections of a network, by number. Numbers are not used twice.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Option<Box<Connection>>>,
    /// The ends of each connection, for traces. Kept after it is gone.
    places: Vec<[Place; 2]>,
}

/// A host, `None` if no host has the address, and a port.
pub(super) type Place = (Option<HostId>, u16);

impl Connections {
    /// The number of the next connection.
    pub(super) fn next_index(&self) -> u32 {
        u32::try_from(self.slots.len()).expect("fewer than 2^32 connections")
    }

    pub(super) fn push(&mut self, connection: Connection) {
        assert_eq!(connection.index, self.next_index(), "connections are stored in order");
        self.places.push([0, 1].map(|side| (connection.ends[side].host, connection.ends[side].addr.port())));
        self.slots.push(Some(Box::new(connection)));
    }

    /// The ends of a connection: the client's place and the server's.
    pub(super) fn places(&self, index: u32) -> Option<[Place; 2]> {
        self.places.get(index as usize).copied()
    }

    pub(super) fn get(&self, index: u32) -> Option<&Connection> {
        self.slots.get(index as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Connection> {
        self.slots.get_mut(index as usize)?.as_deref_mut()
    }

    pub(super) fn remove(&mut self, index: u32) {
        self.slots[index as usize] = None;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().flatten().map(|connection| &**connection)
    }

    /// Returns the numbers of the connections that exist now.
    pub(super) fn indices(&self) -> Vec<u32> {
        self.iter().map(|connection| connection.index).collect()
    }
}
