//! Frames of RFC 6455 section 5, as bytes: the original's `frames.py`.
//!
//! # Invariants
//!
//! - A length is compared with the limit before anything is allocated for it.
//! - Nothing panics, whatever the bytes.

use std::fmt;

use super::exceptions::Violation;

/// Close codes of RFC 6455 section 7.4.
pub(super) mod close_code {
    pub(in super::super) const NORMAL_CLOSURE: u16 = 1000;
    pub(in super::super) const GOING_AWAY: u16 = 1001;
    pub(in super::super) const PROTOCOL_ERROR: u16 = 1002;
    pub(in super::super) const UNSUPPORTED_DATA: u16 = 1003;
    pub(in super::super) const NO_STATUS_RECEIVED: u16 = 1005;
    pub(in super::super) const ABNORMAL_CLOSURE: u16 = 1006;
    pub(in super::super) const INVALID_DATA: u16 = 1007;
    pub(in super::super) const MESSAGE_TOO_BIG: u16 = 1009;

    pub(in super::super) const fn is_ok(code: u16) -> bool {
        matches!(code, NORMAL_CLOSURE | GOING_AWAY | NO_STATUS_RECEIVED)
    }

    /// Returns `true` if a frame may contain the code.
    pub(super) const fn is_external(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    pub(super) data: Vec<u8>,
}

impl Frame {
    pub(super) const fn new(opcode: Opcode, data: Vec<u8>) -> Self {
        Self { opcode, fin: true, data }
    }

    /// Takes one frame from the front of `buffer`. Returns `None` if it is not yet complete.
    ///
    /// `masked` says whether the peer must mask its frames. `size_max` limits the payload, in bytes.
    pub(super) fn parse(
        buffer: &mut Vec<u8>,
        masked: bool,
        size_max: usize,
    ) -> Result<Option<Self>, Violation> {
        let Some((header, length)) = Header::parse(buffer, masked, size_max)? else { return Ok(None) };
        let Some(end) = header.bytes.checked_add(length).filter(|end| *end <= buffer.len()) else {
            return Ok(None);
        };
        let mut data = buffer[header.bytes..end].to_vec();
        if masked {
            let mask = [0, 1, 2, 3].map(|index| buffer[header.bytes - 4 + index]);
            apply_mask(&mut data, mask);
        }
        buffer.drain(..end);
        Ok(Some(Self { opcode: header.opcode, fin: header.fin, data }))
    }

    /// Returns the frame's bytes, masked if there is a mask.
    pub(super) fn serialize(&self, mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.data.len() + 14);
        bytes.push(u8::from(self.fin) << 7 | self.opcode as u8);
        let mask_bit = u8::from(mask.is_some()) << 7;
        match self.data.len() {
            short @ 0..=125 => bytes.push(mask_bit | short as u8),
            medium @ 126..=0xffff => {
                bytes.push(mask_bit | 126);
                bytes.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                bytes.push(mask_bit | 127);
                bytes.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        bytes.extend(mask.iter().flatten());
        let payload = bytes.len();
        bytes.extend_from_slice(&self.data);
        if let Some(mask) = mask {
            apply_mask(&mut bytes[payload..], mask);
        }
        bytes
    }
}

struct Header {
    fin: bool,
    opcode: Opcode,
    /// The length of the header, including the mask.
    bytes: usize,
}

impl Header {
    /// Reads a header and its length field. Returns `None` if more bytes are needed.
    fn parse(buffer: &[u8], masked: bool, size_max: usize) -> Result<Option<(Self, usize)>, Violation> {
        let [first, second, rest @ ..] = buffer else { return Ok(None) };
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::protocol("invalid opcode"))?;
        let fin = first & 0x80 != 0;
        if first & 0x70 != 0 {
            return Err(Violation::protocol("reserved bits must be 0"));
        }
        if (second & 0x80 != 0) != masked {
            return Err(Violation::protocol("incorrect masking"));
        }
        let (length, extended) = match second & 0x7f {
            126 => match rest.first_chunk() {
                Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(bytes) => (u64::from_be_bytes(*bytes), 8),
                None => return Ok(None),
            },
            short => (u64::from(short), 0),
        };
        if opcode.is_control() && (length > 125 || !fin) {
            return Err(Violation::protocol("control frame too long or fragmented"));
        }
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= size_max) else {
            return Err(Violation { code: close_code::MESSAGE_TOO_BIG, reason: "over size limit" });
        };
        let bytes = 2 + extended + if masked { 4 } else { 0 };
        Ok(Some((Self { fin, opcode, bytes }, length)))
    }
}

