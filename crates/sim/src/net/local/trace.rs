//! Facts about Unix sockets that are worth a line in the trace, and how reports name the sockets.
//!
//! # Invariants
//!
//! - An event is small and complete: it can be described after its socket is gone.
//! - A connected end has no name of its own. It is named by the number of its connection on its host: "app#1 ->
//!   app:/run/db.sock".

use std::fmt;
use std::net::Shutdown;

use super::super::Network;
use super::{LocalId, LocalListenerId};

/// Which directions of an end were shut down: [`Shutdown`] has no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Directions {
    Reading = 0,
    Writing = 1,
    Both = 2,
}

impl From<Shutdown> for Directions {
    fn from(how: Shutdown) -> Self {
        match how {
            Shutdown::Read => Self::Reading,
            Shutdown::Write => Self::Writing,
            Shutdown::Both => Self::Both,
        }
    }
}

/// What happened to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum LocalEventKind {
    Connected = 0,
    /// The listener of the path is closed.
    Refused = 1,
    Wrote {
        bytes: u32,
    } = 2,
    Read {
        bytes: u32,
    } = 3,
    ShutDown {
        how: Directions,
    } = 4,
    Closed {
        /// With unread bytes, or before it was accepted: the peer learns it.
        reset: bool,
    } = 5,
}

/// An event of one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LocalEvent {
    pub(crate) listener: LocalListenerId,
    /// The connection's number on its host. None if it was refused.
    pub(crate) number: Option<u32>,
    /// The end: 0 has connected, 1 was accepted.
    pub(crate) from: u8,
    pub(crate) what: LocalEventKind,
}

impl LocalEvent {
    /// Returns `true` if it is one of many: bytes, as opposed to a connection's beginning and end.
    pub(crate) const fn is_transfer(&self) -> bool {
        matches!(self.what, LocalEventKind::Wrote { .. } | LocalEventKind::Read { .. })
    }

    /// Describes it: "app#1 -> app:/run/db.sock writes 64 B".
    pub(crate) fn describe(&self, network: &Network) -> String {
        format!("{} {}", network.describe_end(self.listener, self.number, self.from.into()), self.what)
    }
}

impl Network {
    pub(in super::super) fn describe_local(&self, id: LocalId) -> String {
        let (listener, number) = self.local.births[id.pair() as usize];
        self.describe_end(listener, Some(number), id.side())
    }

    pub(in super::super) fn describe_local_listener(&self, id: LocalListenerId) -> String {
        let (host, path) = &self.local.places[id.0 as usize];
        format!("{}:{}", self.host_name(*host), path.display())
    }

    fn describe_end(&self, listener: LocalListenerId, number: Option<u32>, side: usize) -> String {
        let bound = self.describe_local_listener(listener);
        let host = self.host_name(self.local.places[listener.0 as usize].0);
        let free = number.map_or_else(|| host.to_owned(), |number| format!("{host}#{number}"));
        if side == 0 { format!("{free} -> {bound}") } else { format!("{bound} -> {free}") }
    }
}

impl fmt::Display for LocalEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Refused => f.write_str("refused"),
            Self::Wrote { bytes } => write!(f, "writes {bytes} B"),
            Self::Read { bytes } => write!(f, "reads {bytes} B"),
            Self::ShutDown { how: Directions::Reading } => f.write_str("shuts down reading"),
            Self::ShutDown { how: Directions::Writing } => f.write_str("shuts down writing"),
            Self::ShutDown { how: Directions::Both } => f.write_str("shuts down both directions"),
            Self::Closed { reset: false } => f.write_str("closes"),
            Self::Closed { reset: true } => f.write_str("closes and resets its peer"),
        }
    }
}
