//! RFC 6455, sections 5.3 to 5.6: what frames are made of messages.

use super::*;
use crate::Error;

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//= type=test
//# a client MUST mask all frames that it sends to the server
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
//= type=test
//# A server MUST NOT mask any frames that it sends to the client.
//= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//= type=test
//# When preparing a masked frame, the client MUST pick a fresh masking key from the set of allowed 32-bit
//# values.
#[test]
fn clients_mask_frames_freshly_and_servers_never() {
    let mut client = client();
    for payload in [&b""[..], b"hello", b"hello"] {
        client.send(Kind::Text, payload).unwrap();
    }
    client.ping(START).unwrap();
    client.close(CloseCode::NORMAL, "", START);
    let output = client.output().to_vec();
    let masked_heads = [1, 7, 18, 29, 43].map(|index| output[index] & 0x80);
    assert_eq!(masked_heads, [0x80; 5], "empty and control frames, too");
    assert_ne!(output[8..12], output[19..23], "two frames, two masks");
    assert_eq!(parsed(&output)[1], (TEXT, b"hello".to_vec()));

    let mut server = server();
    server.send(Kind::Binary, b"hello").unwrap();
    assert_eq!(server.output(), b"\x82\x05hello");
}

#[test]
fn masks_are_a_function_of_the_seed_alone() {
    let output = |seed| {
        let mut connection = Connection::new(Role::Client, Config::default(), None, seed, START);
        connection.send(Kind::Binary, &[0; 64]).unwrap();
        connection.output().to_vec()
    };
    assert_eq!(output(SEED), output(SEED));
    assert_ne!(output(SEED), output([8; 32]));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
//= type=test
//# in all cases, the minimal number of bytes MUST be used to encode the length
#[test]
fn every_length_is_encoded_in_the_fewest_bytes() {
    for (length, head) in [
        (125, &[BINARY, 125][..]),
        (126, &[BINARY, 126, 0, 126]),
        (65_535, &[BINARY, 126, 255, 255]),
        (65_536, &[BINARY, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut connection = server();
        connection.send(Kind::Binary, &vec![9; length]).unwrap();
        assert_eq!(connection.output().len(), head.len() + length);
        assert!(connection.output().starts_with(head));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//= type=test
//# The opcode (frame-opcode) of the first frame containing the data MUST be set to the appropriate value from
//# Section 5.2 for data that is to be interpreted by the recipient as text or binary data.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//= type=test
//# The FIN bit (frame-fin) of the last frame containing the data MUST be set to 1 as defined in Section 5.2.
#[test]
fn only_controls_go_out_between_fragments() {
    let mut connection = client();
    connection.send_fragment(Kind::Text, b"a", false).unwrap();
    assert_eq!(connection.send(Kind::Text, b"x"), Err(Error::UnfinishedMessage));
    assert_eq!(connection.send_fragment(Kind::Binary, b"x", true), Err(Error::UnfinishedMessage));
    feed(&mut connection, &frame(PING, b"p"));
    connection.send_fragment(Kind::Text, b"", false).unwrap();
    connection.send_fragment(Kind::Text, b"b", true).unwrap();
    connection.send_fragment(Kind::Binary, b"c", true).unwrap();
    let expected: [(u8, &[u8]); 5] =
        [(TEXT_BEGINS, b"a"), (PONG, b"p"), (GOES_ON, b""), (ENDS, b"b"), (BINARY, b"c")];
    assert_eq!(written(&mut connection), expected.map(|(first, payload)| (first, payload.to_vec())));
    assert_eq!(connection.statistics().messages_sent, 2);
}

#[test]
fn output_is_written_in_order_in_any_pieces() {
    let mut connection = client();
    let mut wire = Vec::new();
    for round in 0..200u8 {
        connection.send(Kind::Binary, &vec![round; usize::from(round) * 5]).unwrap();
        let count = (usize::from(round) * 37 % 900).min(connection.output().len());
        wire.extend_from_slice(&connection.output()[..count]);
        connection.output_written(count, &|| START);
    }
    wire.extend_from_slice(connection.output());
    let frames = parsed(&wire);
    assert_eq!(frames.len(), 200);
    for (round, (_, payload)) in (0..200u8).zip(frames) {
        assert_eq!(payload, vec![round; usize::from(round) * 5]);
    }
}

#[test]
fn the_write_buffer_is_full_until_written() {
    let mut connection = client();
    assert!(!connection.write_buffer_is_full());
    connection.send(Kind::Binary, &[0; 64 << 10]).unwrap();
    assert!(connection.write_buffer_is_full());
    connection.output_written(100, &|| START);
    assert!(!connection.write_buffer_is_full());
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//= type=test
//# The application MUST NOT send any more data frames after sending a Close frame.
#[test]
fn sending_fails_once_closing() {
    let mut connection = client();
    connection.close(CloseCode::NORMAL, "", START);
    written(&mut connection);
    assert_eq!(connection.send(Kind::Text, b""), Err(Error::Closing));
    assert_eq!(connection.send_fragment(Kind::Text, b"", true), Err(Error::Closing));
    assert_eq!(connection.ping(START), Err(Error::Closing));
    let outcome = outcome(&mut connection);
    assert_eq!(connection.send(Kind::Text, b""), Err(Error::Closed(outcome.clone())));
    assert_eq!(connection.ping(START), Err(Error::Closed(outcome)));
    assert_eq!(connection.output(), b"");
}

#[test]
fn long_consecutive_messages_share_a_buffer() {
    let mut connection = client();
    let message = vec![1; 4 << 20];
    let mut buffers = Vec::new();
    for round in 0..4 {
        connection.send(Kind::Binary, &message).unwrap();
        let long = connection.output().as_ptr();
        // The next one is put behind the rest of this one, as soon as senders may go on.
        while connection.write_buffer_is_full() {
            connection.output_written(60_000, &|| START);
        }
        connection.send(Kind::Binary, &message).unwrap();
        let length = connection.output().len();
        connection.output_written(length, &|| START);
        connection.send(Kind::Binary, b"next").unwrap();
        let short = connection.output().as_ptr();
        written(&mut connection);
        // The buffer finds its size in the first round.
        if round > 0 {
            buffers.extend([long, short]);
        }
    }
    assert!(buffers.iter().all(|buffer| *buffer == buffers[0]), "the buffer was given back: {buffers:?}");
}

#[test]
fn an_unasked_pong_is_sent_while_room_remains() {
    let mut connection = limited_output();
    connection.pong(b"here").unwrap();
    assert_eq!(written(&mut connection), [(PONG, b"here".to_vec())]);
    connection.send(Kind::Binary, &[0; 100]).unwrap();
    connection.pong(b"no room").unwrap();
    assert_eq!(written(&mut connection).len(), 1);
    connection.close(None, "not sent without a code", START);
    assert_eq!(written(&mut connection), [(CLOSE, Vec::new())]);
    assert_eq!(connection.pong(b"late"), Err(Error::Closing));
}

fn limited_output() -> Connection {
    let limits = crate::Limits { write_buffer: 50, ..crate::Limits::default() };
    with(Role::Client, Config { limits, ..Config::default() })
}
