//! How sessions end.

use std::io;

use super::*;
use crate::closed::{Closed, GoAwayCode};
use crate::config::Limits;
use crate::error::OpenError;

#[test]
fn close_writes_everything_then_goaway_then_ends() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    assert_eq!(lab.write(key, 10), Poll::Ready(Ok(10)));
    lab.connection.close(lab.now);
    assert_eq!(lab.connection.transport(), Transport::Open);
    assert_eq!(lab.sent(), [Frame::Data(NONE, 1, 10), Frame::GoAway(0)]);
    assert_eq!(lab.connection.transport(), Transport::ShutDown);
    assert_eq!(lab.connection.state(), State::Closing);
    lab.connection.end_of_input(lab.now);
    assert_eq!((lab.connection.transport(), lab.cause()), (Transport::Drop, Some(Cause::Local)));
}

#[test]
fn closing_ends_at_the_timeout() {
    let mut lab = Lab::new(Role::Client);
    lab.connection.close(lab.now);
    lab.pass(Duration::from_secs(5));
    assert_eq!((lab.connection.state(), lab.cause()), (State::Closed, Some(Cause::Local)));
}

#[test]
fn calls_fail_once_the_outcome_is_decided() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    assert_eq!(lab.read(key, 1), Poll::Pending);
    lab.events();
    lab.connection.close(lab.now);
    assert_eq!(lab.events(), [Event::Ending]);
    assert!(matches!(lab.read(key, 1), Poll::Ready(Err(ReadError::Closed(_)))));
    assert!(matches!(lab.write(key, 1), Poll::Ready(Err(WriteError::Closed(_)))));
    assert!(matches!(lab.connection.open(lab.now), Poll::Ready(Err(OpenError::Closed(_)))));
    lab.connection.drop_stream(key, lab.now);
    assert_eq!(lab.connection.statistics().streams_held, 0);
}

#[test]
fn streams_that_linger_end_with_the_session() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.connection.close_stream(key, lab.now).unwrap();
    lab.connection.drop_stream(key, lab.now);
    assert_eq!(lab.connection.statistics().streams_held, 1);
    lab.connection.close(lab.now);
    assert_eq!(lab.connection.statistics().streams_held, 0);
}

#[test]
fn only_an_end_without_streams_is_clean() {
    let mut lab = Lab::new(Role::Client);
    lab.connection.end_of_input(lab.now);
    assert_eq!(lab.cause(), Some(Cause::Peer));
    let mut lab = Lab::new(Role::Client);
    lab.opened();
    lab.connection.end_of_input(lab.now);
    assert_eq!(lab.cause(), Some(Cause::EndOfInput));
    let mut lab = Lab::new(Role::Client);
    lab.opened();
    lab.receive(Frame::GoAway(0));
    lab.connection.end_of_input(lab.now);
    assert_eq!(lab.cause(), Some(Cause::Peer));
}

#[test]
fn received_bytes_survive_the_session() {
    let mut lab = Lab::new(Role::Client);
    let (cut, whole) = (lab.opened(), lab.opened());
    lab.receive(Frame::Data(NONE, 1, 10));
    lab.receive(Frame::Data(FIN, 3, 10));
    lab.connection.transport_failed(&io::ErrorKind::ConnectionReset.into(), lab.now);
    assert_eq!(lab.read(cut, 100), Poll::Ready(Ok(10)));
    assert!(matches!(lab.read(cut, 100), Poll::Ready(Err(ReadError::Closed(_)))));
    assert_eq!(lab.read(whole, 100), Poll::Ready(Ok(10)));
    assert_eq!(lab.read(whole, 100), Poll::Ready(Ok(0)));
}

#[test]
fn bytes_after_a_failed_write_are_read() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.connection.write_failed(&io::ErrorKind::BrokenPipe.into(), lab.now);
    assert!(matches!(lab.write(key, 1), Poll::Ready(Err(WriteError::Closed(_)))));
    lab.receive(Frame::Data(FIN, 1, 10));
    assert_eq!(lab.read(key, 100), Poll::Ready(Ok(10)));
    assert_eq!(lab.read(key, 100), Poll::Ready(Ok(0)));
    assert!(!lab.connection.has_output());
    lab.connection.end_of_input(lab.now);
    assert!(matches!(lab.cause(), Some(Cause::Io { kind: io::ErrorKind::BrokenPipe, .. })));
}

#[test]
fn streams_after_a_failed_write_are_accepted() {
    let mut lab = Lab::new(Role::Server);
    lab.connection.write_failed(&io::ErrorKind::BrokenPipe.into(), lab.now);
    assert_eq!(lab.connection.accept_end(), None, "the peer may have opened streams before");
    lab.events();
    lab.receive(Frame::Data(SYN.and(FIN), 1, 10));
    assert_eq!(lab.events(), [Event::Acceptable]);
    let key = lab.connection.accept().expect("a stream waits");
    assert_eq!(lab.read(key, 100), Poll::Ready(Ok(10)));
    lab.receive(Frame::Data(SYN, 3, 10));
    lab.connection.end_of_input(lab.now);
    assert_eq!(lab.connection.accept_end(), None, "a stream waits");
    lab.connection.accept().expect("a stream waits");
    assert!(matches!(lab.connection.accept_end(), Some(Closed { cause: Cause::Io { .. } })));
}

