//! Heads of frames (RFC 6455, section 5.2): parsed with every check that needs no more than the head, and written.
//!
//! Checks are made byte by byte. A mistake in the first byte is found before the second byte arrives, so the result
//! does not depend on how the bytes arrive.

use super::Role;
use crate::close::Violation;

/// The longest payload of a control frame (RFC 6455, section 5.5).
pub(super) const MAX_CONTROL: usize = 125;
/// The longest head: two bytes, a 64-bit length, a mask.
pub(super) const MAX_HEAD: usize = 14;

pub(super) const FIN: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASKED: u8 = 0x80;

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
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

    pub(super) const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Returns whether a frame that begins with this byte is a control frame: its opcode has the highest bit (RFC 6455,
/// section 5.5).
pub(super) const fn begins_control(first: u8) -> bool {
    first & 0x08 != 0
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    /// RSV1: a message that begins here is compressed (RFC 7692, section 6).
    pub(super) compressed: bool,
    pub(super) mask: Option<[u8; 4]>,
    /// The length of the payload in bytes.
    pub(super) payload: u64,
    /// The length of the head in bytes.
    pub(super) length: usize,
}

/// What a head is checked against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// Our role.
    pub(super) role: Role,
    /// Whether permessage-deflate was negotiated.
    pub(super) compression: bool,
    /// Whether a message has begun and its last frame has not come.
    pub(super) inside_message: bool,
}

/// Parses the head of a frame. Returns `None` if `bytes` do not hold all of it.
#[inline]
pub(super) fn parse(bytes: &[u8], expected: Expected) -> Result<Option<Head>, Violation> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let opcode = check_first(first, expected)?;
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    check_second(second, opcode, expected.role)?;

    let Some((payload, mut length)) = parse_length(bytes, second & !MASKED)? else { return Ok(None) };
    let mask = if expected.role == Role::Server {
        let Some(mask) = bytes.get(length..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
        length += 4;
        Some(*mask)
    } else {
        None
    };
    Ok(Some(Head { opcode, fin: first & FIN != 0, compressed: first & RSV1 != 0, mask, payload, length }))
}

#[inline]
fn check_first(first: u8, expected: Expected) -> Result<Opcode, Violation> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# If a nonzero value is received and none of the negotiated extensions defines the meaning of such a
    //# nonzero value, the receiving endpoint MUST _Fail the WebSocket Connection_.
    if first & RSV2_AND_3 != 0 {
        return Err(Violation::ReservedBit);
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_.
    let bits = first & 0x0f;
    let opcode = Opcode::from_bits(bits).ok_or(Violation::ReservedOpcode(bits))?;
    if first & RSV1 != 0 {
        if !expected.compression {
            return Err(Violation::ReservedBit);
        }
        // RFC 7692, section 6: RSV1 is set on the first frame of a message only, and never on control frames.
        if !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err(Violation::CompressedContinuationOrControl);
        }
    }
    if opcode.is_control() {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5
        //# All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented.
        if first & FIN == 0 {
            return Err(Violation::FragmentedControl);
        }
    } else if (opcode == Opcode::Continuation) != expected.inside_message {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
        //# The fragments of one message MUST NOT be interleaved between the fragments of another message unless
        //# an extension has been negotiated that can interpret the interleaving.
        return Err(if expected.inside_message {
            Violation::UnfinishedMessage
        } else {
            Violation::StrayContinuation
        });
    }
    Ok(opcode)
}

#[inline]
fn check_second(second: u8, opcode: Opcode, role: Role) -> Result<(), Violation> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
    //# The server MUST close the connection upon receiving a frame that is not masked.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
    //# A client MUST close a connection if it detects a masked frame.
    match (role, second & MASKED != 0) {
        (Role::Server, false) => return Err(Violation::UnmaskedFrame),
        (Role::Client, true) => return Err(Violation::MaskedFrame),
        _ => {}
    }
    if opcode.is_control() && usize::from(second & !MASKED) > MAX_CONTROL {
        return Err(Violation::ControlTooLong);
    }
    Ok(())
}

