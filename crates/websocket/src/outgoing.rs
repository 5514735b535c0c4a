//! What the `send` of both clients takes.

use crate::protocol::{Part, Piece};
use crate::{Kind, Message};

/// What the clients send: a `&str`, a `&[u8]`, or a [`Message`], borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
    compress: Option<bool>,
}

impl<'a> Outgoing<'a> {
    const fn new(kind: Kind, payload: &'a [u8]) -> Self {
        Self { kind, payload, compress: None }
    }

    /// Sets whether to compress this message, where compression is agreed on, whatever its length. Default: if it has
    /// at least [`Compression::threshold`](crate::Compression::threshold) bytes.
    ///
    /// Do not compress secrets together with text of an attacker: the length would reveal them.
    #[must_use]
    pub const fn compressed(self, compress: bool) -> Self {
        Self { compress: Some(compress), ..self }
    }

    /// As a data frame that is a whole message.
    pub(crate) fn whole(self) -> Piece<'a> {
        Piece { kind: self.kind, payload: self.payload, part: Part::Whole, compress: self.compress }
    }
}

impl<'a> From<&'a str> for Outgoing<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(Kind::Text, text.as_bytes())
    }
}

impl<'a> From<&'a String> for Outgoing<'a> {
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl<'a> From<&'a [u8]> for Outgoing<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(Kind::Binary, bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Outgoing<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Outgoing<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl<'a> From<&'a Message> for Outgoing<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            Message::Text(text) => text.as_str().into(),
            Message::Binary(bytes) => (&**bytes).into(),
        }
    }
}
