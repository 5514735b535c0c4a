//! Frames of RFC 6455, and the bytes of a server's frames.

/// A piece of a message that is not its first.
pub const CONTINUATION: u8 = 0;
/// The first piece of a text.
pub const TEXT: u8 = 1;
/// The first piece of a binary message.
pub const BINARY: u8 = 2;
/// An opcode that RFC 6455 does not define.
pub const RESERVED: u8 = 3;
/// The end of the connection.
pub const CLOSE: u8 = 8;
/// A ping. The peer answers it with a pong.
pub const PING: u8 = 9;
/// The answer to a ping.
pub const PONG: u8 = 10;

/// A frame from the client, without its mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// `true` if it is the last of its message.
    pub fin: bool,
    /// What it is.
    pub opcode: u8,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Returns the code of a Close frame; `None` if it has none, or is another frame.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        let code = self.payload.first_chunk().filter(|_| self.opcode == CLOSE)?;
        Some(u16::from_be_bytes(*code))
    }
}

/// Makes a frame as a server sends it, final and not masked.
#[must_use]
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    fragment(opcode, true, payload)
}

/// Makes a frame as a server sends it, not masked.
#[must_use]
pub fn fragment(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::from(fin) << 7 | opcode];
    match payload.len() {
        short @ 0..=125 => bytes.push(short as u8),
        long @ 126..=0xffff => {
            bytes.push(126);
            bytes.extend((long as u16).to_be_bytes());
        }
        long => {
            bytes.push(127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// Makes a Close frame as a server sends it.
#[must_use]
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    body.extend_from_slice(reason.as_bytes());
    frame(CLOSE, &body)
}
