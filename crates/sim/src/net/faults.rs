//! Faults: what a fault driver does to links, hosts and connections.
//!
//! # Invariants
//!
//! - A fault does not end by itself; what a fault delayed goes on with the retransmission after it ended.
//! - A host always reaches itself.
//!
//! # Not here
//!
//! Which fault happens when: that is the driver's choice.

use super::connection::{Connection, Owner};
use super::link::LinkId;
use super::{Cx, HostId, Nanos, NetEvent, Network, Outside, SocketId};

/// Which ways a partition cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Both,
    /// From the first host to the second only.
    OneWay,
}

impl Network {
    /// Cuts the links between two hosts. What is on its way is lost, what is sent from now on too.
    pub(crate) fn partition(&mut self, now: Nanos, out: &mut dyn Outside, a: HostId, b: HostId, way: Way) {
        out.event(NetEvent::Partitioned { a, b, way });
        let link = LinkId { from: a, to: b };
        let cut = match way {
            Way::Both => vec![link, link.reverse()],
            Way::OneWay => vec![link],
        };
        self.change_links(now, out, |network| {
            for &link in &cut {
                network.wire.links.set_partitioned(link, true);
            }
        });
    }

    /// Mends both links between two hosts.
    pub(crate) fn heal(&mut self, now: Nanos, out: &mut dyn Outside, a: HostId, b: HostId) {
        out.event(NetEvent::Healed { a, b });
        let link = LinkId { from: a, to: b };
        self.change_links(now, out, |network| {
            network.wire.links.set_partitioned(link, false);
            network.wire.links.set_partitioned(link.reverse(), false);
        });
    }

    /// Silences a host: its kernel neither sends nor receives, while its applications go on.
    pub(crate) fn silence(&mut self, now: Nanos, out: &mut dyn Outside, host: HostId) {
        out.event(NetEvent::Silenced { host });
        self.change_links(now, out, |network| network.wire.links.set_silent(host, true));
    }

    /// Ends [`silence`](Self::silence).
    pub(crate) fn unsilence(&mut self, now: Nanos, out: &mut dyn Outside, host: HostId) {
        out.event(NetEvent::Unsilenced { host });
        self.change_links(now, out, |network| network.wire.links.set_silent(host, false));
    }

    /// Both ends of every connection between two hosts receive a RST, as from a middlebox.
    pub(crate) fn reset_connections(&mut self, now: Nanos, out: &mut dyn Outside, a: HostId, b: HostId) {
        out.event(NetEvent::ConnectionsReset { a, b });
        self.for_each(now, out, |connection, cx| {
            if connection.is_between(a, b) {
                for side in [0, 1] {
                    connection.reset_arrives(side, cx);
                    connection.flows[side].lose_line();
                }
            }
        });
    }

    /// The host's machine is gone with all its sockets and listeners; nobody is told. Segments that still come are
    /// lost if the host is silent, and answered with RST if it is not. What its applications still hold is dead.
    pub(crate) fn vanish(&mut self, now: Nanos, out: &mut dyn Outside, host: HostId) {
        out.event(NetEvent::Vanished { host });
        for listener in self.listeners.of_host(host) {
            self.forget_listener(listener);
        }
        self.for_each(now, out, |connection, cx| {
            for side in [0, 1] {
                if connection.ends[side].host == Some(host) {
                    connection.die(side, None, cx);
                    connection.flows[side].lose_line();
                    if connection.ends[side].owner == Owner::Listener {
                        connection.ends[side].owner = Owner::Nobody;
                    }
                    if side == 1 {
                        connection.listener = None;
                    }
                }
            }
        });
    }

    /// Changes links, then makes every connection notice whether its segments still pass, or pass again.
    fn change_links(&mut self, now: Nanos, out: &mut dyn Outside, change: impl FnOnce(&mut Self)) {
        let passes = |network: &Self| -> Vec<[bool; 2]> {
            network
                .connections
                .iter()
                .map(|connection| [0, 1].map(|side| network.passes(connection, side)))
                .collect()
        };
        let before = passes(self);
        change(self);
        let after = passes(self);
        let mut changes = before.into_iter().zip(after);
        self.for_each(now, out, |connection, cx| {
            let (before, after) = changes.next().expect("one entry a connection");
            connection.notice(before, after, cx);
        });
        self.drop_cancelled();
    }

    fn passes(&self, connection: &Connection, side: usize) -> bool {
        connection.link(side).is_some_and(|link| self.wire.links.passes(link))
    }

    fn for_each(
        &mut self,
        now: Nanos,
        out: &mut dyn Outside,
        mut visit: impl FnMut(&mut Connection, &mut Cx<'_>),
    ) {
        for index in self.connections.indices() {
            self.with(SocketId::new(index, 0), now, out, |connection, _, cx| visit(connection, cx));
        }
        self.drop_cancelled();
    }
}

impl Connection {
    fn is_between(&self, a: HostId, b: HostId) -> bool {
        let hosts = [self.ends[0].host, self.ends[1].host];
        hosts == [Some(a), Some(b)] || hosts == [Some(b), Some(a)]
    }

    /// The links changed: which sides' segments passed before, and pass now.
    fn notice(&mut self, before: [bool; 2], after: [bool; 2], cx: &mut Cx<'_>) {
        for side in [0, 1] {
            if before[side] && !after[side] {
                self.hold(side, cx);
                self.miss_acks(1 - side, cx);
                if self.flows[side].is_stalled() {
                    self.miss_acks(side, cx);
                }
            }
        }
        for side in [0, 1] {
            if !before[side] && after[side] && self.flows[side].held {
                self.resume(side, cx.now, cx);
            }
        }
        if before != after && after == [true, true] {
            self.recover_ack(0, cx);
            self.recover_ack(1, cx);
        }
    }
}
