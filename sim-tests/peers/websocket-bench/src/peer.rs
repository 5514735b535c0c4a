//! The peer of every contender: a server that answers each message with one of the same kind and length.
//!
//! It is made to cost little, so that the contender's cost shows: it parses the heads of frames, passes over
//! payloads, and answers from frames made beforehand. It always reads, whatever waits to be written, so that a client
//! that sends all its window before it reads does not come to a standstill. It does not allocate once it runs.
//!
//! A client that begins with an HTTP request gets the answer it needs; one that takes over an open connection begins
//! with a frame. The peer goes away without further ado when the client says that it closes.
//!
//! Before anything is measured, `Check::Payloads` has it unmask the first messages and compare them.

use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::payload::Payload;

/// What the peer makes sure of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// That frames are masked, and as long as the payload.
    Lengths,
    /// That payloads, unmasked, are the expected one, too.
    Payloads,
}

/// Frames of a client, taken apart as they come.
#[derive(Debug)]
struct Parser {
    expected: Bytes,
    check: Check,
    head: [u8; 14],
    head_length: usize,
    payload_left: usize,
    /// Payload bytes that this message had in earlier frames.
    before: usize,
    frame_length: usize,
    closed: bool,
}

impl Parser {
    fn new(expected: Bytes, check: Check) -> Self {
        Self {
            expected,
            check,
            head: [0; 14],
            head_length: 0,
            payload_left: 0,
            before: 0,
            frame_length: 0,
            closed: false,
        }
    }

    /// How long the head is, as far as its first bytes tell.
    fn head_needed(&self) -> usize {
        if self.head_length < 2 {
            return 2;
        }
        match self.head[1] & 0x7f {
            126 => 8,
            127 => 14,
            _ => 6,
        }
    }

    /// Takes in `bytes` and counts the messages that end in them.
    fn feed(&mut self, mut bytes: &[u8]) -> usize {
        let mut messages = 0;
        loop {
            while self.payload_left == 0 && self.head_length < self.head_needed() {
                let needed = self.head_needed() - self.head_length;
                let taken = needed.min(bytes.len());
                if taken == 0 {
                    return messages;
                }
                self.head[self.head_length..self.head_length + taken].copy_from_slice(&bytes[..taken]);
                self.head_length += taken;
                bytes = &bytes[taken..];
                if self.head_length >= 2 && self.head_length == self.head_needed() {
                    self.closed |= self.head[0] & 0x0f == 8;
                    if self.closed {
                        return messages;
                    }
                    self.begin_payload();
                }
            }
            let taken = self.payload_left.min(bytes.len());
            if self.check == Check::Payloads {
                self.compare(&bytes[..taken]);
            }
            self.payload_left -= taken;
            bytes = &bytes[taken..];
            if self.payload_left > 0 {
                return messages;
            }
            self.head_length = 0;
            self.before += self.frame_length;
            if self.head[0] & 0x80 != 0 {
                assert_eq!(self.before, self.expected.len(), "a message of the length that was sent");
                self.before = 0;
                messages += 1;
            }
        }
    }

    fn begin_payload(&mut self) {
        assert!(self.head[1] & 0x80 != 0, "clients mask");
        assert!(self.head[0] & 0x0f <= 2, "only data frames, not {:02x}", self.head[0]);
        self.frame_length = match self.head_length {
            8 => u16::from_be_bytes([self.head[2], self.head[3]]).into(),
            14 => u64::from_be_bytes(self.head[2..10].try_into().expect("eight")) as usize,
            _ => (self.head[1] & 0x7f).into(),
        };
        assert!(self.frame_length > 0, "no contender sends empty frames");
        self.payload_left = self.frame_length;
    }

    fn compare(&self, masked: &[u8]) {
        let mask = &self.head[self.head_length - 4..self.head_length];
        let start = self.frame_length - self.payload_left;
        let expected = &self.expected[self.before + start..][..masked.len()];
        for (index, (byte, expected)) in masked.iter().zip(expected).enumerate() {
            assert_eq!(byte ^ mask[(start + index) % 4], *expected, "the payload that was sent");
        }
    }
}

/// Serves one connection until the client is gone.
///
/// # Errors
///
/// Those of the transport.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    payload: Payload,
    check: Check,
) -> io::Result<()> {
    let frame_length = payload.server_frame().len();
    let answers = payload.server_frames(256 * 1024);
    let mut parser = Parser::new(payload.bytes.clone(), check);
    let mut buffer = vec![0; 256 * 1024];
    let early = greet(&mut stream, &mut buffer).await?;
    let mut owed = parser.feed(&buffer[..early]) * frame_length;
    let mut position = 0;
    std::future::poll_fn(move |context| {
        loop {
            while owed > 0 {
                let end = answers.len().min(position + owed);
                let write = Pin::new(&mut stream).poll_write(context, &answers[position..end]);
                let Poll::Ready(written) = write else { break };
                let written = written?;
                owed -= written;
                position = (position + written) % answers.len();
            }
            let mut unread = ReadBuf::new(&mut buffer);
            ready!(Pin::new(&mut stream).poll_read(context, &mut unread))?;
            if unread.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            owed += parser.feed(unread.filled()) * frame_length;
            if parser.closed {
                return Poll::Ready(Ok(()));
            }
        }
    })
    .await
}

/// Answers the opening handshake, if the client begins with one. Gives the number of bytes at the front of `buffer`
/// that belong to frames.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    loop {
        let count = stream.read(&mut buffer[length..]).await?;
        length += count;
        if count == 0 || buffer[0] != b'G' {
            return Ok(length);
        }
        let head = &buffer[..length];
        let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&head[..end]).to_lowercase();
        let name = "sec-websocket-key: ";
        // Lower case is for finding the name: the key is taken from the original.
        let start = text.find(name).expect("a key") + name.len();
        let accept = tungstenite::handshake::derive_accept_key(&head[start..start + 24]);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
        buffer.copy_within(end + 4..length, 0);
        return Ok(length - end - 4);
    }
}
