//! What the `send` of both clients takes.

use crate::protocol::{Part, Piece};
use crate::{Kind, Message};

/// What the clients send: a `&str`, a `&[u8]`, or a [`Message`], borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
}

impl<'a> Outgoing<'a> {
    /// As a data frame that is a whole message.
    pub(crate) fn whole(self) -> Piece<'a> {
        Piece { kind: self.kind, payload: self.payload, part: Part::Whole }
    }
}

impl<'a> From<&'a str> for Outgoing<'a> {
    fn from(text: &'a str) -> Self {
        Self { kind: Kind::Text, payload: text.as_bytes() }
    }
}

impl<'a> From<&'a String> for Outgoing<'a> {
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl<'a> From<&'a [u8]> for Outgoing<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { kind: Kind::Binary, payload: bytes }
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
