//! tungstenite: blocking, on anything that reads and writes.

use std::io::{Read, Write};

use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use crate::payload::{Kind, Payload};
use crate::socket::Socket;
use crate::transport::READ_BUFFER;

/// The configuration that stands for all: buffers of 64 KiB, each way.
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(READ_BUFFER)
}

/// The message in its type.
pub fn message(payload: &Payload) -> Message {
    match payload.kind {
        Kind::Text => Message::Text(payload.text.clone()),
        Kind::Binary => Message::Binary(payload.bytes.clone()),
    }
}

/// A connection on `S`.
#[derive(Debug)]
pub struct Tungstenite<S>(WebSocket<S>);

impl<S: Read + Write> Tungstenite<S> {
    /// Takes over an open connection.
    pub fn over(stream: S) -> Self {
        Self(WebSocket::from_raw_socket(stream, Role::Client, Some(config())))
    }
}

impl<S: Read + Write> Socket for Tungstenite<S> {
    async fn feed(&mut self, payload: &Payload) {
        self.0.write(message(payload)).expect("the peer goes on");
    }

    async fn flush(&mut self) {
        self.0.flush().expect("the peer goes on");
    }

    async fn receive(&mut self) -> usize {
        self.0.read().expect("the peer keeps to the protocol").len()
    }
}
