//! How a session ends.

use std::io;

use wavetank_runtime::Instant;

use super::frame::{Flags, Kind};
use super::timers::{Timer, Timers};
use super::{Connection, Event};
use crate::closed::{Cause, Closed, GoAwayCode};

/// How far the end of a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    Open,
    /// The transport cannot be written to any more; what the peer sent before may still be read, until `deadline`.
    Unwritable {
        closed: Closed,
        deadline: Instant,
    },
    /// The outcome is decided. What is in the output goes out, and the peer ends the transport, until `deadline`.
    Closing {
        closed: Closed,
        deadline: Instant,
    },
    Closed(Closed),
}

impl Ending {
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// The outcome, once it is decided.
    #[inline]
    pub(crate) fn closed(&self) -> Option<&Closed> {
        match self {
            Self::Open => None,
            Self::Unwritable { closed, .. } | Self::Closing { closed, .. } | Self::Closed(closed) => {
                Some(closed)
            }
        }
    }

    /// The outcome, once nothing more is received.
    #[inline]
    pub(crate) fn deaf(&self) -> Option<&Closed> {
        match self {
            Self::Closing { closed, .. } | Self::Closed(closed) => Some(closed),
            Self::Open | Self::Unwritable { .. } => None,
        }
    }

    /// The outcome, once nothing more is written.
    pub(crate) fn gone(&self) -> Option<&Closed> {
        match self {
            Self::Closed(closed) | Self::Unwritable { closed, .. } => Some(closed),
            Self::Open | Self::Closing { .. } => None,
        }
    }

    /// Whether anything is written any more.
    #[inline]
    pub(crate) fn writes(&self) -> bool {
        matches!(self, Self::Open | Self::Closing { .. })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Unwritable { deadline, .. } | Self::Closing { deadline, .. } => Some(*deadline),
            Self::Open | Self::Closed(_) => None,
        }
    }
}

/// What is to be done with the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Read and write.
    Open,
    /// All is written: end the writing direction, and go on reading until the end of the transport.
    ShutDown,
    /// The session is over: drop the transport.
    Drop,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Streams can be opened and used.
    Open,
    /// The outcome is decided, and the transport is being ended.
    Closing,
    /// The transport is of no use any more.
    Closed,
}

impl Connection {
    /// Begins a graceful end: no streams are opened or accepted any more, and when the last one has ended, the
    /// session closes.
    ///
    /// A peer of this crate is told at once, with GoAway(0). Others are not, because most close the session when they
    /// hear it, and their streams with it: they are refused when they open a stream.
    pub fn drain(&mut self, now: Instant) {
        self.latest = now;
        if self.draining || !self.ending.is_open() {
            return;
        }
        self.draining = true;
        if self.peer_understands_stop {
            self.say_go_away(GoAwayCode::Normal);
        }
        self.tell_openers();
        self.close_if_drained();
    }

    /// Tells the peer, with GoAway(0), that no streams of it are accepted any more. Ours go on.
    ///
    /// go-yamux, rust yamux and tokio-yamux close the session when they receive it.
    pub fn go_away(&mut self, now: Instant) {
        self.drain(now);
        if self.ending.is_open() {
            self.say_go_away(GoAwayCode::Normal);
        }
    }

    fn say_go_away(&mut self, code: GoAwayCode) {
        if !std::mem::replace(&mut self.go_away_said, true) {
            self.output.behind_data(Kind::GoAway, Flags::NONE, 0, code.get());
        }
    }

    /// Closes a session that is being drained, once no stream is left.
    pub(crate) fn close_if_drained(&mut self) {
        if self.draining && self.streams.on_wire() == 0 {
            self.close(self.latest);
        }
    }

    /// Closes the session: what was written goes out, GoAway(0) behind it, and streams that have not ended fail.
    pub fn close(&mut self, now: Instant) {
        if self.ending.is_open() {
            self.say_go_away(GoAwayCode::Normal);
            self.begin_closing(Cause::Local, now);
        }
    }

    /// Ends the session because of an error that the peer is to be told of.
    pub(crate) fn fail(&mut self, cause: Cause, now: Instant) {
        match self.ending {
            Ending::Open => {}
            // The peer cannot be told, and what follows cannot be understood.
            Ending::Unwritable { .. } => return self.end(cause),
            Ending::Closing { .. } | Ending::Closed(_) => return,
        }
        self.output.discard();
        let code = match cause {
            Cause::Violation(_) => GoAwayCode::ProtocolError,
            Cause::Local
            | Cause::Peer
            | Cause::PeerError { .. }
            | Cause::EndOfInput
            | Cause::Io { .. }
            | Cause::KeepaliveTimeout { .. }
            | Cause::TransportStall { .. }
            | Cause::Dropped => GoAwayCode::InternalError,
        };
        self.go_away_said = false;
        self.say_go_away(code);
        self.begin_closing(cause, now);
    }