fn apply_mask(data: &mut [u8], mask: [u8; 4]) {
    for (byte, mask) in data.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The code and reason of a close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code, or 1005 if the frame had none.
    pub code: u16,
    /// The reason, often empty.
    pub reason: String,
}

impl Close {
    pub(super) fn parse(data: &[u8]) -> Result<Self, Violation> {
        let Some((code, reason)) = data.split_first_chunk() else {
            return match data {
                [] => Ok(Self { code: close_code::NO_STATUS_RECEIVED, reason: String::new() }),
                _ => Err(Violation::protocol("close frame too short")),
            };
        };
        let invalid = Violation { code: close_code::INVALID_DATA, reason: "the close reason is not UTF-8" };
        let reason = std::str::from_utf8(reason).map_err(|_| invalid)?.to_owned();
        let close = Self { code: u16::from_be_bytes(*code), reason };
        close.check()?;
        Ok(close)
    }

    /// Returns the payload of the frame.
    pub(super) fn serialize(&self) -> Result<Vec<u8>, Violation> {
        self.check()?;
        if self.reason.len() > 123 {
            return Err(Violation::protocol("control frame too long"));
        }
        Ok([&self.code.to_be_bytes(), self.reason.as_bytes()].concat())
    }

    fn check(&self) -> Result<(), Violation> {
        if close_code::is_external(self.code) {
            Ok(())
        } else {
            Err(Violation::protocol("invalid status code"))
        }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, " {}", self.reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    const SIZE_MAX: usize = 1 << 20;

    fn parse_all(bytes: &[u8], masked: bool) -> Result<Option<Frame>, Violation> {
        Frame::parse(&mut bytes.to_vec(), masked, SIZE_MAX)
    }

    #[test]
    fn frames_are_those_of_the_rfcs_examples() {
        let hello = Frame::new(Opcode::Text, b"Hello".to_vec());
        assert_eq!(hello.serialize(None), [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(hello.serialize(Some(MASK)), masked);
        assert_eq!(parse_all(&masked, true), Ok(Some(hello)));
    }

    #[test]
    fn frames_of_every_length_round_trip() {
        for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000] {
            for mask in [None, Some(MASK)] {
                let frame = Frame::new(Opcode::Text, vec![b'x'; length]);
                let mut buffer = [frame.serialize(mask), vec![0x89]].concat();
                assert_eq!(Frame::parse(&mut buffer, mask.is_some(), SIZE_MAX), Ok(Some(frame)));
                assert_eq!(buffer, [0x89]);
            }
        }
    }

    #[test]
    fn an_incomplete_frame_waits_for_more() {
        for mask in [None, Some(MASK)] {
            let bytes = Frame::new(Opcode::Text, vec![b'x'; 200]).serialize(mask);
            for cut in 0..bytes.len() {
                assert_eq!(parse_all(&bytes[..cut], mask.is_some()), Ok(None), "cut at {cut}");
            }
        }
    }

    #[test]
    fn headers_that_break_the_protocol_are_refused() {
        let code = |bytes: &[u8]| parse_all(bytes, false).expect_err("the header is refused").code;
        assert_eq!(code(&[0xc1, 0x00]), 1002, "reserved bit");
        assert_eq!(code(&[0x83, 0x00]), 1002, "unknown opcode");
        assert_eq!(code(&[0x81, 0x80]), 1002, "masked by a server");
        assert_eq!(code(&[0x09, 0x00]), 1002, "fragmented ping");
        assert_eq!(code(&[0x89, 126, 0, 126]), 1002, "long ping");
        assert_eq!(code(&[0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 1009, "huge text");
    }

    #[test]
    fn close_payloads_are_checked_both_ways() {
        let close = Close { code: 1000, reason: "bye".to_owned() };
        assert_eq!(close.serialize().expect("the code is valid"), b"\x03\xe8bye");
        assert_eq!(Close::parse(b"\x03\xe8bye"), Ok(close));
        assert_eq!(Close::parse(b"").map(|close| close.code), Ok(1005));
        assert_eq!(Close::parse(b"\x03").map_err(|violation| violation.code), Err(1002));
        assert_eq!(Close::parse(b"\x03\xed").map_err(|violation| violation.code), Err(1002));
        assert_eq!(Close::parse(b"\x03\xe8\xff").map_err(|violation| violation.code), Err(1007));
        assert!(Close { code: 1006, reason: String::new() }.serialize().is_err());
        assert!(Close { code: 1000, reason: "x".repeat(124) }.serialize().is_err());
    }
}
