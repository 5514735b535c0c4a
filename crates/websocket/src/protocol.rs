//! An open connection, without I/O: bytes in, messages out, and the other way round.
//!
//! The modules are a map of the core:
//!
//! - `frame` parses and writes the heads of frames; `mask` and `utf8` work on payloads.
//! - `receive` turns bytes into pieces of messages, and `inbox` queues them.
//! - `send` turns messages into bytes, and `output` queues them.
//! - `flow` knows whether the transport is full.
//! - `ping` has pings and the keepalive, and `closing` what is known of the end of the connection.
//! - `arriving` and `ending` join them: what input does, and what ends the connection.
//! - [`Violation`] names the peer's mistakes, and [`statistics`] counts.
//!
//! This file has the connection, what leaves it, and what it is asked.
//!
//! # Invariants
//!
//! - Pure: the same calls with the same arguments give the same results, on every platform.
//! - No input makes it panic. It never holds more memory than [`Limits`](crate::Limits) allow.
//! - Messages that came before a violation are delivered, and pings before it are answered. The connection fails when
//!   the application has taken those messages and asks for more, so that it can still answer them. It fails after the
//!   close timeout at the latest.
//! - The outcome is set once. From then on there is no output.
//! - At most one Close frame is sent, and nothing after it.

use std::time::Duration;

use bytes::BytesMut;
use wavetank_runtime::Instant;

use crate::deflate::Parameters;
use crate::{Cause, Closed, Config, Error, Fragment, Kind, Message};

mod arriving;
mod closing;
mod ending;
mod flow;
mod frame;
mod inbox;
mod mask;
mod output;
mod ping;
mod receive;
mod send;
pub mod statistics;
mod utf8;

#[cfg(test)]
mod tests;

pub use crate::close::Violation;
pub use crate::role::Role;
use closing::Closing;
use flow::Flow;
use frame::MAX_CONTROL;
use inbox::Inbox;
use ping::{KeepaliveTimer, Pings};
use receive::{Control, Receiver};
use send::Sender;
pub(crate) use send::{Deflating, Part, Piece};
pub use statistics::Statistics;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Messages go both ways.
    Open,
    /// A Close frame was sent or received (or the connection failed and says so to the peer). Messages may still come.
    Closing,
    /// The connection is over, and [`Connection::closed`] has the outcome. After a complete closing handshake the
    /// driver may still have to wait for the end of the transport: see [`Connection::transport`].
    Closed,
}

/// What the driver is to do with the transport once [`Connection::output`] is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Keep it.
    Open,
    /// Shut down its writing side, and read until its end. Nothing is left to be written. A server does this after
    /// both Close frames (RFC 6455, section 7.1.1), and either side does it after it has failed the connection.
    ShutDown,
    /// Drop it: the connection is over.
    Drop,
}

/// A ping that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PingId {
    number: u64,
    sent: Instant,
}

/// An open connection.
///
/// The driver appends what it read to [`input`](Self::input), calls [`process`](Self::process), takes messages out,
/// writes [`output`](Self::output), and calls [`handle_deadline`](Self::handle_deadline) when
/// [`deadline`](Self::deadline) has come. After each of these it looks at all others again, and at
/// [`transport`](Self::transport). After it took something out, and after `process` itself, it calls `process` again
/// if [`has_input_left`](Self::has_input_left); before that, it lets others have their turn.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    close_timeout: Duration,
    receiver: Receiver,
    inbox: Inbox,
    sender: Sender,
    pings: Pings,
    keepalive: KeepaliveTimer,
    flow: Flow,
    closing: Closing,
    /// A failure that waits until the application has taken the messages before it, and when it was found. Nothing is
    /// read meanwhile.
    held: Option<(Cause, Instant)>,
    /// Input was left unprocessed because the inbox was full. Nothing is read meanwhile.
    left: bool,
    statistics: Statistics,
}

