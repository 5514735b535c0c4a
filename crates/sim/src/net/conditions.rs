//! Link conditions: latency, loss and rate of a link, and whether it is cut or paused.
//!
//! # Invariants
//!
//! - The default conditions change nothing and draw nothing.
//! - Losses are asked about only while a link is lossy, one question a segment; value 0 is "not lost".
//! - A host always reaches itself.
//!
//! # Not here
//!
//! What happens to segments (`transmit`), and when conditions change (`faults`).

use super::link::{LinkId, Links};
use super::{Nanos, Outside};

/// How often a segment may be lost in a row: its last retransmission comes after 12.6 s.
pub(super) const LOSSES_MAX: u32 = 6;

/// The conditions of a link. The default is fair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// Every segment is lost.
    pub(crate) cut: bool,
    /// Every segment waits, and continues at once when this ends.
    pub(crate) paused: bool,
    /// Every segment takes longer, by this much.
    pub(crate) delay: Nanos,
    /// One segment in this many is lost; 0 is none.
    pub(crate) one_lost_in: u32,
    /// Bytes that pass in a second; 0 is any number.
    pub(crate) bytes_per_second: u64,
}

/// What happens to a segment that is sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Open,
    Paused,
    /// It is lost.
    Lost,
}

impl Conditions {
    pub(super) const DEFAULT: Self =
        Self { cut: false, paused: false, delay: 0, one_lost_in: 0, bytes_per_second: 0 };

    /// Combines two conditions: the worse of each counts.
    pub(crate) fn and(self, other: Self) -> Self {
        let least = |a, b| if a == 0 || (b != 0 && b < a) { b } else { a };
        Self {
            cut: self.cut || other.cut,
            paused: self.paused || other.paused,
            delay: self.delay.max(other.delay),
            one_lost_in: least(self.one_lost_in.into(), other.one_lost_in.into()) as u32,
            bytes_per_second: least(self.bytes_per_second, other.bytes_per_second),
        }
    }

    pub(super) const fn passage(&self) -> Passage {
        match self {
            Self { cut: true, .. } => Passage::Lost,
            Self { paused: true, .. } => Passage::Paused,
            _ => Passage::Open,
        }
    }
}

impl Links {
    /// Draws how often in a row a segment that is sent now is lost, if any are.
    pub(super) fn pick_losses(&self, link: LinkId, outside: &mut dyn Outside) -> u32 {
        match self.conditions(link).one_lost_in {
            0 => 0,
            one_in => outside.pick_losses(link, LOSSES_MAX + 1, one_in),
        }
    }

    /// Returns `true` if the rate of the link is limited.
    pub(super) fn is_narrow(&self, link: LinkId) -> bool {
        self.conditions(link).bytes_per_second != 0
    }

