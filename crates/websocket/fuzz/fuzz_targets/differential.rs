//! Our client reads the same messages as tungstenite from the same bytes, up to the first error or Close.
//!
//! Ours may fail earlier: in a text that an error cuts off, or where tungstenite is lenient.
#![no_main]

use std::io::{self, Cursor, Read, Write};

use libfuzzer_sys::fuzz_target;
use tungstenite::protocol::{Role as TheirRole, WebSocket, WebSocketConfig};
use wavetank_runtime::Instant;
use wavetank_websocket::protocol::{Connection, Role};
use wavetank_websocket::{Cause, Config};

const NOW: Instant = Instant::from_nanos(1);

/// The longest frame and message. With the same limits both reject the same frames.
const BYTES_MAX: usize = 64 << 20;

fuzz_target!(|data: &[u8]| {
    let (ours, complaint) = ours(data);
    let (theirs, is_error) = theirs(data);
    // Each of our messages is also one of theirs. They may have more only if we reported an error of the peer.
    assert!(theirs.starts_with(&ours), "ours {ours:?} theirs {theirs:?}");
    if !complaint {
        assert_eq!(ours, theirs);
        assert!(!is_error, "they complain, we do not: {data:?}");
    }
});

/// Returns our messages, and `true` if we reported an error of the peer.
fn ours(data: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut config = Config::default();
    config.limits().frame(BYTES_MAX).message(BYTES_MAX);
    let mut connection = Connection::new(Role::Client, config, None, [7; 32], NOW);
    connection.input().extend_from_slice(data);
    connection.process(NOW);
    let mut messages = Vec::new();
    loop {
        let before = messages.len();
        while let Some(message) = connection.recv_message() {
            messages.push(message.as_bytes().to_vec());
        }
        connection.process(NOW);
        if messages.len() == before {
            break;
        }
    }
    connection.end_of_input(NOW);
    let written = connection.output().len();
    connection.output_written(written, &|| NOW);
    let fine = connection
        .closed()
        .is_some_and(|closed| matches!(closed.cause, Cause::Peer | Cause::EndOfInput { .. }));
    (messages, !fine)
}

/// Returns tungstenite's messages, and `true` if it reported an error of the peer.
fn theirs(data: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let config = WebSocketConfig::default().max_frame_size(Some(BYTES_MAX)).max_message_size(Some(BYTES_MAX));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(data)), TheirRole::Client, Some(config));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(message) if message.is_text() || message.is_binary() => {
                messages.push(message.into_data().to_vec())
            }
            Ok(message) if message.is_close() => return (messages, false),
            Ok(_) => {}
            Err(tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => return (messages, false),
            Err(
                tungstenite::Error::ConnectionClosed
                | tungstenite::Error::AlreadyClosed
                | tungstenite::Error::Io(_),
            ) => {
                return (messages, false);
            }
            Err(_) => return (messages, true),
        }
    }
}

/// A stream that reads the input and discards what is written.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
