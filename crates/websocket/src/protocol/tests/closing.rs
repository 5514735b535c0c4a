//! RFC 6455, sections 5.5.1, 7.1 and 7.4: how connections end, cleanly and otherwise.

use std::io;

use super::*;
use crate::Limits;

const BYE: CloseCode = CloseCode::GOING_AWAY;

fn closed(connection: &Connection) -> &Closed {
    connection.closed().expect("the connection is over")
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//= type=test
//# The server MUST close the underlying TCP connection immediately; the client SHOULD wait for the server to
//# close the connection but MAY close the connection at any time after sending and receiving a Close message,
//# e.g., if it has not received a TCP Close from the server in a reasonable time period.
#[test]
fn a_client_leaves_the_transport_to_its_server() {
    let mut connection = client();
    connection.close(BYE, "enough", START);
    assert_eq!(written(&mut connection), [(CLOSE, close_body(1001, "enough"))]);
    feed(&mut connection, &frame(CLOSE, &close_body(1001, "")));
    let expected = Closed {
        sent: Some(CloseFrame::new(BYE, "enough")),
        received: Some(CloseFrame::new(BYE, "")),
        cause: Cause::Local,
    };
    assert_eq!(closed(&connection), &expected);
    assert!(expected.is_clean());
    assert_eq!((connection.state(), connection.transport()), (State::Closed, Transport::Open));
    assert!(connection.wants_read());
    connection.end_of_input(START);
    assert_eq!((connection.transport(), connection.deadline()), (Transport::Drop, None));
}

#[test]
fn an_unending_transport_is_dropped_at_the_deadline() {
    let mut connection = client();
    connection.close(BYE, "", START);
    written(&mut connection);
    feed(&mut connection, &frame(CLOSE, &close_body(1001, "")));
    let deadline = connection.deadline().unwrap();
    assert_eq!(deadline, START + Duration::from_secs(10));
    // What follows a Close frame is dropped.
    feed(&mut connection, &frame(TEXT, b"late"));
    assert_eq!(connection.recv_message(), None);
    connection.handle_deadline(deadline);
    assert_eq!((connection.transport(), connection.deadline()), (Transport::Drop, None));
    assert!(!connection.wants_read());
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//= type=test
//# The server MUST close the underlying TCP connection immediately; the client SHOULD wait for the server to
//# close the connection but MAY close the connection at any time after sending and receiving a Close message,
//# e.g., if it has not received a TCP Close from the server in a reasonable time period.
#[test]
fn a_server_shuts_down_after_both_close_frames() {
    let mut connection = server();
    feed(&mut connection, &masked(CLOSE, &close_body(4000, "done")));
    assert_eq!(connection.transport(), Transport::Open, "the answer is not written");
    assert_eq!(written(&mut connection), [(CLOSE, close_body(4000, ""))]);
    assert_eq!(connection.transport(), Transport::ShutDown);
    let closed = outcome(&mut connection);
    assert!(closed.is_clean());
    assert_eq!((closed.cause, closed.received.unwrap().reason), (Cause::Peer, "done".to_owned()));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//= type=test
//# If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a
//# Close frame in response.
#[test]
fn a_close_is_answered_once_without_further_calls() {
    let mut connection = client();
    feed(&mut connection, &frames([(CLOSE, b""), (CLOSE, b""), (PING, b"x"), (TEXT, b"x")]));
    assert_eq!(written(&mut connection), [(CLOSE, Vec::new())]);
    connection.close(CloseCode::NORMAL, "", START);
    assert_eq!(connection.output(), b"");
    assert_eq!(messages(&mut connection), [], "what follows a Close is discarded");
    let closed = outcome(&mut connection);
    assert_eq!((closed.code(), closed.cause.clone(), closed.is_clean()), (1005, Cause::Peer, true));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//= type=test
//# 1005 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//= type=test
//# 1006 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//= type=test
//# 1015 is a reserved value and MUST NOT be set as a status code in a Close control frame by an endpoint.
#[test]
fn valid_codes_are_echoed_and_others_fail() {
    for code in
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
    {
        let mut connection = client();
        feed(&mut connection, &frame(CLOSE, &close_body(code, "")));
        assert_eq!(close_code_written(&mut connection), code);
        assert!(outcome(&mut connection).is_clean());
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert_violation(&frame(CLOSE, &close_body(code, "")), Violation::CloseCode(code));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//= type=test
//# If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in network byte
//# order) representing a status code with value /code/ defined in Section 7.4.
#[test]
fn a_malformed_close_body_fails_the_connection() {
    assert_violation(&frame(CLOSE, &[3]), Violation::CloseOneByte);
    assert_violation(&frame(CLOSE, &[3, 232, 0xce, 0xba, 0xe1]), Violation::CloseReasonNotUtf8);
}

#[test]
fn a_close_between_fragments_discards_the_unfinished_message() {
    let mut connection = client();
    feed(&mut connection, &frames([(TEXT_BEGINS, b"a"), (CLOSE, &close_body(1000, "")), (ENDS, b"b")]));
    assert_eq!(close_code_written(&mut connection), 1000);
    assert_eq!(messages(&mut connection), []);
    assert!(outcome(&mut connection).is_clean());
}

#[test]
fn messages_in_flight_while_closing_are_delivered() {
    let mut connection = client();
    connection.close(BYE, "", START);
    written(&mut connection);
    feed(&mut connection, &frames([(TEXT, b"late"), (PING, b"x"), (CLOSE, &close_body(1001, ""))]));
    assert_eq!(connection.output(), b"", "nothing follows our Close");
    assert_eq!(messages(&mut connection), [Message::text("late")]);
    assert!(outcome(&mut connection).is_clean());
}

#[test]
fn the_answering_close_is_found_behind_unread_messages() {
    // Each message takes 256 bytes besides its payload.
    let limits = Limits { receive_queue_messages: 4, closing_queue_bytes: 3560, ..Limits::default() };
    let mut connection = with(Role::Client, Config { limits, ..Config::default() });
    for _ in 0..4 {
        feed(&mut connection, &frame(BINARY, &[0; 100]));
    }
    assert!(!connection.wants_read());
    connection.close(BYE, "", START);
    written(&mut connection);
    for _ in 0..4000 {
        assert!(connection.wants_read());
        feed(&mut connection, &frame(BINARY, &[0; 100]));
    }
    feed(&mut connection, &frame(CLOSE, &close_body(1001, "")));
    assert!(outcome(&mut connection).is_clean());
    assert_eq!(messages(&mut connection).len(), 10);
    assert_eq!(connection.statistics().messages_discarded, 3994);
}

#[test]
fn short_messages_beyond_the_closing_limit_are_discarded() {
    let pong = frame(PONG, &[0; 125]);
    for (message, pongs) in [(&b""[..], 0), (b"", 1), (b"x", 0), (b"x", 1), (b"x", 4)] {
        let bytes = [pong.repeat(pongs), frame(BINARY, message)].concat();
        let mut connection = client();
        connection.close(BYE, "", START);
        written(&mut connection);
        for _ in 0..700 {
            assert!(connection.wants_read());
            feed(&mut connection, &bytes.repeat(100));
        }
        let discarded = connection.statistics().messages_discarded;
        assert!(
            discarded >= 70_000 - (16 << 20) / 256,
            "{discarded} of {} bytes and {pongs} pongs",
            message.len()
        );
        feed(&mut connection, &frame(CLOSE, &close_body(1001, "")));
        assert!(outcome(&mut connection).is_clean());
        assert_eq!(messages(&mut connection).len() as u64, 70_000 - discarded);
    }
}

#[test]
fn a_short_message_among_pongs_is_copied() {
    let mut connection = client();
    feed(&mut connection, &[frame(PONG, &[0; 125]).repeat(4), frame(BINARY, b"x")].concat());
    let input = connection.input();
    assert!(input.try_reclaim(input.capacity() + 4 * 127), "the message is a copy");
    assert_eq!(messages(&mut connection), [Message::binary(&b"x"[..])]);
}

#[test]
fn closing_finds_a_close_behind_a_full_queue() {
    let limits = Limits { receive_queue_messages: 1, ..Limits::default() };
    let mut connection = with(Role::Client, Config { limits, ..Config::default() });
    feed(&mut connection, &frames([(TEXT, b"1"), (TEXT, b"2"), (CLOSE, &close_body(4000, "theirs"))]));
    assert_eq!((connection.state(), connection.wants_read()), (State::Open, false));
    connection.close(BYE, "ours", START);
    assert_eq!(close_code_written(&mut connection), 1001);
    let closed = outcome(&mut connection);
    assert_eq!((closed.received.unwrap().reason, closed.cause), ("theirs".to_owned(), Cause::Local));
    assert_eq!(messages(&mut connection), [Message::text("1"), Message::text("2")]);
}

#[test]
fn messages_behind_a_full_queue_survive_the_end() {
    let limits = Limits { receive_queue_messages: 1, ..Limits::default() };
    let ends: [fn(&mut Connection); 3] = [
        |connection| connection.end_of_input(START),
        |connection| connection.transport_failed(&io::ErrorKind::ConnectionReset.into(), START),
        |connection| connection.write_failed(&io::ErrorKind::BrokenPipe.into(), START),
    ];
    for end in ends {
        let mut connection = with(Role::Client, Config { limits: limits.clone(), ..Config::default() });
        feed(&mut connection, &frames([(TEXT, b"1"), (TEXT, b"2"), (TEXT, b"3")]));
        assert!(connection.statistics().messages_received == 1 && !connection.has_input_left());
        end(&mut connection);
        assert_eq!(messages(&mut connection), ["1", "2", "3"].map(Message::text));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
//= type=test
//# If at any point the underlying transport layer connection is unexpectedly lost, the client MUST _Fail the
//# WebSocket Connection_.
#[test]
fn a_transport_end_without_close_is_unclean() {
    for (bytes, inside_message) in [
        (vec![], false),
        (frame(TEXT, b"whole"), false),
        (frame(TEXT_BEGINS, b"a"), true),
        (frame(TEXT, b"cut")[..4].to_vec(), true),
        (vec![BINARY], true),
    ] {
        let mut connection = client();
        feed(&mut connection, &bytes);
        let closed = outcome(&mut connection);
        assert_eq!(
            closed,
            Closed { sent: None, received: None, cause: Cause::EndOfInput { inside_message } }
        );
        assert_eq!((closed.code(), closed.is_clean()), (1006, false));
        assert_eq!(connection.output(), b"");
    }
}

#[test]
fn a_transport_end_replacing_the_answer_is_unclean() {
    let mut connection = client();
    connection.close(BYE, "", START);
    written(&mut connection);
    let closed = outcome(&mut connection);
    assert_eq!(closed.cause, Cause::EndOfInput { inside_message: false });
    assert_eq!(closed.sent, Some(CloseFrame::new(BYE, "")));
}

#[test]
fn a_half_closed_peer_still_gets_the_answer() {
    let mut connection = client();
    feed(&mut connection, &frame(CLOSE, &close_body(1000, "")));
    connection.end_of_input(START);
    assert_eq!(connection.state(), State::Closing);
    assert!(!connection.wants_read());
    assert_eq!(close_code_written(&mut connection), 1000);
    assert!(closed(&connection).is_clean());
}

#[test]
fn a_silent_peer_delays_closing_until_the_deadline() {
    let mut connection = client();
    connection.close(BYE, "", at(5));
    written(&mut connection);
    assert_eq!(connection.deadline(), Some(at(15)));
    connection.handle_deadline(at(14));
    assert_eq!(connection.state(), State::Closing);
    connection.handle_deadline(at(15));
    let expected = Closed {
        sent: Some(CloseFrame::new(BYE, "")),
        received: None,
        cause: Cause::CloseTimeout { timeout: Duration::from_secs(10) },
    };
    assert_eq!(closed(&connection), &expected);
    assert_eq!((connection.deadline(), connection.transport()), (None, Transport::Drop));
}

#[test]
fn an_unwritable_close_ends_at_the_deadline_unsent() {
    let mut connection = client();
    connection.send(Kind::Binary, &[0; 100_000]).unwrap();
    connection.output_written(50_000, &|| START);
    connection.close(BYE, "", START);
    connection.handle_deadline(at(10));
    assert_eq!(closed(&connection).sent, None);
    assert_eq!(connection.output(), b"", "after the end nothing is written");
}

#[test]
fn a_lingering_server_is_left_cleanly_at_deadline() {
    let mut connection = client();
    connection.close(BYE, "", START);
    written(&mut connection);
    feed(&mut connection, &frame(CLOSE, &close_body(1001, "")));
    connection.handle_deadline(at(10));
    assert!(closed(&connection).is_clean());
}

#[test]
fn simultaneous_closes_send_one_close_each() {
    let mut connection = server();
    connection.close(BYE, "ours", START);
    connection.close(CloseCode::NORMAL, "again", at(1));
    feed(&mut connection, &masked(CLOSE, &close_body(4001, "theirs")));
    assert_eq!(written(&mut connection), [(CLOSE, close_body(1001, "ours"))]);
    let closed = outcome(&mut connection);
    assert_eq!((closed.cause, closed.received.unwrap().code), (Cause::Local, CloseCode::new(4001)));
}

#[test]
fn a_violation_while_closing_sends_no_second_close() {
    let mut connection = client();
    connection.close(BYE, "", START);
    written(&mut connection);
    feed(&mut connection, &[0x83]);
    assert_eq!(connection.output(), b"");
    assert_eq!(connection.transport(), Transport::ShutDown);
    assert_eq!(outcome(&mut connection).cause, Cause::Violation { what: Violation::ReservedOpcode(3) });
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//= type=test
//# the endpoint SHOULD send a Close frame with an appropriate status code (Section 7.4) before proceeding to
//# _Close the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//= type=test
//# An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from the
//# remote endpoint after being instructed to _Fail the WebSocket Connection_.
#[test]
fn a_failed_connection_shuts_down_and_ignores_input() {
    for role in [Role::Client, Role::Server] {
        let mut connection = with(role, Config::default());
        feed(&mut connection, &[0xff]);
        assert_eq!(connection.transport(), Transport::Open, "the Close is not written");
        assert_eq!(close_code_written(&mut connection), 1002);
        assert_eq!(connection.transport(), Transport::ShutDown);
        assert!(connection.wants_read());
        feed(&mut connection, &frame(CLOSE, &close_body(1002, "")));
        connection.handle_deadline(at(10));
        let closed = closed(&connection);
        assert_eq!(closed.cause, Cause::Violation { what: Violation::ReservedBit });
        assert_eq!(closed.received, None, "what follows a failure is not processed");
        assert!(closed.sent.as_ref().unwrap().reason.contains("RFC 6455, section 5.2"));
    }
}

#[test]
fn a_transport_failure_is_the_cause_before_ending() {
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);

    let mut open = client();
    feed(&mut open, &frame(TEXT, b"before"));
    open.transport_failed(&reset, START);
    assert!(matches!(closed(&open).cause, Cause::Io { kind: io::ErrorKind::ConnectionReset, .. }));
    assert_eq!(messages(&mut open).len(), 1);

    let mut answered = client();
    answered.close(BYE, "", START);
    written(&mut answered);
    feed(&mut answered, &frame(CLOSE, &close_body(1001, "")));
    answered.transport_failed(&reset, START);
    assert!(
        closed(&answered).is_clean(),
        "the server reset instead of ending: both Close frames are through"
    );

    let mut failed = client();
    feed(&mut failed, &[0xff]);
    failed.transport_failed(&reset, START);
    assert_eq!(closed(&failed).cause, Cause::Violation { what: Violation::ReservedBit });
}

#[test]
fn a_close_is_read_after_writing_fails() {
    let pipe = io::Error::from(io::ErrorKind::BrokenPipe);

    let mut explained = client();
    explained.send(Kind::Text, b"x").unwrap();
    explained.write_failed(&pipe, START);
    assert_eq!(
        (explained.state(), explained.output(), explained.wants_read()),
        (State::Closing, &b""[..], true)
    );
    feed(&mut explained, &frame(CLOSE, &close_body(1008, "go away")));
    let outcome = closed(&explained);
    assert_eq!((outcome.cause.clone(), outcome.code(), outcome.sent.clone()), (Cause::Peer, 1008, None));

    let mut unexplained = client();
    unexplained.write_failed(&pipe, START);
    unexplained.handle_deadline(at(10));
    assert!(matches!(closed(&unexplained).cause, Cause::Io { kind: io::ErrorKind::BrokenPipe, .. }));
}

#[test]
fn an_abort_ends_at_once_and_keeps_outcomes() {
    let mut connection = client();
    connection.send(Kind::Text, b"x").unwrap();
    connection.abort(Cause::Dropped);
    assert_eq!(connection.output(), b"");
    assert_eq!(closed(&connection).cause, Cause::Dropped);
    connection.abort(Cause::Local);
    connection.end_of_input(START);
    connection.handle_deadline(at(100));
    feed(&mut connection, &frame(CLOSE, &close_body(1000, "")));
    assert_eq!(closed(&connection), &Closed { sent: None, received: None, cause: Cause::Dropped });
}
