//! The sans-I/O protocol: bytes in, events and bytes out. The original's `protocol.py` and the parser of `client.py`.
//!
//! # Invariants
//!
//! - The state becomes CLOSED only at the end of the stream, or by [`Protocol::force_closed`].
//! - The original's `receive_data()` and `receive_eof()` are sequences of steps. Without the mutex, other threads can
//!   run between the steps. The steps are methods here (`reader_eof`, `feed_data`, `feed_eof`, `step`), so that a
//!   connection can call them one by one.

use std::fmt;
use std::mem;

use super::exceptions::{Cause, ConnectionClosed, InternalError, Violation};
use super::frames::{Close, Frame, Opcode, close_code};
use super::handshake::{self, HandshakeError};

/// The longest message, in bytes (the original's default).
const MESSAGE_MAX: usize = 1 << 20;

/// Fills a buffer with unpredictable bytes.
pub(super) type Entropy = Box<dyn FnMut(&mut [u8]) + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Open,
    Closing,
    Closed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "CONNECTING",
            Self::Open => "OPEN",
            Self::Closing => "CLOSING",
            Self::Closed => "CLOSED",
        })
    }
}

/// What was received.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A server's answer to the opening handshake. [`Protocol::handshake_error`] says if it was wrong.
    Response,
    Frame(Frame),
}

/// Bytes that must be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    Bytes(Vec<u8>),
    /// Half-close the TCP connection (the original's `SEND_EOF`).
    Eof,
}

/// Why nothing was sent. The state is unchanged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// The protocol does not allow the caller's request.
    Misuse(Violation),
    InvalidState(State),
}

enum Side {
    Client { key: String, entropy: Entropy },
    Server,
}

/// The original's coroutine that the next step resumes.
#[derive(Debug, PartialEq, Eq)]
enum Parser {
    Parse,
    Discard,
    /// `discard()` has reached the end of the stream.
    Ended,
}

/// Why `parse()` stopped.
enum Failure {
    Handshake(HandshakeError),
    Violation(Violation),
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// One end of a connection.
pub(super) struct Protocol {
    side: Side,
    state: State,
    /// What was received and is not yet parsed.
    buffer: Vec<u8>,
    eof: bool,
    eof_sent: bool,
    parser: Parser,
    parser_exc: Option<Violation>,
    handshake_exc: Option<HandshakeError>,
    close_rcvd: Option<Close>,
    close_sent: Option<Close>,
    /// The size so far of the fragmented message, in bytes.
    cur_size: Option<usize>,
    events: Vec<Event>,
    writes: Vec<Outgoing>,
}

impl Protocol {
    /// Makes a client. Next, call [`send_request`](Self::send_request).
    pub(super) fn client(mut entropy: Entropy) -> Self {
        let mut nonce = [0; 16];
        entropy(&mut nonce);
        Self::new(Side::Client { key: handshake::key(nonce), entropy })
    }

    /// Makes a server. It waits for a request and answers it.
    pub(super) const fn server() -> Self {
        Self::new(Side::Server)
    }

    const fn new(side: Side) -> Self {
        Self {
            side,
            state: State::Connecting,
            buffer: Vec::new(),
            eof: false,
            eof_sent: false,
            parser: Parser::Parse,
            parser_exc: None,
            handshake_exc: None,
            close_rcvd: None,
            close_sent: None,
            cur_size: None,
            events: Vec::new(),
            writes: Vec::new(),
        }
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) const fn handshake_error(&self) -> Option<&HandshakeError> {
        self.handshake_exc.as_ref()
    }

    /// Describes how the connection ended.
    ///
    /// # Panics
    ///
    /// If the state is not CLOSED, because the result is not known before. (This is the original's assertion.)
    pub(super) fn close_exc(&self) -> ConnectionClosed {
        assert!(self.state == State::Closed, "connection isn't closed yet");
        ConnectionClosed {
            received: self.close_rcvd.clone(),
            sent: self.close_sent.clone(),
            cause: self.parser_exc.map(Cause::Violation),
        }
    }

    /// Makes the state CLOSED without an end of the stream, as 13.0.1 does when the stream is lost.
    pub(super) const fn force_closed(&mut self) {
        self.state = State::Closed;
    }

    /// Feeds bytes from the network and parses them.
    pub(super) fn receive_data(&mut self, data: &[u8]) -> Result<(), InternalError> {
        self.feed_data(data)?;
        self.step()
    }