    fn begin_closing(&mut self, cause: Cause, now: Instant) {
        let deadline = now + self.config.timeouts.close;
        self.ending = Ending::Closing { closed: Closed { cause }, deadline };
        self.wind_up();
        self.events.push_back(Event::Ending);
    }

    /// Nothing is waited for any more but the end, and streams that only lingered are forgotten.
    fn wind_up(&mut self) {
        self.liveness.end();
        match self.ending {
            // Reading goes on, and so do the deadlines of readers.
            Ending::Unwritable { .. } => self.timers.retain(Timer::Read),
            Ending::Open | Ending::Closing { .. } | Ending::Closed(_) => self.timers = Timers::default(),
        }
        for index in self.streams.indices() {
            let key = self.streams.key(index);
            self.forget_if_done(key);
        }
    }

    fn end(&mut self, cause: Cause) {
        let closed = self.ending.closed().cloned().unwrap_or(Closed { cause });
        let was_open = self.ending.is_open();
        self.ending = Ending::Closed(closed);
        self.output.discard();
        self.wind_up();
        if was_open {
            self.events.push_back(Event::Ending);
        }
        self.events.push_back(Event::Closed);
    }

    /// The peer accepts no more streams.
    pub(crate) fn peer_goes_away(&mut self, code: GoAwayCode) {
        self.peer_away = Some(code);
        if code == GoAwayCode::Normal {
            self.tell_openers();
        } else if self.ending.is_open() {
            self.output.discard();
            self.begin_closing(Cause::PeerError { code }, self.latest);
        } else {
            // The outcome is decided already, and nothing more comes.
            self.end(Cause::PeerError { code });
        }
    }

    /// The transport has reached its end: the peer sends nothing more.
    pub fn end_of_input(&mut self, now: Instant) {
        self.latest = now;
        let clean = self.peer_away.is_some() || self.streams.on_wire() == 0;
        self.end(if clean { Cause::Peer } else { Cause::EndOfInput });
    }

    /// Reading from the transport failed for good.
    pub fn transport_failed(&mut self, error: &io::Error, now: Instant) {
        self.latest = now;
        self.end(Cause::io(error));
    }

    /// Writing to the transport failed for good. What the peer sent before may still be there: the driver goes on
    /// reading until the end of the transport, or the deadline.
    pub fn write_failed(&mut self, error: &io::Error, now: Instant) {
        self.latest = now;
        let deadline = now + self.config.timeouts.close;
        self.output.cut_off();
        self.tell_flushed();
        if self.ending.is_open() {
            self.ending = Ending::Unwritable { closed: Closed { cause: Cause::io(error) }, deadline };
            self.wind_up();
            self.events.push_back(Event::Ending);
        }
    }

    /// The session ends at once, as nothing drives it any more.
    pub fn driver_dropped(&mut self) {
        if !matches!(self.ending, Ending::Closed(_)) {
            self.end(Cause::Dropped);
        }
    }

    /// The other end shows no life: nothing more can be told to it.
    pub(crate) fn give_up(&mut self, cause: Cause) {
        self.end(cause);
    }

    /// The deadline of the end has passed.
    pub(crate) fn end_overdue(&mut self) {
        self.end(Cause::Local);
    }

    /// Returns what is to be done with the transport.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match &self.ending {
            Ending::Open | Ending::Unwritable { .. } => Transport::Open,
            Ending::Closing { .. } if self.output.is_idle() => Transport::ShutDown,
            Ending::Closing { .. } => Transport::Open,
            Ending::Closed(_) => Transport::Drop,
        }
    }

    /// Returns how far the session is.
    #[must_use]
    pub fn state(&self) -> State {
        match &self.ending {
            Ending::Open => State::Open,
            Ending::Unwritable { .. } | Ending::Closing { .. } => State::Closing,
            Ending::Closed(_) => State::Closed,
        }
    }

    /// Returns the outcome, once it is decided. The transport may still be in use then.
    #[inline]
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.ending.closed()
    }
}
