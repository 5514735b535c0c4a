//! A server without a protocol: it does what the test says, right or wrong.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};

use base64::Engine;
use sha1::{Digest, Sha1};
use wavetank_runtime::{BlockingListener, BlockingStream, ListenOptions, SocketOptions, Std, Threads};

use super::{LONG, spawn};
use crate::blocking::{Client, WebSocket};
use crate::handshake::ClientRequest;
use crate::{Config, OpenError};

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;
/// Added to the opcode of a frame that does not end its message.
pub(super) const MORE: u8 = 0x80;

pub(super) type Stream = <Std as Threads>::Stream;
pub(super) type Listener = <Std as Threads>::Listener;

pub(super) struct Peer {
    pub(super) stream: Stream,
}

/// A frame as the peer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) fin: bool,
    pub(super) opcode: u8,
    pub(super) payload: Vec<u8>,
}

pub(super) fn listen() -> (Listener, SocketAddr) {
    // Small buffers: a peer that does not read is soon felt.
    let accepted = SocketOptions::new().receive_buffer_bytes(16 * 1024);
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = Std.listen(any, ListenOptions::new().accepted(accepted)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

pub(super) fn connect(address: SocketAddr, config: Config) -> Result<WebSocket<Std>, OpenError> {
    Client::new(Std).config(config).connect(ClientRequest::new(&format!("ws://{address}/"))?)
}

/// A client, and a peer that has answered its opening handshake.
pub(super) fn connected(config: Config) -> (WebSocket<Std>, Peer) {
    let (listener, address) = listen();
    let accepting = spawn(move || Peer::accept(&listener));
    let client = connect(address, config).expect("a connection");
    (client, accepting())
}

/// The answer to the opening handshake `request`.
pub(super) fn answer(request: &str) -> String {
    let key = request
        .lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
        })
        .expect("a key");
    let digest =
        Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// A frame of a server. `opcode` with [`MORE`] does not end its message.
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![if opcode & MORE == 0 { opcode | 0x80 } else { opcode & 0x7f }];
    match payload.len() {
        length @ ..126 => bytes.push(length as u8),
        length @ ..65_536 => {
            bytes.push(126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

pub(super) fn close_frame(code: u16) -> Vec<u8> {
    frame(CLOSE, &code.to_be_bytes())
}

impl Peer {
    pub(super) fn accept(listener: &Listener) -> Self {
        let mut peer = Self { stream: listener.accept().expect("a connection").0 };
        peer.stream.set_read_timeout(Some(LONG)).expect("a live stream");
        let request = peer.read_request();
        peer.write(answer(&request).as_bytes());
        peer
    }

    pub(super) fn read_request(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.read_exactly(1));
        }
        String::from_utf8(head).expect("a request is ASCII")
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the client reads");
    }

    pub(super) fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.write(&frame(opcode, payload));
    }

    fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("the client writes");
        bytes
    }

    /// Reads a frame, which must be masked.
    pub(super) fn read(&mut self) -> Frame {
        let head = self.read_exactly(2);
        assert_eq!(head[1] & 0x80, 0x80, "a client masks every frame");
        assert_eq!(head[0] & 0x70, 0, "no extension was agreed on");
        let length = match head[1] & 0x7f {
            126 => u16::from_be_bytes(self.read_exactly(2).try_into().expect("two bytes")).into(),
            127 => u64::from_be_bytes(self.read_exactly(8).try_into().expect("eight bytes")),
            short => short.into(),
        };
        let mask = self.read_exactly(4);
        let mut payload = self.read_exactly(length as usize);
        for (index, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[index % 4];
        }
        Frame { fin: head[0] & 0x80 != 0, opcode: head[0] & 0x0f, payload }
    }

    /// Reads up to the Close frame, and returns what came before, and the code in it.
    pub(super) fn read_to_close(&mut self) -> (Vec<Frame>, u16) {
        let mut before = Vec::new();
        loop {
            let frame = self.read();
            if frame.opcode == CLOSE {
                let code = frame.payload[..2].try_into().expect("a code");
                return (before, u16::from_be_bytes(code));
            }
            before.push(frame);
        }
    }

    /// Answers a Close frame as a server does, and ends the stream.
    pub(super) fn finish_close(mut self) -> (Vec<Frame>, u16) {
        let (before, code) = self.read_to_close();
        self.write(&close_frame(code));
        let _gone = self.stream.shutdown(Shutdown::Both);
        (before, code)
    }

    /// Reads whatever comes, and tells whether it ended.
    pub(super) fn read_until_end(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Whether nothing but the end of the stream is left to read.
    pub(super) fn is_at_end(&mut self) -> bool {
        // An end by reset counts: the client had not read everything.
        matches!(self.stream.read(&mut [0]), Ok(0)) || self.stream.read(&mut [0]).is_err()
    }
}
