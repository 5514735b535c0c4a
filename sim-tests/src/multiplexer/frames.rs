//! Frames of the protocol as bytes: a header of 12 bytes, and the payload of data.
//!
//! <https://github.com/hashicorp/yamux/blob/e14d7fe/spec.md>

/// Bytes of a header.
pub const HEADER_BYTES: usize = 12;

/// Payload of a stream.
pub const DATA: u8 = 0;
/// Credit, or flags without payload.
pub const WINDOW_UPDATE: u8 = 1;
/// A ping or its answer.
pub const PING: u8 = 2;
/// The end of the session.
pub const GO_AWAY: u8 = 3;

/// Opens a stream; a ping that asks.
pub const SYN: u16 = 1;
/// Accepts a stream; a ping that answers.
pub const ACK: u16 = 2;
/// Ends one direction.
pub const FIN: u16 = 4;
/// Ends both directions at once.
pub const RST: u16 = 8;
/// Asks the peer to stop sending, on a window update. Only the sides of our crate use it.
pub const STOP: u16 = 0x10;

/// The number of a ping that announces [`STOP`].
pub const ANNOUNCEMENT: u32 = 0x5741_5645;

/// The initial credit of each direction of a stream.
pub const INITIAL_WINDOW: u32 = 256 * 1024;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`DATA`] and so on.
    pub kind: u8,
    /// [`SYN`] and so on.
    pub flags: u16,
    /// The stream, or 0 for the session.
    pub stream: u32,
    /// The length of the payload, the credit, the value of a ping, or the code of a GoAway.
    pub length: u32,
}

impl Header {
    /// Returns the header as bytes.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[1] = self.kind;
        bytes[2..4].copy_from_slice(&self.flags.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_be_bytes());
        bytes[8..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Panics
    ///
    /// If the version is not 0 or the type is unknown. No side of these simulations sends such a header.
    #[must_use]
    pub fn decode(bytes: [u8; HEADER_BYTES]) -> Self {
        let [version, kind, f1, f2, s1, s2, s3, s4, l1, l2, l3, l4] = bytes;
        assert!(version == 0 && kind <= GO_AWAY, "this is no header: {bytes:?}");
        Self {
            kind,
            flags: u16::from_be_bytes([f1, f2]),
            stream: u32::from_be_bytes([s1, s2, s3, s4]),
            length: u32::from_be_bytes([l1, l2, l3, l4]),
        }
    }

    /// Returns `true` if this flag is set.
    #[must_use]
    pub fn has(self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

/// Returns a frame without payload.
#[must_use]
pub fn control(kind: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    Header { kind, flags, stream, length }.encode().to_vec()
}

/// Returns a data frame.
///
/// # Panics
///
/// If the payload is too long for one frame.
#[must_use]
pub fn data(flags: u16, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a payload of less than 4 GiB");
    [&Header { kind: DATA, flags, stream, length }.encode()[..], payload].concat()
}

/// Finds the headers in one direction of a connection, however its bytes are cut into pieces.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    header: Vec<u8>,
    payload: u32,
}

impl Splitter {
    /// Takes the next bytes, and returns the headers that are complete now.
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<Header> {
        let mut headers = Vec::new();
        while !bytes.is_empty() {
            let skipped = bytes.len().min(self.payload as usize);
            self.payload -= skipped as u32;
            bytes = &bytes[skipped..];
            let count = bytes.len().min(HEADER_BYTES - self.header.len());
            self.header.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if let Ok(header) = <[u8; HEADER_BYTES]>::try_from(self.header.as_slice()) {
                let header = Header::decode(header);
                self.header.clear();
                if header.kind == DATA {
                    self.payload = header.length;
                }
                headers.push(header);
            }
        }
        headers
    }
}
