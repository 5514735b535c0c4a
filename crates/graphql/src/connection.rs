//! A connection without I/O: what a client's messages and our results mean, and what is to be sent.
//!
//! # Driving it
//!
//! - Give it what comes: [`handle_text`](Connection::handle_text), [`handle_binary`](Connection::handle_binary),
//!   [`handle_control`](Connection::handle_control), [`handle_closed`](Connection::handle_closed),
//!   [`handle_failure`](Connection::handle_failure), each while [`may_read`](Connection::may_read) is true.
//! - After each of these, and after every other call that takes `now`, take the [`Event`]s:
//!   [`poll_event`](Connection::poll_event). Do what they say at once.
//! - Give it results while [`wants_results`](Connection::wants_results) is true, and those of streams while
//!   [`wants_streams`](Connection::wants_streams) is.
//! - Send what [`poll_transmit`](Connection::poll_transmit) gives, and report [`sent`](Connection::sent) and
//!   [`flushed`](Connection::flushed).
//! - Call [`handle_timeout`](Connection::handle_timeout) when the time of
//!   [`poll_timeout`](Connection::poll_timeout) has come. Every other call may change that time.
//!
//! # Invariants
//!
//! - A connection closes once. After that it sends nothing, and starts nothing.
//! - For each operation it sends `next* (complete | error)?`, and nothing after the client's `complete`, not even
//!   what waited to be sent.
//! - The id of an operation is free before its last message goes out. A key of an operation that has ended does
//!   nothing.
//! - Nothing that a client sends makes it panic, or hold more memory than the configuration says.
//! - A result takes constant time, however many operations the connection has. A message of a client takes time that
//!   is logarithmic in the number of operations. A `complete` may look at all messages that wait to be sent.

mod liveness;
mod operations;
mod outbox;
mod receive;
mod results;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use wavetank_runtime::Instant;

use crate::close::{CloseCode, CloseFrame, Ended};
use crate::config::Config;
use crate::engine::Request;
use crate::hooks::OperationInfo;
use crate::message::{self, Protocol};
use crate::transport::{Progress, TransportError};

pub use liveness::Jitter;
pub use operations::OperationKey;
pub use outbox::Transmit;

use operations::Operations;
use outbox::{About, Outbox};
use timers::Timers;

/// Pings of a client whose answers are being made. With so many nothing is read.
const PINGS_PENDING_MAX: usize = 16;

/// How many `on_complete` hooks may run before nothing more is read. Operations that have ended count no more, so a
/// client could start any number of them beside slow hooks.
const COMPLETIONS_PENDING_MAX: usize = 1000;

/// What the driver has to do.
#[derive(Debug)]
pub enum Event {
    /// The client has sent `connection_init`: decide, and call [`Connection::accept`] or [`Connection::reject`].
    Init(Option<Box<RawValue>>),
    /// The client has sent `ping`: call [`Connection::pong`].
    Ping(Option<Box<RawValue>>),
    /// Start an operation.
    Start {
        /// What to call it in calls to the connection.
        key: OperationKey,
        /// What the application may know of it.
        info: OperationInfo,
        /// What to execute.
        request: Box<Request>,
    },
    /// The client has completed an operation: drop it, now.
    Cancel(OperationKey),
    /// The connection is over, but for what may be left to send: drop every operation and every pending answer, now.
    End,
}

/// Where a connection is in its life.
#[derive(Debug)]
enum Phase {
    /// Nothing has come, or only pings.
    AwaitingInit,
    /// `connection_init` has come, and is not decided.
    Connecting,
    /// The connection is acknowledged.
    Ready,
    /// Sends what is left, and then the close frame, if it has not been taken yet.
    Closing { frame: CloseFrame, taken: bool, ended: Ended },
    /// Over.
    Ended(Ended),
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    protocol: Protocol,
    phase: Phase,
    operations: Operations,
    outbox: Outbox,
    events: VecDeque<Event>,
    timers: Timers,
    jitter: Jitter,
    pings_pending: usize,
    completions_pending: usize,
    /// The client has sent a message that only `graphql-transport-ws` has.
    is_known_to_speak_it: bool,
    /// How much had come when the latest ping was made, and how much had gone at the latest look at it.
    progress: Progress,
    /// When the transport is stalled unless it takes something. Counts only while the timer for writing is set.
    stalled_at: Instant,
    /// With what the connection closes once no single operation runs.
    draining: Option<CloseFrame>,
    /// The transport cannot send ping frames.
    ping_messages_only: bool,
}

