//! The protocol without I/O: [`Connection`] is one side of a session.
//!
//! A driver moves bytes, keeps the time and passes events on:
//!
//! - What it reads goes into [`receive`](Connection::receive); the end of the transport into
//!   [`end_of_input`](Connection::end_of_input).
//! - What is to be written comes out of [`take_output`](Connection::take_output), and the driver reports what
//!   happened to it by [`output_written`](Connection::output_written) and
//!   [`transport_full`](Connection::transport_full).
//! - [`deadline`](Connection::deadline) says when [`handle_deadline`](Connection::handle_deadline) is due.
//! - [`next_event`](Connection::next_event) says which waiting call may go on.
//! - [`transport`](Connection::transport) says when the transport is to be ended.
//!
//! Any of these calls may change what the others return. Calls of the application are `open`, `accept`, `write`,
//! `read_with` and so on; each that would have to wait says so, and `wait_…` asks for an event.
//!
//! # Example: two sides, connected by hand
//!
//! ```
//! use std::task::Poll;
//!
//! use bytes::BytesMut;
//! use wavetank_multiplexer::Config;
//! use wavetank_multiplexer::protocol::{Connection, Role, Transmit};
//! use wavetank_runtime::Instant;
//!
//! let now = Instant::from_nanos(0);
//! let mut client = Connection::new(Role::Client, Config::default(), 1, now);
//! let mut server = Connection::new(Role::Server, Config::default(), 2, now);
//!
//! let Poll::Ready(Ok(stream)) = client.open(now) else { panic!("the first stream can be opened") };
//! assert_eq!(client.write(stream, b"hello"), Poll::Ready(Ok(5)));
//!
//! let mut transmit = Transmit::new();
//! client.take_output(&mut transmit, now);
//! let mut wire = BytesMut::new();
//! for slice in transmit.slices() {
//!     wire.extend_from_slice(&slice);
//! }
//! server.receive(&mut wire, now);
//!
//! let accepted = server.accept().expect("a stream waits");
//! let mut read = Vec::new();
//! assert_eq!(server.read_with(accepted, 100, |piece| read.extend_from_slice(piece)), Poll::Ready(Ok(5)));
//! assert_eq!(read, b"hello");
//! ```
//!
//! # Stop sending
//!
//! The original protocol cannot say "I do not read any more". What happens when reading stops depends on our own
//! sending half and on the peer:
//!
//! - Not closed, and not wanted either: RST instead of FIN.
//! - Closed: what comes is discarded and no credit granted. One RST follows when the peer has used up its credit (it
//!   would wait from then on), or when [`Timeouts::close_linger`](crate::Timeouts::close_linger) has passed. Not
//!   before, because some peers throw unread data away when RST comes.
//! - Not closed, and still wanted: what comes is discarded and credit granted, up to
//!   [`Limits::drain_budget_bytes`](crate::Limits::drain_budget_bytes), then RST.
//! - In the last two cases a peer of this crate is asked to stop, by a flag on a window update; it answers with FIN.
//!
//! RST travels on a window update, never on data and never together with FIN. FIN is sent at most once, RST too.
//!
//! # Invariants
//!
//! - The core reads no clock, draws no entropy and does no I/O.
//! - Nothing that the peer sends makes it panic, or take more memory than the configuration says.
//! - Reading never depends on writing: every input is taken in, whatever waits in the output.
//! - On no stream more is sent than the peer has granted; a peer that does so ends the session.
//! - A stream sends at most one FIN and one RST.

mod buffer;
mod credit;
mod ending;
mod frame;
mod ids;
mod lifecycle;
mod liveness;
mod output;
mod pings;
mod read;
mod receive;
mod statistics;
mod stream;
mod timers;
mod tombstones;
mod turns;
mod write;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use wavetank_runtime::Instant;

use crate::closed::{Cause, GoAwayCode};
use crate::config::Config;
use crate::error::{LocalReset, ResetCode, WriteEnd, WriteError};
use buffer::Spares;
use ending::Ending;
use ids::RemoteIds;
use liveness::{Due, Liveness};
use output::Output;
use pings::Pings;
use receive::Parser;
use stream::Streams;
use timers::{Timer, Timers};
use tombstones::Tombstones;
use turns::Turns;

pub use ending::{State, Transport};
pub use output::Transmit;
pub use pings::PingId;
pub use statistics::{Statistics, StreamStatistics};

/// Which side of a session this is. Both can open streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Uses odd ids: mostly the side that has opened the transport.
    Client,
    /// Uses even ids.
    Server,
}

/// A stream, as the driver names it. Good until both halves are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamKey {
    index: u32,
    id: u32,
}

impl StreamKey {
    /// The place of the stream, small and used again after both halves are dropped: an index for tables of the driver.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// The id of the stream on the wire.
    #[must_use]
    pub fn id(self) -> u32 {
        self.id
    }
}