#[test]
fn a_failed_write_decides_the_outcome() {
    let broken = || {
        let mut lab = Lab::new(Role::Server);
        lab.connection.write_failed(&io::ErrorKind::BrokenPipe.into(), lab.now);
        lab
    };
    let check = |lab: &Lab| {
        assert!(matches!(lab.cause(), Some(Cause::Io { .. })));
        assert_eq!(lab.connection.state(), State::Closed);
    };
    let mut lab = broken();
    lab.receive(Frame::GoAway(1));
    check(&lab);
    // What follows a violation cannot be understood.
    let mut lab = broken();
    lab.receive_bytes(&[1; 12]);
    check(&lab);
    lab.receive(Frame::Data(SYN, 1, 10));
    assert_eq!(lab.connection.accept(), None);
}

#[test]
fn a_failed_write_leaves_no_answers_waiting() {
    let limits = Limits { accept_backlog: 0, ..Limits::default() };
    let mut lab = Lab::with(Role::Server, Config { limits, ..Config::default() });
    lab.connection.write_failed(&io::ErrorKind::BrokenPipe.into(), lab.now);
    for number in 0..10_000 {
        lab.receive(Frame::Ping(SYN, number));
        lab.receive(Frame::Window(SYN, 2 * number + 1, 0));
        assert_eq!(lab.connection.statistics().pending_bytes, 0);
    }
    assert_eq!(lab.connection.state(), State::Closing);
}

/// A stream that was closed, and whose FIN the driver has taken.
fn with_fin_under_way(lab: &mut Lab) -> (StreamKey, Transmit) {
    let key = lab.opened();
    lab.connection.close_write(key, lab.now).unwrap();
    let mut transmit = Transmit::new();
    assert!(lab.connection.take_output(&mut transmit, lab.now));
    assert_eq!(lab.connection.flush(key), Poll::Pending);
    (key, transmit)
}

#[test]
fn a_failed_write_fails_flushes() {
    let mut lab = Lab::new(Role::Client);
    let written = lab.opened();
    lab.connection.close_write(written, lab.now).unwrap();
    lab.sent();
    let (taken, _) = with_fin_under_way(&mut lab);
    let waiting = lab.opened_unseen();
    lab.connection.close_write(waiting, lab.now).unwrap();
    lab.connection.write_failed(&io::ErrorKind::BrokenPipe.into(), lab.now);
    for key in [taken, waiting] {
        assert!(matches!(lab.connection.flush(key), Poll::Ready(Err(WriteError::Closed(_)))));
    }
    assert_eq!(lab.connection.flush(written), Poll::Ready(Ok(())), "it was written before");
}

#[test]
fn a_failed_write_while_closing_fails_flushes() {
    let mut lab = Lab::new(Role::Client);
    let (key, _) = with_fin_under_way(&mut lab);
    lab.connection.close(lab.now);
    assert_eq!(lab.connection.flush(key), Poll::Pending, "what was taken may still go out");
    lab.connection.wait_flushed(key);
    lab.events();
    lab.connection.write_failed(&io::ErrorKind::BrokenPipe.into(), lab.now);
    assert_eq!(lab.events(), [Event::Writable(key)]);
    assert!(matches!(lab.connection.flush(key), Poll::Ready(Err(WriteError::Closed(_)))));
}

#[test]
fn a_violation_flushes_only_what_was_taken() {
    let mut lab = Lab::new(Role::Client);
    let (taken, mut transmit) = with_fin_under_way(&mut lab);
    let discarded = lab.opened_unseen();
    lab.connection.close_write(discarded, lab.now).unwrap();
    lab.receive_bytes(&[1; 12]);
    let lost =
        |lab: &mut Lab| matches!(lab.connection.flush(discarded), Poll::Ready(Err(WriteError::Closed(_))));
    assert!(lost(&mut lab));
    assert_eq!(lab.connection.flush(taken), Poll::Pending);
    let count = transmit.len();
    transmit.advance(count);
    lab.connection.output_written(count, true, lab.now);
    assert_eq!(lab.connection.flush(taken), Poll::Ready(Ok(())));
    assert_eq!(lab.sent(), [Frame::GoAway(1)]);
    assert!(lost(&mut lab), "GoAway stands where it was");
}

#[test]
fn a_read_deadline_outlives_a_failed_write() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    let (soon, later) = (lab.now + Duration::from_secs(1), lab.now + Duration::from_secs(2));
    lab.connection.set_read_deadline(key, Some(soon), lab.now);
    assert_eq!(lab.read(key, 1), Poll::Pending);
    lab.connection.write_failed(&io::ErrorKind::BrokenPipe.into(), lab.now);
    lab.events();
    assert_eq!(lab.connection.deadline(), Some(soon));
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.events(), [Event::Readable(key)]);
    assert_eq!(lab.read(key, 1), Poll::Ready(Err(ReadError::TimedOut)));
    // One that is set now holds, too.
    lab.connection.set_read_deadline(key, Some(later), lab.now);
    assert_eq!(lab.read(key, 1), Poll::Pending);
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.read(key, 1), Poll::Ready(Err(ReadError::TimedOut)));
    lab.pass(Duration::from_secs(3));
    assert!(matches!(lab.read(key, 1), Poll::Ready(Err(ReadError::Closed(_)))));
}

