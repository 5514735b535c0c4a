//! Senders whose acknowledgements are missed.

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

/// The default user timeout.
const TIMEOUT: Nanos = 924_600 * MILLISECOND;

#[test]
fn unacknowledged_data_times_out_for_reader_and_writer() {
    for way in [Way::Both, Way::OneWay] {
        let (mut harness, client, server) = Harness::connected();
        harness.partition(way);
        let began = harness.now;
        harness.send(client, b"lost");
        assert!(harness.read(client, 9).is_pending());
        harness.fill(client);
        harness.ready();
        assert!(!harness.network.quiet());
        harness.settle();
        assert_eq!(harness.now - began, TIMEOUT);
        let ready = harness.ready();
        assert!(ready.contains(&Ready::Socket(client, Direction::Read)));
        assert!(ready.contains(&Ready::Socket(client, Direction::Write)));
        assert_eq!(outcome(harness.read(client, 9)), fails(TimedOut));
        assert_eq!(outcome(harness.read(client, 9)), gives(b""));
        assert_eq!(outcome(harness.write(client, b"x")), fails(BrokenPipe));
        // The peer got no segment. It learns it when it writes.
        harness.heal();
        harness.settle();
        assert!(harness.network.quiet());
        assert!(harness.read(server, 9).is_pending());
        harness.send(server, b"hello?");
        harness.settle();
        assert_eq!(outcome(harness.read(server, 9)), fails(ConnectionReset));
    }
}

#[test]
fn a_late_acknowledgement_opens_the_window() {
    let (mut harness, client, server) = Harness::connected();
    harness.send(client, &[1; 40_000]);
    harness.pass(LATENCY / 2);
    assert_eq!(harness.fill(client), 65_536 - 40_000);
    harness.pass(LATENCY / 2);
    assert_eq!(harness.receive(server).len(), 40_000);
    harness.pass(LATENCY * 6 / 10);
    // Two acknowledgements are on their way, and only the second one announces the new window.
    harness.partition(Way::OneWay);
    harness.pass(LATENCY * 4 / 10);
    harness.send(client, &[2; 40_000]);
    harness.pass(LATENCY);
    harness.heal();
    harness.settle();
    assert_eq!(harness.receive(server).len(), 65_536);
}

#[test]
fn lost_acknowledgements_time_the_sender_out() {
    let (mut harness, client, server) = Harness::connected();
    harness.network.set_user_timeout(Duration::from_secs(10));
    harness.partition_from_server();
    let began = harness.now;
    harness.send(client, b"heard");
    harness.settle();
    assert_eq!(outcome(harness.read(server, 9)), gives(b"heard"));
    assert_eq!(harness.now - began, 10 * SECOND);
    assert_eq!(outcome(harness.write(client, b"x")), fails(TimedOut));
}

#[test]
fn a_cut_off_acknowledgement_comes_after_healing() {
    let (mut harness, client, server) = Harness::connected();
    let began = harness.now;
    let sent = harness.fill(client);
    harness.step();
    assert_eq!(harness.receive(server).len(), sent);
    harness.pass(LATENCY / 2);
    harness.partition_from_server();
    harness.pass(SECOND);
    assert!(outcome(harness.write(client, b"x")).is_pending());
    harness.heal();
    harness.settle();
    assert_eq!(harness.now - began, 1400 * MILLISECOND + 2 * LATENCY, "after the third retransmission");
    assert!(harness.ready().contains(&Ready::Socket(client, Direction::Write)));
    assert_eq!(harness.fill(client), sent);
    harness.pass(LATENCY);
    assert_eq!(harness.receive(server).len(), sent);
}

#[test]
fn a_later_acknowledgement_replaces_a_lost_one() {
    let (mut harness, client, server) = Harness::connected();
    harness.send(client, &[1; 32 << 10]);
    harness.pass(LATENCY / 2);
    harness.fill(client);
    harness.partition_from_server();
    harness.pass(LATENCY / 2);
    assert_eq!(harness.receive(server).len(), 32 << 10, "whose acknowledgement is lost");
    harness.heal();
    harness.ready();
    harness.pass(LATENCY * 2);
    assert!(harness.ready().contains(&Ready::Socket(client, Direction::Write)));
}

#[test]
fn new_data_saves_a_sender_from_timing_out() {
    let (mut harness, client, server) = Harness::connected();
    harness.network.set_user_timeout(Duration::from_secs(10));
    harness.nodelay(client);
    harness.partition_from_server();
    harness.send(client, b"once ");
    harness.pass(7 * SECOND);
    harness.heal();
    harness.send(client, b"again");
    harness.settle();
    assert_eq!(outcome(harness.read(server, 99)), gives(b"once again"));
    harness.pass(10 * SECOND);
    harness.send(client, b"alive");
}

#[test]
fn unacknowledged_data_finds_a_vanished_peer() {
    let (mut harness, client, server) = Harness::connected();
    harness.send(client, b"heard");
    harness.pass(LATENCY);
    assert_eq!(outcome(harness.read(server, 9)), gives(b"heard"));
    harness.partition(Way::Both);
    harness.abort(server);
    harness.pass(SECOND);
    harness.heal();
    harness.settle();
    assert_eq!(harness.now / (100 * MILLISECOND), 16);
    assert_eq!(outcome(harness.read(client, 9)), fails(ConnectionReset));
}

