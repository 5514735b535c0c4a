//! Faults: what a fault driver does to links, hosts and connections.
//!
//! # Invariants
//!
//! - A fault does not end by itself. A segment that a fault delayed arrives with the retransmission after it ended.
//! - A host always reaches itself.
//!
//! # Not here
//!
//! Which fault happens when: that is the driver's choice.

use super::conditions::{Conditions, Passage};
use super::connection::{Connection, Owner, State};
use super::link::LinkId;
use super::{Cx, HostId, Nanos, Network, Outside, SocketId};

impl Network {
    /// Changes the conditions of links, all at once.
    #[cfg(test)]
    pub(crate) fn set_conditions(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        links: &[(LinkId, Conditions)],
    ) {
        self.change_links(now, outside, |network| {
            for &(link, conditions) in links {
                network.wire.links.set_conditions(link, conditions);
            }
        });
    }

    /// Changes the conditions of all links, all at once. Links that are not named get the default conditions.
    pub(crate) fn set_all_conditions(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        links: &[(LinkId, Conditions)],
    ) {
        let named = links.iter().map(|(link, _)| *link).collect();
        self.change_links(now, outside, |network| {
            network.wire.links.reset_conditions_but(&named);
            for &(link, conditions) in links {
                network.wire.links.set_conditions(link, conditions);
            }
        });
    }

    /// Silences a host: its kernel neither sends nor receives, while its applications go on.
    pub(crate) fn silence(&mut self, now: Nanos, outside: &mut dyn Outside, host: HostId) {
        self.change_links(now, outside, |network| network.wire.links.set_silent(host, true));
    }

    /// Ends [`silence`](Self::silence).
    pub(crate) fn unsilence(&mut self, now: Nanos, outside: &mut dyn Outside, host: HostId) {
        self.change_links(now, outside, |network| network.wire.links.set_silent(host, false));
    }

    /// Sends a RST to both ends of every connection between two hosts, as a middlebox might.
    pub(crate) fn reset_connections(&mut self, now: Nanos, outside: &mut dyn Outside, a: HostId, b: HostId) {
        self.for_each(now, outside, |connection, cx| {
            if connection.is_between(a, b) {
                for side in [0, 1] {
                    connection.reset_arrives(side, cx);
                    connection.flows[side].drop_line();
                }
            }
        });
    }

    /// Removes the host's machine with all its sockets and listeners, without a segment to its peers. Segments that
    /// still arrive are lost if the host is silent, and otherwise answered with RST. Sockets that its applications
    /// still own are dead.
    pub(crate) fn vanish(&mut self, now: Nanos, outside: &mut dyn Outside, host: HostId) {
        for listener in self.listeners.of_host(host) {
            self.forget_listener(listener);
        }
        self.tuples.vanish(host);
        self.udp_vanish(host);
        self.local_vanish(outside, host);
        self.for_each(now, outside, |connection, cx| {
            for side in [0, 1] {
                if connection.ends[side].host == Some(host) {
                    connection.die(side, None, cx);
                    connection.flows[side].drop_line();
                    if connection.ends[side].owner == Owner::Listener {
                        connection.ends[side].owner = Owner::Kernel;
                    }
                    if side == 1 {
                        connection.listener = None;
                    }
                }
            }
        });
    }

    /// Kills the host's process. Its kernel closes what it had open: with RST if something was not yet read, otherwise
    /// with FIN. Sockets that its applications still own are dead.
    pub(crate) fn kill(&mut self, now: Nanos, outside: &mut dyn Outside, host: HostId) {
        for listener in self.listeners.of_host(host) {
            self.close_listener(now, outside, listener);
        }
        for (socket, _) in self.open_sockets(host) {
            self.close(now, outside, socket);
        }
        self.udp_vanish(host);
        self.local_vanish(outside, host);
        self.drop_cancelled();
    }

