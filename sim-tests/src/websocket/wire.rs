//! A strict parser of what a client sends.

use super::frames::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};

/// Parses the frames of a client, and panics at what no client may send (RFC 6455, sections 5 and 7).
///
/// An end within a frame is not a violation, because a connection may break anywhere.
#[derive(Debug, Default)]
pub struct Wire {
    bytes: Vec<u8>,
    /// The unfinished message: its opcode, and its payload so far.
    unfinished: Option<(u8, Vec<u8>)>,
    closed: bool,
}

impl Wire {
    /// Takes bytes in, in the order in which they came.
    ///
    /// # Panics
    ///
    /// If they follow a Close frame.
    pub fn feed(&mut self, bytes: &[u8]) {
        assert!(!self.closed || bytes.is_empty(), "the wire: {} bytes follow the Close frame", bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns whether a Close frame came.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns the next frame, if all of it is there.
    ///
    /// # Panics
    ///
    /// If no client may send that frame here.
    pub fn frame(&mut self) -> Option<Frame> {
        let &[first, second, ..] = self.bytes.as_slice() else { return None };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        assert_eq!(first & 0x70, 0, "the wire: a reserved bit is set");
        assert_ne!(second & 0x80, 0, "the wire: a frame is not masked");
        let (length, head) = match second & 0x7f {
            126 => {
                let long = u16::from_be_bytes(*self.bytes.get(2..)?.first_chunk()?);
                assert!(long > 125, "the wire: a length is not minimal");
                (usize::from(long), 4)
            }
            127 => {
                let long = u64::from_be_bytes(*self.bytes.get(2..)?.first_chunk()?);
                assert!(long > 0xffff, "the wire: a length is not minimal");
                (usize::try_from(long).expect("the wire: a length below 2^63"), 10)
            }
            short => (usize::from(short), 2),
        };
        self.judge_head(fin, opcode, length);
        let mask: [u8; 4] = *self.bytes.get(head..)?.first_chunk()?;
        let mut payload = self.bytes.get(head + 4..head + 4 + length)?.to_vec();
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        self.bytes.drain(..head + 4 + length);
        let frame = Frame { fin, opcode, payload };
        self.judge(&frame);
        Some(frame)
    }

    fn judge_head(&self, fin: bool, opcode: u8, length: usize) {
        match opcode {
            CONTINUATION => assert!(self.unfinished.is_some(), "the wire: a continuation of nothing"),
            TEXT | BINARY => {
                assert!(self.unfinished.is_none(), "the wire: a message begins within another");
            }
            CLOSE | PING | PONG => {
                assert!(fin && length <= 125, "the wire: a control frame of {length} bytes, final: {fin}");
            }
            _ => panic!("the wire: the opcode {opcode} is reserved"),
        }
    }

    fn judge(&mut self, frame: &Frame) {
        match frame.opcode {
            PING | PONG => {}
            CLOSE => {
                judge_close(&frame.payload);
                let rest = self.bytes.len();
                assert_eq!(rest, 0, "the wire: {rest} bytes follow the Close frame");
                self.closed = true;
            }
            opcode => {
                let (opcode, mut message) = self.unfinished.take().unwrap_or((opcode, Vec::new()));
                message.extend_from_slice(&frame.payload);
                if !frame.fin {
                    self.unfinished = Some((opcode, message));
                } else if opcode == TEXT {
                    assert!(std::str::from_utf8(&message).is_ok(), "the wire: a text that is not UTF-8");
                }
            }
        }
    }
}

fn judge_close(body: &[u8]) {
    match body {
        [] => {}
        [_] => panic!("the wire: a Close frame of one byte"),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            assert!(allowed, "the wire: the close code {code} is not for the wire");
            assert!(std::str::from_utf8(reason).is_ok(), "the wire: a reason that is not UTF-8");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first, 0x80 | payload.len() as u8, 1, 2, 3, 4];
        bytes.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn parse(bytes: &[u8]) -> Vec<Frame> {
        let mut wire = Wire::default();
        let mut frames = Vec::new();
        for byte in bytes {
            wire.feed(&[*byte]);
            frames.extend(wire.frame());
        }
        frames
    }

    #[test]
    fn frames_come_out_with_their_last_byte() {
        let bytes = [masked(0x01, b"a"), masked(0x89, b"?"), masked(0x80, b"b"), masked(0x88, b"")].concat();
        let opcodes: Vec<u8> = parse(&bytes).iter().map(|frame| frame.opcode).collect();
        assert_eq!(opcodes, [TEXT, PING, CONTINUATION, CLOSE]);
    }

    #[test]
    fn what_no_client_may_send_panics() {
        for (bytes, why) in [
            (b"\x81\x00".to_vec(), "not masked"),
            (masked(0xc1, b""), "reserved bit"),
            (masked(0x83, b""), "reserved"),
            (masked(0x80, b""), "continuation of nothing"),
            ([masked(0x01, b""), masked(0x81, b"")].concat(), "within another"),
            (masked(0x09, b""), "control frame"),
            (masked(0x81, b"\xff"), "not UTF-8"),
            (masked(0x88, b"\x03"), "one byte"),
            (masked(0x88, &1006_u16.to_be_bytes()), "not for the wire"),
            ([masked(0x88, b""), masked(0x88, b"")].concat(), "follow the Close"),
            (vec![0x82, 0xfe, 0, 125], "not minimal"),
        ] {
            let panic = std::panic::catch_unwind(|| parse(&bytes)).expect_err(why);
            let said = panic.downcast_ref::<String>().map_or_else(
                || panic.downcast_ref::<&str>().copied().unwrap_or_default().to_owned(),
                Clone::clone,
            );
            assert!(said.contains(why), "{said}, not {why}");
        }
    }
}
