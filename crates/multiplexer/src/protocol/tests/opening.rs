//! Opening, accepting, refusing.

use super::*;
use crate::config::{Limits, Timeouts};
use crate::error::{LocalReset, OpenError};

fn limited(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = Config::default();
    change(&mut config.limits);
    config
}

#[test]
fn clients_use_odd_ids_and_servers_even_ones() {
    for (role, ids) in [(Role::Client, [1, 3, 5]), (Role::Server, [2, 4, 6])] {
        let mut lab = Lab::new(role);
        assert_eq!([lab.open().id(), lab.open().id(), lab.open().id()], ids);
    }
}

#[test]
fn data_follows_syn_without_a_round_trip() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.open();
    assert_eq!(lab.write(key, 5), Poll::Ready(Ok(5)));
    assert_eq!(lab.sent(), [Frame::Window(SYN, 1, 0), Frame::Data(NONE, 1, 5)]);
}

#[test]
fn ack_is_sent_on_accept_not_on_syn() {
    let mut lab = Lab::new(Role::Server);
    lab.receive(Frame::Window(SYN, 1, 0));
    assert_eq!(lab.sent(), []);
    assert_eq!(lab.events(), [Event::Pong, Event::Acceptable]);
    assert_eq!(lab.connection.accept().map(StreamKey::id), Some(1));
    assert_eq!(lab.sent(), [Frame::Window(ACK, 1, 0)]);
    assert_eq!(lab.connection.accept(), None);
}

#[test]
fn data_with_syn_is_read_after_accept() {
    let mut lab = Lab::new(Role::Server);
    lab.receive(Frame::Data(SYN.and(FIN), 1, 1000));
    let key = lab.connection.accept().expect("a stream waits");
    assert_eq!(lab.read(key, 2000), Poll::Ready(Ok(1000)));
    assert_eq!(lab.read(key, 2000), Poll::Ready(Ok(0)));
}

#[test]
fn streams_beyond_the_backlog_are_refused_with_ack() {
    let mut lab = Lab::with(Role::Server, limited(|limits| limits.accept_backlog = 2));
    for id in [1, 3, 5] {
        lab.receive(Frame::Window(SYN, id, 0));
    }
    assert_eq!(lab.sent(), [Frame::Window(ACK.and(RST), 5, 0)]);
    lab.connection.accept().expect("a stream waits");
    lab.sent();
    lab.receive(Frame::Window(SYN, 7, 0));
    assert_eq!(lab.sent(), []);
    assert_eq!(lab.connection.statistics().refused, 1);
}

#[test]
fn dropping_handles_makes_room_for_streams() {
    let mut lab = Lab::with(Role::Server, limited(|limits| limits.inbound_streams = 1));
    let key = lab.accept(1);
    lab.receive(Frame::Window(RST, 1, 0));
    lab.receive(Frame::Window(SYN, 3, 0));
    assert_eq!(lab.sent(), [Frame::Window(ACK.and(RST), 3, 0)]);
    lab.connection.drop_stream(key, lab.now);
    lab.receive(Frame::Window(SYN, 5, 0));
    assert_eq!(lab.sent(), []);
}

#[test]
fn a_local_limit_fails_only_the_call() {
    let mut lab = Lab::with(Role::Client, limited(|limits| limits.outbound_streams = 1));
    let key = lab.open();
    assert_eq!(lab.connection.open(lab.now), Poll::Ready(Err(OpenError::TooManyStreams(1))));
    assert_eq!(lab.connection.state(), State::Open);
    lab.connection.drop_stream(key, lab.now);
    assert_eq!(lab.open().id(), 3);
}

#[test]
fn opens_wait_for_acknowledgements() {
    let mut lab = Lab::with(Role::Client, limited(|limits| limits.unacknowledged_opens = 2));
    let first = lab.open();
    lab.open();
    assert_eq!(lab.connection.open(lab.now), Poll::Pending);
    assert!(!lab.connection.may_open());
    lab.events();
    lab.receive(Frame::Window(ACK, first.id(), 0));
    assert_eq!(lab.events(), [Event::MayOpen]);
    lab.open();
    assert_eq!(lab.connection.open(lab.now), Poll::Pending);
    // A stream that is given up makes room, too.
    lab.connection.drop_stream(first, lab.now);
    assert_eq!(lab.connection.open(lab.now), Poll::Pending);
}