/// Returns the length of the payload, and the length of the head without a mask.
#[inline]
fn parse_length(bytes: &[u8], short: u8) -> Result<Option<(u64, usize)>, Violation> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# in all cases, the minimal number of bytes MUST be used to encode the length
    match short {
        126 => {
            let Some(&long) = bytes.get(2..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
            match u16::from_be_bytes(long) {
                ..126 => Err(Violation::LengthNotMinimal),
                long => Ok(Some((u64::from(long), 4))),
            }
        }
        127 => {
            let Some(&long) = bytes.get(2..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
            match u64::from_be_bytes(long) {
                ..65_536 => Err(Violation::LengthNotMinimal),
                //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
                //# the most significant bit MUST be 0
                0x8000_0000_0000_0000.. => Err(Violation::LengthOutOfRange),
                long => Ok(Some((long, 10))),
            }
        }
        short => Ok(Some((u64::from(short), 2))),
    }
}

/// Writes the head of a frame into `head`, and returns its length. `flags` are [`FIN`] and [`RSV1`].
#[inline]
pub(super) fn write(
    head: &mut [u8; MAX_HEAD],
    opcode: Opcode,
    flags: u8,
    payload: usize,
    mask: Option<[u8; 4]>,
) -> usize {
    let masked = if mask.is_some() { MASKED } else { 0 };
    head[0] = flags | opcode.bits();
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# in all cases, the minimal number of bytes MUST be used to encode the length
    let length = if payload < 126 {
        head[1] = masked | payload as u8;
        2
    } else if let Ok(payload) = u16::try_from(payload) {
        head[1] = masked | 126;
        head[2..4].copy_from_slice(&payload.to_be_bytes());
        4
    } else {
        head[1] = masked | 127;
        head[2..10].copy_from_slice(&(payload as u64).to_be_bytes());
        10
    };
    match mask {
        Some(mask) => {
            head[length..length + 4].copy_from_slice(&mask);
            length + 4
        }
        None => length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Expected = Expected { role: Role::Client, compression: false, inside_message: false };
    const SERVER: Expected = Expected { role: Role::Server, ..CLIENT };

    #[test]
    fn a_written_head_parses_only_when_complete() {
        for payload in [0, 1, 125, 126, 65_535, 65_536, 1 << 40] {
            for (expected, mask) in [(CLIENT, None), (SERVER, Some([1, 2, 3, 4]))] {
                let mut bytes = [0; MAX_HEAD];
                let length = write(&mut bytes, Opcode::Binary, FIN, payload, mask);
                let head = Head {
                    opcode: Opcode::Binary,
                    fin: true,
                    compressed: false,
                    mask,
                    payload: payload as u64,
                    length,
                };
                assert_eq!(parse(&bytes[..length], expected), Ok(Some(head)));
                for cut in 0..length {
                    assert_eq!(parse(&bytes[..cut], expected), Ok(None), "{payload} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn the_first_byte_reveals_reserved_bits_and_opcodes() {
        let inside = Expected { inside_message: true, ..CLIENT };
        let deflate = Expected { compression: true, ..CLIENT };
        for (byte, expected, violation) in [
            (0x90 | 0x02, CLIENT, Violation::ReservedBit),
            (0xa0 | 0x02, CLIENT, Violation::ReservedBit),
            (0xc0 | 0x02, CLIENT, Violation::ReservedBit),
            (0xd0 | 0x02, deflate, Violation::ReservedBit),
            (0xc9, deflate, Violation::CompressedContinuationOrControl),
            (0xc0, Expected { inside_message: true, ..deflate }, Violation::CompressedContinuationOrControl),
            (0x80, CLIENT, Violation::StrayContinuation),
            (0x81, inside, Violation::UnfinishedMessage),
            (0x02, inside, Violation::UnfinishedMessage),
            (0x09, CLIENT, Violation::FragmentedControl),
            (0x08, inside, Violation::FragmentedControl),
        ] {
            assert_eq!(parse(&[byte], expected), Err(violation), "{byte:#x}");
        }
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            assert_eq!(parse(&[0x80 | opcode], CLIENT), Err(Violation::ReservedOpcode(opcode)));
        }
        assert_eq!(parse(&[0xc1], deflate), Ok(None));
    }

    #[test]
    fn the_second_byte_reveals_wrong_masks_and_lengths() {
        assert_eq!(parse(&[0x81, 0x80], CLIENT), Err(Violation::MaskedFrame));
        assert_eq!(parse(&[0x81, 0x00], SERVER), Err(Violation::UnmaskedFrame));
        assert_eq!(parse(&[0x89, 126], CLIENT), Err(Violation::ControlTooLong));
        assert_eq!(parse(&[0x88, 0x80 | 127], SERVER), Err(Violation::ControlTooLong));
    }

    #[test]
    fn lengths_are_minimal_and_below_two_to_63() {
        assert_eq!(parse(&[0x82, 126, 0, 125], CLIENT), Err(Violation::LengthNotMinimal));
        assert!(matches!(parse(&[0x82, 126, 0, 126], CLIENT), Ok(Some(Head { payload: 126, .. }))));
        assert_eq!(
            parse(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], CLIENT),
            Err(Violation::LengthNotMinimal)
        );
        assert_eq!(parse(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], CLIENT), Err(Violation::LengthOutOfRange));
    }
}
