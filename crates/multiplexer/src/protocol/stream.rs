//! One stream: its two halves, and how far each is.
//!
//! ```text
//! sending:    Open ── close_write ──────────> Finished      we have sent FIN
//!             Open ── the peer's STOP ──────> Stopped       we have sent FIN, as nothing more will be read
//! receiving:  Open ── the peer's FIN ───────> Finished
//!             Open ── stop ── ... its FIN ──> Finished      what comes in between is discarded
//! both:       any  ── RST, ours or theirs ──> Reset         (a half that has finished stays so for its reader)
//! ```
//!
//! A stream whose two halves are no longer open has ended on the wire: it leaves the map of ids and becomes a
//! tombstone. It stays in the slab until the application has dropped both halves, which may still read what was
//! received.

use std::collections::BTreeMap;
use std::time::Duration;

use slab::Slab;
use wavetank_runtime::Instant;

use super::buffer::ReceiveBuffer;
use super::pings::PingId;
use super::timers::{Timer, Timers};
use super::turns::Share;
use super::{SendingEnd, StreamKey};
use crate::config::INITIAL_WINDOW_BYTES;
use crate::error::{LocalReset, ReadError, ResetCode, WriteError};

/// How far the sending half is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendState {
    Open,
    /// FIN was sent because a caller closed the half.
    Finished,
    /// FIN was sent because the peer asked to stop.
    Stopped,
    Reset,
}

/// How far the receiving half is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiveState {
    Open,
    /// FIN has come.
    Finished,
    Reset,
}

/// Why a stream was reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    Peer(ResetCode),
    Refused,
    Here(LocalReset),
}

impl Reset {
    pub(crate) fn read_error(self) -> ReadError {
        match self {
            Self::Peer(code) => ReadError::Reset(code),
            Self::Refused => ReadError::Refused,
            Self::Here(reason) => ReadError::ResetHere(reason),
        }
    }

    pub(crate) fn write_error(self) -> WriteError {
        match self {
            Self::Peer(code) => WriteError::Reset(code),
            Self::Refused => WriteError::Refused,
            Self::Here(reason) => WriteError::ResetHere(reason),
        }
    }
}

/// The sending half.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) state: SendState,
    /// What the peer allows us to send, in bytes.
    pub(crate) credit: u32,
    /// The most credit that there ever was at once, in bytes: about the peer's window.
    pub(crate) window: u32,
    /// What the waits for credit came to, once there was one.
    pub(crate) credit_wait: Option<Box<CreditWait>>,
    /// What was sent and not yet made up for by credit, in bytes.
    pub(crate) unanswered: u32,
    pub(crate) share: Share,
    /// A writer waits, and is to be told when it may go on.
    pub(crate) waits: bool,
    /// A caller waits until the output is written up to `flushed_at`.
    pub(crate) flush_waits: bool,
    /// A caller waits for the end of the sending half.
    pub(crate) end_waits: bool,
    /// The deadline has passed.
    pub(crate) expired: bool,
    /// The application has dropped the half.
    pub(crate) released: bool,
    /// The peer has stopped reading after FIN was sent, and before it came.
    pub(crate) unread: bool,
    /// Where the last frame ends in the session's output.
    pub(crate) flushed_at: u64,
    pub(crate) deadline: Option<Instant>,
    pub(crate) bytes: u64,
}

/// How a writer waits for credit.
#[derive(Debug, Default)]
pub(crate) struct CreditWait {
    /// Since when a writer waits.
    pub(crate) since: Option<Instant>,
    /// The longest wait that credit has ended.
    pub(crate) longest: Duration,
    /// The ping behind the data: once it is answered, all of the data has reached the peer.
    pub(crate) probe: Option<PingId>,
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) state: ReceiveState,
    /// What the peer may still send, in bytes.
    pub(crate) credit: u32,
    /// How much it may send ahead of the reader, in bytes.
    pub(crate) window: u32,
    pub(crate) buffer: ReceiveBuffer,
    /// A reader waits, and is to be told when it may go on.
    pub(crate) waits: bool,
    /// Reading was stopped: what comes is discarded.
    pub(crate) stopped: bool,
    /// The peer was asked to stop, and understands that.
    pub(crate) stop_sent: bool,
    /// The deadline has passed.
    pub(crate) expired: bool,
    /// The application has dropped the half.
    pub(crate) released: bool,
    /// When the last credit was granted.
    pub(crate) granted_at: Instant,
    /// Where in the output the last grant may still wait.
    pub(crate) grant_place: u32,
    pub(crate) deadline: Option<Instant>,
    /// Payload that was received, in bytes.
    pub(crate) bytes: u64,
    /// Payload that was discarded to keep the peer going, in bytes.
    pub(crate) drained: u64,
}

