//! The protocol without a socket: two sides connected by hand, or one side and raw frames, in virtual time.

mod closing;
mod flow;
mod hostile;
mod keepalive;
mod opening;
mod properties;
mod sending;
mod stopping;

use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use wavetank_runtime::Instant;

use super::frame::{ANNOUNCEMENT, Flags, HEADER_BYTES, Header, Kind};
use super::*;
use crate::error::{ReadError, WriteError};

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const FIN: Flags = Flags::FIN;
const RST: Flags = Flags::RST;
const STOP: Flags = Flags::STOP;
const NONE: Flags = Flags::NONE;

/// The initial window.
const WINDOW: u32 = crate::config::INITIAL_WINDOW_BYTES;

/// A frame that a test sends or expects.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Frame {
    Data(Flags, u32, usize),
    Window(Flags, u32, u32),
    Ping(Flags, u32),
    GoAway(u32),
}

/// A connection, and a test that plays its peer with raw frames.
struct Lab {
    connection: Connection,
    now: Instant,
}

impl Lab {
    const START: Instant = Instant::from_nanos(1_000_000_000);

    fn new(role: Role) -> Self {
        Self::with(role, Config::default())
    }

    /// A connection that has sent nothing yet.
    fn bare(role: Role) -> Connection {
        Connection::new(role, Config::default(), 1, Self::START)
    }

    /// A connection whose first ping was answered, by a peer that knows no extension.
    fn with(role: Role, config: Config) -> Self {
        let now = Self::START;
        let mut lab = Self { connection: Connection::new(role, config, 1, now), now };
        assert_eq!(lab.sent(), [Frame::Ping(SYN, ANNOUNCEMENT)]);
        lab.receive(Frame::Ping(ACK, ANNOUNCEMENT));
        lab
    }

    /// The same, with a peer that understands the extension.
    fn extended(role: Role) -> Self {
        let mut lab = Self::new(role);
        lab.receive(Frame::Ping(SYN, ANNOUNCEMENT));
        assert_eq!(lab.sent(), [Frame::Ping(ACK, ANNOUNCEMENT)]);
        lab
    }

    fn receive(&mut self, frame: Frame) {
        let (header, payload) = match frame {
            Frame::Data(flags, stream, length) => {
                (Header::new(Kind::Data, flags, stream, u32::try_from(length).unwrap()), length)
            }
            Frame::Window(flags, stream, delta) => (Header::new(Kind::WindowUpdate, flags, stream, delta), 0),
            Frame::Ping(flags, opaque) => (Header::new(Kind::Ping, flags, 0, opaque), 0),
            Frame::GoAway(code) => (Header::new(Kind::GoAway, NONE, 0, code), 0),
        };
        let mut bytes = header.encode().to_vec();
        bytes.resize(HEADER_BYTES + payload, b'x');
        self.receive_bytes(&bytes);
    }

    fn receive_bytes(&mut self, bytes: &[u8]) {
        self.connection.receive(&mut &*bytes, self.now);
    }

    /// Takes all output and returns its frames.
    fn sent(&mut self) -> Vec<Frame> {
        let bytes = take_output(&mut self.connection, self.now);
        frames(&bytes)
    }