impl Connection {
    /// Makes a connection whose opening handshake is done. `compression` is what the handshake agreed on, and always
    /// `None` without the Cargo feature `compression`. `seed` is fresh entropy, from which masks and the payloads of
    /// pings are drawn.
    #[must_use]
    pub fn new(
        role: Role,
        config: Config,
        compression: Option<Parameters>,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let deflate = compression.and_then(|agreed| agreed.compressor(role, config.compression.level));
        let inflate = compression.and_then(|agreed| agreed.decompressor(role));
        Self {
            role,
            close_timeout: config.close_timeout,
            receiver: Receiver::new(role, &config.limits, inflate),
            inbox: Inbox::new(&config.limits),
            sender: Sender::new(role, &config.limits, &config.compression, deflate, seed),
            pings: Pings::default(),
            keepalive: KeepaliveTimer::new(&config.keepalive, now),
            flow: Flow::new(&config.keepalive),
            closing: Closing::default(),
            held: None,
            left: false,
            statistics: Statistics::default(),
        }
    }

    /// Returns whether the driver should read. It should not after the end, nor while the queue of messages is full
    /// (unless closing), nor while [`process`](Self::process) has to be called first.
    #[inline]
    #[must_use]
    pub fn wants_read(&self) -> bool {
        match self.state() {
            State::Open => {
                !self.inbox.is_full() && !self.left && !self.receiver.is_paused() && self.held.is_none()
            }
            State::Closing => !self.closing.end_of_input && !self.receiver.is_paused(),
            State::Closed => self.closing.lingers.is_some(),
        }
    }

    /// Returns whether to call [`process`](Self::process) although nothing was read. It left input because it had
    /// inflated as much as it does in one call; or because the queue of messages was full, and now there is room again
    /// for a sixteenth of the queue.
    #[inline]
    #[must_use]
    pub fn has_input_left(&self) -> bool {
        self.receiver.is_paused() || (self.left && self.inbox.has_room_again())
    }

    /// Returns whether input is left unprocessed, with or without room for it.
    #[inline]
    pub(crate) fn is_behind(&self) -> bool {
        self.left || self.receiver.is_paused()
    }

    /// Returns how much was inflated since the last call, in bytes: the messages that came cost that much more than
    /// others.
    #[inline]
    pub(crate) fn take_inflated(&mut self) -> usize {
        self.receiver.take_work()
    }

    /// Returns how much was deflated inside the connection since the last call, in bytes.
    #[inline]
    pub(crate) fn take_deflated(&mut self) -> usize {
        self.sender.take_work()
    }

    /// Returns the buffer to which the driver appends what it read. Its spare capacity is enough for a read and for the
    /// rest of the frame that is arriving. Bytes that came with the opening handshake are appended first.
    #[inline]
    pub fn input(&mut self) -> &mut BytesMut {
        self.receiver.input()
    }

