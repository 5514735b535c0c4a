//! permessage-deflate (RFC 7692): what both sides agreed on, and the codec of messages.
//!
//! `compressor` and `decompressor` are the codec of one direction each, `negotiation` is how [`Parameters`] come
//! about, `extensions` the syntax of `Sec-WebSocket-Extensions` that it builds on. Without the feature `compression`
//! the codec is `absent`, and nothing is ever agreed on.
//!
//! # Invariants
//!
//! - Whatever was fed to a compressor is put on the wire: its window never runs ahead of the peer's.
//! - Inflating stops at the limit of the message, before memory for more is taken.
//! - No window of 8 bits is ever compressed into: zlib cannot (it silently uses 9 bits, whose distances a peer with 8
//!   bits need not follow). An endpoint that must send with 8 bits sends uncompressed messages, which RFC 7692,
//!   section 6 allows.

#[cfg(not(feature = "compression"))]
mod absent;
#[cfg(feature = "compression")]
pub(crate) mod compressor;
#[cfg(feature = "compression")]
pub(crate) mod decompressor;
pub(crate) mod extensions;
pub(crate) mod negotiation;

#[cfg(not(feature = "compression"))]
pub(crate) use absent::{Compressor, Decompressor, InflateError, Progress};
#[cfg(feature = "compression")]
pub(crate) use compressor::Compressor;
#[cfg(feature = "compression")]
pub(crate) use decompressor::{Decompressor, InflateError, Progress};
pub use negotiation::NegotiationError;

use crate::role::Role;

/// What both sides agreed on, or what one of them wants.
///
/// # Defaults
///
/// Both sides keep their context from message to message, and have the whole window of 15 bits (32 KiB).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// The server forgets its window after each message: worse compression, less memory in the client.
    pub server_no_context_takeover: bool,
    /// The client forgets its window after each message: worse compression, less memory in the server.
    pub client_no_context_takeover: bool,
    /// The base-2 logarithm of the server's window: 8–15. At 8 a server of this crate sends uncompressed messages.
    pub server_max_window_bits: u8,
    /// The base-2 logarithm of the client's window: 8–15. At 8 a client of this crate sends uncompressed messages.
    pub client_max_window_bits: u8,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

/// What it takes to make sure that values from a configuration are ones that the wire can carry.
impl Parameters {
    /// The same, with window bits brought into 8–15.
    pub(crate) fn in_range(self) -> Self {
        Self {
            server_max_window_bits: self.server_max_window_bits.clamp(8, 15),
            client_max_window_bits: self.client_max_window_bits.clamp(8, 15),
            ..self
        }
    }

    /// The compressor of what `role` sends, at `level` (0–9; 6 is zlib's default). `None`: it sends uncompressed.
    #[cfg(feature = "compression")]
    pub(crate) fn compressor(&self, role: Role, level: u32) -> Option<Compressor> {
        let (bits, takeover) = self.sending(role);
        (bits > 8).then(|| Compressor::new(bits, takeover, level))
    }

    /// The decompressor of what `role` receives. `None`: compressed messages are violations.
    #[cfg(feature = "compression")]
    pub(crate) fn decompressor(&self, role: Role) -> Option<Decompressor> {
        let peer = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let (_, takeover) = self.sending(peer);
        Some(Decompressor::new(takeover))
    }

    /// There is no codec.
    #[cfg(not(feature = "compression"))]
    pub(crate) fn compressor(&self, _role: Role, _level: u32) -> Option<Compressor> {
        None
    }

    /// There is no codec.
    #[cfg(not(feature = "compression"))]
    pub(crate) fn decompressor(&self, _role: Role) -> Option<Decompressor> {
        None
    }

    /// Window bits of what `role` sends, and whether it keeps its context.
    #[cfg(feature = "compression")]
    fn sending(&self, role: Role) -> (u8, bool) {
        match role {
            Role::Client => (self.client_max_window_bits, !self.client_no_context_takeover),
            Role::Server => (self.server_max_window_bits, !self.server_no_context_takeover),
        }
    }
}

#[cfg(all(test, feature = "compression"))]
mod tests;