    /// Takes all output and answers its pings. Returns the other frames.
    fn answer_pings(&mut self) -> Vec<Frame> {
        let mut sent = self.sent();
        sent.retain(|frame| match *frame {
            Frame::Ping(SYN, opaque) => {
                self.receive(Frame::Ping(ACK, opaque));
                false
            }
            _ => true,
        });
        sent
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        while self.connection.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.connection.handle_deadline(self.now);
        }
    }

    fn open(&mut self) -> StreamKey {
        match self.connection.open(self.now) {
            Poll::Ready(Ok(key)) => key,
            other => panic!("a stream can be opened: {other:?}"),
        }
    }

    /// Has the peer open and the application accept a stream.
    fn accept(&mut self, id: u32) -> StreamKey {
        self.receive(Frame::Window(SYN, id, 0));
        let key = self.connection.accept().expect("a stream waits");
        assert_eq!(self.sent(), [Frame::Window(ACK, id, 0)]);
        key
    }

    /// Opens a stream that the peer acknowledges.
    fn opened(&mut self) -> StreamKey {
        let key = self.open();
        assert_eq!(self.sent(), [Frame::Window(SYN, key.id(), 0)]);
        self.receive(Frame::Window(ACK, key.id(), 0));
        key
    }

    /// Opens a stream that the peer acknowledges, though nothing of the output is taken.
    fn opened_unseen(&mut self) -> StreamKey {
        let key = self.open();
        self.receive(Frame::Window(ACK, key.id(), 0));
        key
    }

    fn write(&mut self, key: StreamKey, length: usize) -> Poll<Result<usize, WriteError>> {
        let written = self.connection.write(key, &vec![b'w'; length]);
        if written.is_pending() {
            self.connection.wait_writable(key, self.now);
        }
        written
    }

    /// Writes until there is no credit, taking the output.
    fn write_to_the_end_of_credit(&mut self, key: StreamKey) -> usize {
        let mut total = 0;
        loop {
            match self.write(key, 100_000) {
                Poll::Ready(Ok(count)) => total += count,
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending if self.connection.stream_statistics(key).send_credit == 0 => return total,
                Poll::Pending => {}
            }
            self.sent();
        }
    }

    fn read(&mut self, key: StreamKey, max: usize) -> Poll<Result<usize, ReadError>> {
        let read = self.connection.read_with(key, max, |_| ());
        if read.is_pending() {
            self.connection.wait_readable(key);
        }
        read
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.connection.next_event()).collect()
    }

    fn cause(&self) -> Option<Cause> {
        self.connection.closed().map(|closed| closed.cause.clone())
    }

    fn violation(&self) -> Option<crate::violation::Violation> {
        match self.cause() {
            Some(Cause::Violation(violation)) => Some(violation),
            _ => None,
        }
    }
}

fn take_output(connection: &mut Connection, now: Instant) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut transmit = Transmit::new();
    while connection.take_output(&mut transmit, now) {
        while !transmit.is_empty() {
            bytes.extend_from_slice(transmit.first());
            let count = transmit.first().len();
            transmit.advance(count);
            connection.output_written(count, transmit.is_empty(), now);
        }
    }
    bytes
}

fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() {
        let header = Header::decode(*header).expect("frames of ours are valid");
        bytes = rest;
        frames.push(match header.kind {
            Kind::Data => {
                bytes = &bytes[header.length as usize..];
                Frame::Data(header.flags, header.stream, header.length as usize)
            }
            Kind::WindowUpdate => Frame::Window(header.flags, header.stream, header.length),
            Kind::Ping => Frame::Ping(header.flags, header.length),
            Kind::GoAway => Frame::GoAway(header.length),
        });
    }
    assert!(bytes.is_empty(), "frames of ours are whole");
    frames
}

/// Two connections and the pipes between them.
struct Pair {
    client: Connection,
    server: Connection,
    now: Instant,
}

impl Pair {
    fn new(client: Config, server: Config) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let client = Connection::new(Role::Client, client, 1, now);
        let server = Connection::new(Role::Server, server, 2, now);
        let mut pair = Self { client, server, now };
        pair.settle();
        pair
    }

    /// Moves everything that either side has to say, until both are silent.
    fn settle(&mut self) {
        loop {
            let to_server = take_output(&mut self.client, self.now);
            self.server.receive(&mut BytesMut::from(&*to_server), self.now);
            let to_client = take_output(&mut self.server, self.now);
            self.client.receive(&mut BytesMut::from(&*to_client), self.now);
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
        }
    }

    /// A stream that the client has opened and the server accepted.
    fn stream(&mut self) -> (StreamKey, StreamKey) {
        let Poll::Ready(Ok(near)) = self.client.open(self.now) else { panic!("a stream can be opened") };
        self.settle();
        let far = self.server.accept().expect("a stream waits");
        self.settle();
        (near, far)
    }
}

/// Writes all of `length` bytes where there is credit and room for them.
fn write_all(pair: &mut Pair, key: StreamKey, length: usize) {
    let mut left = length;
    while left > 0 {
        match pair.client.write(key, &vec![b'w'; left]) {
            Poll::Ready(Ok(count)) => left -= count,
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => pair.settle(),
        }
    }
    pair.settle();
}

fn read_all(connection: &mut Connection, key: StreamKey) -> (usize, Poll<Result<usize, ReadError>>) {
    let mut total = 0;
    loop {
        match connection.read_with(key, 100_000, |_| ()) {
            Poll::Ready(Ok(count @ 1..)) => total += count,
            end => return (total, end),
        }
    }
}