#[test]
fn a_failed_write_leaves_no_wait_for_credit() {
    let mut lab = Lab::new(Role::Client);
    lab.connection.config.timeouts.no_credit(Some(Duration::ZERO));
    let key = lab.opened();
    lab.write_to_the_end_of_credit(key);
    lab.connection.write_failed(&io::ErrorKind::BrokenPipe.into(), lab.now);
    lab.receive(Frame::Window(FIN, 1, 0));
    lab.pass(Duration::from_secs(1));
    assert!(matches!(lab.write(key, 1), Poll::Ready(Err(WriteError::Closed(_)))));
}

#[test]
fn goaway_refuses_opens_and_lets_streams_go_on() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.events();
    lab.receive(Frame::GoAway(0));
    assert_eq!(lab.events(), [Event::MayOpen]);
    assert_eq!(lab.connection.open(lab.now), Poll::Ready(Err(OpenError::GoAway)));
    lab.receive(Frame::Data(FIN, 1, 10));
    assert_eq!(lab.read(key, 100), Poll::Ready(Ok(10)));
    lab.connection.close_write(key, lab.now).unwrap();
    assert_eq!(lab.connection.state(), State::Open);
}

#[test]
fn an_error_of_the_peer_ends_the_session() {
    let mut lab = Lab::new(Role::Client);
    let key = lab.opened();
    lab.receive(Frame::Data(NONE, 1, 10));
    lab.receive(Frame::GoAway(1));
    assert_eq!(lab.cause(), Some(Cause::PeerError { code: GoAwayCode::ProtocolError }));
    assert_eq!(lab.read(key, 100), Poll::Ready(Ok(10)));
    assert_eq!(lab.sent(), []);
    assert_eq!(lab.connection.transport(), Transport::ShutDown);
}

#[test]
fn draining_sends_go_away_once_idle() {
    let mut lab = Lab::new(Role::Server);
    let key = lab.accept(1);
    lab.connection.drain(lab.now);
    assert_eq!(lab.sent(), []);
    lab.receive(Frame::Window(SYN, 3, 0));
    assert_eq!(lab.sent(), [Frame::Window(ACK.and(RST), 3, 0)]);
    assert_eq!(lab.connection.open(lab.now), Poll::Ready(Err(OpenError::Draining)));
    lab.receive(Frame::Window(FIN, 1, 0));
    lab.connection.close_write(key, lab.now).unwrap();
    assert_eq!(lab.sent(), [Frame::Window(FIN, 1, 0), Frame::GoAway(0)]);
    assert_eq!(lab.cause(), Some(Cause::Local));
}

#[test]
fn draining_tells_a_peer_of_ours_at_once() {
    let mut lab = Lab::extended(Role::Server);
    lab.accept(1);
    lab.connection.drain(lab.now);
    assert_eq!(lab.sent(), [Frame::GoAway(0)]);
    assert_eq!(lab.connection.state(), State::Open);
}

#[test]
fn draining_waits_for_streams_not_accepted_yet() {
    let mut lab = Lab::new(Role::Server);
    lab.receive(Frame::Data(SYN.and(FIN), 1, 10));
    lab.connection.drain(lab.now);
    assert_eq!(lab.connection.state(), State::Open);
    let key = lab.connection.accept().expect("a stream waits");
    lab.connection.close_write(key, lab.now).unwrap();
    assert_eq!(lab.cause(), Some(Cause::Local));
    assert_eq!(lab.read(key, 100), Poll::Ready(Ok(10)));
}

#[test]
fn refusing_all_resets_the_backlog() {
    let mut lab = Lab::new(Role::Server);
    let key = lab.accept(1);
    lab.receive(Frame::Window(SYN, 3, 0));
    lab.connection.refuse_all(lab.now);
    assert_eq!(lab.sent(), [Frame::Window(RST, 3, 0)]);
    assert_eq!(lab.connection.state(), State::Open);
    lab.connection.drop_stream(key, lab.now);
    assert_eq!(lab.cause(), Some(Cause::Local));
}

#[test]
fn a_quiescent_session_has_no_timer_but_keepalive() {
    let mut lab = Lab::new(Role::Client);
    for _ in 0..10 {
        let key = lab.opened();
        assert_eq!(lab.write(key, 10), Poll::Ready(Ok(10)));
        lab.connection.close_write(key, lab.now).unwrap();
        lab.receive(Frame::Window(FIN, key.id(), 0));
        lab.connection.drop_stream(key, lab.now);
        lab.sent();
    }
    assert_eq!(lab.connection.timers.next(), None);
    assert_eq!(lab.connection.deadline(), lab.connection.liveness.deadline());
    let statistics = lab.connection.statistics();
    assert_eq!((statistics.streams, statistics.streams_held, statistics.buffered_bytes), (0, 0, 0));
}
