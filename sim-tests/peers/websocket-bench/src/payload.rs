//! What is sent and received: one payload, ready in each form that a contender takes, and its frames on the wire.

use bytes::Bytes;

/// Text or binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ASCII, which receivers check to be UTF-8.
    Text,
    /// Bytes that are not UTF-8.
    Binary,
}

/// A message. The application keeps it: sending must leave it as it is.
#[derive(Debug, Clone)]
pub struct Payload {
    /// Text or binary.
    pub kind: Kind,
    /// The payload.
    pub bytes: Bytes,
    /// The same as tungstenite wants text, validated beforehand; empty for binary.
    pub text: tungstenite::Utf8Bytes,
}

impl Payload {
    /// Makes a payload of `length` bytes.
    pub fn new(kind: Kind, length: usize) -> Self {
        let sample: &[u8] = match kind {
            Kind::Text => br#"{"id":48213,"side":"buy","price":"64123.50","note":"as agreed"},"#,
            Kind::Binary => b"\x00\xff\x80\xfe\x01\xc0\xc1\xf5\xf8\x1b\x93\xa4\xd0\xe7\x7f\xee",
        };
        let bytes: Bytes = sample.iter().copied().cycle().take(length).collect::<Vec<u8>>().into();
        let text = match kind {
            Kind::Text => bytes.clone().try_into().expect("the sample is ASCII"),
            Kind::Binary => tungstenite::Utf8Bytes::default(),
        };
        Self { kind, bytes, text }
    }

    /// Makes a payload of `text`.
    pub fn text(text: &str) -> Self {
        Self { kind: Kind::Text, bytes: Bytes::copy_from_slice(text.as_bytes()), text: text.into() }
    }

    /// The message as a server sends it: one unmasked frame.
    pub fn server_frame(&self) -> Vec<u8> {
        let opcode = match self.kind {
            Kind::Text => 0x81,
            Kind::Binary => 0x82,
        };
        let length = self.bytes.len();
        let mut frame = vec![opcode];
        match length {
            0..126 => frame.push(length as u8),
            126..65_536 => {
                frame.push(126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&self.bytes);
        frame
    }

    /// As many whole frames as make at least `length` bytes, so that readers meet frames cut at every place.
    pub fn server_frames(&self, length: usize) -> Bytes {
        let frame = self.server_frame();
        frame.repeat(length.div_ceil(frame.len())).into()
    }
}