    /// Feeds the end of the stream. Does nothing the second time.
    pub(super) fn receive_eof(&mut self) -> Result<(), InternalError> {
        if self.reader_eof() {
            return Ok(());
        }
        self.feed_eof()?;
        self.step()
    }

    /// Returns `true` if the end of the stream was fed: the first step of `receive_eof()`.
    pub(super) const fn reader_eof(&self) -> bool {
        self.eof
    }

    /// Buffers bytes: the first step of `receive_data()`.
    pub(super) fn feed_data(&mut self, data: &[u8]) -> Result<(), InternalError> {
        if self.eof {
            return Err(InternalError("EOFError: stream ended"));
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// Records the end of the stream: the second step of `receive_eof()`.
    pub(super) const fn feed_eof(&mut self) -> Result<(), InternalError> {
        if self.eof {
            return Err(InternalError("EOFError: stream ended"));
        }
        self.eof = true;
        Ok(())
    }

    /// Resumes the parser: the last step of both.
    pub(super) fn step(&mut self) -> Result<(), InternalError> {
        match self.parser {
            Parser::Parse => {
                self.parse();
                Ok(())
            }
            Parser::Discard => {
                self.discard();
                Ok(())
            }
            Parser::Ended => Err(InternalError("AssertionError: discard() shouldn't step after EOF")),
        }
    }

    /// Returns what was received since the last call.
    pub(super) fn events_received(&mut self) -> Vec<Event> {
        mem::take(&mut self.events)
    }

    /// Returns the bytes that must be sent, in order.
    pub(super) fn data_to_send(&mut self) -> Vec<Outgoing> {
        mem::take(&mut self.writes)
    }

    /// Returns `true` if the TCP connection should end soon: this end has sent a close frame, or the handshake failed.
    pub(super) fn close_expected(&self) -> bool {
        self.state == State::Closing || self.handshake_exc.is_some()
    }

    /// Sends the request for the upgrade to `host`. Does nothing on a server.
    pub(super) fn send_request(&mut self, host: &str) {
        if let Side::Client { key, .. } = &self.side {
            self.writes.push(Outgoing::Bytes(handshake::request(host, key)));
        }
    }

    pub(super) fn send_text(&mut self, data: Vec<u8>) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::InvalidState(self.state));
        }
        self.send_frame(&Frame::new(Opcode::Text, data));
        Ok(())
    }

