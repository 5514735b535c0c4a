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

use super::connection::{Connection, Owner, State};
use super::link::LinkId;
use super::weather::{Road, Weather};
use super::{Cx, HostId, Nanos, Network, Outside, SocketId};

impl Network {
    /// Changes what links are like, all at once.
    pub(crate) fn set_weather(&mut self, now: Nanos, out: &mut dyn Outside, links: &[(LinkId, Weather)]) {
        self.change_links(now, out, |network| {
            for &(link, weather) in links {
                network.wire.links.set_weather(link, weather);
            }
        });
    }

    /// Silences a host: its kernel neither sends nor receives, while its applications go on.
    pub(crate) fn silence(&mut self, now: Nanos, out: &mut dyn Outside, host: HostId) {
        self.change_links(now, out, |network| network.wire.links.set_silent(host, true));
    }

    /// Ends [`silence`](Self::silence).
    pub(crate) fn unsilence(&mut self, now: Nanos, out: &mut dyn Outside, host: HostId) {
        self.change_links(now, out, |network| network.wire.links.set_silent(host, false));
    }

    /// Both ends of every connection between two hosts receive a RST, as from a middlebox.
    pub(crate) fn reset_connections(&mut self, now: Nanos, out: &mut dyn Outside, a: HostId, b: HostId) {
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
        for listener in self.listeners.of_host(host) {
            self.forget_listener(listener);
        }
        self.udp_vanish(host);
        self.local_vanish(out, host);
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

    /// The host's process is killed: its kernel closes what it had open, with RST where something was not yet read and
    /// with FIN elsewhere. What its applications still hold is dead.
    pub(crate) fn kill(&mut self, now: Nanos, out: &mut dyn Outside, host: HostId) {
        for listener in self.listeners.of_host(host) {
            self.close_listener(now, out, listener);
        }
        for (socket, _) in self.open_sockets(host) {
            self.close(now, out, socket);
        }
        self.udp_vanish(host);
        self.local_vanish(out, host);
        self.drop_cancelled();
    }

    /// Something on the way forgets a connection between two hosts: from now on segments from `a` to `b` are lost if
    /// `from_a`, and those from `b` to `a` if `from_b`, for good. Nobody is told. Of several connections the `index`-th,
    /// the youngest first, is meant, counted round. Returns what it was between; `None` if there is no connection.
    pub(crate) fn sever(
        &mut self,
        now: Nanos,
        out: &mut dyn Outside,
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
        self.change_links(now, out, |network| {
            if let Some(connection) = network.connections.get_mut(chosen) {
                let client_is_a = connection.ends[0].host == Some(a);
                let cut = if client_is_a { [from_a, from_b] } else { [from_b, from_a] };
                connection.severed = [0, 1].map(|side| connection.severed[side] || cut[side]);
            }
        });
        Some(described)
    }

    /// Changes links, then makes every connection notice what its segments now meet.
    fn change_links(&mut self, now: Nanos, out: &mut dyn Outside, change: impl FnOnce(&mut Self)) {
        let roads = |network: &Self| -> Vec<[Road; 2]> {
            let road =
                |connection: &Connection| [0, 1].map(|side| connection.road(side, &network.wire.links));
            network.connections.iter().map(road).collect()
        };
        let before = roads(self);
        change(self);
        let after = roads(self);
        let mut changes = before.into_iter().zip(after);
        self.for_each(now, out, |connection, cx| {
            let (before, after) = changes.next().expect("one entry a connection");
            connection.notice(before, after, cx);
        });
        self.datagrams_meet_the_links(now, out);
        self.drop_cancelled();
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

    /// A new connection meets the links as they are.
    pub(super) fn enter_weather(&mut self, cx: &mut Cx<'_>) {
        for side in [0, 1] {
            let held = self.road(side, &cx.wire.links) == Road::Held;
            self.flows[side].stopped = held;
            self.flows[1 - side].acks_stopped = held;
        }
    }

    /// The links changed: what each side's segments met before, and meet now.
    fn notice(&mut self, before: [Road; 2], after: [Road; 2], cx: &mut Cx<'_>) {
        for side in [0, 1] {
            if before[side] != Road::Cut && after[side] == Road::Cut {
                self.cut(side, cx);
            }
        }
        for side in [0, 1] {
            match (before[side], after[side]) {
                (Road::Held, Road::Open) => self.release(side, cx),
                (Road::Open | Road::Cut, Road::Held) => self.stop(side, cx),
                _ => {}
            }
            if before[side] == Road::Cut && after[side] != Road::Cut && self.flows[side].held {
                self.resume(side, cx.now, cx);
            }
        }
        if before != after && after == [Road::Open; 2] {
            self.recover_ack(0, cx);
            self.recover_ack(1, cx);
        }
    }

    /// Loses the segments of `side` and the acknowledgements that go the same way.
    fn cut(&mut self, side: usize, cx: &mut Cx<'_>) {
        self.flows[side].stopped = false;
        self.hold(side, cx);
        // Those that were stopped have not come: they are lost before the stop is lifted.
        self.miss_acks(1 - side, cx);
        self.flows[1 - side].acks_stopped = false;
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
    /// Cuts the links between two hosts. What is on its way is lost, what is sent from now on too.
    pub(super) fn partition(&mut self, now: Nanos, out: &mut dyn Outside, a: HostId, b: HostId, way: Way) {
        let link = LinkId { from: a, to: b };
        let cut = Weather { cut: true, ..Weather::default() };
        match way {
            Way::Both => self.set_weather(now, out, &[(link, cut), (link.reverse(), cut)]),
            Way::OneWay => self.set_weather(now, out, &[(link, cut)]),
        }
    }

    /// Mends both links between two hosts.
    pub(super) fn heal(&mut self, now: Nanos, out: &mut dyn Outside, a: HostId, b: HostId) {
        let link = LinkId { from: a, to: b };
        self.set_weather(now, out, &[(link, Weather::default()), (link.reverse(), Weather::default())]);
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
    fn a_one_way_partition_lets_the_other_way_pass() {
        let (mut tank, client, server) = Harness::connected();
        tank.partition(Way::OneWay);
        tank.send(client, b"held");
        tank.send(server, b"passes");
        tank.pass(LATENCY);
        assert_eq!(outcome(tank.read(client, 9)), gives(b"passes"));
        tank.pass(SECOND);
        assert!(tank.read(server, 9).is_pending());
    }

    #[test]
    fn a_syn_lost_in_a_partition_is_tried_after_1_3_7_seconds_and_given_up_after_127() {
        for (healed_after, connected_after) in [(0, 1), (2, 3), (4, 7), (40, 63)] {
            let mut tank = Harness::new();
            tank.listen(ListenOptions::new());
            tank.partition(Way::Both);
            let client = tank.connect();
            tank.pass(healed_after * SECOND);
            tank.heal();
            tank.settle();
            assert_eq!(tank.now / SECOND, connected_after);
            assert_eq!(outcome(tank.network.poll_connected(client)), Poll::Ready(Ok(())));
        }
        for from_client in [true, false] {
            let mut tank = Harness::new();
            tank.listen(ListenOptions::new());
            if from_client {
                tank.partition(Way::OneWay)
            } else {
                tank.partition_from_server()
            }
            let client = tank.connect();
            tank.pass(126 * SECOND);
            assert!(tank.network.poll_connected(client).is_pending());
            tank.settle();
            assert_eq!(outcome(tank.network.poll_connected(client)), fails(TimedOut));
            assert_eq!(tank.now, 127 * SECOND);
            tank.close(client);
            tank.settle();
            assert!(tank.is_empty());
        }
    }

    #[test]
    fn a_handshake_cut_off_at_its_last_segment_completes_after_healing() {
        let mut tank = Harness::new();
        let listener = tank.listen(ListenOptions::new());
        let client = tank.connect();
        tank.pass(2 * LATENCY + LATENCY / 2);
        assert_eq!(outcome(tank.network.poll_connected(client)), Poll::Ready(Ok(())));
        tank.partition(Way::Both);
        tank.pass(2 * SECOND);
        assert!(tank.network.accept(listener).is_pending());
        tank.heal();
        tank.settle();
        let server = tank.accept(listener);
        assert_eq!(tank.now / SECOND, 3);
        tank.send(client, b"here");
        tank.settle();
        assert_eq!(outcome(tank.read(server, 9)), gives(b"here"));
    }

    #[test]
    fn a_lost_syn_ack_is_sent_again_by_the_server() {
        let mut tank = Harness::new();
        tank.listen(ListenOptions::new());
        let client = tank.connect();
        tank.pass(LATENCY + LATENCY / 2);
        tank.partition_from_server();
        tank.heal();
        tank.partition(Way::OneWay);
        tank.pass(SECOND + 2 * LATENCY);
        assert_eq!(outcome(tank.network.poll_connected(client)), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_client_whose_refusal_is_lost_or_held_asks_again_and_gives_up_after_127_seconds() {
        let unreachable: [fn(&mut Harness); 2] = [Harness::partition_from_server, |tank| {
            tank.weather_one_way(false, Weather { held: true, ..Weather::default() })
        }];
        for cut in unreachable {
            for healed_after in [2, 1000] {
                let mut tank = Harness::new();
                cut(&mut tank);
                let client = tank.connect();
                tank.pass(healed_after * SECOND);
                let before = outcome(tank.network.poll_connected(client));
                tank.heal();
                tank.weather(Weather::default());
                tank.settle();
                if healed_after < 127 {
                    assert_eq!(before, Poll::Pending);
                    assert_eq!(outcome(tank.network.poll_connected(client)), fails(ConnectionRefused));
                } else {
                    assert_eq!(before, fails(TimedOut));
                }
                tank.close(client);
                tank.settle();
                assert!(tank.is_empty());
            }
        }
    }

    #[test]
    fn a_partition_cuts_off_a_reset_and_the_data_before_it() {
        let (mut tank, client, server) = Harness::connected();
        tank.send(client, b"in flight");
        tank.abort(client);
        tank.partition(Way::OneWay);
        tank.heal();
        tank.settle();
        assert!(tank.read(server, 9).is_pending());
        assert!(tank.network.next_event().is_none());
    }

    #[test]
    fn a_reset_in_a_partition_is_lost_for_good() {
        let (mut tank, client, server) = Harness::connected();
        tank.send(client, b"in flight");
        tank.partition(Way::Both);
        tank.abort(client);
        tank.heal();
        tank.settle();
        assert!(tank.read(server, 9).is_pending());
        assert!(tank.network.quiet());
        tank.send(server, b"anyone?");
        tank.settle();
        assert_eq!(outcome(tank.read(server, 9)), fails(ConnectionReset));
    }

    #[test]
    fn the_kernel_delivers_for_a_socket_that_was_closed_in_a_partition() {
        let (mut tank, client, server) = Harness::connected();
        tank.partition(Way::Both);
        tank.send(client, b"last words");
        tank.close(client);
        tank.pass(50 * SECOND);
        tank.heal();
        tank.settle();
        assert_eq!(outcome(tank.read(server, 99)), gives(b"last words"));
        assert_eq!(outcome(tank.read(server, 99)), gives(b""));
        tank.close(server);
        tank.settle();
        assert!(tank.is_empty());
    }

    #[test]
    fn injected_resets_hit_both_ends() {
        let (mut tank, client, server) = Harness::connected();
        tank.send(client, b"read");
        tank.settle();
        tank.send(client, b"cut");
        tank.network.reset_connections(tank.now, &mut tank.out, tank.server, tank.client);
        tank.settle();
        assert_eq!(outcome(tank.read(server, 9)), gives(b"read"));
        assert_eq!(outcome(tank.read(server, 9)), fails(ConnectionReset));
        assert_eq!(outcome(tank.read(client, 9)), fails(ConnectionReset));
        tank.close(client);
        tank.close(server);
        assert!(tank.is_empty());
    }

    #[test]
    fn a_silent_host_is_heard_again_with_all_it_had_to_say() {
        let (mut tank, client, server) = Harness::connected();
        tank.network.silence(tank.now, &mut tank.out, tank.server);
        tank.send(client, b"question");
        tank.send(server, b"answer");
        tank.close(server);
        tank.pass(SECOND);
        assert!(tank.read(client, 9).is_pending());
        tank.network.unsilence(tank.now, &mut tank.out, tank.server);
        tank.settle();
        assert_eq!(outcome(tank.read(client, 9)), gives(b"answer"));
        assert_eq!(outcome(tank.read(client, 9)), gives(b""));
        assert_eq!(outcome(tank.write(client, b"x")), fails(BrokenPipe), "its question met a closed socket");
    }

    #[test]
    fn a_silent_host_still_reaches_itself() {
        let mut tank = Harness::new();
        let listener = tank.network.listen(tank.server, tank.loopback(), ListenOptions::new()).unwrap();
        tank.network.silence(0, &mut tank.out, tank.server);
        tank.network.partition(0, &mut tank.out, tank.server, tank.server, Way::Both);
        let target = tank.loopback();
        tank.network.connect(0, &mut tank.out, tank.server, target, Default::default()).unwrap();
        tank.settle();
        tank.accept(listener);
        assert!(tank.now < LATENCY);
    }

    #[test]
    fn a_vanished_host_answers_with_reset_once_it_is_back() {
        let mut tank = Harness::new();
        let listener = tank.listen(ListenOptions::new());
        let client = tank.connect();
        let queued = tank.connect();
        tank.settle();
        let server = tank.accept(listener);
        tank.send(server, b"gone with the machine");
        tank.network.silence(tank.now, &mut tank.out, tank.server);
        tank.network.vanish(tank.now, &mut tank.out, tank.server);
        tank.close(server);
        assert!(tank.network.open_sockets(tank.server).is_empty());
        tank.send(client, b"hello?");
        tank.pass(5 * SECOND);
        assert!(tank.read(client, 9).is_pending());
        tank.network.unsilence(tank.now, &mut tank.out, tank.server);
        tank.listen(ListenOptions::new());
        tank.settle();
        assert_eq!(outcome(tank.read(client, 9)), fails(ConnectionReset));
        assert!(tank.read(queued, 9).is_pending(), "nothing was sent, nothing was answered");
        tank.send(queued, b"hello?");
        tank.settle();
        assert_eq!(outcome(tank.read(queued, 9)), fails(ConnectionReset));
    }
}
