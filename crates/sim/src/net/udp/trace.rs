//! Facts about datagrams that are worth a line in the trace.
//!
//! # Invariants
//!
//! - An event is small and complete: it can be described after its socket is gone.
//! - Descriptions hold stable names only: hosts by name, sockets by host and port.

use std::fmt;

use super::super::{HostId, Nanos, Network};
use crate::time::milliseconds;

/// What happened to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum DatagramEventKind {
    Sent {
        bytes: u32,
    } = 0,
    Delivered {
        bytes: u32,
    } = 1,
    /// Its fate.
    Lost {
        bytes: u32,
    } = 2,
    Late {
        bytes: u32,
        delay: Nanos,
    } = 3,
    Twice {
        bytes: u32,
        delay: Nanos,
    } = 4,
    /// The link is cut.
    CutOff {
        bytes: u32,
    } = 5,
    /// No host has the address.
    Nowhere {
        bytes: u32,
    } = 6,
    /// No socket is bound to the port.
    Unwanted {
        bytes: u32,
    } = 7,
    /// The receive buffer is full.
    Overflowed {
        bytes: u32,
    } = 8,
    /// A connected sender learns that no socket is bound to the port.
    Refused = 9,
    /// The sender does not learn it.
    AnswerLost = 10,
}

/// An event of a datagram between two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DatagramEvent {
    pub(crate) from: HostId,
    pub(crate) from_port: u16,
    /// `None` if no host has the address.
    pub(crate) to: Option<HostId>,
    pub(crate) to_port: u16,
    pub(crate) what: DatagramEventKind,
}

impl DatagramEvent {
    /// Returns `true` if it is one of many: a datagram on its way, as opposed to one in trouble.
    pub(crate) const fn is_transfer(&self) -> bool {
        matches!(self.what, DatagramEventKind::Sent { .. } | DatagramEventKind::Delivered { .. })
    }

    /// Returns `true` if it was drawn.
    pub(crate) const fn is_fate(&self) -> bool {
        matches!(
            self.what,
            DatagramEventKind::Lost { .. } | DatagramEventKind::Late { .. } | DatagramEventKind::Twice { .. }
        )
    }

    /// Returns what happened, in one word, for programs.
    pub(crate) const fn word(&self) -> &'static str {
        match self.what {
            DatagramEventKind::Sent { .. } => "sends",
            DatagramEventKind::Delivered { .. } => "delivers",
            DatagramEventKind::Lost { .. } => "loses",
            DatagramEventKind::Late { .. } => "delays",
            DatagramEventKind::Twice { .. } => "repeats",
            DatagramEventKind::CutOff { .. } => "cut off",
            DatagramEventKind::Nowhere { .. }
            | DatagramEventKind::Unwanted { .. }
            | DatagramEventKind::Overflowed { .. } => "drops",
            DatagramEventKind::Refused | DatagramEventKind::AnswerLost => "refused",
        }
    }

    /// Returns the size of the datagram, if the event is about one.
    pub(crate) const fn bytes(&self) -> Option<u32> {
        match self.what {
            DatagramEventKind::Sent { bytes }
            | DatagramEventKind::Delivered { bytes }
            | DatagramEventKind::Lost { bytes }
            | DatagramEventKind::Late { bytes, .. }
            | DatagramEventKind::Twice { bytes, .. }
            | DatagramEventKind::CutOff { bytes }
            | DatagramEventKind::Nowhere { bytes }
            | DatagramEventKind::Unwanted { bytes }
            | DatagramEventKind::Overflowed { bytes } => Some(bytes),
            DatagramEventKind::Refused | DatagramEventKind::AnswerLost => None,
        }
    }

    /// Describes it: "client:49152 -> server:53 sends a datagram of 64 B".
    pub(crate) fn describe(&self, network: &Network) -> String {
        let to = self.to.map_or("unknown", |host| network.host_name(host));
        let from = network.host_name(self.from);
        format!("{from}:{} -> {to}:{} {}", self.from_port, self.to_port, self.what)
    }
}

impl fmt::Display for DatagramEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { bytes } => write!(f, "sends a datagram of {bytes} B"),
            Self::Delivered { bytes } => write!(f, "delivers a datagram of {bytes} B"),
            Self::Lost { bytes } => write!(f, "loses a datagram of {bytes} B"),
            Self::Late { bytes, delay } => {
                write!(f, "delays a datagram of {bytes} B by {}", milliseconds(*delay))
            }
            Self::Twice { bytes, delay } => {
                write!(f, "repeats a datagram of {bytes} B, {} later", milliseconds(*delay))
            }
            Self::CutOff { bytes } => write!(f, "is cut off and loses a datagram of {bytes} B"),
            Self::Nowhere { bytes } => {
                write!(f, "drops a datagram of {bytes} B: no host has the address")
            }
            Self::Unwanted { bytes } => {
                write!(f, "drops a datagram of {bytes} B: no socket is bound to the port")
            }
            Self::Overflowed { bytes } => {
                write!(f, "drops a datagram of {bytes} B: the receive buffer is full")
            }
            Self::Refused => f.write_str("is refused"),
            Self::AnswerLost => f.write_str("is refused, but does not hear of it"),
        }
    }
}
