//! Facts of the network that are worth a line in the trace.
//!
//! # Invariants
//!
//! - An event is small and complete: it can be described after its socket is gone.
//! - Descriptions hold stable names only: hosts by name, sockets by host and port.

use std::fmt;

use super::{HostId, Network, SocketId};

/// A socket and the direction of an event: from its own end or, for received segments, towards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    /// The socket to which it happened.
    pub(crate) socket: SocketId,
    pub(crate) from: HostId,
    pub(crate) from_port: u16,
    /// `None` if no host has the address.
    pub(crate) to: Option<HostId>,
    pub(crate) to_port: u16,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum NetEventKind {
    /// A SYN was sent.
    Connecting = 0,
    /// The SYN was answered; the client's end is open.
    Connected = 1,
    /// The SYN was answered with RST.
    Refused = 2,
    /// A SYN, or the handshake's last ACK, was dropped because the listener's backlog is full.
    BacklogFull = 3,
    /// The handshake is complete; the server's end waits to be accepted.
    Queued = 4,
    Sent {
        bytes: u32,
    } = 5,
    Received {
        bytes: u32,
    } = 6,
    FinSent = 7,
    FinReceived = 8,
    ResetSent = 9,
    ResetReceived = 10,
    /// Segments from here could not pass and wait for a retransmission.
    Lost = 11,
    /// Lost segments, or a lost SYN, were sent again.
    Retransmitted = 12,
    /// No host has the address.
    Unreachable = 13,
    /// The socket gave up waiting for an acknowledgement.
    TimedOut = 14,
}

/// A line of the trace. The fault driver reports what faults do to links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NetEvent {
    pub(crate) path: Path,
    pub(crate) what: NetEventKind,
}

impl NetEvent {
    /// Returns `true` if it is one of many: bytes on their way, as opposed to a connection's beginning, end or trouble.
    pub(crate) const fn is_transfer(&self) -> bool {
        matches!(self.what, NetEventKind::Sent { .. } | NetEventKind::Received { .. })
    }

    /// Describes it: "client:49152 -> server:80 sends 64 B".
    pub(crate) fn describe(&self, network: &Network) -> String {
        let Self { path, what } = self;
        let to = path.to.map_or("unknown", |host| network.host_name(host));
        format!("{}:{} -> {to}:{} {what}", network.host_name(path.from), path.from_port, path.to_port)
    }
}

impl NetEventKind {
    /// Returns the event without its numbers, for programs.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Sent { .. } => "sends".to_owned(),
            Self::Received { .. } => "delivers".to_owned(),
            other => other.to_string(),
        }
    }

    /// Returns the number of bytes that were sent or received.
    pub(crate) const fn bytes(self) -> Option<u32> {
        match self {
            Self::Sent { bytes } | Self::Received { bytes } => Some(bytes),
            _ => None,
        }
    }
}

impl fmt::Display for NetEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connects"),
            Self::Connected => f.write_str("connected"),
            Self::Refused => f.write_str("refused"),
            Self::BacklogFull => f.write_str("dropped: backlog full"),
            Self::Queued => f.write_str("waits to be accepted"),
            Self::Sent { bytes } => write!(f, "sends {bytes} B"),
            Self::Received { bytes } => write!(f, "delivers {bytes} B"),
            Self::FinSent => f.write_str("sends FIN"),
            Self::FinReceived => f.write_str("delivers FIN"),
            Self::ResetSent => f.write_str("sends RST"),
            Self::ResetReceived => f.write_str("delivers RST"),
            Self::Lost => f.write_str("loses segments"),
            Self::Retransmitted => f.write_str("retransmits"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use wavetank_runtime::ListenOptions;

    use super::super::faults::Way;
    use super::super::harness::{Harness, LATENCY};

    #[test]
    fn the_trace_shows_each_step_of_a_connection() {
        let mut harness = Harness::new();
        let listener = harness.listen(ListenOptions::new());
        let client = harness.connect();
        harness.settle();
        let server = harness.accept(listener);
        assert_eq!(
            harness.network.open_sockets(harness.server),
            [(server, "server:80 -> client:49152".to_owned())]
        );
        harness.send(client, &[0; 64]);
        harness.pass(2 * LATENCY);
        harness.partition(Way::Both);
        harness.close(server);
        harness.heal();
        harness.settle();
        harness.close(client);
        assert_eq!(
            harness.trace(),
            [
                "client:49152 -> server:80 connects",
                "client:49152 -> server:80 connected",
                "client:49152 -> server:80 waits to be accepted",
                "client:49152 -> server:80 sends 64 B",
                "client:49152 -> server:80 delivers 64 B",
                "server:80 -> client:49152 sends RST",
                "server:80 -> client:49152 loses segments",
                "client:49152 -> server:80 sends FIN",
            ]
        );
        assert!(harness.network.open_sockets(harness.client).is_empty());
    }
}