/// How the sending half of a stream ended, while the session lives. Becomes a [`WriteEnd`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendingEnd {
    /// The stream has ended in both directions, as both sides wanted.
    Complete,
    /// The peer has stopped reading.
    Stopped,
    /// The peer reset the stream.
    Reset(ResetCode),
    /// The peer refused the stream.
    Refused,
    /// This side reset the stream.
    ResetHere(LocalReset),
}

impl From<SendingEnd> for WriteEnd {
    fn from(end: SendingEnd) -> Self {
        match end {
            SendingEnd::Complete => Self::Complete,
            SendingEnd::Stopped => Self::Failed(WriteError::Stopped),
            SendingEnd::Reset(code) => Self::Failed(WriteError::Reset(code)),
            SendingEnd::Refused => Self::Failed(WriteError::Refused),
            SendingEnd::ResetHere(reason) => Self::Failed(WriteError::ResetHere(reason)),
        }
    }
}

/// Which waiting call may go on. Events about streams come only after a `wait_…` asked for them, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Reading from the stream may have another result.
    Readable(StreamKey),
    /// Writing to the stream, or flushing it, may have another result.
    Writable(StreamKey),
    /// The end of the stream's sending half is known. The stream may be forgotten already.
    SendingEnded(StreamKey, SendingEnd),
    /// A stream may wait to be accepted.
    Acceptable,
    /// Opening a stream may have another result.
    MayOpen,
    /// A ping was answered.
    Pong,
    /// The outcome of the session is decided: every waiting call may go on.
    Ending,
    /// The transport is of no use any more.
    Closed,
}

/// One side of a session, without I/O. See the [module](self).
#[derive(Debug)]
pub struct Connection {
    config: Config,
    ending: Ending,
    streams: Streams,
    /// Streams of the peer that wait to be accepted.
    backlog: VecDeque<StreamKey>,
    next_id: Option<u32>,
    remote_ids: RemoteIds,
    tombstones: Tombstones,
    parser: Parser,
    output: Output,
    turns: Turns,
    timers: Timers,
    liveness: Liveness,
    pings: Pings,
    spares: Spares,
    /// Streams whose callers wait until what they have written is taken by the transport.
    flushing: Vec<StreamKey>,
    /// Streams of which it is not known whether the peer has got all data, as [`credit`] says.
    probing: Vec<StreamKey>,
    events: VecDeque<Event>,
    /// Received bytes that wait for readers.
    buffered: usize,
    /// By how much windows exceed the initial one, all together.
    tuned: u64,
    /// Streams that the peer reset before they were accepted, less those accepted.
    early_resets: u32,
    /// Frames without effect, less those with, and less what time forgives.
    idle: u32,
    /// Up to when time has forgiven.
    idle_since: Instant,
    /// No streams are opened or accepted any more.
    draining: bool,
    go_away_said: bool,
    peer_away: Option<GoAwayCode>,
    peer_understands_stop: bool,
    /// The time of the latest call that had one.
    latest: Instant,
    statistics: Statistics,
    /// How often a driver has settled the session, in builds with debug assertions.
    settled: usize,
}

impl Connection {
    /// Returns a side of a new session. `seed` is where the jitter of keepalive comes from.
    ///
    /// The first output is a ping: it measures the round-trip time and announces that this side can be asked to stop
    /// sending.
    #[must_use]
    pub fn new(role: Role, config: Config, seed: u64, now: Instant) -> Self {
        let (ours, theirs) = match role {
            Role::Client => (1, 2),
            Role::Server => (2, 1),
        };
        let mut pings = Pings::default();
        pings.queue();
        let limits = &config.limits;
        Self {
            ending: Ending::Open,
            streams: Streams::new(),
            backlog: VecDeque::new(),
            next_id: Some(config.first_id.map_or(ours, |id| id - id % 2 + ours % 2)),
            remote_ids: RemoteIds::new(theirs, limits.skipped_ids),
            tombstones: Tombstones::new(limits.tombstones, config.timeouts.tombstone),
            parser: Parser::default(),
            output: Output::new(limits),
            turns: Turns::new(limits.frame_bytes, limits.write_buffer_bytes),
            timers: Timers::default(),
            liveness: Liveness::new(config.keepalive.clone(), config.timeouts.transport_stall, seed, now),
            pings,
            spares: Spares::default(),
            flushing: Vec::new(),
            probing: Vec::new(),
            events: VecDeque::new(),
            buffered: 0,
            tuned: 0,
            early_resets: 0,
            idle: 0,
            idle_since: now,
            draining: false,
            go_away_said: false,
            peer_away: None,
            peer_understands_stop: false,
            latest: now,
            statistics: Statistics::default(),
            settled: 0,
            config,
        }
    }

    /// Returns the next event.
    #[inline]
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Sends a ping, or joins one that was not sent yet. [`Event::Pong`] tells when
    /// [`latency_of`](Self::latency_of) may have another result.
    pub fn ping(&mut self) -> PingId {
        self.pings.queue()
    }

