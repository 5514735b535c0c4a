//! Streams that end, or are reset, at every byte of a conversation.

use wavetank_runtime::{BlockingListener, BlockingStream};

use super::peer::{BINARY, MORE, PING, Peer, TEXT, answer, close_frame, connect, frame, listen};
use super::{LONG, millis, quiet, spawn};
use crate::{Cause, Error, Message};

/// What the peer sends after the opening handshake, and how many bytes of it complete each message.
fn conversation() -> (Vec<u8>, [usize; 3]) {
    let mut bytes = frame(TEXT, b"one");
    let first = bytes.len();
    bytes.extend(frame(BINARY | MORE, b"tw"));
    bytes.extend(frame(PING, b"hello"));
    bytes.extend(frame(0, b"o"));
    let second = bytes.len();
    bytes.extend(frame(TEXT, &[b'x'; 300]));
    let third = bytes.len();
    bytes.extend(close_frame(1000));
    (bytes, [first, second, third])
}

#[test]
fn a_stream_cut_anywhere_keeps_whole_messages() {
    let (bytes, ends) = conversation();
    for cut in 0..=bytes.len() {
        let (listener, address) = listen();
        let sent = bytes[..cut].to_vec();
        let serving = spawn(move || {
            let mut peer = Peer::accept(&listener);
            peer.write(&sent);
            let _gone = peer.stream.shutdown(std::net::Shutdown::Write);
            assert!(peer.read_until_end(), "the client ends the stream as well");
        });
        let client = connect(address, quiet(millis(200))).expect("a connection");
        let mut received = Vec::new();
        let closed = loop {
            match client.recv_timeout(LONG) {
                Ok(message) => received.push(message),
                Err(Error::Closed(closed)) => break closed,
                Err(other) => panic!("cut at {cut}: {other}"),
            }
        };
        let complete = ends.iter().filter(|end| **end <= cut).count();
        let all = [Message::from("one"), Message::from(&b"two"[..]), Message::from("x".repeat(300))];
        assert_eq!(received, all[..complete], "cut at {cut}");
        match &closed.cause {
            Cause::Peer => assert_eq!(cut, bytes.len()),
            Cause::EndOfInput { .. } => assert!(cut < bytes.len()),
            other => panic!("cut at {cut}: {other}"),
        }
        drop(client);
        serving();
    }
}

#[test]
fn a_stream_reset_anywhere_keeps_a_message_prefix() {
    let (bytes, _) = conversation();
    for cut in 0..=bytes.len() {
        let (listener, address) = listen();
        let sent = bytes[..cut].to_vec();
        let serving = spawn(move || {
            let mut peer = Peer::accept(&listener);
            peer.write(&sent);
            peer.stream.abort();
        });
        let Ok(client) = connect(address, quiet(LONG)) else {
            // The reset overtook the answer to the handshake.
            serving();
            continue;
        };
        let all = [Message::from("one"), Message::from(&b"two"[..]), Message::from("x".repeat(300))];
        let mut received = 0;
        let closed = loop {
            match client.recv_timeout(LONG) {
                Ok(message) => {
                    assert_eq!(message, all[received]);
                    received += 1;
                }
                Err(Error::Closed(closed)) => break closed,
                Err(other) => panic!("reset at {cut}: {other}"),
            }
        };
        assert_eq!(client.wait_closed(), closed);
        serving();
    }
}

#[test]
fn an_opening_answer_cut_anywhere_fails() {
    let length = answer("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==").len();
    for reset in [false, true] {
        for cut in 0..length {
            let (listener, address) = listen();
            let serving = spawn(move || {
                let mut peer = Peer { stream: listener.accept().expect("a connection").0 };
                let request = peer.read_request();
                peer.write(&answer(&request).as_bytes()[..cut]);
                if reset {
                    peer.stream.abort();
                }
            });
            let failed = connect(address, quiet(LONG));
            assert!(failed.is_err(), "the answer ends at byte {cut}");
            serving();
        }
    }
}
