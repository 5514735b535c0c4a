//! RFC 6455, sections 5.5.2 and 5.5.3: pings, pongs, and the peer that does not answer.

use super::*;

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
//= type=test
//# Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it already received a
//# Close frame.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
//= type=test
//# A Pong frame sent in response to a Ping frame must have identical "Application data" as found in the message
//# body of the Ping frame being replied to.
#[test]
fn pings_are_answered_in_order_with_their_payload() {
    let mut connection = server();
    for n in 0..10 {
        feed(&mut connection, &masked(PING, &[n; 125]));
    }
    let pongs: Vec<_> = (0..10).map(|n| (PONG, vec![n; 125])).collect();
    assert_eq!(written(&mut connection), pongs);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
//= type=test
//# If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous Ping
//# frame(s), the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame.
#[test]
fn an_unread_flood_of_pings_takes_bounded_memory() {
    let mut connection = client();
    for n in 0..20_000u32 {
        feed(&mut connection, &frame(PING, &n.to_be_bytes()));
    }
    assert!(connection.output().len() < (64 << 10) + 200);
    let answered = written(&mut connection).len() as u64;
    assert_eq!(written(&mut connection), [(PONG, 19_999u32.to_be_bytes().to_vec())]);
    assert_eq!(connection.statistics().pings_superseded, 20_000 - answered - 1);
}

#[test]
fn a_pong_gives_the_latency_of_earlier_pings() {
    let mut connection = client();
    let first = connection.ping(at(1)).unwrap();
    let second = connection.ping(at(2)).unwrap();
    let (_, payload) = written(&mut connection).pop().unwrap();
    assert_eq!(connection.latency_of(first), None);
    connection.input().extend_from_slice(&frame(PONG, &payload));
    connection.process(at(5));
    assert_eq!(connection.latency_of(first), Some(Duration::from_secs(4)));
    assert_eq!(connection.latency_of(second), Some(Duration::from_secs(3)));
    assert_eq!(connection.statistics().latency, Some(Duration::from_secs(3)));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5
//= type=test
//# All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.
#[test]
fn a_ping_carries_the_callers_payload() {
    let mut connection = client();
    let id = connection.ping_with(b"room 5", at(1)).unwrap();
    assert_eq!(written(&mut connection), [(PING, b"room 5".to_vec())]);
    connection.input().extend_from_slice(&frame(PONG, b"room 6"));
    connection.process(at(2));
    assert_eq!(connection.latency_of(id), None, "the pong of no ping");
    connection.input().extend_from_slice(&frame(PONG, b"room 5"));
    connection.process(at(4));
    assert_eq!(connection.latency_of(id), Some(Duration::from_secs(3)));
    connection.ping_with(&[7; 125], at(5)).unwrap();
    assert_eq!(connection.ping_with(&[7; 126], at(5)), Err(Error::ControlTooLong { bytes: 126 }));
    assert_eq!(connection.pong(&[7; 126]), Err(Error::ControlTooLong { bytes: 126 }));
    assert_eq!(written(&mut connection), [(PING, vec![7; 125])]);
}

#[test]
fn a_pong_after_the_interval_keeps_the_connection() {
    let mut connection = client();
    assert_eq!(connection.deadline(), Some(at(20)));
    connection.handle_deadline(at(19));
    assert_eq!(connection.output(), b"");
    connection.handle_deadline(at(20));
    let (first, payload) = written(&mut connection).pop().unwrap();
    assert_eq!(first, PING);
    connection.input().extend_from_slice(&frame(PONG, &payload));
    connection.process(at(39));
    assert_eq!(connection.deadline(), Some(at(40)));
    connection.handle_deadline(at(40));
    assert_eq!(written(&mut connection).len(), 1);
    assert_eq!(connection.state(), State::Open);
}

#[test]
fn a_pong_for_a_later_application_ping_counts() {
    let mut connection = client();
    connection.handle_deadline(at(20));
    connection.ping(at(21)).unwrap();
    let (_, payload) = written(&mut connection).pop().unwrap();
    feed(&mut connection, &frame(PONG, &payload));
    connection.handle_deadline(at(40));
    assert_eq!(connection.state(), State::Open);
}

#[test]
fn an_unanswering_peer_gets_1011_before_the_end() {
    let mut connection = client();
    connection.handle_deadline(at(20));
    written(&mut connection);
    feed(&mut connection, &frame(PONG, b"not its payload"));
    assert_eq!(connection.deadline(), Some(at(40)));
    connection.handle_deadline(at(40));
    assert_eq!(connection.state(), State::Closing);
    assert_eq!(close_code_written(&mut connection), 1011);
    let closed = connection.closed().unwrap();
    assert_eq!(closed.cause, Cause::KeepaliveTimeout { timeout: Duration::from_secs(20) });
    assert_eq!(closed.sent.as_ref().and_then(|frame| frame.code), Some(CloseCode::INTERNAL_ERROR));
    assert_eq!(connection.transport(), Transport::Drop);
}

#[test]
fn a_stuck_write_delays_no_keepalive_timeout() {
    let mut connection = client();
    connection.send(Kind::Binary, &[0; 1 << 20]).unwrap();
    connection.output_refused(at(1));
    connection.handle_deadline(at(20));
    connection.handle_deadline(at(40));
    let closed = connection.closed().expect("nothing can be said to the peer");
    assert_eq!(closed.cause, Cause::KeepaliveTimeout { timeout: Duration::from_secs(20) });
    assert_eq!(closed.sent, None, "it never reached the wire");
    assert_eq!(connection.transport(), Transport::Drop);
}

#[test]
fn a_close_that_is_refused_is_left_out() {
    let mut connection = client();
    connection.handle_deadline(at(20));
    connection.handle_deadline(at(40));
    assert_eq!(connection.state(), State::Closing, "the transport may take the Close");
    connection.output_refused(at(40));
    assert_eq!(connection.deadline(), Some(at(40) + Duration::from_millis(10)));
    connection.handle_deadline(at(40) + Duration::from_millis(10));
    assert_eq!(connection.closed().unwrap().sent, None);
}

#[test]
fn taking_a_little_at_times_is_life() {
    let mut connection = client();
    connection.send(Kind::Binary, &[0; 1 << 20]).unwrap();
    connection.handle_deadline(at(20));
    let ping = connection.output().len();
    connection.output_written(ping - 1000, &|| at(20));
    connection.output_refused(at(20));
    connection.output_written(1000, &|| at(21));
    // The ping has left. What follows waits for room.
    connection.send(Kind::Binary, &[0; 1 << 20]).unwrap();
    let mut now = at(21);
    connection.output_refused(now);
    while now < at(60) {
        now += Duration::from_millis(4);
        connection.output_written(10, &|| now);
        connection.output_refused(now);
        if connection.deadline().is_some_and(|deadline| deadline <= now) {
            connection.handle_deadline(now);
        }
        assert_eq!(connection.state(), State::Open, "at {now:?}");
    }
    connection.handle_deadline(now + Duration::from_secs(20));
    assert!(connection.closed().is_some(), "now it takes nothing");
}

#[test]
fn a_pong_after_the_timeout_changes_nothing() {
    let mut connection = client();
    connection.handle_deadline(at(20));
    let (_, payload) = written(&mut connection).pop().unwrap();
    connection.handle_deadline(at(40));
    feed(&mut connection, &frame(PONG, &payload));
    written(&mut connection);
    assert!(matches!(connection.closed().unwrap().cause, Cause::KeepaliveTimeout { .. }));
    assert_eq!(connection.statistics().latency, None);
}

#[test]
fn a_pong_behind_unread_messages_is_awaited() {
    let mut config = Config::default();
    config.limits.receive_queue_messages = 1;
    let mut connection = with(Role::Client, config);
    connection.handle_deadline(at(20));
    feed(&mut connection, &frame(TEXT, b"unread"));
    connection.handle_deadline(at(40));
    assert_eq!((connection.state(), connection.deadline()), (State::Open, Some(at(60))));
    // Whenever before 60 s that is: a moment before, the pong would not have had time to come.
    connection.recv_message();
    connection.handle_deadline(at(60));
    assert_eq!((connection.state(), connection.deadline()), (State::Open, Some(at(80))));
    connection.handle_deadline(at(80));
    assert_eq!(connection.state(), State::Closing, "reading went on, and no pong came");
}

#[test]
fn a_briefly_full_queue_extends_the_timeout() {
    let mut config = Config::default();
    config.limits.receive_queue_messages = 16;
    // As many as the queue holds; and one behind them in the same read, which waits until there is room for it and
    // more.
    for count in [16, 17] {
        let mut connection = with(Role::Client, config.clone());
        connection.handle_deadline(at(20));
        feed(&mut connection, &frame(TEXT, b"unread").repeat(count));
        assert!(!connection.wants_read());
        messages(&mut connection);
        assert!(connection.wants_read());
        connection.handle_deadline(at(40));
        assert_eq!((connection.state(), connection.deadline()), (State::Open, Some(at(60))));
        connection.handle_deadline(at(60));
        assert_eq!(connection.state(), State::Closing, "reading went on, and no pong came");
    }
}

#[test]
fn a_pong_behind_a_full_queue_counts_later() {
    let mut config = Config::default();
    config.limits.receive_queue_messages = 1;
    let mut connection = with(Role::Client, config);
    connection.handle_deadline(at(20));
    let (_, payload) = written(&mut connection).pop().unwrap();
    feed(&mut connection, &frames([(TEXT, b"1"), (TEXT, b"2"), (PONG, &payload), (PING, b"?")]));
    connection.handle_deadline(at(40));
    assert_eq!((connection.state(), connection.statistics().latency), (State::Open, None));
    connection.recv_message();
    assert!(connection.has_input_left() && !connection.wants_read(), "what was read comes first");
    connection.process(at(41));
    assert_eq!(connection.statistics().latency, Some(Duration::from_secs(21)));
    assert_eq!(written(&mut connection), [(PONG, b"?".to_vec())]);
}

#[test]
fn a_zero_interval_means_one_millisecond() {
    let keepalive = crate::Keepalive { interval: Some(Duration::ZERO), timeout: None };
    let mut connection = with(Role::Client, Config { keepalive, ..Config::default() });
    let mut now = START;
    for millisecond in 1..100 {
        now = connection.deadline().expect("a ping is to come");
        assert_eq!(now, START + Duration::from_millis(millisecond));
        connection.handle_deadline(now);
    }
    assert!(connection.deadline() > Some(now));
}

#[test]
fn pings_need_an_interval_and_failure_a_timeout() {
    let mut config = Config::default();
    config.keepalive.interval = None;
    assert_eq!(with(Role::Client, config.clone()).deadline(), None);

    config.keepalive = crate::Keepalive { interval: Some(Duration::from_secs(1)), timeout: None };
    let mut connection = with(Role::Client, config);
    for second in 1..100 {
        assert_eq!(connection.deadline(), Some(at(second)));
        connection.handle_deadline(at(second));
        assert_eq!(written(&mut connection).len(), 1);
    }
}

#[test]
fn closing_stops_the_keepalive() {
    let mut connection = client();
    connection.handle_deadline(at(20));
    connection.close(CloseCode::NORMAL, "", at(39));
    connection.handle_deadline(at(41));
    assert_eq!((connection.state(), connection.deadline()), (State::Closing, Some(at(49))));
    connection.handle_deadline(at(49));
    assert_eq!(connection.closed().unwrap().cause, Cause::CloseTimeout { timeout: Duration::from_secs(10) });
}

#[test]
fn a_flood_of_pings_is_taken_in_turns() {
    let mut server = server();
    let pings = 10_000;
    server.input().extend_from_slice(&masked(PING, b"").repeat(pings));
    let mut turns = 0;
    while turns == 0 || server.has_input_left() {
        let before = server.statistics().frames_received;
        server.process(START);
        turns += 1;
        assert!(server.statistics().frames_received - before <= 1024, "in turn {turns}");
    }
    assert!(turns >= pings / 1024);
}