    /// Forgets a connection between two hosts, as a device on the path might. From now on segments from `a` to `b` are
    /// lost if `from_a`, and those from `b` to `a` if `from_b`, for good and without a sign. `index` selects one of
    /// several connections, the youngest first, modulo their number. Returns its ends, or `None` if there is no
    /// connection.
    pub(crate) fn sever(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        [a, b]: [HostId; 2],
        [from_a, from_b]: [bool; 2],
        index: usize,
    ) -> Option<String> {
        let between = |connection: &&Connection| {
            connection.is_between(a, b)
                && connection.ends.iter().any(|end| end.owner == Owner::Application)
                && connection.ends[0].state != State::Closed
        };
        let found: Vec<u32> =
            self.connections.iter().filter(between).map(|connection| connection.index).collect();
        let chosen = *found.get(found.len().checked_sub(1 + index % found.len().max(1))?)?;
        let connection = self.connections.get(chosen)?;
        let described = self.describe_socket(connection, 0);
        self.change_links(now, outside, |network| {
            if let Some(connection) = network.connections.get_mut(chosen) {
                let client_is_a = connection.ends[0].host == Some(a);
                let cut = if client_is_a { [from_a, from_b] } else { [from_b, from_a] };
                connection.severed = [0, 1].map(|side| connection.severed[side] || cut[side]);
            }
        });
        Some(described)
    }

    /// Changes links, then makes every connection notice what its segments now meet.
    fn change_links(&mut self, now: Nanos, outside: &mut dyn Outside, change: impl FnOnce(&mut Self)) {
        let passages = |network: &Self| -> Vec<[Passage; 2]> {
            let passage =
                |connection: &Connection| [0, 1].map(|side| connection.passage(side, &network.wire.links));
            network.connections.iter().map(passage).collect()
        };
        let before = passages(self);
        change(self);
        let after = passages(self);
        let mut changes = before.into_iter().zip(after);
        self.for_each(now, outside, |connection, cx| {
            let (before, after) = changes.next().expect("one entry a connection");
            connection.notice(before, after, cx);
        });
        self.datagrams_meet_the_links(now, outside);
        self.drop_cancelled();
    }

    fn for_each(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        mut visit: impl FnMut(&mut Connection, &mut Cx<'_>),
    ) {
        for index in self.connections.indices() {
            self.with(SocketId::new(index, 0), now, outside, |connection, _, cx| visit(connection, cx));
        }
        self.drop_cancelled();
    }
}

impl Connection {
    fn is_between(&self, a: HostId, b: HostId) -> bool {
        let hosts = [self.ends[0].host, self.ends[1].host];
        hosts == [Some(a), Some(b)] || hosts == [Some(b), Some(a)]
    }

    /// Applies the present conditions of the links to a new connection.
    pub(super) fn meet_links(&mut self, cx: &mut Cx<'_>) {
        for side in [0, 1] {
            let paused = self.passage(side, &cx.wire.links) == Passage::Paused;
            self.flows[side].paused = paused;
            self.flows[1 - side].acks_paused = paused;
        }
    }

    /// Applies a change of the links: what happened to each side's segments before, and what happens now.
    fn notice(&mut self, before: [Passage; 2], after: [Passage; 2], cx: &mut Cx<'_>) {
        for side in [0, 1] {
            if before[side] != Passage::Lost && after[side] == Passage::Lost {
                self.cut(side, cx);
            }
        }
        for side in [0, 1] {
            match (before[side], after[side]) {
                (Passage::Paused, Passage::Open) => self.resume(side, cx),
                (Passage::Open | Passage::Lost, Passage::Paused) => self.pause(side, cx),
                _ => {}
            }
            if before[side] == Passage::Lost && after[side] != Passage::Lost && self.flows[side].lost {
                self.retry_lost(side, cx.now, cx);
            }
        }
        if before != after && after == [Passage::Open; 2] {
            self.recover_ack(0, cx);
            self.recover_ack(1, cx);
        }
    }

    /// Loses the segments of `side` and the acknowledgements that go the same way.
    fn cut(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.flows[side].paused = false;
        self.lose_line(side, cx);
        // Paused acknowledgements have not arrived. They are lost before the pause ends.
        self.miss_acks(1 - side, cx);
        self.flows[1 - side].acks_paused = false;
        self.watch(1 - side, cx);
        if self.flows[side].is_stalled() {
            self.miss_acks(side, cx);
        }
    }
}

/// Which ways a partition cuts.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Both,
    /// From the first host to the second only.
    OneWay,
}

/// The faults of the tests, by name.
#[cfg(test)]
impl Network {
    /// Cuts the links between two hosts. Segments on their way are lost, and those sent from now on too.
    pub(super) fn partition(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        a: HostId,
        b: HostId,
        way: Way,
    ) {
        let link = LinkId { from: a, to: b };
        let cut = Conditions { cut: true, ..Conditions::default() };
        match way {
            Way::Both => self.set_conditions(now, outside, &[(link, cut), (link.reverse(), cut)]),
            Way::OneWay => self.set_conditions(now, outside, &[(link, cut)]),
        }
    }

