//! Frames on the wire: the original's `const.go`.
//!
//! A header has 12 bytes, big-endian: version (0), type, flags, stream id, length. Only data frames have a body, of
//! `length` bytes. In a window update `length` is the credit; in a ping it is the value that the answer repeats.

use std::ops::BitOr;

use super::Error;

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 12;

/// The bytes that each end may send on a new stream before the other end grants more.
pub const INITIAL_STREAM_WINDOW: u32 = 256 * 1024;

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    /// Grants credit, and carries flags that have no data.
    WindowUpdate,
    Ping,
}

/// Flags of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    /// Opens a stream. On a ping: the request.
    pub(super) const SYN: Self = Self(1);
    /// Accepts a stream. On a ping: the answer.
    pub(super) const ACK: Self = Self(2);
    /// The sender of this frame will send no more data.
    pub(super) const FIN: Self = Self(4);
    /// The stream has ended in both directions.
    pub(super) const RST: Self = Self(8);

    pub(super) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) flags: Flags,
    pub(super) stream: u32,
    pub(super) length: u32,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::WindowUpdate => 1,
            Kind::Ping => 2,
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes[1] = kind;
        bytes[2..4].copy_from_slice(&self.flags.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_be_bytes());
        bytes[8..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Self, Error> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = bytes;
        if version != 0 {
            return Err(Error::Protocol("invalid protocol version"));
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::WindowUpdate,
            2 => Kind::Ping,
            _ => return Err(Error::Protocol("invalid msg type")),
        };
        Ok(Self {
            kind,
            flags: Flags(u16::from_be_bytes([f0, f1])),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }
}

/// A header, and the data of a data frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) body: Vec<u8>,
}

impl Frame {
    pub(super) fn data(stream: u32, flags: Flags, body: Vec<u8>) -> Self {
        let length = u32::try_from(body.len()).expect("a body fits into a window");
        Self { header: Header { kind: Kind::Data, flags, stream, length }, body }
    }

    pub(super) const fn window_update(stream: u32, flags: Flags, credit: u32) -> Self {
        let header = Header { kind: Kind::WindowUpdate, flags, stream, length: credit };
        Self { header, body: Vec::new() }
    }

    pub(super) const fn ping(flags: Flags, value: u32) -> Self {
        let header = Header { kind: Kind::Ping, flags, stream: 0, length: value };
        Self { header, body: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_twelve_bytes_big_endian() {
        let header = Header {
            kind: Kind::WindowUpdate,
            flags: Flags::SYN | Flags::RST,
            stream: 0x0102_0304,
            length: 0x0a0b_0c0d,
        };
        assert_eq!(header.encode(), [0, 1, 0, 9, 1, 2, 3, 4, 10, 11, 12, 13]);
        assert_eq!(Header::decode(header.encode()), Ok(header));
    }

    #[test]
    fn another_version_and_an_unknown_type_are_refused() {
        let mut bytes = Frame::ping(Flags::SYN, 7).header.encode();
        bytes[0] = 1;
        assert_eq!(Header::decode(bytes), Err(Error::Protocol("invalid protocol version")));
        bytes[..2].copy_from_slice(&[0, 9]);
        assert_eq!(Header::decode(bytes), Err(Error::Protocol("invalid msg type")));
    }

    #[test]
    fn a_data_frame_states_its_length() {
        assert_eq!(Frame::data(3, Flags::NONE, vec![1, 2, 3]).header.length, 3);
    }
}
