//! Facts about datagrams that are worth a line in the trace.
//!
//! # Invariants
//!
//! - A fact is small and complete: it can be described after its socket is gone.
//! - Descriptions hold stable names only: hosts by name, sockets by host and port.

use std::fmt;

use super::super::{HostId, Nanos, Network};
use crate::time::milliseconds;

/// What happened to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum DatagramFact {
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

/// A fact about a datagram between two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DatagramEvent {
    pub(crate) from: HostId,
    pub(crate) from_port: u16,
    /// `None` if no host has the address.
    pub(crate) to: Option<HostId>,
    pub(crate) to_port: u16,
    pub(crate) fact: DatagramFact,
}

impl DatagramEvent {
    /// Returns `true` if it is one of many: a datagram on its way, as opposed to one in trouble.
    pub(crate) const fn is_transfer(&self) -> bool {
        matches!(self.fact, DatagramFact::Sent { .. } | DatagramFact::Delivered { .. })
    }

    /// Returns `true` if it was drawn.
    pub(crate) const fn is_fate(&self) -> bool {
        matches!(
            self.fact,
            DatagramFact::Lost { .. } | DatagramFact::Late { .. } | DatagramFact::Twice { .. }
        )
    }

    /// Returns what happened, in one word, for programs.
    pub(crate) const fn word(&self) -> &'static str {
        match self.fact {
            DatagramFact::Sent { .. } => "sends",
            DatagramFact::Delivered { .. } => "delivers",
            DatagramFact::Lost { .. } => "loses",
            DatagramFact::Late { .. } => "delays",
            DatagramFact::Twice { .. } => "repeats",
            DatagramFact::CutOff { .. } => "cut off",
            DatagramFact::Nowhere { .. }
            | DatagramFact::Unwanted { .. }
            | DatagramFact::Overflowed { .. } => "drops",
            DatagramFact::Refused | DatagramFact::AnswerLost => "refused",
        }
    }

    /// Returns the size of the datagram, if the fact is about one.
    pub(crate) const fn bytes(&self) -> Option<u32> {
        match self.fact {
            DatagramFact::Sent { bytes }
            | DatagramFact::Delivered { bytes }
            | DatagramFact::Lost { bytes }
            | DatagramFact::Late { bytes, .. }
            | DatagramFact::Twice { bytes, .. }
            | DatagramFact::CutOff { bytes }
            | DatagramFact::Nowhere { bytes }
            | DatagramFact::Unwanted { bytes }
            | DatagramFact::Overflowed { bytes } => Some(bytes),
            DatagramFact::Refused | DatagramFact::AnswerLost => None,
        }
    }

    /// Describes it: "client:49152 -> server:53 sends a datagram of 64 B".
    pub(crate) fn describe(&self, network: &Network) -> String {
        let to = self.to.map_or("unknown", |host| network.host_name(host));
        let from = network.host_name(self.from);
        format!("{from}:{} -> {to}:{} {}", self.from_port, self.to_port, self.fact)
    }
}

impl fmt::Display for DatagramFact {
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