    /// Returns the round-trip time that a ping has measured, once it was answered. The latest 64 are remembered.
    #[must_use]
    pub fn latency_of(&self, ping: PingId) -> Option<Duration> {
        self.pings.latency_of(ping)
    }

    /// Whether there is something to be written.
    #[inline]
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.ending.writes() && (!self.output.is_empty() || self.pings.is_queued())
    }

    /// Returns when [`handle_deadline`](Self::handle_deadline) has something to do. Changes with every other call.
    #[inline]
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.ending {
            Ending::Open => earlier(self.timers.next(), self.liveness.deadline()),
            // Readers may still have deadlines.
            Ending::Unwritable { deadline, .. } => earlier(self.timers.next(), Some(*deadline)),
            ending @ (Ending::Closing { .. } | Ending::Closed(_)) => ending.deadline(),
        }
    }

    /// Does what is due.
    pub fn handle_deadline(&mut self, now: Instant) {
        self.latest = now;
        if self.ending.deadline().is_some_and(|deadline| deadline <= now) {
            return self.end_overdue();
        }
        while self.ending.deaf().is_none()
            && let Some((index, timer)) = self.timers.pop(now)
        {
            self.timer_fired(index, timer);
        }
        if !self.ending.is_open() {
            return;
        }
        match self.liveness.due(now) {
            Due::Nothing => {}
            Due::Ping => {
                self.pings.queue();
                self.liveness.pinged(now);
            }
            Due::Dead(timeout) => self.give_up(Cause::KeepaliveTimeout { timeout }),
            Due::Stalled(timeout) => self.give_up(Cause::TransportStall { timeout }),
        }
    }

    fn timer_fired(&mut self, index: u32, timer: Timer) {
        let stream = self.streams.at(index);
        match timer {
            Timer::Open => {
                stream.timer = None;
                self.reset_here(index, LocalReset::OpenTimeout);
            }
            Timer::Linger => {
                stream.timer = None;
                self.reset_here(index, LocalReset::Linger);
            }
            Timer::NoCredit => self.credit_overdue(index),
            Timer::Read => {
                stream.receive.expired = true;
                stream.receive.deadline = None;
                self.tell_reader(index);
            }
            Timer::Write => {
                stream.send.expired = true;
                stream.send.deadline = None;
                self.tell_writer(index);
            }
        }
    }

    /// Returns the counts.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            frames_sent: self.output.frames,
            streams: self.streams.on_wire(),
            streams_held: self.streams.held(),
            backlog: self.backlog.len(),
            buffered_bytes: self.buffered,
            pending_bytes: self.output.bytes(),
            tuned_bytes: self.tuned,
            round_trip: self.pings.latest(),
            peer_understands_stop: self.peer_understands_stop,
            ..self.statistics.clone()
        }
    }

    /// Returns the counts of a stream.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn stream_statistics(&mut self, key: StreamKey) -> StreamStatistics {
        let stream = self.streams.get(key);
        StreamStatistics {
            bytes_received: stream.receive.bytes,
            bytes_sent: stream.send.bytes,
            buffered_bytes: stream.receive.buffer.len(),
            send_credit: stream.send.credit,
            receive_credit: stream.receive.credit,
            receive_window: stream.receive.window,
        }
    }

    /// In builds with debug assertions, asserts what must hold between calls. A driver calls it after each change.
    ///
    /// With more than sixteen streams it looks only so often that a change costs a look at sixteen of them.
    #[inline]
    pub(crate) fn check(&mut self) {
        if cfg!(debug_assertions) {
            self.settled = self.settled.wrapping_add(1);
            if self.settled.is_multiple_of(1 + self.streams.held() / 16) {
                self.assert_invariants();
            }
        }
    }

    /// Asserts what must hold between calls, whatever the peer has sent. For tests and fuzzing.
    ///
    /// # Panics
    ///
    /// If an invariant is broken.
    #[doc(hidden)]
    pub fn assert_invariants(&self) {
        if self.ending.is_open() {
            self.streams.assert_invariants();
            let (buffered, tuned) = self.streams.sums();
            assert_eq!(self.buffered, buffered, "bytes that wait are counted");
            assert_eq!(self.tuned, tuned, "windows are counted");
        }
        let limits = &self.config.limits;
        self.output.assert_bounded(limits, self.streams.on_wire());
        assert!(self.buffered <= limits.receive_budget_bytes, "reading is bounded");
        assert!(self.backlog.len() <= limits.accept_backlog as usize, "the backlog is bounded");
        assert!(self.streams.inbound <= limits.inbound_streams, "inbound streams are bounded");
        assert!(self.streams.outbound <= limits.outbound_streams, "outbound streams are bounded");
    }
}

/// The earlier of two times, of which there may be none.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
