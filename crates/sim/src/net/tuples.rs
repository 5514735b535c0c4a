//! Ports that connected sockets occupy: a port may serve several connections, if their peers differ.
//!
//! # Invariants
//!
//! - A socket that closed first keeps its port for a minute (TIME-WAIT, RFC 9293 section 3.6.1).
//! - A socket that was reset, refused or timed out frees its port at once, even while its application holds it.
//!
//! # Not here
//!
//! Ports of listeners (`listen`), and which port a socket gets (`hosts`).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::connection::{Connection, Owner, State};
use super::link::SECOND;
use super::{HostId, Nanos, Network};

/// How long a port stays in TIME-WAIT (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Nanos = 60 * SECOND;

/// When a port in TIME-WAIT may connect over the loopback again (`tcp_tw_reuse` = 2, `tcp_tw_reuse_delay`).
const LOOPBACK_REUSE: Nanos = SECOND;

/// A host, its port, its address, and the peer.
pub(super) type Tuple = (HostId, u16, IpAddr, SocketAddr);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Connection(u32),
    TimeWait { since: Nanos },
}

/// The ports of all sockets that connected.
#[derive(Debug, Default)]
pub(super) struct Tuples {
    uses: BTreeMap<Tuple, Use>,
    /// The ports in TIME-WAIT, by when it ends.
    ending: VecDeque<(Nanos, Tuple)>,
}

/// The purpose of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Connect,
    Listen,
}

impl Tuples {
    pub(super) fn enter(&mut self, tuple: Tuple, connection: u32) {
        self.uses.insert(tuple, Use::Connection(connection));
    }

    /// Forgets a connection. Its port stays in TIME-WAIT if it entered that state at `time_wait`.
    pub(super) fn leave(&mut self, tuple: Tuple, connection: u32, time_wait: Option<Nanos>, now: Nanos) {
        while let Some(&(end, ended)) = self.ending.front().filter(|(end, _)| *end <= now) {
            self.ending.pop_front();
            if self.uses.get(&ended) == Some(&Use::TimeWait { since: end - TIME_WAIT }) {
                self.uses.remove(&ended);
            }
        }
        if self.uses.get(&tuple) != Some(&Use::Connection(connection)) {
            return;
        }
        match time_wait {
            None => drop(self.uses.remove(&tuple)),
            Some(since) => {
                self.uses.insert(tuple, Use::TimeWait { since });
                self.ending.push_back((since.saturating_add(TIME_WAIT), tuple));
            }
        }
    }

    /// Frees the ports of a machine that is gone.
    pub(super) fn vanish(&mut self, host: HostId) {
        self.uses.retain(|tuple, _| tuple.0 != host);
    }

    fn of_port(&self, host: HostId, port: u16) -> impl Iterator<Item = (&Tuple, &Use)> {
        let lowest = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let from = (host, port, lowest, SocketAddr::new(lowest, 0));
        self.uses.range(from..).take_while(move |(tuple, _)| (tuple.0, tuple.1) == (host, port))
    }

    /// Returns `true` if no connection occupies a port; TIME-WAIT does not count.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.uses.values().all(|used| matches!(used, Use::TimeWait { .. }))
    }
}

impl Network {
    /// Returns `true` if a socket that connected from this port prevents a listener.
    pub(super) fn connects_from(&self, now: Nanos, host: HostId, ip: IpAddr, port: u16) -> bool {
        let covers =
            |source: IpAddr| ip == source || ip.is_unspecified() && (ip.is_ipv6() || source.is_ipv4());
        let of_port = self.tuples.of_port(host, port).filter(|(tuple, _)| covers(tuple.2));
        of_port.into_iter().any(|(tuple, &used)| self.occupies(now, *tuple, used, Purpose::Listen))
    }

    /// Returns `true` if a socket cannot connect as `tuple`.
    pub(super) fn is_connected_as(&self, now: Nanos, tuple: Tuple) -> bool {
        let used = self.tuples.uses.get(&tuple);
        used.is_some_and(|&used| self.occupies(now, tuple, used, Purpose::Connect))
    }

    fn occupies(&self, now: Nanos, tuple: Tuple, used: Use, purpose: Purpose) -> bool {
        let until = match used {
            Use::TimeWait { since } => Some(since),
            Use::Connection(index) => match self.connections.get(index) {
                None => return false,
                Some(connection) => match connection.port_use(now) {
                    PortUse::Free => return false,
                    PortUse::Taken => None,
                    PortUse::TimeWait { since } => Some(since),
                },
            },
        };
        let (_, _, own, peer) = tuple;
        let reuses = purpose == Purpose::Connect && (own.is_loopback() || peer.ip().is_loopback());
        let lasts = if reuses { LOOPBACK_REUSE } else { TIME_WAIT };
        until.is_none_or(|since| now < since.saturating_add(lasts))
    }
}

/// What the client of a connection does with its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortUse {
    Free,
    Taken,
    TimeWait { since: Nanos },
}

impl Connection {
    /// The port that the client occupies.
    pub(super) fn tuple(&self) -> Option<Tuple> {
        let [client, server] = &self.ends;
        Some((client.host?, client.addr.port(), client.addr.ip(), server.addr))
    }

    /// When the client entered TIME-WAIT, if it has. A client that waits for the answer to its FIN enters it at the
    /// latest `now`, when nothing of the connection is left.
    pub(super) fn time_wait(&self, now: Nanos) -> Option<Nanos> {
        match self.ends[0].state {
            State::TimeWait => Some(self.ends[0].time_wait_since),
            State::Closing => Some(now),
            _ => None,
        }
    }

    fn port_use(&self, now: Nanos) -> PortUse {
        let client = &self.ends[0];
        match client.state {
            State::Closed => PortUse::Free,
            State::TimeWait => PortUse::TimeWait { since: client.time_wait_since },
            State::FinWait1 | State::FinWait2 if client.owner == Owner::Kernel => {
                let fin_acked = self.flows[0].fin_acked_at(now);
                let until = fin_acked.map_or(client.orphan_until, |at| at.saturating_add(TIME_WAIT));
                if until <= now { PortUse::Free } else { PortUse::Taken }
            }
            _ => PortUse::Taken,
        }
    }
}
