//! A server that speaks in bytes: it does what a test says, and nothing by itself.

use base64::Engine as _;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use wavetank_runtime::Tokio;
use wavetank_websocket::Config;
use wavetank_websocket::client::{Client, WebSocket};

/// The server's end of a connection.
pub(crate) struct RawPeer<S> {
    pub(crate) stream: S,
}

/// A frame from the client, unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

impl<S: AsyncRead + AsyncWrite + Unpin> RawPeer<S> {
    /// Answers the opening handshake, with `glued` right behind the answer.
    pub(crate) async fn open(mut stream: S, glued: &[u8]) -> Self {
        let head = read_head(&mut stream).await;
        let key = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
            .expect("the request has a key");
        let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        let accept = base64::engine::general_purpose::STANDARD.encode(digest);
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .into_bytes();
        answer.extend_from_slice(glued);
        stream.write_all(&answer).await.expect("the client reads");
        Self { stream }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the client reads");
    }

    /// The next frame, or `None` at the end of the stream.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).await.ok()?;
        assert_ne!(head[1] & 0x80, 0, "a client masks its frames");
        let length = match head[1] & 0x7f {
            126 => usize::from(self.stream.read_u16().await.ok()?),
            127 => usize::try_from(self.stream.read_u64().await.ok()?).expect("a length"),
            short => usize::from(short),
        };
        let mut mask = [0; 4];
        self.stream.read_exact(&mut mask).await.ok()?;
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.ok()?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        Some(Frame { fin: head[0] & 0x80 != 0, opcode: head[0] & 0x0f, payload })
    }

    /// The next frame, which is there.
    pub(crate) async fn expect(&mut self, opcode: u8, payload: &[u8]) {
        let frame = self.frame().await.expect("the client sends a frame");
        assert_eq!(frame, Frame { fin: true, opcode, payload: payload.to_vec() });
    }

    /// Reads on until the client ends the stream; no further frame comes.
    pub(crate) async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "nothing follows a Close frame: {rest:?}");
    }
}

/// Reads an HTTP head.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the client sends a whole head"));
    }
    String::from_utf8(head).expect("a head is text")
}

/// A frame as a server sends it: final and not masked.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..=125 => frame.push(u8::try_from(length).expect("is short")),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend(u16::try_from(length).expect("is short").to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// A Close frame as a server sends it.
pub(crate) fn close_frame(code: u16) -> Vec<u8> {
    frame(CLOSE, &code.to_be_bytes())
}

/// A configuration without compression and without automatic pings.
pub(crate) fn plain() -> Config {
    let mut config = Config::default();
    config.compression().enabled(false);
    config.keepalive().interval(None);
    config
}

/// A client and a raw server on the ends of a pipe that holds `capacity` bytes each way.
pub(crate) async fn pair(
    config: Config,
    capacity: usize,
) -> (WebSocket<Tokio, DuplexStream>, RawPeer<DuplexStream>) {
    let (near, far) = tokio::io::duplex(capacity);
    let client = Client::new(Tokio).config(config);
    let request = "ws://peer.test/".parse().expect("an address");
    let (socket, peer) = tokio::join!(client.connect_over(near, request), RawPeer::open(far, b""));
    (socket.expect("the handshake succeeds"), peer)
}
