//! Frames of RFC 6455 for tests: written as a server writes them, and parsed as strictly as a server may.
//!
//! This is not production code: it has no limits and no extensions. It panics only on faults of its caller.

use std::fmt;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    const ALL: [Self; 6] =
        [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong];

    /// Returns `true` for a control frame.
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// Returns a final, unmasked frame, as a server sends it.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode as u8];
    match payload.len() {
        length @ 0..=125 => bytes.push(length as u8),
        length @ 126..=0xffff => {
            bytes.push(126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// Returns a Close frame with the code 1000.
pub fn close_frame() -> Vec<u8> {
    frame(Opcode::Close, &1000_u16.to_be_bytes())
}

/// A frame from a client, with its payload unmasked.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub opcode: Opcode,
    pub is_final: bool,
    pub payload: Vec<u8>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.is_final { "" } else { ", more follows" };
        match (self.opcode, self.payload.as_slice()) {
            (Opcode::Close, [high, low, ..]) => write!(f, "Close {}", u16::from_be_bytes([*high, *low])),
            (opcode, payload) => write!(f, "{opcode:?} {}{more}", excerpt(payload)),
        }
    }
}

/// Formats a payload for a trace: its text, or its size.
pub fn excerpt(payload: &[u8]) -> String {
    match std::str::from_utf8(payload) {
        Ok(text) if text.len() <= 20 => format!("{text:?}"),
        _ => format!("of {} B", payload.len()),
    }
}

/// A fault in what a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    ReservedBit,
    UnknownOpcode,
    NotMasked,
    /// A length field that is longer than necessary, or a length of more than 63 bits.
    Length,
    /// A control frame that is long or not final.
    Control,
    /// A continuation without a message, or a new message inside another.
    Fragment,
    AfterClose,
    /// The stream ends inside a frame.
    Truncated,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBit => "a frame with a reserved bit",
            Self::UnknownOpcode => "a frame of unknown opcode",
            Self::NotMasked => "a frame that is not masked",
            Self::Length => "a frame with a length that is not the shortest form",
            Self::Control => "a control frame that is long or fragmented",
            Self::Fragment => "a fragment that is out of order",
            Self::AfterClose => "a frame after the Close frame",
            Self::Truncated => "the end inside of a frame",
        })
    }
}

/// Parses frames and checks their order.
#[derive(Debug, Default)]
pub struct Parser {
    buffer: Vec<u8>,
    in_message: bool,
    is_closed: bool,
}

impl Parser {
    /// Adds bytes from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next frame, or `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// The client's fault, as soon as it is visible.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Violation> {
        let Some((&first, rest)) = self.buffer.split_first() else { return Ok(None) };
        if self.is_closed {
            return Err(Violation::AfterClose);
        }
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBit);
        }
        let opcode = Opcode::ALL.into_iter().find(|opcode| *opcode as u8 == first & 0xf);
        let opcode = opcode.ok_or(Violation::UnknownOpcode)?;
        let is_final = first & 0x80 != 0;
        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(Violation::NotMasked);
        }
        let short = second & 0x7f;
        if opcode.is_control() && (short > 125 || !is_final) {
            return Err(Violation::Control);
        }
        if !opcode.is_control() && (opcode == Opcode::Continuation) != self.in_message {
            return Err(Violation::Fragment);
        }
        let Some((length, rest)) = length(short, rest)? else { return Ok(None) };
        let Some((mask, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let Some(masked) = rest.get(..length) else { return Ok(None) };
        let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        let used = self.buffer.len() - rest.len() + length;
        self.buffer.drain(..used);
        self.is_closed = opcode == Opcode::Close;
        if !opcode.is_control() {
            self.in_message = !is_final;
        }
        Ok(Some(Frame { opcode, is_final, payload }))
    }

    /// Ends the stream.
    ///
    /// # Errors
    ///
    /// [`Violation::Truncated`] inside a frame.
    pub const fn end(&self) -> Result<(), Violation> {
        if self.buffer.is_empty() { Ok(()) } else { Err(Violation::Truncated) }
    }
}