/// A stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    pub(crate) send: Sender,
    pub(crate) receive: Receiver,
    pub(crate) reset: Option<Reset>,
    /// We have opened it.
    pub(crate) outbound: bool,
    /// Outbound: the peer has given a sign. Inbound: the application has accepted it.
    pub(crate) acknowledged: bool,
    /// It is in the map of ids.
    pub(crate) on_wire: bool,
    /// The timer of its life, if one runs: to be acknowledged, to end, to get credit.
    pub(crate) timer: Option<(Instant, Timer)>,
}

impl Stream {
    pub(crate) fn new(id: u32, outbound: bool, window: u32, now: Instant) -> Self {
        Self {
            id,
            send: Sender {
                state: SendState::Open,
                credit: INITIAL_WINDOW_BYTES,
                window: INITIAL_WINDOW_BYTES,
                credit_wait: None,
                unanswered: 0,
                share: Share::default(),
                waits: false,
                flush_waits: false,
                end_waits: false,
                expired: false,
                released: false,
                unread: false,
                flushed_at: 0,
                deadline: None,
                bytes: 0,
            },
            receive: Receiver {
                state: ReceiveState::Open,
                credit: INITIAL_WINDOW_BYTES,
                window,
                buffer: ReceiveBuffer::default(),
                waits: false,
                stopped: false,
                stop_sent: false,
                expired: false,
                released: false,
                granted_at: now,
                grant_place: u32::MAX,
                deadline: None,
                bytes: 0,
                drained: 0,
            },
            reset: None,
            outbound,
            acknowledged: false,
            on_wire: true,
            timer: None,
        }
    }

    /// Whether FIN was sent.
    pub(crate) fn fin_sent(&self) -> bool {
        matches!(self.send.state, SendState::Finished | SendState::Stopped)
    }

    /// How the sending half ended, once it is known.
    pub(crate) fn sending_end(&self) -> Option<SendingEnd> {
        match self.reset {
            Some(Reset::Peer(code)) => Some(SendingEnd::Reset(code)),
            Some(Reset::Refused) => Some(SendingEnd::Refused),
            Some(Reset::Here(reason)) => Some(SendingEnd::ResetHere(reason)),
            None if self.send.state == SendState::Stopped || self.send.unread => Some(SendingEnd::Stopped),
            None if self.has_ended() => Some(SendingEnd::Complete),
            None => None,
        }
    }

    /// Whether nothing more is to come or to go.
    pub(crate) fn has_ended(&self) -> bool {
        self.send.state != SendState::Open && self.receive.state != ReceiveState::Open
    }

    /// Starts the timer of its life instead of the one that runs.
    pub(crate) fn start(&mut self, timers: &mut Timers, index: u32, timer: Timer, at: Instant) {
        self.cancel(timers, index);
        self.timer = Some((at, timer));
        timers.set(at, index, timer);
    }

    /// Stops the timer of its life.
    pub(crate) fn cancel(&mut self, timers: &mut Timers, index: u32) {
        if let Some((at, timer)) = self.timer.take() {
            timers.cancel(at, index, timer);
        }
    }

    /// Whether the timer of its life is this one.
    pub(crate) fn runs(&self, which: Timer) -> bool {
        self.timer.is_some_and(|(_, timer)| timer == which)
    }

    /// Stops the timer of its life if it is this one.
    pub(crate) fn cancel_if(&mut self, timers: &mut Timers, index: u32, which: Timer) {
        if self.runs(which) {
            self.cancel(timers, index);
        }
    }
}

