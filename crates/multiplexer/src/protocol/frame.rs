//! The 12 bytes in front of every frame.
//!
//! Version (0), type, flags (16 bits), stream id (32 bits), length (32 bits), all big-endian. What the length means
//! depends on the type; see [`Kind`].

use crate::violation::Violation;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 12;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Carries payload; the length is that of the payload.
    Data,
    /// Grants credit; the length is how much. With RST it is a reset code.
    WindowUpdate,
    /// A question (SYN) or an answer (ACK); the length is an opaque number.
    Ping,
    /// The sender opens and accepts no streams any more; the length is a [`GoAwayCode`](crate::GoAwayCode).
    GoAway,
}

/// The flags of a frame, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u16);

/// The number of the first ping of a session, "WAVE": it announces that the sender understands [`Flags::STOP`].
///
/// A number and no flag, because libp2p's JavaScript implementation ends the session when a ping has other flags than
/// SYN or ACK. Every implementation echoes every number.
pub(crate) const ANNOUNCEMENT: u32 = 0x5741_5645;

impl Flags {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const SYN: Self = Self(1);
    pub(crate) const ACK: Self = Self(2);
    pub(crate) const FIN: Self = Self(4);
    pub(crate) const RST: Self = Self(8);
    /// An extension of this crate: on a window update it asks the receiver to stop sending on the stream. Sent only
    /// to a peer whose ping has carried [`ANNOUNCEMENT`].
    pub(crate) const STOP: Self = Self(0x10);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }
}

/// A frame without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: Flags,
    pub(crate) stream: u32,
    pub(crate) length: u32,
}

impl Header {
    pub(crate) const fn new(kind: Kind, flags: Flags, stream: u32, length: u32) -> Self {
        Self { kind, flags, stream, length }
    }

    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::WindowUpdate => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes[1] = kind;
        bytes[2..4].copy_from_slice(&self.flags.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Self, Violation> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = bytes;
        if version != 0 {
            return Err(Violation::Version(version));
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::WindowUpdate,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            unknown => return Err(Violation::UnknownType(unknown)),
        };
        Ok(Self {
            kind,
            flags: Flags(u16::from_be_bytes([f0, f1])),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_encoding_and_decoding() {
        for kind in [Kind::Data, Kind::WindowUpdate, Kind::Ping, Kind::GoAway] {
            let header = Header::new(kind, Flags::SYN.and(Flags::FIN), 0x0102_0304, 0xfffe_fdfc);
            assert_eq!(Header::decode(header.encode()), Ok(header));
        }
    }

    #[test]
    fn a_header_has_the_bytes_of_the_specification() {
        let header = Header::new(Kind::WindowUpdate, Flags::RST, 7, 0x0004_0000);
        assert_eq!(header.encode(), [0, 1, 0, 8, 0, 0, 0, 7, 0, 4, 0, 0]);
    }

    #[test]
    fn unknown_versions_and_types_are_violations() {
        assert_eq!(Header::decode([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Violation::Version(1)));
        assert_eq!(Header::decode([0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Violation::UnknownType(4)));
    }
}
