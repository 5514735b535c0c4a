//! Ours: the core alone (bytes in, messages out, and the other way round, with the least that makes it a connection),
//! the client of tasks, and the client of threads.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::Write;
use std::net::SocketAddr;
use std::task::Poll;

use tokio::io::AsyncReadExt as _;
use wavetank_runtime::{Instant, Std, Tokio};
use wavetank_websocket::client::Client;
use wavetank_websocket::client::Outgoing;
use wavetank_websocket::deflate::Parameters;
use wavetank_websocket::handshake::ClientRequest;
use wavetank_websocket::protocol::{Connection, Role};
use wavetank_websocket::{Config, blocking, client};

use crate::payload::{Kind, Payload};
use crate::socket::{Pipelined, Socket};
use crate::transport::{Memory, Transport};

/// The configuration that stands for all: no compression, no pings. Buffers of 64 KiB are the default.
pub fn config() -> Config {
    let mut config = Config::default();
    config.compression().enabled(false);
    config.keepalive().interval(None).timeout(None);
    config
}

/// The kind in our words.
pub fn kind(payload: &Payload) -> wavetank_websocket::Kind {
    match payload.kind {
        Kind::Text => wavetank_websocket::Kind::Text,
        Kind::Binary => wavetank_websocket::Kind::Binary,
    }
}

/// A connection in memory.
#[derive(Debug)]
pub struct Core {
    connection: Connection,
    memory: Memory,
}

/// Time stands still here: nothing has a deadline.
const NOW: Instant = Instant::from_nanos(0);

impl Core {
    /// Takes over an open connection.
    pub fn over(memory: Memory) -> Self {
        Self::negotiated(memory, config(), None)
    }

    /// Takes over an open connection, with compression or without.
    pub fn negotiated(memory: Memory, config: Config, compression: Option<Parameters>) -> Self {
        // Masks are as good as the seed; this one does not have to be.
        Self { connection: Connection::new(Role::Client, config, compression, [7; 32], NOW), memory }
    }
}

impl Socket for Core {
    async fn feed(&mut self, payload: &Payload) {
        self.connection.send(kind(payload), &payload.bytes).expect("the connection is open");
    }

    async fn flush(&mut self) {
        while !self.connection.output().is_empty() {
            let count = self.memory.write(self.connection.output()).expect("memory takes all");
            self.connection.output_written(count, &|| NOW);
        }
    }

    async fn receive(&mut self) -> usize {
        loop {
            if let Some(message) = self.connection.recv_message() {
                return message.as_bytes().len();
            }
            if !self.connection.has_input_left() {
                self.memory.read_buf(self.connection.input()).await.expect("memory gives for ever");
            }
            self.connection.process(NOW);
        }
    }
}

/// Where the peer would be, if the stream were not there already.
fn request() -> ClientRequest {
    ClientRequest::new("ws://localhost/").expect("an address")
}

fn outgoing(payload: &Payload) -> Outgoing<'_> {
    match payload.kind {
        Kind::Text => payload.text.as_str().into(),
        Kind::Binary => (&*payload.bytes).into(),
    }
}

/// A connection of tasks on `S`.
#[derive(Debug)]
pub struct Tasks<S: Transport>(client::WebSocket<Tokio, S>);

impl<S: Transport> Tasks<S> {
    /// Opens a connection: there is no other way than by the opening handshake.
    pub async fn over(stream: S) -> Self {
        let client = Client::new(Tokio).config(config());
        Self(client.connect_over(stream, request()).await.expect("the peer answers"))
    }
}

impl<S: Transport> Socket for Tasks<S> {
    async fn send(&mut self, payload: &Payload) {
        self.0.send(outgoing(payload)).await.expect("the peer goes on");
    }

    async fn feed(&mut self, payload: &Payload) {
        self.0.feed(outgoing(payload)).await.expect("the peer goes on");
    }

    async fn flush(&mut self) {
        self.0.flush();
    }

    async fn receive(&mut self) -> usize {
        self.0.recv().await.expect("the peer keeps to the protocol").as_bytes().len()
    }
}

impl<S: Transport> Pipelined for Tasks<S> {
    async fn pipeline(&mut self, payload: &Payload, count: u64, window: u64) {
        let received = Cell::new(0);
        let receiving = async {
            while received.get() < count {
                let message = self.0.recv().await.expect("the peer keeps to the protocol");
                assert_eq!(
                    message.as_bytes().len(),
                    payload.bytes.len(),
                    "an answer as long as the question"
                );
                received.set(received.get() + 1);
            }
        };
        let sending = async {
            for sent in 0..count {
                // Whatever wakes the receiving future has this one looked at after it, as both are one task.
                let full = || sent - received.get() == window;
                if full() {
                    self.0.flush();
                    poll_fn(|_| if full() { Poll::Pending } else { Poll::Ready(()) }).await;
                }
                self.0.feed(outgoing(payload)).await.expect("the peer goes on");
            }
            self.0.flush();
        };
        futures::future::join(receiving, sending).await;
    }
}

/// A connection of threads.
#[derive(Debug)]
pub struct Threads(blocking::WebSocket<Std>);

impl Threads {
    /// Opens a connection.
    pub fn open(address: SocketAddr) -> Self {
        let client = blocking::Client::new(Std).config(config());
        let request = ClientRequest::new(&format!("ws://{address}/")).expect("an address");
        Self(client.connect(request).expect("the peer answers"))
    }
}

impl Socket for Threads {
    async fn send(&mut self, payload: &Payload) {
        self.0.send(outgoing(payload)).expect("the peer goes on");
    }

    async fn feed(&mut self, payload: &Payload) {
        self.0.feed(outgoing(payload)).expect("the peer goes on");
    }

    async fn flush(&mut self) {
        self.0.flush().expect("the peer goes on");
    }

    async fn receive(&mut self) -> usize {
        self.0.recv().expect("the peer keeps to the protocol").as_bytes().len()
    }
}
