//! fastwebsockets, whole for one message at a time, and in halves (its feature `unstable-split`) for many under way.
//!
//! It writes each frame to the stream at once and has no buffer to feed: in halves it writes into a `BufWriter`, as
//! its users do.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload as Bytes, Role, WebSocket,
    WebSocketWrite, after_handshake_split,
};
use tokio::io::BufWriter;

use crate::payload::{Kind, Payload};
use crate::socket::{Pipelined, Socket};
use crate::transport::{READ_BUFFER, Transport};

const MESSAGE_MAX: usize = 128 << 20;

/// A frame of `payload`, which is copied into `scratch` to be masked there.
fn frame<'a>(payload: &Payload, scratch: &'a mut Vec<u8>) -> Frame<'a> {
    scratch.clear();
    scratch.extend_from_slice(&payload.bytes);
    let opcode = match payload.kind {
        Kind::Text => OpCode::Text,
        Kind::Binary => OpCode::Binary,
    };
    Frame::new(true, opcode, None, Bytes::BorrowedMut(scratch))
}

/// A connection on `S`, whole.
pub struct Fastwebsockets<S> {
    socket: FragmentCollector<S>,
    scratch: Vec<u8>,
}

impl<S: Transport> Fastwebsockets<S> {
    /// Takes over an open connection.
    pub fn over(stream: S) -> Self {
        let mut socket = WebSocket::after_handshake(stream, Role::Client);
        socket.set_max_message_size(MESSAGE_MAX);
        Self { socket: FragmentCollector::new(socket), scratch: Vec::new() }
    }
}

impl<S: Transport> Socket for Fastwebsockets<S> {
    async fn feed(&mut self, payload: &Payload) {
        self.socket.write_frame(frame(payload, &mut self.scratch)).await.expect("the peer goes on");
    }

    async fn flush(&mut self) {
        // Nothing is delayed.
    }

    async fn receive(&mut self) -> usize {
        self.socket.read_frame().await.expect("the peer keeps to the protocol").payload.len()
    }
}

/// A connection on `S`, in halves.
pub struct FastwebsocketsHalves<S: Transport> {
    reader: FragmentCollectorRead<S::Reader>,
    writer: WebSocketWrite<BufWriter<S::Writer>>,
    scratch: Vec<u8>,
}

impl<S: Transport> FastwebsocketsHalves<S> {
    /// Takes over an open connection.
    pub fn over(stream: S) -> Self {
        let (reader, writer) = stream.halves();
        let writer = BufWriter::with_capacity(READ_BUFFER, writer);
        let (mut reader, writer) = after_handshake_split(reader, writer, Role::Client);
        reader.set_max_message_size(MESSAGE_MAX);
        Self { reader: FragmentCollectorRead::new(reader), writer, scratch: Vec::new() }
    }
}

impl<S: Transport> Pipelined for FastwebsocketsHalves<S> {
    async fn pipeline(&mut self, payload: &Payload, count: u64, window: u64) {
        let Self { reader, writer, scratch } = self;
        let received = Cell::new(0);
        let receiving = async {
            while received.get() < count {
                let mut answer = async |_: Frame<'_>| io::Result::Ok(());
                let frame = reader.read_frame(&mut answer).await.expect("the peer keeps to the protocol");
                assert_eq!(frame.payload.len(), payload.bytes.len(), "an answer as long as the question");
                received.set(received.get() + 1);
            }
        };
        let sending = async {
            for sent in 0..count {
                if sent - received.get() == window {
                    writer.flush().await.expect("the peer goes on");
                    // Whatever wakes the receiving future has this one looked at after it, as both are one task.
                    let full = || sent - received.get() == window;
                    poll_fn(|_| if full() { Poll::Pending } else { Poll::Ready(()) }).await;
                }
                writer.write_frame(frame(payload, scratch)).await.expect("the peer goes on");
            }
            writer.flush().await.expect("the peer goes on");
        };
        futures::future::join(receiving, sending).await;
    }
}
