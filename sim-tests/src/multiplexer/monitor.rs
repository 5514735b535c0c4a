//! Checks that one side of a session keeps the rules of the wire. It reads what that side sends and receives.
//!
//! # Invariants, checked at every write and every read of the transport
//!
//! - No stream sends more than was granted, in either direction.
//! - A stream is opened once, with an unused id of the right parity. It is acknowledged at most once.
//! - A direction has at most one FIN and one RST, and no data after either. RST comes only on a window update, and
//!   never with FIN.
//! - The flag that asks to stop goes only to a peer that has announced it.
//!
//! [`Monitor::is_quiescent`] says whether every stream has ended on the wire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::frames::{
    ACK, ANNOUNCEMENT, DATA, FIN, GO_AWAY, Header, INITIAL_WINDOW, PING, RST, STOP, SYN, Splitter,
    WINDOW_UPDATE,
};

/// What was seen of one side of a session. Clones share it.
#[derive(Clone, Debug)]
pub struct Monitor(Arc<Mutex<Seen>>);

#[derive(Debug)]
struct Seen {
    name: String,
    outgoing: Splitter,
    incoming: Splitter,
    streams: BTreeMap<u32, Ledger>,
    /// The greatest id that this side has opened.
    opened: u32,
    /// Credit in a write that has not returned yet. The peer may use it already.
    promised: BTreeMap<u32, u64>,
    peer_announced_stop: bool,
    pings_sent: u64,
    pongs_sent: u64,
    go_aways_sent: Vec<u32>,
    go_aways_received: Vec<u32>,
}

/// One stream.
#[derive(Debug)]
struct Ledger {
    sent: Direction,
    received: Direction,
    acknowledged: bool,
}

/// One direction of a stream.
#[derive(Debug)]
struct Direction {
    credit: u64,
    bytes: u64,
    fin: bool,
    rst: bool,
}

impl Default for Ledger {
    fn default() -> Self {
        let direction = || Direction { credit: u64::from(INITIAL_WINDOW), bytes: 0, fin: false, rst: false };
        Self { sent: direction(), received: direction(), acknowledged: false }
    }
}

impl Ledger {
    fn has_ended(&self) -> bool {
        self.sent.rst || self.received.rst || self.sent.fin && self.received.fin
    }
}

impl Monitor {
    /// Returns a monitor of the side that is called `name` in its messages.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Arc::new(Mutex::new(Seen {
            name: name.to_owned(),
            outgoing: Splitter::default(),
            incoming: Splitter::default(),
            streams: BTreeMap::new(),
            opened: 0,
            promised: BTreeMap::new(),
            peer_announced_stop: false,
            pings_sent: 0,
            pongs_sent: 0,
            go_aways_sent: Vec::new(),
            go_aways_received: Vec::new(),
        })))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a write may send.
    pub(crate) fn promise(&self, bytes: &[u8]) {
        let mut seen = self.seen();
        let headers = seen.outgoing.clone().push(bytes);
        for header in headers.into_iter().filter(|header| header.kind == WINDOW_UPDATE && !header.has(RST)) {
            *seen.promised.entry(header.stream).or_default() += u64::from(header.length);
        }
    }

    /// Checks what a write has sent.
    pub(crate) fn sent(&self, bytes: &[u8]) {
        let mut seen = self.seen();
        seen.promised.clear();
        for header in seen.outgoing.push(bytes) {
            seen.send(header);
        }
    }

    /// Checks what a read has received.
    pub(crate) fn received(&self, bytes: &[u8]) {
        let mut seen = self.seen();
        for header in seen.incoming.push(bytes) {
            seen.receive(header);
        }
    }

    /// Returns `true` if every stream has ended on the wire, as far as this side has seen.
    #[must_use]
    pub fn is_quiescent(&self) -> bool {
        self.seen().streams.values().all(Ledger::has_ended)
    }

    /// Returns how many streams this side has seen.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.seen().streams.len()
    }

    /// Returns the credit that this side has left on a stream, in bytes.
    #[must_use]
    pub fn send_credit(&self, stream: u32) -> u64 {
        self.seen().streams.get(&stream).map_or(u64::from(INITIAL_WINDOW), |ledger| ledger.sent.credit)
    }

    /// Returns `true` if this side has sent RST on a stream.
    #[must_use]
    pub fn has_reset(&self, stream: u32) -> bool {
        self.seen().streams.get(&stream).is_some_and(|ledger| ledger.sent.rst)
    }

    /// Returns `true` if this side has sent FIN on a stream.
    #[must_use]
    pub fn has_finished(&self, stream: u32) -> bool {
        self.seen().streams.get(&stream).is_some_and(|ledger| ledger.sent.fin)
    }

    /// Returns how many pings this side has sent.
    #[must_use]
    pub fn pings_sent(&self) -> u64 {
        self.seen().pings_sent
    }

    /// Returns how many pings this side has answered.
    #[must_use]
    pub fn pongs_sent(&self) -> u64 {
        self.seen().pongs_sent
    }

    /// Returns the codes of GoAway that this side has sent.
    #[must_use]
    pub fn go_aways_sent(&self) -> Vec<u32> {
        self.seen().go_aways_sent.clone()
    }

    /// Returns the codes of GoAway that this side has received.
    #[must_use]
    pub fn go_aways_received(&self) -> Vec<u32> {
        self.seen().go_aways_received.clone()
    }
}