    /// Starts the closing handshake.
    pub(super) fn send_close(&mut self, code: u16, reason: &str) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::InvalidState(self.state));
        }
        let close = Close { code, reason: reason.to_owned() };
        let data = close.serialize().map_err(SendError::Misuse)?;
        self.send_frame(&Frame::new(Opcode::Close, data));
        self.close_sent = Some(close);
        self.state = State::Closing;
        Ok(())
    }

    /// Fails the connection (RFC 6455, 7.1.7): sends a close frame if possible, and ignores all later input.
    pub(super) fn fail(&mut self, code: u16, reason: &str) {
        if self.state == State::Open && code != close_code::ABNORMAL_CLOSURE {
            let close = Close { code, reason: reason.to_owned() };
            if let Ok(data) = close.serialize() {
                self.send_frame(&Frame::new(Opcode::Close, data));
                self.close_sent = Some(close);
                self.state = State::Closing;
            }
        }
        // A server does not wait for the client to end the TCP connection; a client waits for the server.
        if matches!(self.side, Side::Server) && !self.eof_sent {
            self.send_eof();
        }
        self.start_discarding();
    }

    /// Parses until more bytes are needed, or the parser is replaced by `discard()`.
    fn parse(&mut self) {
        while self.parser == Parser::Parse {
            let parsed =
                if self.state == State::Connecting { self.parse_handshake() } else { self.parse_frame() };
            match parsed {
                Ok(true) => {}
                Ok(false) => return,
                Err(Failure::Handshake(error)) => {
                    // Bytes that are not HTTP are not an answer. The waiting thread gets its error when the stream
                    // ends.
                    if matches!(error, HandshakeError::Status(_) | HandshakeError::Header(_)) {
                        self.events.push(Event::Response);
                    }
                    self.handshake_exc = Some(error);
                    if matches!(self.side, Side::Server) {
                        self.send_eof();
                    }
                    self.start_discarding();
                }
                Err(Failure::Violation(violation)) => {
                    self.fail(violation.code, violation.reason);
                    self.parser_exc = Some(violation);
                }
            }
        }
    }

    /// Parses the peer's half of the opening handshake. Returns `true` if it was complete.
    fn parse_handshake(&mut self) -> Result<bool, Failure> {
        match &self.side {
            Side::Client { key, .. } => {
                if handshake::parse_response(&mut self.buffer, key).map_err(Failure::Handshake)?.is_some() {
                    self.state = State::Open;
                    self.events.push(Event::Response);
                    return Ok(true);
                }
            }
            Side::Server => {
                if let Some(key) = handshake::parse_request(&mut self.buffer).map_err(Failure::Handshake)? {
                    self.writes.push(Outgoing::Bytes(handshake::response(&key)));
                    self.state = State::Open;
                    return Ok(true);
                }
            }
        }
        if self.eof { Err(Failure::Handshake(HandshakeError::Ended)) } else { Ok(false) }
    }

    /// Parses a frame and acts on it. Returns `true` if there was a whole frame.
    fn parse_frame(&mut self) -> Result<bool, Failure> {
        let masked = matches!(self.side, Side::Server);
        let size_max = MESSAGE_MAX - self.cur_size.unwrap_or(0);
        match Frame::parse(&mut self.buffer, masked, size_max)? {
            Some(frame) => {
                self.recv_frame(frame)?;
                Ok(true)
            }
            // After a closing handshake discard() runs. So an end of the stream here is not clean.
            None if self.eof => {
                Err(Violation { code: close_code::ABNORMAL_CLOSURE, reason: "unexpected end of stream" }
                    .into())
            }
            None => Ok(false),
        }
    }

    fn recv_frame(&mut self, frame: Frame) -> Result<(), Violation> {
        match frame.opcode {
            Opcode::Text if self.cur_size.is_some() => {
                return Err(Violation::protocol("expected a continuation frame"));
            }
            Opcode::Text => self.cur_size = (!frame.fin).then_some(frame.data.len()),
            Opcode::Binary => {
                let reason = "binary messages are not supported";
                return Err(Violation { code: close_code::UNSUPPORTED_DATA, reason });
            }
            Opcode::Continuation => {
                let Some(size) = self.cur_size else {
                    return Err(Violation::protocol("unexpected continuation frame"));
                };
                self.cur_size = (!frame.fin).then_some(size + frame.data.len());
            }
            Opcode::Ping => self.send_frame(&Frame::new(Opcode::Pong, frame.data.clone())),
            Opcode::Pong => {}
            Opcode::Close => self.recv_close(&frame.data)?,
        }
        self.events.push(Event::Frame(frame));
        Ok(())
    }

    fn recv_close(&mut self, data: &[u8]) -> Result<(), Violation> {
        let close = Close::parse(data)?;
        self.close_rcvd = Some(close.clone());
        if self.cur_size.is_some() {
            return Err(Violation::protocol("incomplete fragmented message"));
        }
        if self.state == State::Open {
            self.send_frame(&Frame::new(Opcode::Close, data.to_vec()));
            self.close_sent = Some(close);
            self.state = State::Closing;
        }
        // A server ends the TCP connection at once. A client waits for that.
        if matches!(self.side, Side::Server) {
            self.send_eof();
        }
        self.start_discarding();
        Ok(())
    }

    fn start_discarding(&mut self) {
        self.parser = Parser::Discard;
        self.discard();
    }

    /// Discards all input until the stream ends. Then the connection is CLOSED.
    fn discard(&mut self) {
        self.buffer.clear();
        if self.eof {
            // A client waits for the server's end before it ends the stream itself.
            if matches!(self.side, Side::Client { .. }) {
                self.send_eof();
            }
            self.state = State::Closed;
            self.parser = Parser::Ended;
        }
    }

    fn send_frame(&mut self, frame: &Frame) {
        let mask = match &mut self.side {
            Side::Client { entropy, .. } => {
                let mut mask = [0; 4];
                entropy(&mut mask);
                Some(mask)
            }
            Side::Server => None,
        };
        self.writes.push(Outgoing::Bytes(frame.serialize(mask)));
    }

    fn send_eof(&mut self) {
        self.eof_sent = true;
        self.writes.push(Outgoing::Eof);
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protocol").field("state", &self.state).field("eof", &self.eof).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