#[test]
fn a_refused_open_makes_room_for_the_next() {
    let mut lab = Lab::with(Role::Client, limited(|limits| limits.unacknowledged_opens = 1));
    for _ in 0..1000 {
        let key = lab.open();
        lab.receive(Frame::Window(ACK.and(RST), key.id(), 0));
        assert_eq!(lab.write(key, 1), Poll::Ready(Err(WriteError::Refused)));
        assert_eq!(lab.read(key, 1), Poll::Ready(Err(ReadError::Refused)));
        lab.connection.drop_stream(key, lab.now);
    }
    assert_eq!(lab.connection.statistics().streams_held, 0);
}

#[test]
fn an_open_timeout_fails_the_stream_alone() {
    let mut lab = Lab::new(Role::Client);
    let (lost, seen) = (lab.open(), lab.open());
    lab.sent();
    // Any frame acknowledges: some peers send ACK with their first data only.
    lab.receive(Frame::Data(NONE, seen.id(), 1));
    assert_eq!(lab.read(lost, 1), Poll::Pending);
    lab.events();
    lab.pass(Timeouts::default().open.unwrap());
    assert_eq!(lab.events(), [Event::Readable(lost), Event::MayOpen]);
    assert_eq!(lab.read(lost, 1), Poll::Ready(Err(ReadError::ResetHere(LocalReset::OpenTimeout))));
    assert!(lab.sent().contains(&Frame::Window(RST, lost.id(), 0)));
    assert_eq!(lab.read(seen, 1), Poll::Ready(Ok(1)));
    assert_eq!(lab.connection.state(), State::Open);
}

#[test]
fn exhausted_ids_fail_the_call_not_the_session() {
    let config = Config { first_id: Some(u32::MAX - 2), ..Config::default() };
    let mut lab = Lab::with(Role::Client, config);
    assert_eq!([lab.open().id(), lab.open().id()], [u32::MAX - 2, u32::MAX]);
    assert_eq!(lab.connection.open(lab.now), Poll::Ready(Err(OpenError::IdsExhausted)));
    assert_eq!(lab.connection.state(), State::Open);
}

#[test]
fn ids_may_arrive_in_another_order() {
    let mut lab = Lab::new(Role::Server);
    for id in [5, 1, 3] {
        lab.receive(Frame::Window(SYN, id, 0));
    }
    let accepted: Vec<u32> = std::iter::from_fn(|| lab.connection.accept()).map(StreamKey::id).collect();
    assert_eq!(accepted, [5, 1, 3]);
}

#[test]
fn streams_reset_before_accept_leave_the_backlog() {
    let mut lab = Lab::new(Role::Server);
    for id in [1, 3, 5] {
        lab.receive(Frame::Data(SYN, id, 100));
    }
    lab.receive(Frame::Window(RST, 3, 0));
    assert_eq!(lab.connection.statistics().buffered_bytes, 200);
    let accepted: Vec<u32> = std::iter::from_fn(|| lab.connection.accept()).map(StreamKey::id).collect();
    assert_eq!(accepted, [1, 5]);
}

#[test]
fn finished_streams_wait_to_be_accepted_whatever_follows() {
    let mut lab = Lab::extended(Role::Server);
    for (id, after) in [(1, STOP), (3, RST)] {
        lab.receive(Frame::Data(SYN.and(FIN), id, 100));
        lab.receive(Frame::Window(after, id, 0));
    }
    assert_eq!(lab.connection.statistics().streams, 0);
    for id in [1, 3] {
        let key = lab.connection.accept().expect("a stream waits");
        assert_eq!(key.id(), id);
        assert_eq!(lab.read(key, 1000), Poll::Ready(Ok(100)));
        assert_eq!(lab.read(key, 1000), Poll::Ready(Ok(0)));
        lab.connection.drop_stream(key, lab.now);
    }
    assert_eq!(lab.sent(), [Frame::Window(FIN, 1, 0)]);
    assert_eq!(lab.connection.statistics().streams_held, 0);
}

#[test]
fn congested_output_stops_accepting_streams() {
    let mut lab = Lab::with(Role::Server, limited(|limits| limits.inbound_streams = 100_000));
    let mut accepted = 0;
    for number in 0..20_000 {
        lab.receive(Frame::Window(SYN, 2 * number + 1, 0));
        if let Some(key) = lab.connection.accept() {
            accepted += 1;
            lab.connection.drop_stream(key, lab.now);
        }
        if lab.connection.state() != State::Open {
            break;
        }
    }
    // The peer reads nothing: it can make us hold acknowledgements and refusals of some thousand streams.
    assert!((5000..7000).contains(&accepted), "{accepted}");
    assert!(lab.violation().is_some());
}
