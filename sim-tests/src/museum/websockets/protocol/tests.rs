//! Two protocols, or one protocol and hand-written bytes, without a network.

use super::*;

fn client() -> Protocol {
    Protocol::client(Box::new(|buffer| buffer.fill(7)))
}

/// Delivers everything that `from` has to send to `to`.
fn deliver(from: &mut Protocol, to: &mut Protocol) {
    for outgoing in from.data_to_send() {
        let received = match outgoing {
            Outgoing::Bytes(bytes) => to.receive_data(&bytes),
            Outgoing::Eof => to.receive_eof(),
        };
        received.expect("nothing follows the end of the stream");
    }
}

/// A client and a server after the opening handshake.
fn opened() -> (Protocol, Protocol) {
    let (mut client, mut server) = (client(), Protocol::server());
    client.send_request("server");
    deliver(&mut client, &mut server);
    deliver(&mut server, &mut client);
    assert_eq!((client.state(), server.state()), (State::Open, State::Open));
    assert_eq!(client.events_received(), [Event::Response]);
    (client, server)
}

fn texts(protocol: &mut Protocol) -> Vec<String> {
    let frames = protocol.events_received().into_iter();
    frames
        .filter_map(|event| match event {
            Event::Frame(Frame { opcode: Opcode::Text, data, .. }) => String::from_utf8(data).ok(),
            _ => None,
        })
        .collect()
}

/// Returns the code of the close frame with which a client answers these bytes.
fn code_answered_to(bytes: &[u8]) -> Option<u16> {
    let (mut client, _) = opened();
    client.receive_data(bytes).expect("the stream goes on");
    assert_eq!(client.state(), State::Closing);
    client.receive_eof().expect("the stream ends once");
    client.close_exc().sent.map(|close| close.code)
}

#[test]
fn texts_arrive_in_order_whatever_the_pieces() {
    let (mut client, mut server) = opened();
    for text in ["one", "two"] {
        client.send_text(text.into()).expect("the connection is open");
    }
    for outgoing in client.data_to_send() {
        let Outgoing::Bytes(bytes) = outgoing else { panic!("the stream goes on") };
        for byte in bytes {
            server.receive_data(&[byte]).expect("the stream goes on");
        }
    }
    assert_eq!(texts(&mut server), ["one", "two"]);
}

#[test]
fn a_closing_handshake_closes_both_sides() {
    let (mut client, mut server) = opened();
    client.send_close(1000, "bye").expect("the connection is open");
    assert!(client.close_expected());
    deliver(&mut client, &mut server);
    assert_eq!((client.state(), server.state()), (State::Closing, State::Closing));
    deliver(&mut server, &mut client);
    assert_eq!((client.state(), server.state()), (State::Closed, State::Closing));
    deliver(&mut client, &mut server);
    assert_eq!(server.state(), State::Closed);
    for closed in [client.close_exc(), server.close_exc()] {
        assert!(closed.is_ok(), "{closed}");
        assert_eq!(closed.cause, None);
    }
}

#[test]
fn an_early_end_of_stream_is_abnormal() {
    let (mut client, _) = opened();
    client.send_close(1000, "").expect("the connection is open");
    client.receive_eof().expect("the stream ends once");
    let closed = client.close_exc();
    assert_eq!(closed.to_string(), "sent 1000; no close frame received");
    assert!(matches!(closed.cause, Some(Cause::Violation(Violation { code: 1006, .. }))));
}

#[test]
#[should_panic(expected = "connection isn't closed yet")]
fn a_closing_connection_has_no_exception_yet() {
    let (mut client, _) = opened();
    client.send_close(1000, "").expect("the connection is open");
    client.close_exc();
}

#[test]
fn only_receive_eof_may_be_called_twice() {
    let (mut client, _) = opened();
    client.receive_eof().expect("the first time");
    client.receive_eof().expect("the second time");
    assert_eq!(client.feed_eof(), Err(InternalError("EOFError: stream ended")));
    assert_eq!(client.step(), Err(InternalError("AssertionError: discard() shouldn't step after EOF")));
}

#[test]
fn eof_is_fed_before_the_state_closes() {
    let (mut client, _) = opened();
    client.send_close(1000, "").expect("the connection is open");
    client.feed_eof().expect("the first time");
    client.receive_eof().expect("the end counts as received");
    assert_eq!(client.state(), State::Closing);
}

#[test]
fn nothing_is_sent_after_a_close() {
    let (mut client, _) = opened();
    client.send_close(1000, "").expect("the connection is open");
    client.data_to_send();
    assert_eq!(client.send_text(b"late".to_vec()), Err(SendError::InvalidState(State::Closing)));
    assert_eq!(client.send_close(1000, ""), Err(SendError::InvalidState(State::Closing)));
    assert_eq!(client.data_to_send(), []);
}

#[test]
fn a_close_that_cannot_be_sent_changes_nothing() {
    let (mut client, _) = opened();
    assert!(matches!(client.send_close(1006, ""), Err(SendError::Misuse(_))));
    assert_eq!((client.state(), client.data_to_send()), (State::Open, vec![]));
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    let (mut client, _) = opened();
    client.receive_data(&[0x89, 2, b'h', b'i']).expect("the stream goes on");
    let pong = Frame::new(Opcode::Pong, b"hi".to_vec()).serialize(Some([7; 4]));
    assert_eq!(client.data_to_send(), [Outgoing::Bytes(pong)]);
}

#[test]
fn violations_are_answered_with_their_code() {
    assert_eq!(code_answered_to(&[0x83, 0]), Some(1002), "unknown opcode");
    assert_eq!(code_answered_to(&[0x80, 0]), Some(1002), "stray continuation");
    assert_eq!(code_answered_to(&[0x01, 0, 0x81, 0]), Some(1002), "text amid a message");
    assert_eq!(code_answered_to(&[0x01, 0, 0x88, 0]), Some(1002), "close amid a message");
    assert_eq!(code_answered_to(&[0x82, 0]), Some(1003), "binary");
    assert_eq!(code_answered_to(&[0x88, 1, 0]), Some(1002), "half a close code");
}

#[test]
fn a_refused_handshake_opens_nothing_and_is_known() {
    let mut client = client();
    client.receive_data(b"HTTP/1.1 503 Busy\r\n\r\n").expect("the stream goes on");
    assert_eq!(client.handshake_error(), Some(&HandshakeError::Status(503)));
    assert_eq!((client.state(), client.close_expected()), (State::Connecting, true));
    client.receive_eof().expect("the stream ends once");
    assert_eq!(client.state(), State::Closed);
}
