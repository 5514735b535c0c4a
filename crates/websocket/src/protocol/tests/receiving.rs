//! RFC 6455, sections 5.1 to 5.5 and 8.1: what comes out of frames, and what fails the connection.

use super::*;

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//= type=test
//# A server MUST remove masking for data frames received from a client as described in Section 5.3.
#[test]
fn messages_of_every_length_encoding_arrive_in_order() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        let payload: Vec<u8> = (0..length).map(|i| i as u8).collect();
        for (mut connection, bytes) in
            [(client(), frame(BINARY, &payload)), (server(), masked(BINARY, &payload))]
        {
            feed(&mut connection, &bytes);
            assert_eq!(messages(&mut connection), [Message::from(payload.clone())]);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//= type=test
//# An endpoint MUST be capable of handling control frames in the middle of a fragmented message.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//= type=test
//# Clients and servers MUST support receiving both fragmented and unfragmented messages.
#[test]
fn controls_between_fragments_are_handled_at_once() {
    let mut connection = client();
    feed(&mut connection, &frames([(TEXT_BEGINS, "κό".as_bytes()), (PING, b"hi"), (GOES_ON, b"")]));
    assert_eq!(written(&mut connection), [(PONG, b"hi".to_vec())]);
    feed(&mut connection, &frames([(PONG, b"unsolicited"), (ENDS, b"sme"), (BINARY, b"x")]));
    assert_eq!(messages(&mut connection), [Message::text("κόsme"), Message::binary(&b"x"[..])]);
    assert_eq!(connection.state(), State::Open);
}

#[test]
fn fragments_are_handed_out_as_their_frames_come() {
    let mut connection = client();
    let text = "é".as_bytes();
    feed(&mut connection, &frames([(TEXT_BEGINS, &text[..1])]));
    let first = connection.recv_fragment().unwrap();
    assert_eq!((first.kind, &*first.data, first.first, first.last), (Kind::Text, &text[..1], true, false));
    assert_eq!(connection.recv_fragment(), None);
    feed(&mut connection, &frames([(ENDS, &text[1..])]));
    assert_eq!(connection.recv_message(), None, "the message is being taken in fragments");
    let last = connection.recv_fragment().unwrap();
    assert_eq!((&*last.data, last.first, last.last), (&text[1..], false, true));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//= type=test
//# The server MUST close the connection upon receiving a frame that is not masked.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//= type=test
//# A client MUST close a connection if it detects a masked frame.
#[test]
fn masks_on_the_wrong_side_fail_the_connection() {
    assert_violation(&masked(TEXT, b"")[..2], Violation::MaskedFrame);
    for bytes in [frame(TEXT, b"a"), frame(PING, b"")] {
        let mut connection = server();
        feed(&mut connection, &bytes);
        assert_eq!(close_code_written(&mut connection), 1002);
        assert_eq!(outcome(&mut connection).cause, Cause::Violation { what: Violation::UnmaskedFrame });
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//= type=test
//# If a nonzero value is received and none of the negotiated extensions defines the meaning of such a nonzero
//# value, the receiving endpoint MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//= type=test
//# If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//= type=test
//# in all cases, the minimal number of bytes MUST be used to encode the length
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//= type=test
//# the most significant bit MUST be 0
#[test]
fn reserved_bits_opcodes_and_lengths_fail_at_once() {
    assert_violation(&[TEXT | 0x40], Violation::ReservedBit);
    assert_violation(&[TEXT | 0x20], Violation::ReservedBit);
    assert_violation(&[PING | 0x10], Violation::ReservedBit);
    assert_violation(&[0x83], Violation::ReservedOpcode(3));
    assert_violation(&[0x8f], Violation::ReservedOpcode(15));
    assert_violation(&[BINARY, 126, 0, 125], Violation::LengthNotMinimal);
    assert_violation(&[BINARY, 127, 0, 0, 0, 0, 0, 0, 255, 255], Violation::LengthNotMinimal);
    assert_violation(&[BINARY, 127, 255, 0, 0, 0, 0, 0, 0, 0], Violation::LengthOutOfRange);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
//= type=test
//# The fragments of one message MUST NOT be interleaved between the fragments of another message unless an
//# extension has been negotiated that can interpret the interleaving.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5
//= type=test
//# All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.
#[test]
fn misordered_fragments_and_broken_controls_fail() {
    assert_violation(&[GOES_ON], Violation::StrayContinuation);
    assert_violation(&[ENDS], Violation::StrayContinuation);
    let begun = frame(TEXT_BEGINS, b"a");
    assert_violation(&[&begun[..], &[TEXT]].concat(), Violation::UnfinishedMessage);
    assert_violation(&[&begun[..], &[BINARY_BEGINS]].concat(), Violation::UnfinishedMessage);
    let ended = [begun, frame(ENDS, b"")].concat();
    assert_violation(&[&ended[..], &[ENDS]].concat(), Violation::StrayContinuation);
    assert_violation(&[0x09], Violation::FragmentedControl);
    assert_violation(&[PONG, 126], Violation::ControlTooLong);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.6
//= type=test
//# the whole message MUST contain valid UTF-8.
//= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
//= type=test
//# When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a
//# valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.
#[test]
fn invalid_utf8_fails_at_its_first_impossible_byte() {
    // The cases 6.4 of Autobahn: U+110000 in the middle of one frame, and of a fragment.
    let valid = "κόσμε".as_bytes();
    let mut whole = frame(TEXT, &[valid, b"\xf4\x90\x80\x80edited"].concat());
    whole.truncate(2 + valid.len() + 2);
    assert_violation(&whole, Violation::TextNotUtf8);

    let fragmented = frames([(TEXT_BEGINS, valid), (GOES_ON, b"\xf4")]);
    assert_violation(&[&fragmented[..], &[GOES_ON, 9, 0x90]].concat(), Violation::TextNotUtf8);
    assert_violation(&frames([(TEXT_BEGINS, valid), (ENDS, b"\xce")]), Violation::TextNotUtf8);
    assert_violation(&frame(TEXT, b"\xce"), Violation::TextNotUtf8);
}

#[test]
fn a_masked_text_is_validated_while_arriving() {
    let mut connection = server();
    feed(&mut connection, &masked(TEXT, b"abcde\xff and more")[..11]);
    assert_eq!(connection.state(), State::Open);
    let mut connection = server();
    feed(&mut connection, &masked(TEXT, b"abcde\xff and more")[..12]);
    assert_eq!(connection.state(), State::Closing);
}

#[test]
fn everything_before_a_violation_is_delivered_and_answered() {
    let mut connection = client();
    let bytes = frames([(TEXT, b"one"), (PING, b"p"), (BINARY, b"two"), (0x83, b""), (TEXT, b"three")]);
    feed(&mut connection, &bytes);
    assert_eq!(written(&mut connection), [(PONG, b"p".to_vec())]);
    assert_eq!(messages(&mut connection), [Message::text("one"), Message::binary(&b"two"[..])]);
    feed(&mut connection, &frame(PING, b"late"));
    assert_eq!(close_code_written(&mut connection), 1002);
    assert_eq!(outcome(&mut connection).cause, Cause::Violation { what: Violation::ReservedOpcode(3) });
}

#[test]
fn messages_before_a_violation_can_still_be_answered() {
    let mut connection = client();
    feed(&mut connection, &frames([(TEXT, b"one"), (0x83, b"")]));
    assert!(!connection.wants_read(), "nothing that follows could be processed");
    assert!(connection.recv_message().is_some());
    connection.send(Kind::Text, b"echo").unwrap();
    assert_eq!(connection.recv_message(), None);
    assert_eq!(connection.state(), State::Closing);
    let sent = written(&mut connection);
    assert_eq!((&sent[0], sent[1].0), (&(TEXT, b"echo".to_vec()), CLOSE));
}

#[test]
fn a_violation_behind_untaken_messages_fails_in_time() {
    let mut connection = client();
    feed(&mut connection, &frames([(TEXT, b"one"), (0x83, b"")]));
    assert_eq!(connection.deadline(), Some(at(10)));
    connection.handle_deadline(at(10));
    assert_eq!(close_code_written(&mut connection), 1002);
    assert_eq!(messages(&mut connection), [Message::text("one")]);
}

#[test]
fn a_violation_behind_unread_messages_is_the_cause() {
    for ends in [true, false] {
        let mut connection = client();
        feed(&mut connection, &frames([(TEXT, b"one"), (0x83, b"")]));
        if !ends {
            connection.close(CloseCode::NORMAL, "", START);
        }
        let violation = Cause::Violation { what: Violation::ReservedOpcode(3) };
        connection.end_of_input(START);
        assert_eq!(close_code_written(&mut connection), 1002);
        assert_eq!(connection.closed().unwrap().cause, violation);
        assert_eq!(messages(&mut connection), [Message::text("one")]);
    }
}

#[test]
fn reading_byte_by_byte_yields_the_same_messages() {
    let bytes = frames([(TEXT_BEGINS, b"a\xc3"), (PING, b"x"), (ENDS, b"\xa9"), (BINARY, &[5; 300])]);
    let mut connection = client();
    for byte in bytes {
        feed(&mut connection, &[byte]);
    }
    assert_eq!(messages(&mut connection), [Message::text("aé"), Message::from(vec![5; 300])]);
    assert_eq!(written(&mut connection), [(PONG, b"x".to_vec())]);
}

#[test]
fn reading_pauses_while_the_application_takes_nothing() {
    let mut config = Config::default();
    config.limits.receive_queue_messages = 2;
    let mut connection = with(Role::Client, config);
    feed(&mut connection, &frames([(TEXT, b"a"), (TEXT, b"b"), (PING, b"p")]));
    assert!(!connection.wants_read());
    assert_eq!(written(&mut connection), [(PONG, b"p".to_vec())], "controls that were read are handled");
    connection.recv_message();
    assert!(connection.wants_read());
}

#[test]
fn memory_is_reused_when_messages_are_dropped() {
    let mut connection = client();
    let bytes = frame(BINARY, &[1; 16]);
    let mut buffers = std::collections::BTreeSet::new();
    for _ in 0..100_000 {
        feed(&mut connection, &bytes);
        let message = connection.recv_message().unwrap();
        // Views of one buffer lie within 64 KiB of each other.
        buffers.insert(message.as_bytes().as_ptr() as usize >> 17);
    }
    assert!(buffers.len() <= 2, "{} buffers", buffers.len());
}

#[test]
fn short_messages_do_not_keep_surrounding_pings_alive() {
    let mut connection = client();
    let ping = frame(PING, &[0; 125]);
    let mut previous: Option<Message> = None;
    for _ in 0..20 {
        for _ in 0..10 {
            feed(&mut connection, &ping);
        }
        feed(&mut connection, &frame(BINARY, b"abc"));
        let message = connection.recv_message().unwrap();
        if let Some(previous) = previous.replace(message.clone()) {
            let distance = message.as_bytes().as_ptr().addr().abs_diff(previous.as_bytes().as_ptr().addr());
            assert_ne!(distance, 10 * 127 + 5, "both are views of the buffer with the pings");
        }
    }
}

#[test]
fn statistics_count_what_came_and_went() {
    let mut connection = client();
    feed(&mut connection, &frames([(TEXT_BEGINS, b"a"), (PING, b""), (ENDS, b"b"), (BINARY, b"xyz")]));
    connection.send(Kind::Text, b"hello").unwrap();
    written(&mut connection);
    let statistics = connection.statistics().clone();
    assert_eq!((statistics.bytes_received, statistics.frames_received), (3 + 2 + 3 + 5, 4));
    assert_eq!((statistics.messages_received, statistics.messages_discarded), (2, 0));
    assert_eq!((statistics.bytes_sent, statistics.frames_sent, statistics.messages_sent), (6 + 6 + 5, 2, 1));
    assert_eq!(statistics.pings_received, 1);
}
