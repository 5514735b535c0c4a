//! Pings, keepalive and the progress of the transport.

use super::*;
use crate::config::Keepalive;

const INTERVAL: Duration = Duration::from_secs(30);

#[test]
fn a_silent_peer_is_pinged_and_then_left() {
    let mut lab = Lab::new(Role::Client);
    lab.pass(INTERVAL);
    assert_eq!(lab.sent(), [Frame::Ping(SYN, 2)]);
    lab.pass(Keepalive::default().timeout);
    assert!(matches!(lab.cause(), Some(Cause::KeepaliveTimeout { .. })));
    assert_eq!(lab.connection.state(), State::Closed);
}

#[test]
fn any_byte_is_a_sign_of_life() {
    let mut lab = Lab::new(Role::Client);
    // A ping that comes byte by byte.
    for byte in Header::new(Kind::Ping, NONE, 0, 0).encode().into_iter().cycle().take(120) {
        lab.pass(Duration::from_secs(20));
        lab.receive_bytes(&[byte]);
        assert_eq!(lab.sent(), []);
    }
    assert_eq!(lab.connection.state(), State::Open);
}

#[test]
fn arriving_bytes_excuse_a_late_pong() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.pass(INTERVAL);
    assert_eq!(lab.sent(), [Frame::Ping(SYN, 2)]);
    for _ in 0..20 {
        lab.pass(Duration::from_secs(9));
        lab.receive(Frame::Data(NONE, 1, 1));
        assert_eq!(lab.read(key, 1), Poll::Ready(Ok(1)));
        lab.sent();
    }
    assert_eq!(lab.connection.state(), State::Open);
}

#[test]
fn a_transport_that_takes_nothing_ends_the_session() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    assert_eq!(lab.write(key, 100), Poll::Ready(Ok(100)));
    let mut transmit = Transmit::new();
    lab.connection.take_output(&mut transmit, lab.now);
    lab.connection.transport_full(lab.now);
    for _ in 0..59 {
        lab.pass(Duration::from_secs(1));
        // The peer is heard all the time.
        lab.receive(Frame::Ping(SYN, 0));
    }
    assert_eq!(lab.connection.state(), State::Open);
    lab.pass(Duration::from_secs(1));
    assert!(matches!(lab.cause(), Some(Cause::TransportStall { .. })));
}

#[test]
fn a_slow_transport_is_alive() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    assert_eq!(lab.write(key, 1000), Poll::Ready(Ok(1000)));
    let mut transmit = Transmit::new();
    lab.connection.take_output(&mut transmit, lab.now);
    lab.connection.transport_full(lab.now);
    // One byte in 29 s, and nothing comes back.
    while transmit.len() > 1 {
        lab.pass(Duration::from_secs(29));
        transmit.advance(1);
        lab.connection.output_written(1, false, lab.now);
        lab.connection.transport_full(lab.now);
    }
    assert_eq!(lab.connection.state(), State::Open);
}

#[test]
fn pings_are_answered_with_their_number() {
    let mut lab = Lab::new(Role::Server);
    lab.receive(Frame::Ping(SYN, 0xdead_beef));
    assert_eq!(lab.sent(), [Frame::Ping(ACK, 0xdead_beef)]);
}

#[test]
fn a_ping_measures_the_time_on_the_wire() {
    let mut lab = Lab::new(Role::Client);
    let ping = lab.connection.ping();
    assert_eq!(lab.sent(), [Frame::Ping(SYN, 2)]);
    lab.pass(Duration::from_millis(7));
    lab.events();
    lab.receive(Frame::Ping(ACK, 2));
    assert_eq!(lab.events(), [Event::Pong]);
    assert_eq!(lab.connection.latency_of(ping), Some(Duration::from_millis(7)));
}
