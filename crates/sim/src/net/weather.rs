//! Weather: what the way between two hosts is like for a while.
//!
//! # Invariants
//!
//! - Fair weather, the default, changes nothing and asks nothing.
//! - Losses are asked about only while a link is lossy, one question a segment; pick 0 is "not lost".
//! - A host reaches itself in any weather.
//!
//! # Not here
//!
//! What becomes of segments in it (`transmit`), and when it changes (`faults`).

use super::link::{LinkId, Links};
use super::{Nanos, Outside};

/// How often a segment may be lost in a row: its last retransmission comes after 12.6 s.
pub(super) const LOSSES_MAX: u32 = 6;

/// What a link is like. The default is fair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// Every segment is lost.
    pub(crate) cut: bool,
    /// Every segment waits; it goes on at once when this ends.
    pub(crate) held: bool,
    /// Every segment takes longer, by this.
    pub(crate) delay: Nanos,
    /// One segment in so many is lost; 0 is none.
    pub(crate) one_lost_in: u32,
    /// Bytes that pass in a second; 0 is any number.
    pub(crate) bytes_per_second: u64,
}

/// What happens to a segment that sets out now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Road {
    Open,
    /// It waits until the road is open.
    Held,
    /// It is lost.
    Cut,
}

impl Weather {
    /// Both weathers at once: the worse of each.
    pub(crate) fn and(self, other: Self) -> Self {
        let least = |a, b| if a == 0 || (b != 0 && b < a) { b } else { a };
        Self {
            cut: self.cut || other.cut,
            held: self.held || other.held,
            delay: self.delay.max(other.delay),
            one_lost_in: least(self.one_lost_in.into(), other.one_lost_in.into()) as u32,
            bytes_per_second: least(self.bytes_per_second, other.bytes_per_second),
        }
    }

    pub(super) const fn road(&self) -> Road {
        match self {
            Self { cut: true, .. } => Road::Cut,
            Self { held: true, .. } => Road::Held,
            _ => Road::Open,
        }
    }
}

impl Links {
    /// Asks how often in a row a segment that sets out now is lost, if any are.
    pub(super) fn pick_losses(&self, link: LinkId, outside: &mut dyn Outside) -> u32 {
        match self.weather(link).one_lost_in {
            0 => 0,
            one_in => outside.pick_losses(link, LOSSES_MAX + 1, one_in),
        }
    }