/// All streams of a session.
#[derive(Debug)]
pub(crate) struct Streams {
    slab: Slab<Stream>,
    /// Those that have not ended on the wire.
    by_id: BTreeMap<u32, u32>,
    /// The one that was found last: bulk streams send many frames in a row.
    latest: Option<(u32, u32)>,
    /// Inbound streams that the application holds, or the peer has open.
    pub(crate) inbound: u32,
    /// Outbound streams on the wire.
    pub(crate) outbound: u32,
    /// Outbound streams without a sign of the peer.
    pub(crate) unacknowledged: u32,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self {
            slab: Slab::new(),
            by_id: BTreeMap::new(),
            latest: None,
            inbound: 0,
            outbound: 0,
            unacknowledged: 0,
        }
    }

    pub(crate) fn insert(&mut self, stream: Stream) -> StreamKey {
        let id = stream.id;
        if stream.outbound {
            self.outbound += 1;
            self.unacknowledged += 1;
        } else {
            self.inbound += 1;
        }
        let index = u32::try_from(self.slab.insert(stream)).expect("the limits on streams are 32 bits wide");
        self.by_id.insert(id, index);
        StreamKey { index, id }
    }

    /// The stream with this id, if it is on the wire.
    #[inline]
    pub(crate) fn find(&mut self, id: u32) -> Option<u32> {
        if let Some((latest, index)) = self.latest
            && latest == id
        {
            return Some(index);
        }
        let index = *self.by_id.get(&id)?;
        self.latest = Some((id, index));
        Some(index)
    }

    /// Returns the stream of a key that is in use.
    ///
    /// # Panics
    ///
    /// If both halves have been dropped: a bug of the driver.
    #[inline]
    pub(crate) fn get(&mut self, key: StreamKey) -> &mut Stream {
        match self.slab.get_mut(key.index as usize) {
            Some(stream) if stream.id == key.id => stream,
            _ => panic!("stream {} is used after both of its halves were dropped", key.id),
        }
    }

    #[inline]
    pub(crate) fn at(&mut self, index: u32) -> &mut Stream {
        &mut self.slab[index as usize]
    }

    pub(crate) fn key(&self, index: u32) -> StreamKey {
        StreamKey { index, id: self.slab[index as usize].id }
    }

    /// Whether the key is still in use.
    #[inline]
    pub(crate) fn contains(&self, key: StreamKey) -> bool {
        self.slab.get(key.index as usize).is_some_and(|stream| stream.id == key.id)
    }

    /// Takes a stream that has ended off the wire.
    pub(crate) fn take_off_wire(&mut self, index: u32) {
        let stream = &mut self.slab[index as usize];
        stream.on_wire = false;
        self.by_id.remove(&stream.id);
        if self.latest.is_some_and(|(_, latest)| latest == index) {
            self.latest = None;
        }
        if stream.outbound {
            self.outbound -= 1;
            if !stream.acknowledged {
                self.unacknowledged -= 1;
            }
        }
    }

    /// Forgets a stream that has ended on the wire and that the application has dropped.
    pub(crate) fn remove(&mut self, index: u32) -> Stream {
        let stream = self.slab.remove(index as usize);
        if !stream.outbound {
            self.inbound -= 1;
        }
        stream
    }

    /// How many are on the wire.
    pub(crate) fn on_wire(&self) -> usize {
        self.by_id.len()
    }

    /// How many there are, those included that have ended on the wire and are still held by the application.
    pub(crate) fn held(&self) -> usize {
        self.slab.len()
    }

    /// The indices of those on the wire, by id.
    pub(crate) fn indices(&self) -> Vec<u32> {
        self.by_id.values().copied().collect()
    }

    /// Asserts what must hold between calls; see
    /// [`Connection::assert_invariants`](super::Connection::assert_invariants).
    pub(crate) fn assert_invariants(&self) {
        let (mut inbound, mut outbound, mut unacknowledged) = (0, 0, 0);
        for (index, stream) in &self.slab {
            let found = self.by_id.get(&stream.id).is_some_and(|found| *found as usize == index);
            assert_eq!(found, stream.on_wire, "the map holds the streams on the wire");
            assert_eq!(stream.has_ended(), !stream.on_wire, "a stream that has ended is off the wire");
            let buffered = u32::try_from(stream.receive.buffer.len()).expect("a window is below 2^31");
            let ahead = stream.receive.credit.saturating_add(buffered);
            assert!(ahead <= stream.receive.window, "no more is granted and buffered than the window");
            assert!(!stream.receive.stopped || buffered == 0, "a stopped reader holds nothing");
            if stream.outbound && stream.on_wire {
                outbound += 1;
                unacknowledged += u32::from(!stream.acknowledged);
            }
            inbound += u32::from(!stream.outbound);
            let released = stream.send.released && stream.receive.released;
            assert!(stream.on_wire || !released, "a stream that has ended and was dropped is forgotten");
            assert!(stream.on_wire || stream.timer.is_none(), "a stream that has ended has no timer");
        }
        let counted = (self.inbound, self.outbound, self.unacknowledged);
        assert_eq!(counted, (inbound, outbound, unacknowledged), "streams are counted");
    }

    /// Received bytes that wait, and by how much announced windows exceed the initial one, on all streams.
    pub(crate) fn sums(&self) -> (usize, u64) {
        let buffered = self.slab.iter().map(|(_, stream)| stream.receive.buffer.len()).sum();
        let announced = |stream: &Stream| stream.on_wire && (stream.outbound || stream.acknowledged);
        let excess = |stream: &Stream| u64::from(stream.receive.window - INITIAL_WINDOW_BYTES);
        let tuned =
            self.slab.iter().filter(|(_, stream)| announced(stream)).map(|(_, stream)| excess(stream)).sum();
        (buffered, tuned)
    }
}