/// Returns the length of a payload and the bytes after the length field, or `None` if the field is not complete.
fn length(short: u8, rest: &[u8]) -> Result<Option<(usize, &[u8])>, Violation> {
    let (length, rest) = match short {
        127 => match rest.split_first_chunk::<8>() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest),
            None => return Ok(None),
        },
        126 => match rest.split_first_chunk::<2>() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest),
            None => return Ok(None),
        },
        short => return Ok(Some((usize::from(short), rest))),
    };
    let is_shortest = length > if short == 127 { 0xffff } else { 125 };
    if !is_shortest || length > i64::MAX as u64 {
        return Err(Violation::Length);
    }
    let length = usize::try_from(length).map_err(|_| Violation::Length)?;
    Ok(Some((length, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a masked frame, as a client sends it.
    fn masked(mut bytes: Vec<u8>, payload: usize) -> Vec<u8> {
        let header = bytes.len() - payload;
        bytes[1] |= 0x80;
        let mask = [1, 2, 3, 4];
        for (index, byte) in bytes[header..].iter_mut().enumerate() {
            *byte ^= mask[index % 4];
        }
        bytes.splice(header..header, mask);
        bytes
    }

    fn sent(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        masked(frame(opcode, payload), payload.len())
    }

    /// Parses a client's bytes and the end of the stream.
    fn parse(bytes: &[u8]) -> Result<Vec<Frame>, Violation> {
        let mut parser = Parser::default();
        let mut frames = Vec::new();
        for byte in bytes {
            parser.push(&[*byte]);
            frames.extend(parser.next_frame()?);
        }
        parser.end()?;
        Ok(frames)
    }

    #[test]
    fn frames_of_every_length_parse() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![7; length];
            let expected = Frame { opcode: Opcode::Binary, is_final: true, payload: payload.clone() };
            let mut parser = Parser::default();
            parser.push(&sent(Opcode::Binary, &payload));
            assert_eq!(parser.next_frame(), Ok(Some(expected)), "{length} B");
            assert_eq!((parser.next_frame(), parser.end()), (Ok(None), Ok(())));
        }
        assert_eq!(parse(&sent(Opcode::Ping, b"tide")).map(|frames| frames.len()), Ok(1));
    }

    #[test]
    fn control_frames_may_come_between_fragments() {
        let mut bytes = sent(Opcode::Text, b"ti");
        bytes[0] &= 0x7f;
        bytes.extend(sent(Opcode::Ping, b""));
        bytes.extend(sent(Opcode::Continuation, b"de"));
        let opcodes = parse(&bytes).map(|frames| frames.iter().map(|frame| frame.opcode).collect());
        assert_eq!(opcodes, Ok(vec![Opcode::Text, Opcode::Ping, Opcode::Continuation]));
    }

    #[test]
    fn client_violations_are_reported() {
        let whole = sent(Opcode::Text, b"tide");
        let with_first = |first: u8| [&[first], &whole[1..]].concat();
        assert_eq!(parse(&with_first(0xc1)), Err(Violation::ReservedBit));
        assert_eq!(parse(&with_first(0x83)), Err(Violation::UnknownOpcode));
        assert_eq!(parse(&with_first(0x80)), Err(Violation::Fragment), "a continuation of nothing");
        assert_eq!(parse(&with_first(0x01)).map(|frames| frames.len()), Ok(1));
        assert_eq!(parse(&[with_first(0x01), whole.clone()].concat()), Err(Violation::Fragment));
        assert_eq!(parse(&with_first(0x09)), Err(Violation::Control), "a ping that is not final");
        assert_eq!(parse(&sent(Opcode::Ping, &[0; 126])), Err(Violation::Control));
        assert_eq!(parse(&frame(Opcode::Text, b"tide")), Err(Violation::NotMasked));
        assert_eq!(parse(&whole[..5]), Err(Violation::Truncated));
        assert_eq!(parse(&[sent(Opcode::Close, b""), whole].concat()), Err(Violation::AfterClose));
        assert_eq!(parse(&[0x81, 0xfe, 0, 125]), Err(Violation::Length));
        assert_eq!(parse(&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), Err(Violation::Length));
        assert_eq!(parse(&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), Err(Violation::Length));
    }
}