impl Seen {
    fn send(&mut self, header: Header) {
        let name = self.name.clone();
        let Header { kind, stream, length, .. } = header;
        match kind {
            PING => {
                assert_eq!(stream, 0, "{name} sends a ping on a stream");
                // Some implementations end the session on any other flag.
                assert!(header.flags == SYN || header.flags == ACK, "{name} sends {header:?}");
                if header.has(SYN) {
                    self.pings_sent += 1;
                } else {
                    self.pongs_sent += 1;
                }
                return;
            }
            GO_AWAY => {
                self.go_aways_sent.push(length);
                return;
            }
            _ => assert_ne!(stream, 0, "{name} sends {header:?}"),
        }
        if header.has(SYN) {
            assert!(stream > self.opened, "{name} opens {stream} behind {}", self.opened);
            assert!(
                self.opened == 0 || (stream - self.opened).is_multiple_of(2),
                "{name}: the parity of {stream}"
            );
            self.opened = stream;
        }
        if header.has(STOP) {
            assert!(self.peer_announced_stop, "{name} asks a peer to stop that has not announced it");
        }
        let ledger = self.streams.entry(stream).or_default();
        if header.has(ACK) {
            assert!(!ledger.acknowledged, "{name} acknowledges {stream} twice");
            ledger.acknowledged = true;
        }
        let sent = &mut ledger.sent;
        if header.has(RST) {
            assert!(kind == WINDOW_UPDATE && !header.has(FIN), "{name} resets with {header:?}");
            assert!(!sent.rst, "{name} resets {stream} twice");
            sent.rst = true;
            return;
        }
        assert!(!sent.rst, "{name} sends {header:?} behind its RST");
        if kind == DATA {
            let length = u64::from(length);
            assert!(!sent.fin, "{name} sends {header:?} behind its FIN");
            assert!(
                length <= sent.credit,
                "{name} sends {length} bytes on {stream}, and may send {}",
                sent.credit
            );
            sent.credit -= length;
            sent.bytes += length;
        } else {
            ledger.received.credit += u64::from(length);
            // The initial window and what was added to it. No configuration here exceeds 1 GiB.
            assert!(ledger.received.credit <= 1 << 30, "{name} grants too much on {stream}");
        }
        if header.has(FIN) {
            let sent = &mut ledger.sent;
            assert!(!sent.fin, "{name} finishes {stream} twice");
            sent.fin = true;
        }
    }

    fn receive(&mut self, header: Header) {
        let name = self.name.clone();
        let Header { kind, stream, length, .. } = header;
        match kind {
            PING => {
                self.peer_announced_stop |= header.has(SYN) && length == ANNOUNCEMENT;
                return;
            }
            GO_AWAY => {
                self.go_aways_received.push(length);
                return;
            }
            _ => {}
        }
        let ledger = self.streams.entry(stream).or_default();
        if header.has(RST) {
            ledger.received.rst = true;
            return;
        }
        if kind == DATA {
            let length = u64::from(length);
            let promised = self.promised.get(&stream).copied().unwrap_or_default();
            let credit = ledger.received.credit + promised;
            assert!(length <= credit, "{name} gets {length} bytes on {stream}, and granted {credit}");
            // Promised credit is added once the write has returned.
            ledger.received.credit = ledger.received.credit.saturating_sub(length);
            ledger.received.bytes += length;
        } else {
            ledger.sent.credit += u64::from(length);
        }
        ledger.received.fin |= header.has(FIN);
    }
}
