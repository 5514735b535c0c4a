//! An open connection, without I/O: bytes in, messages out, and the other way round.
//!
//! The modules are a map of the core:
//!
//! - `frame` parses and writes the heads of frames; `mask` and `utf8` work on payloads.
//! - `receive` turns bytes into pieces of messages, and `inbox` queues them.
//! - `send` turns messages into bytes, and `output` queues them.
//! - `flow` knows whether the transport is full.
//! - `ping` has pings and the keepalive, and `closing` the end of the connection.
//! - [`Violation`] names the peer's mistakes, and [`statistics`] counts.
//!
//! This file joins them.
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

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use wavetank_runtime::Instant;

use crate::deflate::Parameters;
use crate::{Cause, CloseCode, CloseFrame, Closed, Config, Error, Fragment, Kind, Message};

mod closing;
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
use ping::{Due, KeepaliveTimer, Pings};
use receive::{Control, Receiver, Step};
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

    /// Parses what [`input`](Self::input) holds, up to the first data frame for which the queue of messages has no
    /// room, or until about 64 KiB are inflated. A violation by the peer is not an error here: it ends the connection
    /// ([`closed`](Self::closed)).
    pub fn process(&mut self, now: Instant) {
        self.process_with(&|| now);
    }

    /// Does the same as [`process`](Self::process), for drivers where reading the clock is expensive. `now` is called
    /// only if a pong, a Close frame or a failure is found, or while a pong is awaited. It may be called repeatedly.
    pub fn process_with(&mut self, now: &dyn Fn() -> Instant) {
        if self.keepalive.is_awaiting() && self.receiver.has_news() {
            self.keepalive.heard(now());
        }
        self.left = false;
        self.receiver.begin_turn();
        self.parse(now);
        self.receiver.note_what_is_known();
    }

    /// Notes that the transport brought bytes that are not in [`input`](Self::input) yet.
    #[inline]
    pub(crate) fn heard(&mut self, now: &dyn Fn() -> Instant) {
        if self.keepalive.is_awaiting() {
            self.keepalive.heard(now());
        }
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

    fn parse(&mut self, now: &dyn Fn() -> Instant) {
        while !self.closing.ignores_input() {
            if self.held.is_some() {
                return;
            }
            match self.receiver.advance(&mut self.inbox, &mut self.statistics) {
                Ok(Step::Starved) => {
                    if self.inbox.is_full() {
                        self.keepalive.reading_is_paused();
                    }
                    return;
                }
                Ok(Step::Paused) => return,
                Ok(Step::Full) => {
                    self.left = true;
                    self.keepalive.reading_is_paused();
                    return;
                }
                //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
                //# Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it
                //# already received a Close frame.
                // Nothing is sent after our Close frame, not even a pong.
                Ok(Step::Ping(ping)) => {
                    if self.closing.is_open() {
                        self.sender.pong(ping, &mut self.statistics);
                    }
                }
                Ok(Step::Pong(pong)) => {
                    if let Some((id, latency)) = self.pings.pong(pong.payload(), now()) {
                        self.keepalive.answered(id);
                        self.statistics.latency = Some(latency);
                    }
                }
                Ok(Step::Close(close)) => self.close_received(close, now()),
                Err(failure) if self.closing.is_open() && self.inbox.has_something() => {
                    self.held = Some((failure.into(), now()));
                    self.keepalive.reading_is_paused();
                }
                Err(failure) => self.fail(failure.into(), now()),
            }
        }
        self.receiver.discard_input();
    }

    /// Processes all of the input. No more will come: from now on the rules of closing hold.
    fn process_to_the_end(&mut self, now: Instant) {
        self.inbox.begin_closing();
        self.process(now);
        while self.receiver.is_paused() {
            self.process(now);
        }
        self.fail_held(Some(now));
    }

    /// Fails the connection for the failure that waits, if there is one. Without `now`, the time is that at which it
    /// was found.
    #[inline]
    fn fail_held(&mut self, now: Option<Instant>) {
        if self.held.is_some() {
            self.fail_what_is_held(now);
        }
    }

    #[cold]
    fn fail_what_is_held(&mut self, now: Option<Instant>) {
        if let Some((cause, found)) = self.held.take() {
            self.fail(cause, now.unwrap_or(found));
        }
    }

    /// Notes that the transport has reached its end: the peer sends nothing more.
    ///
    /// Without the peer's Close frame the end is not clean (RFC 6455, section 7.1.5).
    pub fn end_of_input(&mut self, now: Instant) {
        self.process_to_the_end(now);
        self.closing.end_of_input = true;
        self.closing.lingers = None;
        // A failed write that came before says more.
        if !self.closing.unwritable {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
            //# If at any point the underlying transport layer connection is unexpectedly lost, the client MUST
            //# _Fail the WebSocket Connection_.
            self.closing.decide(Cause::EndOfInput { inside_message: self.receiver.is_inside_message() });
        }
        self.settle();
    }

    /// Notes that reading or writing failed for good: the transport is gone. If it may still be read from, call
    /// [`write_failed`](Self::write_failed) instead.
    pub fn transport_failed(&mut self, error: &io::Error, now: Instant) {
        self.transport_lost(Cause::io(error), now);
    }

    /// Notes that the transport is gone for this reason.
    pub(crate) fn transport_lost(&mut self, cause: Cause, now: Instant) {
        self.process_to_the_end(now);
        self.abort(cause);
    }

    /// Notes that writing failed for good. What the peer sent before may still be read, perhaps its Close frame with a
    /// reason. So the driver reads until the end of the transport, an error, or the close deadline.
    pub fn write_failed(&mut self, error: &io::Error, now: Instant) {
        self.inbox.begin_closing();
        self.process(now);
        self.fail_held(Some(now));
        self.closing.unwritable = true;
        self.closing.lingers = None;
        self.closing.decide(Cause::io(error));
        self.begin_closing(now);
        self.sender.discard_output();
        self.settle();
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

    /// Starts the closing handshake and its deadline. Does nothing if closing has begun. A reason of more than 123
    /// bytes is cut between characters.
    ///
    /// With the code `None` the Close frame has neither code nor reason.
    pub fn close(&mut self, code: impl Into<Option<CloseCode>>, reason: &str, now: Instant) {
        let frame = match code.into() {
            Some(code) => CloseFrame::new(code, reason),
            None => CloseFrame { code: None, reason: String::new() },
        };
        self.fail_held(Some(now));
        if self.closing.is_open() {
            self.closing.cause = Some(Cause::Local);
            self.send_close(frame, now);
            if self.left {
                // The peer's Close may be in the input already.
                self.process(now);
            }
        }
    }

    /// Ends the connection at once with `cause` as its outcome, unless the outcome is decided already. It is decided
    /// once the peer has sent its Close frame, or has been told of a failure.
    pub fn abort(&mut self, cause: Cause) {
        if self.closing.outcome.is_none() {
            self.closing.decide(cause);
            self.finish();
        }
        self.closing.lingers = None;
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

    /// Returns what the driver has to do with the transport.
    #[inline]
    #[must_use]
    pub fn transport(&self) -> Transport {
        let closing = &self.closing;
        if closing.is_open() {
            return Transport::Open;
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# The server MUST close the underlying TCP connection immediately; the client SHOULD wait for the
        //# server to close the connection but MAY close the connection at any time after sending and receiving
        //# a Close message, e.g., if it has not received a TCP Close from the server in a reasonable time
        //# period.
        if closing.outcome.is_some() {
            closing.lingers.unwrap_or(Transport::Drop)
        } else if self.is_our_turn() && closing.close_is_written(self.sender.written()) {
            Transport::ShutDown
        } else {
            Transport::Open
        }
    }

    /// Returns when to call [`handle_deadline`](Self::handle_deadline). Any other call may change it.
    #[inline]
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state() {
            State::Open => match &self.held {
                Some((_, found)) => Some(*found + self.close_timeout),
                None => self.keepalive.deadline(),
            },
            State::Closing => self.mute_from().into_iter().chain(self.closing.deadline).min(),
            State::Closed => self.closing.lingers.and(self.closing.deadline),
        }
    }

    /// Sends the keepalive's ping if it is due, or ends the connection if the peer did not answer in time.
    pub fn handle_deadline(&mut self, now: Instant) {
        match self.state() {
            State::Open if self.held.is_some() => {
                if self.deadline().is_some_and(|deadline| now >= deadline) {
                    self.fail_held(Some(now));
                }
            }
            State::Open => {
                let is_paused = self.is_behind() || self.inbox.is_full();
                match self.keepalive.due(is_paused, now) {
                    Due::Nothing => {}
                    Due::Ping => {
                        self.sender.rest();
                        self.receiver.rest();
                        let payload = self.sender.ping(&mut self.statistics);
                        let id = self.pings.sent(payload, now);
                        self.keepalive.sent(id, self.sender.end(), is_paused, now);
                    }
                    Due::Timeout(timeout) => {
                        self.fail(Cause::KeepaliveTimeout { timeout }, now);
                        self.finish_if_mute(now);
                    }
                }
            }
            State::Closing => {
                self.finish_if_mute(now);
                if self.closing.deadline.is_some_and(|deadline| now >= deadline) {
                    self.closing.timed_out(self.close_timeout);
                    self.finish();
                }
            }
            State::Closed => {
                if self.closing.deadline.is_some_and(|deadline| now >= deadline) {
                    self.closing.lingers = None;
                }
            }
        }
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

    fn close_received(&mut self, close: Control, now: Instant) {
        let frame = match closing::parse(close.payload()) {
            Ok(frame) => frame,
            Err(violation) => return self.fail(Cause::Violation { what: violation }, now),
        };
        // Unless we have closed the connection ourselves, this frame ended it. A failed write was a consequence.
        if self.closing.cause != Some(Cause::Local) {
            self.closing.decide(Cause::Peer);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST
        //# send a Close frame in response.
        let answer = CloseFrame { code: frame.code, reason: String::new() };
        self.closing.received = Some(frame);
        self.send_close(answer, now);
        self.settle();
    }

    /// Fails the connection (RFC 6455, section 7.1.7): tells the peer why, and processes nothing more.
    fn fail(&mut self, cause: Cause, now: Instant) {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
        //# the endpoint SHOULD send a Close frame with an appropriate status code (Section 7.4) before
        //# proceeding to _Close the WebSocket Connection_.
        let close = CloseFrame::new(closing::code_of(&cause), &cause.to_string());
        self.closing.decide(cause);
        self.closing.failed = true;
        self.receiver.discard_input();
        self.send_close(close, now);
        self.settle();
    }

    /// Sends our Close frame, unless it was sent already or cannot be sent.
    fn send_close(&mut self, frame: CloseFrame, now: Instant) {
        if self.closing.sent.is_none() && !self.closing.unwritable {
            self.sender.close(&closing::body(&frame), &mut self.statistics);
            self.closing.sent = Some((frame, self.sender.end()));
        }
        self.begin_closing(now);
    }

    /// Leaves the open state: the end has a deadline from now on, and a full queue no longer delays the peer's Close.
    fn begin_closing(&mut self, now: Instant) {
        self.closing.deadline.get_or_insert(now + self.close_timeout);
        self.inbox.begin_closing();
    }

    /// Ends the connection if it has nothing left to wait for.
    fn settle(&mut self) {
        if self.closing.is_finished(self.sender.written()) {
            self.finish();
        }
    }

    /// Returns when it is certain that a peer which answers no pings cannot be told of the failure, because the
    /// transport is full. Then there is nothing to wait for.
    fn mute_from(&self) -> Option<Instant> {
        match self.closing.cause {
            Some(Cause::KeepaliveTimeout { .. }) => self.flow.full_from(),
            _ => None,
        }
    }

    fn finish_if_mute(&mut self, now: Instant) {
        if self.closing.outcome.is_none() && self.mute_from().is_some_and(|from| from <= now) {
            self.finish();
        }
    }

    /// Returns whether this side ends the transport first.
    fn is_our_turn(&self) -> bool {
        self.closing.failed || (self.role == Role::Server && self.closing.received.is_some())
    }

    fn finish(&mut self) {
        let kept = if self.is_our_turn() { Transport::ShutDown } else { Transport::Open };
        self.closing.finish(self.sender.written(), kept);
        self.sender.discard_output();
        self.receiver.discard_input();
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
