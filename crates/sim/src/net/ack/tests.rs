//! What becomes of senders whose acknowledgements are missed.

use std::io::ErrorKind::*;
use std::net::Shutdown;
use std::task::Poll;
use std::time::Duration;

use super::super::faults::Way;
use super::super::harness::{Harness, LATENCY, fails, gives, outcome};
use super::super::link::SECOND;
use super::super::{Direction, Ready};
use super::*;

const MILLISECOND: Nanos = SECOND / 1000;

/// How long a segment is tried if nobody has said otherwise.
const TIMEOUT: Nanos = 924_600 * MILLISECOND;

#[test]
fn unacknowledged_data_times_out_for_reader_and_writer() {
    for way in [Way::Both, Way::OneWay] {
        let (mut tank, client, server) = Harness::connected();
        tank.partition(way);
        let began = tank.now;
        tank.send(client, b"lost");
        assert!(tank.read(client, 9).is_pending());
        tank.fill(client);
        tank.ready();
        assert!(!tank.network.quiet());
        tank.settle();
        assert_eq!(tank.now - began, TIMEOUT);
        let ready = tank.ready();
        assert!(ready.contains(&Ready::Socket(client, Direction::Read)));
        assert!(ready.contains(&Ready::Socket(client, Direction::Write)));
        assert_eq!(outcome(tank.read(client, 9)), fails(TimedOut));
        assert_eq!(outcome(tank.read(client, 9)), gives(b""));
        assert_eq!(outcome(tank.write(client, b"x")), fails(BrokenPipe));
        // The peer was told nothing, and learns it when it writes.
        tank.heal();
        tank.settle();
        assert!(tank.network.quiet());
        assert!(tank.read(server, 9).is_pending());
        tank.send(server, b"hello?");
        tank.settle();
        assert_eq!(outcome(tank.read(server, 9)), fails(ConnectionReset));
    }
}

#[test]
fn an_acknowledgement_on_its_way_to_a_sender_that_is_cut_off_opens_its_window_when_it_arrives() {
    let (mut tank, client, server) = Harness::connected();
    tank.send(client, &[1; 40_000]);
    tank.pass(LATENCY / 2);
    assert_eq!(tank.fill(client), 65_536 - 40_000);
    tank.pass(LATENCY / 2);
    assert_eq!(tank.receive(server).len(), 40_000);
    tank.pass(LATENCY * 6 / 10);
    // Two acknowledgements are on their way, and only the second one tells of the new window.
    tank.partition(Way::OneWay);
    tank.pass(LATENCY * 4 / 10);
    tank.send(client, &[2; 40_000]);
    tank.pass(LATENCY);
    tank.heal();
    tank.settle();
    assert_eq!(tank.receive(server).len(), 65_536);
}

#[test]
fn lost_acknowledgements_time_the_sender_out_although_its_data_arrived() {
    let (mut tank, client, server) = Harness::connected();
    tank.network.set_user_timeout(Duration::from_secs(10));
    tank.partition_from_server();
    let began = tank.now;
    tank.send(client, b"heard");
    tank.settle();
    assert_eq!(outcome(tank.read(server, 9)), gives(b"heard"));
    assert_eq!(tank.now - began, 10 * SECOND);
    assert_eq!(outcome(tank.write(client, b"x")), fails(TimedOut));
}

#[test]
fn an_acknowledgement_on_its_way_can_be_cut_off_and_comes_after_healing() {
    let (mut tank, client, server) = Harness::connected();
    let began = tank.now;
    let sent = tank.fill(client);
    tank.step();
    assert_eq!(tank.receive(server).len(), sent);
    tank.pass(LATENCY / 2);
    tank.partition_from_server();
    tank.pass(SECOND);
    assert!(outcome(tank.write(client, b"x")).is_pending());
    tank.heal();
    tank.settle();
    assert_eq!(tank.now - began, 1400 * MILLISECOND + 2 * LATENCY, "after the third retransmission");
    assert!(tank.ready().contains(&Ready::Socket(client, Direction::Write)));
    assert_eq!(tank.fill(client), sent);
    tank.pass(LATENCY);
    assert_eq!(tank.receive(server).len(), sent);
}

#[test]
fn the_acknowledgement_of_later_data_stands_for_a_lost_one() {
    let (mut tank, client, server) = Harness::connected();
    tank.send(client, &[1; 32 << 10]);
    tank.pass(LATENCY / 2);
    tank.fill(client);
    tank.partition_from_server();
    tank.pass(LATENCY / 2);
    assert_eq!(tank.receive(server).len(), 32 << 10, "whose acknowledgement is lost");
    tank.heal();
    tank.ready();
    tank.pass(LATENCY * 2);
    assert!(tank.ready().contains(&Ready::Socket(client, Direction::Write)));
}

#[test]
fn new_data_saves_a_sender_whose_next_retransmission_would_be_too_late() {
    let (mut tank, client, server) = Harness::connected();
    tank.network.set_user_timeout(Duration::from_secs(10));
    tank.partition_from_server();
    tank.send(client, b"once ");
    tank.pass(7 * SECOND);
    tank.heal();
    tank.send(client, b"again");
    tank.settle();
    assert_eq!(outcome(tank.read(server, 99)), gives(b"once again"));
    tank.pass(10 * SECOND);
    tank.send(client, b"alive");
}