#[test]
fn a_window_probe_finds_a_vanished_peer() {
    let (mut harness, client, _) = Harness::connected();
    harness.fill(client);
    harness.settle();
    harness.fill(client);
    harness.pass(10 * LATENCY);
    assert!(outcome(harness.write(client, b"x")).is_pending());
    harness.ready();
    harness.network.vanish(harness.now, &mut harness.outside, harness.server);
    assert!(!harness.network.quiet());
    harness.settle();
    assert!(harness.ready().contains(&Ready::Socket(client, Direction::Write)));
    assert_eq!(outcome(harness.write(client, b"x")), fails(ConnectionReset));
}

#[test]
fn nothing_times_out_on_an_idle_connection() {
    let (mut harness, client, server) = Harness::connected();
    harness.send(client, b"before");
    harness.pass(2 * LATENCY);
    harness.partition(Way::Both);
    assert!(harness.network.quiet());
    harness.pass(10 * TIMEOUT);
    harness.heal();
    harness.send(client, b" after");
    harness.settle();
    assert_eq!(outcome(harness.read(server, 99)), gives(b"before after"));
}

#[test]
fn a_healed_connection_owes_no_timeout() {
    let (mut harness, client, server) = Harness::connected();
    harness.partition(Way::Both);
    harness.send(client, b"lost");
    harness.pass(SECOND);
    harness.heal();
    harness.settle();
    assert!(harness.now < 2 * SECOND, "not the 924 s of the timeout");
    assert_eq!(outcome(harness.read(server, 9)), gives(b"lost"));
    assert!(harness.network.next_event().is_none() && harness.network.quiet());
}

#[test]
fn an_unanswered_window_probe_times_out() {
    let (mut harness, client, _) = Harness::connected();
    harness.fill(client);
    harness.settle();
    harness.fill(client);
    harness.settle();
    assert!(harness.network.quiet(), "a reader may take its time");
    let began = harness.now;
    harness.partition(Way::OneWay);
    harness.settle();
    assert_eq!(harness.now - began, TIMEOUT);
    assert_eq!(outcome(harness.write(client, b"x")), fails(TimedOut));
}

#[test]
fn a_window_opened_during_a_partition_is_announced() {
    let (mut harness, client, server) = Harness::connected();
    let mut sent = harness.fill(client);
    harness.settle();
    sent += harness.fill(client);
    harness.settle();
    harness.partition_from_server();
    let mut received = harness.receive(server).len();
    harness.pass(10 * SECOND);
    assert!(harness.read(server, 9).is_pending());
    harness.heal();
    harness.settle();
    received += harness.receive(server).len();
    assert_eq!(received, sent);
}

#[test]
fn an_orphan_gives_up_and_is_quiet() {
    let (mut harness, client, server) = Harness::connected();
    harness.partition(Way::Both);
    harness.send(client, b"never heard");
    harness.close(client);
    harness.pass(102 * SECOND);
    assert!(!harness.network.quiet(), "the server may still hear of it");
    harness.settle();
    assert!(harness.now < 103 * SECOND);
    harness.heal();
    harness.send(server, b"anyone?");
    harness.settle();
    assert_eq!(outcome(harness.read(server, 99)), fails(ConnectionReset));
    harness.close(server);
    assert!(harness.is_empty());

    let (mut harness, client, server) = Harness::connected();
    harness.partition(Way::Both);
    harness.send(client, b"never heard");
    harness.close(client);
    harness.close(server);
    assert!(harness.network.quiet(), "no application is left to notice anything");
    harness.settle();
    assert!(harness.is_empty());
}

#[test]
fn an_orphan_waits_a_minute_for_fin() {
    for (seconds, error) in [(59, None), (61, Some(ConnectionReset))] {
        let (mut harness, client, server) = Harness::connected();
        harness.close(client);
        harness.settle();
        harness.pass(seconds * SECOND);
        assert_eq!(outcome(harness.read(server, 9)), gives(b""));
        harness.shutdown(server, Shutdown::Write).unwrap();
        harness.settle();
        let seen = match outcome(harness.write(server, b"")) {
            Poll::Ready(Err(BrokenPipe)) => None,
            Poll::Ready(Err(error)) => Some(error),
            other => panic!("writing is over, not {other:?}"),
        };
        assert_eq!(seen, error, "after {seconds} s");
    }
}

#[test]
fn an_orphan_stops_probing_a_closed_window() {
    for (seconds, rest) in [(200, true), (205, false)] {
        let (mut harness, client, server) = Harness::connected();
        let mut sent = harness.fill(client);
        harness.settle();
        sent += harness.fill(client);
        harness.close(client);
        harness.pass(seconds * SECOND);
        let mut received = harness.receive(server).len();
        harness.settle();
        if rest {
            received += harness.receive(server).len();
            assert_eq!(received, sent);
            assert_eq!(outcome(harness.read(server, 9)), gives(b""));
        } else {
            assert_eq!(outcome(harness.read(server, 9)), fails(ConnectionReset));
        }
    }
}