    /// Appends what the driver has read elsewhere to [`input`](Self::input). A control frame makes no room for more
    /// than itself, so that a connection whose memory was freed takes none for pings and pongs.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.receiver.append(bytes);
    }

    /// Returns whether nothing is under way: no frame, message, pong, failure or Close in either direction. Then
    /// [`take_only`](Self::take_only) may take a message that arrives as the only input. The connection stays at rest.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.closing.is_open()
            && self.held.is_none()
            && !self.left
            && !self.keepalive.is_awaiting()
            && !self.flow.is_full()
            && self.receiver.is_at_rest()
            && self.inbox.is_at_rest()
            && self.sender.is_at_rest()
    }

    /// Takes the input if it is a single message in one short, uncompressed frame, and nothing else. Otherwise returns
    /// `None`, and leaves the input for [`process`](Self::process). The connection must have been
    /// [at rest](Self::is_at_rest) before the input came.
    #[inline]
    pub(crate) fn take_only(&mut self) -> Option<Fragment> {
        self.receiver.take_only(&mut self.statistics)
    }

    /// Takes the next whole message, if it is there. The driver must take all messages before it reports
    /// [`closed`](Self::closed).
    #[inline]
    pub fn recv_message(&mut self) -> Option<Message> {
        let message = self.inbox.pop_message();
        if message.is_none() {
            self.fail_held(None);
        }
        message
    }

    /// Takes the next piece of a message; see [`Fragment`]. Until the message's last piece is taken,
    /// [`recv_message`](Self::recv_message) returns `None`.
    pub fn recv_fragment(&mut self) -> Option<Fragment> {
        let fragment = self.inbox.pop_fragment();
        if fragment.is_none() {
            self.fail_held(None);
        }
        fragment
    }

    /// Puts a message into [`output`](Self::output), all of it or nothing. The bytes of a [`Kind::Text`] must be
    /// UTF-8: drivers take a `str`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] after the end, [`Error::Closing`] once it has begun, [`Error::UnfinishedMessage`] between
    /// the fragments of [`send_fragment`](Self::send_fragment).
    #[inline]
    pub fn send(&mut self, kind: Kind, payload: &[u8]) -> Result<(), Error> {
        self.put(Piece { kind, payload, part: Part::Whole, compress: None })
    }

    /// Puts a fragment of a message into [`output`](Self::output), all of it or nothing. Until the `last` fragment,
    /// only control frames can be sent between them.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send); [`Error::UnfinishedMessage`] if `kind` is not that of the first fragment.
    pub fn send_fragment(&mut self, kind: Kind, payload: &[u8], last: bool) -> Result<(), Error> {
        self.put(Piece { kind, payload, part: Part::Fragment { last }, compress: None })
    }

    /// Puts a data frame into [`output`](Self::output), as [`send`](Self::send) and
    /// [`send_fragment`](Self::send_fragment).
    #[inline]
    pub(crate) fn put(&mut self, piece: Piece<'_>) -> Result<(), Error> {
        self.check_open()?;
        self.sender.put(piece, &mut self.statistics)
    }

    /// Begins to compress the payload of `piece` outside the connection, if it is long and has to be compressed. Pings,
    /// pongs and Close frames may be sent meanwhile. The driver must not send data before it calls
    /// [`put_deflated`](Self::put_deflated) or [`give_up`](Self::give_up).
    #[inline]
    pub(crate) fn begin_deflating(&mut self, piece: Piece<'_>) -> Option<Deflating> {
        if self.closing.is_open() { self.sender.begin_deflating(piece) } else { None }
    }

    /// Puts a data frame into [`output`](Self::output) whose payload is compressed.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and nothing is sent.
    pub(crate) fn put_deflated(&mut self, piece: Piece<'_>, deflating: Deflating) -> Result<(), Error> {
        match self.check_open() {
            Ok(()) => self.sender.put_deflated(piece, deflating, &mut self.statistics),
            Err(error) => {
                self.give_up(deflating);
                Err(error)
            }
        }
    }

    /// Takes back the compressor that [`begin_deflating`](Self::begin_deflating) has lent. Nothing is sent.
    pub(crate) fn give_up(&mut self, deflating: Deflating) {
        self.sender.give_up(deflating);
    }

    /// Puts a ping into [`output`](Self::output). Its payload is random, so that a peer cannot answer a ping that it
    /// has not received.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] after the end, [`Error::Closing`] once it has begun.
    pub fn ping(&mut self, now: Instant) -> Result<PingId, Error> {
        self.check_open()?;
        let payload = self.sender.ping(&mut self.statistics);
        Ok(self.pings.sent(payload, now))
    }

    /// Puts a ping with a payload of the caller's into [`output`](Self::output). Give each ping its own payload: a pong
    /// answers the earliest ping with its payload, and all before that.
    ///
    /// # Errors
    ///
    /// As for [`ping`](Self::ping); [`Error::ControlTooLong`] if `payload` has more than 125 bytes.
    pub fn ping_with(&mut self, payload: &[u8], now: Instant) -> Result<PingId, Error> {
        check_control(payload)?;
        self.check_open()?;
        self.sender.ping_with(payload, &mut self.statistics);
        Ok(self.pings.sent(payload, now))
    }

    /// Puts an unsolicited pong into [`output`](Self::output), unless the write buffer is full.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] after the end, [`Error::Closing`] once it has begun, [`Error::ControlTooLong`] if `payload`
    /// has more than 125 bytes.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        check_control(payload)?;
        self.check_open()?;
        if !self.sender.is_full() {
            self.sender.unsolicited_pong(Control::new(payload), &mut self.statistics);
        }
        Ok(())
    }

    /// Returns the latency of a ping once its pong, or that of a later ping, has come. If more than 1024 pings are
    /// under way, only the pong of a later ping answers some of them. If more than 1024 pongs have come since, the time
    /// of a later one counts.
    #[must_use]
    pub fn latency_of(&self, ping: PingId) -> Option<Duration> {
        self.pings.latency_of(ping)
    }

    /// Returns the bytes to write.
    #[inline]
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.sender.output()
    }

    /// Removes the first `count` bytes of [`output`](Self::output): the transport took them. `now` is called only if
    /// the keepalive needs the time.
    ///
    /// # Panics
    ///
    /// If that is more than there is.
    #[inline]
    pub fn output_written(&mut self, count: usize, now: &dyn Fn() -> Instant) {
        self.sender.output_written(count, &mut self.statistics);
        self.output_taken(now);
        if self.sender.output().is_empty() {
            self.flow.drained();
        }
        if !self.closing.is_open() {
            self.settle();
        }
    }

    /// Notes that the transport took bytes of an unfinished batch of TLS, which do not yet complete a part of
    /// [`output`](Self::output).
    #[inline]
    pub(crate) fn output_taken(&mut self, now: &dyn Fn() -> Instant) {
        if self.keepalive.is_awaiting() {
            self.note_progress(now());
        }
    }

    #[cold]
    fn note_progress(&mut self, now: Instant) {
        let was_full = self.flow.taken(now);
        self.keepalive.taken(self.sender.written(), was_full, now);
    }

    /// Notes that the transport has no room for all of [`output`](Self::output) now. What it takes later is a sign of
    /// life, which the keepalive counts as an answer.
    pub fn output_refused(&mut self, now: Instant) {
        self.flow.refused(now);
    }

    /// Returns whether senders should wait: [`output`](Self::output) holds as much as [`Limits`](crate::Limits) allow.
    #[inline]
    #[must_use]
    pub fn write_buffer_is_full(&self) -> bool {
        self.sender.is_full()
    }

    /// Returns how far the connection is.
    #[inline]
    #[must_use]
    pub fn state(&self) -> State {
        if self.closing.is_open() {
            State::Open
        } else if self.closing.outcome.is_none() {
            State::Closing
        } else {
            State::Closed
        }
    }

    /// Returns the outcome, once the connection is over.
    #[inline]
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.closing.outcome.as_ref()
    }

    /// Returns the counts.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Returns how long the keepalive waits for a sign of life ([`Keepalive::timeout`](crate::Keepalive::timeout)), or
    /// `None` if it does not.
    pub(crate) fn keepalive_timeout(&self) -> Option<Duration> {
        self.keepalive.timeout()
    }

    /// Returns how many bytes are read at once, at least 1 ([`Limits::read_buffer`](crate::Limits::read_buffer)).
    pub(crate) fn read_bytes(&self) -> usize {
        self.receiver.read_bytes()
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
    //# The application MUST NOT send any more data frames after sending a Close frame.
    #[inline]
    fn check_open(&self) -> Result<(), Error> {
        if self.closing.is_open() {
            return Ok(());
        }
        Err(self.closing.outcome.clone().map_or(Error::Closing, Error::Closed))
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-5.5
//# All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.
fn check_control(payload: &[u8]) -> Result<(), Error> {
    match payload.len() {
        0..=MAX_CONTROL => Ok(()),
        bytes => Err(Error::ControlTooLong { bytes }),
    }
}