impl Connection {
    /// Makes a connection of a transport that was just accepted, with the subprotocol that was agreed on. Without
    /// one that is served it closes with 4406. `seed` spreads the times of many connections, and nothing else.
    #[must_use]
    pub fn new(config: Arc<Config>, subprotocol: Option<&str>, seed: u64, now: Instant) -> Self {
        let protocol = subprotocol.and_then(Protocol::from_name);
        let protocol = protocol
            .filter(|protocol| *protocol == Protocol::Transport || config.legacy != crate::Legacy::Off);
        let mut connection = Self {
            protocol: protocol.unwrap_or(Protocol::Transport),
            phase: Phase::AwaitingInit,
            operations: Operations::default(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            timers: Timers::default(),
            jitter: Jitter::new(seed),
            pings_pending: 0,
            completions_pending: 0,
            is_known_to_speak_it: false,
            progress: Progress::default(),
            stalled_at: now,
            draining: None,
            ping_messages_only: false,
            config,
        };
        if protocol.is_none() {
            let frame = CloseFrame::new(CloseCode::SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable");
            connection.close(frame, now);
            return connection;
        }
        connection.timers.init = Some(now + connection.config.init_timeout);
        connection.start_liveness(now);
        connection
    }

    /// Returns the protocol that is spoken.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns `true` if [`poll_event`](Self::poll_event) has something.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Takes what is to be done next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns `true` while messages of the client may be handled: not while too much waits to be sent or answered,
    /// and not once the connection is over.
    #[must_use]
    pub fn may_read(&self) -> bool {
        self.is_open()
            && self.outbox.bytes() < self.config.write_buffer_bytes.saturating_mul(2)
            && self.pings_pending < PINGS_PENDING_MAX
            && self.completions_pending < COMPLETIONS_PENDING_MAX
    }

    /// Returns `true` while results of operations are to be made: not while much waits to be sent.
    #[must_use]
    pub fn wants_results(&self) -> bool {
        self.is_open() && self.outbox.bytes() < self.config.write_buffer_bytes
    }

    /// Returns `true` while streams of results are to be asked for more: not while a message of any operation waits. So
    /// a result waits at most for those of the streams that came before it, however slowly the transport takes them.
    #[must_use]
    pub fn wants_streams(&self) -> bool {
        self.wants_results() && !self.outbox.holds_operations()
    }

    /// Returns `true` until the connection begins to close.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::AwaitingInit | Phase::Connecting | Phase::Ready)
    }

    /// Returns how the connection ended, once nothing more is to be sent.
    #[must_use]
    pub const fn ended(&self) -> Option<&Ended> {
        match &self.phase {
            Phase::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    /// Returns how many operations are active: those whose ids are taken.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.operations.len()
    }

    /// Returns about how many bytes wait to be sent.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// Accepts the connection, with the payload of `connection_ack`. Does nothing unless [`Event::Init`] waits for
    /// it.
    pub fn accept(&mut self, payload: Option<&RawValue>, now: Instant) {
        if !matches!(self.phase, Phase::Connecting) {
            return;
        }
        // Before the acknowledgement can go out: the client may answer at once.
        self.phase = Phase::Ready;
        self.timers.idle = self.config.idle_timeout.map(|timeout| now + timeout);
        self.send(message::write_about_connection("connection_ack", payload), now);
        if self.protocol == Protocol::Legacy && self.config.keepalive.is_some() {
            self.send(message::write_about_connection("ka", None), now);
        }
    }

    /// Rejects the connection. Does nothing unless [`Event::Init`] waits for it.
    pub fn reject(&mut self, reason: &str, now: Instant) {
        if !matches!(self.phase, Phase::Connecting) {
            return;
        }
        match self.protocol {
            Protocol::Transport => self.close(CloseFrame::new(CloseCode::FORBIDDEN, reason), now),
            Protocol::Legacy => {
                self.send_connection_error(reason, now);
                self.close(CloseFrame::new(CloseCode::INTERNAL_ERROR, reason), now);
            }
        }
    }

    /// Closes the connection behind what waits to be sent. The first close counts, and any later one does nothing.
    pub fn close(&mut self, frame: CloseFrame, now: Instant) {
        if !self.is_open() {
            return;
        }
        self.begin_closing(Ended::Closed(frame.clone()), frame, now);
    }

    fn begin_closing(&mut self, ended: Ended, frame: CloseFrame, now: Instant) {
        self.phase = Phase::Closing { frame, taken: false, ended };
        self.release();
        self.timers.close = Some(now + self.config.close_timeout);
    }

    /// Closes at once: what waits to be sent is dropped.
    fn fail(&mut self, code: CloseCode, reason: impl Into<String>, now: Instant) {
        if self.is_open() {
            self.outbox.clear();
            self.close(CloseFrame::new(code, reason), now);
        }
    }

    /// Begins to drain the connection. It closes with `frame` when no query and no mutation is running, and at the
    /// latest after `timeout`. Operations that a client starts meanwhile are ignored: it starts them again on its next
    /// connection.
    pub fn drain(&mut self, frame: CloseFrame, timeout: Duration, now: Instant) {
        if !self.is_open() || self.draining.is_some() {
            return;
        }
        self.draining = Some(frame);
        self.timers.drain = Some(now + timeout);
        self.settle_drain(now);
    }

    fn settle_drain(&mut self, now: Instant) {
        if self.operations.single() == 0
            && let Some(frame) = self.draining.take()
        {
            self.close(frame, now);
        }
    }

    /// The connection has no operations any more, no timers, and nothing to decide.
    fn release(&mut self) {
        self.operations.clear();
        self.timers = Timers::default();
        self.draining = None;
        self.events.clear();
        self.events.push_back(Event::End);
    }

    /// Nothing can be sent any more.
    fn end(&mut self, ended: Ended) {
        let ended = match std::mem::replace(&mut self.phase, Phase::AwaitingInit) {
            Phase::Ended(first) => first,
            Phase::Closing { ended: first, .. } => {
                self.timers = Timers::default();
                first
            }
            Phase::AwaitingInit | Phase::Connecting | Phase::Ready => {
                self.release();
                ended
            }
        };
        self.outbox.clear();
        self.phase = Phase::Ended(ended);
    }

    /// The client has closed, with this code if it gave one. What waits to be sent is dropped; a close frame that
    /// answers is left to send.
    pub fn handle_closed(&mut self, code: Option<u16>, now: Instant) {
        if self.is_open() {
            self.outbox.clear();
            self.begin_closing(Ended::ByClient(code), CloseFrame::new(CloseCode::NORMAL, ""), now);
        }
    }

    /// The transport has failed.
    pub fn handle_failure(&mut self, error: TransportError, now: Instant) {
        match error {
            TransportError::MessageTooBig if self.is_open() => {
                self.fail(CloseCode::MESSAGE_TOO_BIG, "the message is too big", now);
            }
            error => self.end(Ended::Lost(error)),
        }
    }

    /// The closing handshake is done, or was given up.
    pub fn handle_close_done(&mut self) {
        if let Phase::Closing { ended, .. } = &self.phase {
            let ended = ended.clone();
            self.end(ended);
        }
    }

    fn send(&mut self, text: String, now: Instant) {
        self.expect_progress(now);
        self.outbox.push(text, About::Connection);
    }

    fn send_connection_error(&mut self, reason: &str, now: Instant) {
        let payload = serde_json::value::to_raw_value(&crate::GraphqlError::new(reason)).ok();
        self.send(message::write_about_connection("connection_error", payload.as_deref()), now);
    }
}