    /// Puts `bytes` on the link behind everything on it, and returns when the last of them has left.
    pub(super) fn squeeze(&mut self, link: LinkId, departs: Nanos, bytes: u64) -> Nanos {
        let rate = self.conditions(link).bytes_per_second;
        if rate == 0 || bytes == 0 {
            return departs;
        }
        let takes = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
        let free_at = self.free_at(link);
        *free_at = (*free_at).max(departs).saturating_add(Nanos::try_from(takes).unwrap_or(Nanos::MAX));
        *free_at
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;
    use std::time::Duration;

    use wavetank_runtime::{ListenOptions, SocketOptions};

    use super::super::harness::{Harness, LATENCY, fails, gives, outcome};
    use super::super::link::SECOND;
    use super::*;

    const MILLISECOND: Nanos = SECOND / 1000;
    const PAUSED: Conditions =
        Conditions { cut: false, paused: true, delay: 0, one_lost_in: 0, bytes_per_second: 0 };
    const CUT: Conditions = Conditions { cut: true, paused: false, ..PAUSED };

    #[test]
    fn the_worse_of_two_conditions_counts() {
        let a = Conditions { delay: 5, one_lost_in: 4, bytes_per_second: 0, ..Conditions::default() };
        let b = Conditions {
            delay: 3,
            one_lost_in: 16,
            bytes_per_second: 10,
            paused: true,
            ..Conditions::default()
        };
        let both = Conditions { cut: false, paused: true, delay: 5, one_lost_in: 4, bytes_per_second: 10 };
        assert_eq!((a.and(b), b.and(a)), (both, both));
    }

    #[test]
    fn ending_a_pause_delivers_everything_in_order() {
        let (mut harness, client, server) = Harness::connected();
        harness.nodelay(client);
        harness.send(client, b"on its way, ");
        harness.pass(LATENCY / 2);
        harness.conditions(PAUSED);
        harness.send(client, b"sent meanwhile");
        harness.pass(5 * SECOND);
        assert!(harness.read(server, 99).is_pending());
        let released = harness.now;
        harness.conditions(Conditions::default());
        harness.send(client, b", sent after");
        harness.step();
        assert_eq!(harness.now, released);
        assert_eq!(outcome(harness.read(server, 99)), gives(b"on its way, sent meanwhile"));
        harness.settle();
        assert_eq!(harness.now, released + LATENCY);
        assert_eq!(outcome(harness.read(server, 99)), gives(b", sent after"));
    }

    #[test]
    fn a_pause_stops_handshakes_fins_and_resets() {
        let mut harness = Harness::new();
        let listener = harness.listen(ListenOptions::new());
        harness.conditions(PAUSED);
        let client = harness.connect();
        harness.pass(SECOND / 2);
        harness.conditions(Conditions::default());
        harness.pass(3 * LATENCY);
        assert_eq!(outcome(harness.network.poll_connected(client)), Poll::Ready(Ok(())));
        let server = harness.accept(listener);
        harness.conditions(PAUSED);
        harness.send(server, b"before the end");
        harness.close(server);
        harness.pass(SECOND);
        assert!(harness.read(client, 99).is_pending());
        harness.conditions(Conditions::default());
        harness.settle();
        assert_eq!(outcome(harness.read(client, 99)), gives(b"before the end"));
        assert_eq!(outcome(harness.read(client, 99)), gives(b""));
        harness.close(client);
        let other = harness.connect();
        harness.settle();
        let server = harness.accept(listener);
        harness.conditions(PAUSED);
        harness.abort(other);
        harness.pass(SECOND);
        assert!(harness.read(server, 9).is_pending());
        harness.conditions(Conditions::default());
        harness.settle();
        assert_eq!(outcome(harness.read(server, 9)), fails(std::io::ErrorKind::ConnectionReset));
    }

    #[test]
    fn a_paused_connect_times_out() {
        let mut harness = Harness::new();
        harness.listen(ListenOptions::new());
        harness.conditions(PAUSED);
        let client = harness.connect();
        harness.settle();
        assert_eq!(harness.now, 131 * SECOND);
        assert_eq!(outcome(harness.network.poll_connected(client)), fails(std::io::ErrorKind::TimedOut));
    }

    #[test]
    fn paused_data_or_acknowledgements_time_the_sender_out() {
        for from_client in [true, false] {
            let (mut harness, client, server) = Harness::connected();
            harness.network.set_user_timeout(Duration::from_secs(10));
            harness.change_one_way(from_client, PAUSED);
            let began = harness.now;
            harness.send(client, b"anyone?");
            harness.settle();
            assert_eq!(harness.now - began, 10 * SECOND);
            assert_eq!(outcome(harness.write(client, b"x")), fails(std::io::ErrorKind::TimedOut));
            let heard = harness.read(server, 99);
            assert_eq!(heard.is_ready(), !from_client);
        }
    }

    #[test]
    fn paused_acknowledgements_keep_a_writer_waiting() {
        let (mut harness, client, server) = Harness::connected();
        let sent = harness.fill(client);
        harness.change_one_way(false, PAUSED);
        harness.pass(SECOND);
        assert_eq!(harness.receive(server).len(), sent);
        assert!(outcome(harness.write(client, b"x")).is_pending());
        harness.ready();
        harness.conditions(Conditions::default());
        harness.settle();
        assert!(harness.now < 2 * SECOND);
        assert_eq!(harness.fill(client), sent);
    }

    #[test]
    fn cutting_a_paused_link_loses_its_segments() {
        let (mut harness, client, server) = Harness::connected();
        let began = harness.now;
        harness.conditions(PAUSED);
        harness.send(client, b"paused, then lost");
        harness.pass(SECOND);
        harness.conditions(CUT);
        harness.pass(SECOND);
        harness.conditions(PAUSED);
        harness.pass(2 * SECOND);
        assert!(harness.read(server, 99).is_pending());
        harness.conditions(Conditions::default());
        harness.settle();
        assert_eq!(outcome(harness.read(server, 99)), gives(b"paused, then lost"));
        assert_eq!(harness.now - began, 4 * SECOND, "it was retransmitted during the pause");
    }

    #[test]
    fn a_slow_link_delays_segments_and_acknowledgements() {
        let (mut harness, client, server) = Harness::connected();
        harness.conditions(Conditions { delay: 300 * MILLISECOND, ..Conditions::default() });
        let began = harness.now;
        let sent = harness.fill(client);
        harness.step();
        assert_eq!(harness.now - began, 300 * MILLISECOND + LATENCY);
        assert_eq!(harness.receive(server).len(), sent);
        assert!(outcome(harness.write(client, b"x")).is_pending());
        harness.settle();
        assert_eq!(harness.now - began, 600 * MILLISECOND + 2 * LATENCY);
        assert_eq!(harness.fill(client), sent);
    }

    #[test]
    fn a_lost_segment_delays_what_follows() {
        for (losses, after) in [(0, 0), (1, 200), (2, 600), (6, 12_600)] {
            let (mut harness, client, server) = Harness::connected();
            harness.conditions(Conditions { one_lost_in: 2, ..Conditions::default() });
            let began = harness.now;
            harness.outside.losses = vec![losses];
            harness.send(client, b"first, ");
            harness.send(client, b"second");
            harness.settle();
            assert_eq!(harness.now - began, after * MILLISECOND + LATENCY);
            assert_eq!(outcome(harness.read(server, 99)), gives(b"first, second"));
        }
    }

    #[test]
    fn losses_in_a_row_never_reach_the_timeout() {
        let (mut harness, client, server) = Harness::connected();
        harness.network.set_user_timeout(Duration::from_secs(1));
        harness.conditions(Conditions { one_lost_in: 2, ..Conditions::default() });
        harness.outside.losses = vec![6];
        let began = harness.now;
        harness.send(client, b"stubborn");
        harness.settle();
        assert_eq!(outcome(harness.read(server, 99)), gives(b"stubborn"));
        assert_eq!(harness.now - began, 600 * MILLISECOND + LATENCY);
    }

    #[test]
    fn lost_handshake_segments_are_tried_again() {
        for lost in 0..3 {
            let mut harness = Harness::new();
            let listener = harness.listen(ListenOptions::new());
            harness.conditions(Conditions { one_lost_in: 2, ..Conditions::default() });
            harness.outside.losses = (0..3).rev().map(|position| u32::from(position == lost)).collect();
            let client = harness.connect();
            harness.settle();
            assert_eq!(outcome(harness.network.poll_connected(client)), Poll::Ready(Ok(())));
            harness.accept(listener);
            assert_eq!(harness.now / SECOND, 1, "segment {lost} was lost");
        }
    }

    #[test]
    fn a_retransmission_draws_a_lost_reset_again() {
        let (mut harness, client, server) = Harness::connected();
        harness.close(server);
        harness.settle();
        harness.conditions(Conditions { one_lost_in: 2, ..Conditions::default() });
        // The data arrives; its answer is lost, and so is the answer to its first retransmission.
        harness.outside.losses = vec![0, 1, 1, 0];
        harness.send(client, b"anyone?");
        harness.settle();
        assert_eq!(outcome(harness.write(client, b"x")), fails(std::io::ErrorKind::BrokenPipe));
    }

    #[test]
    fn a_narrow_link_limits_all_its_connections_together() {
        let mut harness = Harness::new();
        let listener = harness.listen(ListenOptions::new());
        let clients = [harness.connect(), harness.connect()];
        harness.settle();
        let servers = clients.map(|_| harness.accept(listener));
        harness.conditions(Conditions { bytes_per_second: 1000, ..Conditions::default() });
        let began = harness.now;
        harness.send(clients[0], &[1; 500]);
        harness.send(clients[1], &[2; 250]);
        harness.send(clients[0], &[3; 250]);
        let mut arrivals = Vec::new();
        while harness.step() {
            arrivals.push((harness.now - began - LATENCY) / MILLISECOND);
        }
        assert_eq!(arrivals, [500, 750, 1000]);
        assert_eq!(harness.receive(servers[0]).len(), 750);
        assert_eq!(harness.receive(servers[1]).len(), 250);
        harness.conditions(Conditions::default());
        let began = harness.now;
        harness.send(clients[0], &[4; 5000]);
        harness.settle();
        assert_eq!(harness.now - began, LATENCY);
    }

    #[test]
    fn small_windows_are_filled_under_any_conditions() {
        let (mut harness, client, server) = Harness::connected_with(
            SocketOptions::new().send_buffer_bytes(100),
            SocketOptions::new().receive_buffer_bytes(10),
        );
        let mut received = 0;
        for conditions in [PAUSED, Conditions { delay: SECOND, bytes_per_second: 7, ..PAUSED }, CUT] {
            harness.fill(client);
            harness.conditions(conditions);
            harness.pass(SECOND);
            if let Poll::Ready(Ok(bytes)) = harness.read(server, 99) {
                received += bytes.len();
            }
            harness.conditions(Conditions::default());
            harness.pass(SECOND);
        }
        harness.close(client);
        harness.settle();
        while let Poll::Ready(Ok(bytes)) = harness.read(server, 99)
            && !bytes.is_empty()
        {
            received += bytes.len();
            harness.settle();
        }
        assert!(received > 100, "{received}");
    }
}