    /// Puts `bytes` on the link behind all that is on it, and returns when the last of them has left.
    pub(super) fn squeeze(&mut self, link: LinkId, departs: Nanos, bytes: u64) -> Nanos {
        let rate = self.weather(link).bytes_per_second;
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
    const HELD: Weather = Weather { cut: false, held: true, delay: 0, one_lost_in: 0, bytes_per_second: 0 };
    const CUT: Weather = Weather { cut: true, held: false, ..HELD };

    #[test]
    fn of_two_weathers_the_worse_of_each_counts() {
        let a = Weather { delay: 5, one_lost_in: 4, bytes_per_second: 0, ..Weather::default() };
        let b = Weather { delay: 3, one_lost_in: 16, bytes_per_second: 10, held: true, ..Weather::default() };
        let both = Weather { cut: false, held: true, delay: 5, one_lost_in: 4, bytes_per_second: 10 };
        assert_eq!((a.and(b), b.and(a)), (both, both));
    }

    #[test]
    fn what_a_hold_stopped_goes_on_at_once_and_in_order() {
        let (mut tank, client, server) = Harness::connected();
        tank.send(client, b"on its way, ");
        tank.pass(LATENCY / 2);
        tank.weather(HELD);
        tank.send(client, b"sent meanwhile");
        tank.pass(5 * SECOND);
        assert!(tank.read(server, 99).is_pending());
        let released = tank.now;
        tank.weather(Weather::default());
        tank.send(client, b", sent after");
        tank.step();
        assert_eq!(tank.now, released);
        assert_eq!(outcome(tank.read(server, 99)), gives(b"on its way, sent meanwhile"));
        tank.settle();
        assert_eq!(tank.now, released + LATENCY);
        assert_eq!(outcome(tank.read(server, 99)), gives(b", sent after"));
    }

    #[test]
    fn a_hold_stops_handshakes_ends_and_resets_too() {
        let mut tank = Harness::new();
        let listener = tank.listen(ListenOptions::new());
        tank.weather(HELD);
        let client = tank.connect();
        tank.pass(SECOND / 2);
        tank.weather(Weather::default());
        tank.pass(3 * LATENCY);
        assert_eq!(outcome(tank.network.poll_connected(client)), Poll::Ready(Ok(())));
        let server = tank.accept(listener);
        tank.weather(HELD);
        tank.send(server, b"before the end");
        tank.close(server);
        tank.pass(SECOND);
        assert!(tank.read(client, 99).is_pending());
        tank.weather(Weather::default());
        tank.settle();
        assert_eq!(outcome(tank.read(client, 99)), gives(b"before the end"));
        assert_eq!(outcome(tank.read(client, 99)), gives(b""));
        tank.close(client);
        let other = tank.connect();
        tank.settle();
        let server = tank.accept(listener);
        tank.weather(HELD);
        tank.abort(other);
        tank.pass(SECOND);
        assert!(tank.read(server, 9).is_pending());
        tank.weather(Weather::default());
        tank.settle();
        assert_eq!(outcome(tank.read(server, 9)), fails(std::io::ErrorKind::ConnectionReset));
    }

    #[test]
    fn a_connect_that_is_held_for_too_long_times_out_as_if_its_syn_were_lost() {
        let mut tank = Harness::new();
        tank.listen(ListenOptions::new());
        tank.weather(HELD);
        let client = tank.connect();
        tank.settle();
        assert_eq!(tank.now, 127 * SECOND);
        assert_eq!(outcome(tank.network.poll_connected(client)), fails(std::io::ErrorKind::TimedOut));
    }

    #[test]
    fn data_that_is_held_for_too_long_times_its_sender_out_and_so_do_acknowledgements() {
        for from_client in [true, false] {
            let (mut tank, client, server) = Harness::connected();
            tank.network.set_user_timeout(Duration::from_secs(10));
            tank.weather_one_way(from_client, HELD);
            let began = tank.now;
            tank.send(client, b"anyone?");
            tank.settle();
            assert_eq!(tank.now - began, 10 * SECOND);
            assert_eq!(outcome(tank.write(client, b"x")), fails(std::io::ErrorKind::TimedOut));
            let heard = tank.read(server, 99);
            assert_eq!(heard.is_ready(), !from_client);
        }
    }

    #[test]
    fn held_acknowledgements_keep_a_writer_waiting_until_they_are_released() {
        let (mut tank, client, server) = Harness::connected();
        let sent = tank.fill(client);
        tank.weather_one_way(false, HELD);
        tank.pass(SECOND);
        assert_eq!(tank.receive(server).len(), sent);
        assert!(outcome(tank.write(client, b"x")).is_pending());
        tank.ready();
        tank.weather(Weather::default());
        tank.settle();
        assert!(tank.now < 2 * SECOND);
        assert_eq!(tank.fill(client), sent);
    }

    #[test]
    fn a_cut_during_a_hold_loses_what_was_held() {
        let (mut tank, client, server) = Harness::connected();
        let began = tank.now;
        tank.weather(HELD);
        tank.send(client, b"held, then lost");
        tank.pass(SECOND);
        tank.weather(CUT);
        tank.pass(SECOND);
        tank.weather(HELD);
        tank.pass(2 * SECOND);
        assert!(tank.read(server, 99).is_pending());
        tank.weather(Weather::default());
        tank.settle();
        assert_eq!(outcome(tank.read(server, 99)), gives(b"held, then lost"));
        assert_eq!(tank.now - began, 4 * SECOND, "it was retransmitted into the hold");
    }

    #[test]
    fn a_slow_link_adds_its_delay_to_segments_and_acknowledgements() {
        let (mut tank, client, server) = Harness::connected();
        tank.weather(Weather { delay: 300 * MILLISECOND, ..Weather::default() });
        let began = tank.now;
        let sent = tank.fill(client);
        tank.step();
        assert_eq!(tank.now - began, 300 * MILLISECOND + LATENCY);
        assert_eq!(tank.receive(server).len(), sent);
        assert!(outcome(tank.write(client, b"x")).is_pending());
        tank.settle();
        assert_eq!(tank.now - began, 600 * MILLISECOND + 2 * LATENCY);
        assert_eq!(tank.fill(client), sent);
    }

    #[test]
    fn a_lost_segment_comes_with_its_retransmission_and_holds_up_what_follows() {
        for (losses, after) in [(0, 0), (1, 200), (2, 600), (6, 12_600)] {
            let (mut tank, client, server) = Harness::connected();
            tank.weather(Weather { one_lost_in: 2, ..Weather::default() });
            let began = tank.now;
            tank.out.losses = vec![losses];
            tank.send(client, b"first, ");
            tank.send(client, b"second");
            tank.settle();
            assert_eq!(tank.now - began, after * MILLISECOND + LATENCY);
            assert_eq!(outcome(tank.read(server, 99)), gives(b"first, second"));
        }
    }

    #[test]
    fn no_segment_is_lost_more_often_than_its_sender_has_patience() {
        let (mut tank, client, server) = Harness::connected();
        tank.network.set_user_timeout(Duration::from_secs(1));
        tank.weather(Weather { one_lost_in: 2, ..Weather::default() });
        tank.out.losses = vec![6];
        let began = tank.now;
        tank.send(client, b"stubborn");
        tank.settle();
        assert_eq!(outcome(tank.read(server, 99)), gives(b"stubborn"));
        assert_eq!(tank.now - began, 600 * MILLISECOND + LATENCY);
    }

    #[test]
    fn lost_segments_of_a_handshake_are_tried_again_after_a_second() {
        for lost in 0..3 {
            let mut tank = Harness::new();
            let listener = tank.listen(ListenOptions::new());
            tank.weather(Weather { one_lost_in: 2, ..Weather::default() });
            tank.out.losses = (0..3).rev().map(|position| u32::from(position == lost)).collect();
            let client = tank.connect();
            tank.settle();
            assert_eq!(outcome(tank.network.poll_connected(client)), Poll::Ready(Ok(())));
            tank.accept(listener);
            assert_eq!(tank.now / SECOND, 1, "segment {lost} was lost");
        }
    }

    #[test]
    fn a_reset_that_is_lost_comes_with_the_answer_to_a_retransmission() {
        let (mut tank, client, server) = Harness::connected();
        tank.close(server);
        tank.settle();
        tank.weather(Weather { one_lost_in: 2, ..Weather::default() });
        // The data arrives; its answer is lost, and so is the answer to its first retransmission.
        tank.out.losses = vec![0, 1, 1, 0];
        tank.send(client, b"anyone?");
        tank.settle();
        assert_eq!(outcome(tank.write(client, b"x")), fails(std::io::ErrorKind::BrokenPipe));
    }

    #[test]
    fn a_narrow_link_takes_its_time_for_every_byte_of_all_connections() {
        let mut tank = Harness::new();
        let listener = tank.listen(ListenOptions::new());
        let clients = [tank.connect(), tank.connect()];
        tank.settle();
        let servers = clients.map(|_| tank.accept(listener));
        tank.weather(Weather { bytes_per_second: 1000, ..Weather::default() });
        let began = tank.now;
        tank.send(clients[0], &[1; 500]);
        tank.send(clients[1], &[2; 250]);
        tank.send(clients[0], &[3; 250]);
        let mut arrivals = Vec::new();
        while tank.step() {
            arrivals.push((tank.now - began - LATENCY) / MILLISECOND);
        }
        assert_eq!(arrivals, [500, 750, 1000]);
        assert_eq!(tank.receive(servers[0]).len(), 750);
        assert_eq!(tank.receive(servers[1]).len(), 250);
        tank.weather(Weather::default());
        let began = tank.now;
        tank.send(clients[0], &[4; 5000]);
        tank.settle();
        assert_eq!(tank.now - began, LATENCY);
    }

    #[test]
    fn small_windows_are_filled_in_any_weather() {
        let (mut tank, client, server) = Harness::connected_with(
            SocketOptions::new().send_buffer_bytes(100),
            SocketOptions::new().receive_buffer_bytes(10),
        );
        let mut received = 0;
        for weather in [HELD, Weather { delay: SECOND, bytes_per_second: 7, ..HELD }, CUT] {
            tank.fill(client);
            tank.weather(weather);
            tank.pass(SECOND);
            if let Poll::Ready(Ok(bytes)) = tank.read(server, 99) {
                received += bytes.len();
            }
            tank.weather(Weather::default());
            tank.pass(SECOND);
        }
        tank.close(client);
        tank.settle();
        while let Poll::Ready(Ok(bytes)) = tank.read(server, 99)
            && !bytes.is_empty()
        {
            received += bytes.len();
            tank.settle();
        }
        assert!(received > 100, "{received}");
    }
}