    /// Restores both links between two hosts.
    pub(super) fn heal(&mut self, now: Nanos, outside: &mut dyn Outside, a: HostId, b: HostId) {
        let link = LinkId { from: a, to: b };
        self.set_conditions(
            now,
            outside,
            &[(link, Conditions::default()), (link.reverse(), Conditions::default())],
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::*;
    use std::task::Poll;

    use wavetank_runtime::ListenOptions;

    use super::super::harness::{Harness, LATENCY, fails, gives, outcome};
    use super::super::link::SECOND;
    use super::*;

    #[test]
    fn a_one_way_partition_passes_the_other_way() {
        let (mut harness, client, server) = Harness::connected();
        harness.partition(Way::OneWay);
        harness.send(client, b"lost");
        harness.send(server, b"passes");
        harness.pass(LATENCY);
        assert_eq!(outcome(harness.read(client, 9)), gives(b"passes"));
        harness.pass(SECOND);
        assert!(harness.read(server, 9).is_pending());
    }

    #[test]
    fn a_syn_lost_in_a_partition_is_retried() {
        for (healed_after, connected_after) in [(0, 1), (2, 3), (4, 5), (40, 67)] {
            let mut harness = Harness::new();
            harness.listen(ListenOptions::new());
            harness.partition(Way::Both);
            let client = harness.connect();
            harness.pass(healed_after * SECOND);
            harness.heal();
            harness.settle();
            assert_eq!(harness.now / SECOND, connected_after);
            assert_eq!(outcome(harness.network.poll_connected(client)), Poll::Ready(Ok(())));
        }
        for from_client in [true, false] {
            let mut harness = Harness::new();
            harness.listen(ListenOptions::new());
            if from_client {
                harness.partition(Way::OneWay)
            } else {
                harness.partition_from_server()
            }
            let client = harness.connect();
            harness.pass(130 * SECOND);
            assert!(harness.network.poll_connected(client).is_pending());
            harness.settle();
            assert_eq!(outcome(harness.network.poll_connected(client)), fails(TimedOut));
            assert_eq!(harness.now, 131 * SECOND);
            harness.close(client);
            harness.settle();
            assert!(harness.is_empty());
        }
    }

    #[test]
    fn a_lost_handshake_ack_completes_after_healing() {
        let mut harness = Harness::new();
        let listener = harness.listen(ListenOptions::new());
        let client = harness.connect();
        harness.pass(2 * LATENCY + LATENCY / 2);
        assert_eq!(outcome(harness.network.poll_connected(client)), Poll::Ready(Ok(())));
        harness.partition(Way::Both);
        harness.pass(2 * SECOND);
        assert!(harness.network.accept(listener).is_pending());
        harness.heal();
        harness.settle();
        let server = harness.accept(listener);
        assert_eq!(harness.now / SECOND, 3);
        harness.send(client, b"here");
        harness.settle();
        assert_eq!(outcome(harness.read(server, 9)), gives(b"here"));
    }

    #[test]
    fn a_lost_syn_ack_is_sent_again() {
        let mut harness = Harness::new();
        harness.listen(ListenOptions::new());
        let client = harness.connect();
        harness.pass(LATENCY + LATENCY / 2);
        harness.partition_from_server();
        harness.heal();
        harness.partition(Way::OneWay);
        harness.pass(SECOND + 2 * LATENCY);
        assert_eq!(outcome(harness.network.poll_connected(client)), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_lost_or_paused_refusal_is_requested_again() {
        let unreachable: [fn(&mut Harness); 2] = [Harness::partition_from_server, |harness| {
            harness.change_one_way(false, Conditions { paused: true, ..Conditions::default() })
        }];
        for cut in unreachable {
            for healed_after in [2, 1000] {
                let mut harness = Harness::new();
                cut(&mut harness);
                let client = harness.connect();
                harness.pass(healed_after * SECOND);
                let before = outcome(harness.network.poll_connected(client));
                harness.heal();
                harness.conditions(Conditions::default());
                harness.settle();
                if healed_after < 131 {
                    assert_eq!(before, Poll::Pending);
                    assert_eq!(outcome(harness.network.poll_connected(client)), fails(ConnectionRefused));
                } else {
                    assert_eq!(before, fails(TimedOut));
                }
                harness.close(client);
                harness.settle();
                assert!(harness.is_empty());
            }
        }
    }

    #[test]
    fn a_partition_loses_a_reset_with_its_data() {
        let (mut harness, client, server) = Harness::connected();
        harness.send(client, b"in flight");
        harness.abort(client);
        harness.partition(Way::OneWay);
        harness.heal();
        harness.settle();
        assert!(harness.read(server, 9).is_pending());
        assert!(harness.network.next_event().is_none());
    }

    #[test]
    fn a_reset_sent_in_a_partition_is_lost() {
        let (mut harness, client, server) = Harness::connected();
        harness.send(client, b"in flight");
        harness.partition(Way::Both);
        harness.abort(client);
        harness.heal();
        harness.settle();
        assert!(harness.read(server, 9).is_pending());
        assert!(harness.network.quiet());
        harness.send(server, b"anyone?");
        harness.settle();
        assert_eq!(outcome(harness.read(server, 9)), fails(ConnectionReset));
    }

    #[test]
    fn an_orphan_delivers_its_bytes_after_a_partition() {
        let (mut harness, client, server) = Harness::connected();
        harness.partition(Way::Both);
        harness.send(client, b"last words");
        harness.close(client);
        harness.pass(50 * SECOND);
        harness.heal();
        harness.settle();
        assert_eq!(outcome(harness.read(server, 99)), gives(b"last words"));
        assert_eq!(outcome(harness.read(server, 99)), gives(b""));
        harness.close(server);
        harness.settle();
        assert!(harness.is_empty());
    }

    #[test]
    fn injected_resets_hit_both_ends() {
        let (mut harness, client, server) = Harness::connected();
        harness.send(client, b"read");
        harness.settle();
        harness.send(client, b"cut");
        harness.network.reset_connections(harness.now, &mut harness.outside, harness.server, harness.client);
        harness.settle();
        assert_eq!(outcome(harness.read(server, 9)), gives(b"read"));
        assert_eq!(outcome(harness.read(server, 9)), fails(ConnectionReset));
        assert_eq!(outcome(harness.read(client, 9)), fails(ConnectionReset));
        harness.close(client);
        harness.close(server);
        assert!(harness.is_empty());
    }

    #[test]
    fn ending_silence_delivers_everything_sent_during_it() {
        let (mut harness, client, server) = Harness::connected();
        harness.network.silence(harness.now, &mut harness.outside, harness.server);
        harness.send(client, b"question");
        harness.send(server, b"answer");
        harness.close(server);
        harness.pass(SECOND);
        assert!(harness.read(client, 9).is_pending());
        harness.network.unsilence(harness.now, &mut harness.outside, harness.server);
        harness.settle();
        assert_eq!(outcome(harness.read(client, 9)), gives(b"answer"));
        assert_eq!(outcome(harness.read(client, 9)), gives(b""));
        assert_eq!(
            outcome(harness.write(client, b"x")),
            fails(BrokenPipe),
            "its question met a closed socket"
        );
    }

    #[test]
    fn a_silent_host_still_reaches_itself() {
        let mut harness = Harness::new();
        let listener = harness
            .network
            .listen(harness.now, harness.server, harness.loopback(), ListenOptions::new())
            .unwrap();
        harness.network.silence(0, &mut harness.outside, harness.server);
        harness.network.partition(0, &mut harness.outside, harness.server, harness.server, Way::Both);
        let target = harness.loopback();
        harness.network.connect(0, &mut harness.outside, harness.server, target, Default::default()).unwrap();
        harness.settle();
        harness.accept(listener);
        assert!(harness.now < LATENCY);
    }

    #[test]
    fn a_host_that_vanished_and_returned_answers_resets() {
        let mut harness = Harness::new();
        let listener = harness.listen(ListenOptions::new());
        let client = harness.connect();
        let queued = harness.connect();
        harness.settle();
        let server = harness.accept(listener);
        harness.send(server, b"gone with the machine");
        harness.network.silence(harness.now, &mut harness.outside, harness.server);
        harness.network.vanish(harness.now, &mut harness.outside, harness.server);
        harness.close(server);
        assert!(harness.network.open_sockets(harness.server).is_empty());
        harness.send(client, b"hello?");
        harness.pass(5 * SECOND);
        assert!(harness.read(client, 9).is_pending());
        harness.network.unsilence(harness.now, &mut harness.outside, harness.server);
        harness.listen(ListenOptions::new());
        harness.settle();
        assert_eq!(outcome(harness.read(client, 9)), fails(ConnectionReset));
        assert!(harness.read(queued, 9).is_pending(), "nothing was sent, nothing was answered");
        harness.send(queued, b"hello?");
        harness.settle();
        assert_eq!(outcome(harness.read(queued, 9)), fails(ConnectionReset));
    }
}
