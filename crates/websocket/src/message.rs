//! What applications exchange: messages, and the pieces of messages.
//!
//! Payloads are shared, not copied: a message that was received in one uncompressed frame is a view of the buffer it
//! was read into, and keeps that buffer (64 KiB by default) alive. Copy a payload that you keep for long.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// A text whose bytes are valid UTF-8, shared without copying.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Bytes);

impl Text {
    /// Makes a text of bytes that the caller has validated.
    ///
    /// `bytes` must be valid UTF-8: every caller in this crate has validated them.
    pub(crate) fn from_validated(bytes: Bytes) -> Self {
        debug_assert!(std::str::from_utf8(&bytes).is_ok(), "a text is valid UTF-8");
        Self(bytes)
    }

    /// Returns the text.
    #[must_use]
    #[expect(
        unsafe_code,
        reason = "validating again at every look would cost more than receiving the message"
    )]
    pub fn as_str(&self) -> &str {
        // SAFETY: the only field is private, and every constructor either validates or takes a `str`
        // (`from_validated`: validated by its callers).
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }

    /// Returns the bytes of the text, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl TryFrom<Bytes> for Text {
    type Error = std::str::Utf8Error;

    /// Validates `bytes`; copies nothing.
    fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// Whether a message is text or binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text.
    Text(Text),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// Makes a text message.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::Text(text.into())
    }

    /// Makes a binary message.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self::Binary(data.into())
    }

    /// Returns whether the message is text or binary.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// Returns the payload, of either kind.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) => data,
        }
    }

    /// Returns the payload, of either kind, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(data) => data,
        }
    }

    /// Returns the text, or `None` for a binary message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Bytes> for Message {
    fn from(data: Bytes) -> Self {
        Self::Binary(data)
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Self::Binary(data.into())
    }
}

impl From<&[u8]> for Message {
    fn from(data: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(data))
    }
}

/// A piece of a message, in order, as a frame brought it (inflated; text may be cut inside a character).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// What the message is.
    pub kind: Kind,
    /// The piece; may be empty.
    pub data: Bytes,
    /// Whether it begins a message.
    pub first: bool,
    /// Whether it ends the message.
    pub last: bool,
}

impl Fragment {
    /// Makes a message of a fragment that is a whole one, and validated.
    pub(crate) fn into_message(self) -> Message {
        match self.kind {
            Kind::Text => Message::Text(Text::from_validated(self.data)),
            Kind::Binary => Message::Binary(self.data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_needs_valid_bytes_and_copies_none() {
        let bytes = Bytes::from_static("κόσμε".as_bytes());
        let text = Text::try_from(bytes.clone()).unwrap();
        assert_eq!(text, "κόσμε");
        assert_eq!(text.into_bytes().as_ptr(), bytes.as_ptr());
        assert!(Text::try_from(Bytes::from_static(b"\xce")).is_err());
    }

    #[test]
    fn messages_of_either_kind_show_their_payload() {
        assert_eq!(Message::from("a").kind(), Kind::Text);
        assert_eq!(Message::from("a").as_text(), Some("a"));
        assert_eq!(Message::from(vec![1]).as_text(), None);
        assert_eq!(Message::from(vec![1]).as_bytes(), [1]);
        assert_ne!(Message::from("a"), Message::from(&b"a"[..]));
    }
}