#[test]
fn a_sender_whose_data_was_not_acknowledged_hears_that_its_peer_is_gone() {
    let (mut tank, client, server) = Harness::connected();
    tank.send(client, b"heard");
    tank.pass(LATENCY);
    assert_eq!(outcome(tank.read(server, 9)), gives(b"heard"));
    tank.partition(Way::Both);
    tank.abort(server);
    tank.pass(SECOND);
    tank.heal();
    tank.settle();
    assert_eq!(tank.now / (100 * MILLISECOND), 14);
    assert_eq!(outcome(tank.read(client, 9)), fails(ConnectionReset));
}

#[test]
fn a_sender_that_waits_for_window_hears_that_its_peer_is_gone() {
    let (mut tank, client, _) = Harness::connected();
    tank.fill(client);
    tank.settle();
    tank.fill(client);
    tank.pass(10 * LATENCY);
    assert!(outcome(tank.write(client, b"x")).is_pending());
    tank.ready();
    tank.network.vanish(tank.now, &mut tank.out, tank.server);
    assert!(!tank.network.quiet());
    tank.settle();
    assert!(tank.ready().contains(&Ready::Socket(client, Direction::Write)));
    assert_eq!(outcome(tank.write(client, b"x")), fails(ConnectionReset));
}

#[test]
fn nothing_times_out_on_an_idle_connection() {
    let (mut tank, client, server) = Harness::connected();
    tank.send(client, b"before");
    tank.pass(2 * LATENCY);
    tank.partition(Way::Both);
    assert!(tank.network.quiet());
    tank.pass(10 * TIMEOUT);
    tank.heal();
    tank.send(client, b" after");
    tank.settle();
    assert_eq!(outcome(tank.read(server, 99)), gives(b"before after"));
}

#[test]
fn a_healed_connection_owes_no_timeout() {
    let (mut tank, client, server) = Harness::connected();
    tank.partition(Way::Both);
    tank.send(client, b"held");
    tank.pass(SECOND);
    tank.heal();
    tank.settle();
    assert!(tank.now < 2 * SECOND, "not the 924 s of the timeout");
    assert_eq!(outcome(tank.read(server, 9)), gives(b"held"));
    assert!(tank.network.next_event().is_none() && tank.network.quiet());
}

#[test]
fn a_sender_that_waits_for_window_notices_that_nobody_answers() {
    let (mut tank, client, _) = Harness::connected();
    tank.fill(client);
    tank.settle();
    tank.fill(client);
    tank.settle();
    assert!(tank.network.quiet(), "a reader may take its time");
    let began = tank.now;
    tank.partition(Way::OneWay);
    tank.settle();
    assert_eq!(tank.now - began, TIMEOUT);
    assert_eq!(outcome(tank.write(client, b"x")), fails(TimedOut));
}

#[test]
fn window_that_opened_during_a_partition_is_told_after_it() {
    let (mut tank, client, server) = Harness::connected();
    let mut sent = tank.fill(client);
    tank.settle();
    sent += tank.fill(client);
    tank.settle();
    tank.partition_from_server();
    let mut received = tank.receive(server).len();
    tank.pass(10 * SECOND);
    assert!(tank.read(server, 9).is_pending());
    tank.heal();
    tank.settle();
    received += tank.receive(server).len();
    assert_eq!(received, sent);
}

#[test]
fn an_orphan_gives_up_after_102_seconds_and_keeps_no_run_alive() {
    let (mut tank, client, server) = Harness::connected();
    tank.partition(Way::Both);
    tank.send(client, b"never heard");
    tank.close(client);
    tank.pass(102 * SECOND);
    assert!(!tank.network.quiet(), "the server may still hear of it");
    tank.settle();
    assert!(tank.now < 103 * SECOND);
    tank.heal();
    tank.send(server, b"anyone?");
    tank.settle();
    assert_eq!(outcome(tank.read(server, 99)), fails(ConnectionReset));
    tank.close(server);
    assert!(tank.is_empty());

    let (mut tank, client, server) = Harness::connected();
    tank.partition(Way::Both);
    tank.send(client, b"never heard");
    tank.close(client);
    tank.close(server);
    assert!(tank.network.quiet(), "nobody is left to notice anything");
    tank.settle();
    assert!(tank.is_empty());
}

#[test]
fn an_orphan_waits_a_minute_for_its_peers_end() {
    for (seconds, error) in [(59, None), (61, Some(ConnectionReset))] {
        let (mut tank, client, server) = Harness::connected();
        tank.close(client);
        tank.settle();
        tank.pass(seconds * SECOND);
        assert_eq!(outcome(tank.read(server, 9)), gives(b""));
        tank.shutdown(server, Shutdown::Write).unwrap();
        tank.settle();
        let seen = match outcome(tank.write(server, b"")) {
            Poll::Ready(Err(BrokenPipe)) => None,
            Poll::Ready(Err(error)) => Some(error),
            other => panic!("writing is over, not {other:?}"),
        };
        assert_eq!(seen, error, "after {seconds} s");
    }
}

#[test]
fn an_orphan_stops_probing_a_closed_window_after_204_seconds() {
    for (seconds, rest) in [(200, true), (205, false)] {
        let (mut tank, client, server) = Harness::connected();
        let mut sent = tank.fill(client);
        tank.settle();
        sent += tank.fill(client);
        tank.close(client);
        tank.pass(seconds * SECOND);
        let mut received = tank.receive(server).len();
        tank.settle();
        if rest {
            received += tank.receive(server).len();
            assert_eq!(received, sent);
            assert_eq!(outcome(tank.read(server, 9)), gives(b""));
        } else {
            assert_eq!(outcome(tank.read(server, 9)), fails(ConnectionReset));
        }
    }
}
