//! What waits to be sent.

use std::collections::VecDeque;

use super::operations::OperationKey;
use crate::CloseFrame;

/// What is to be sent next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// A text message.
    Text(String),
    /// A WebSocket ping. Where the transport has none, call
    /// [`Connection::ping_unsupported`](super::Connection::ping_unsupported).
    Ping,
    /// The close frame, behind which nothing is sent. When the closing handshake is done, call
    /// [`Connection::handle_close_done`](super::Connection::handle_close_done).
    Close(CloseFrame),
}

/// Memory of an entry beside its text, as it is counted.
const ENTRY_BYTES: usize = 64;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A message of an operation.
    Operation(OperationKey),
    /// A ping, which asks for an answer.
    Ping,
    /// The connection.
    Connection,
}

#[derive(Debug)]
struct Entry {
    /// `None`: a ping frame.
    text: Option<String>,
    about: About,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.text.as_ref().map_or(0, String::len) + ENTRY_BYTES
    }

    fn is_of_operation(&self) -> bool {
        matches!(self.about, About::Operation(_))
    }
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    bytes: usize,
    ping_waits: bool,
    /// Messages of operations among the entries.
    of_operations: usize,
}

impl Outbox {
    /// Returns about how much memory waits.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns `true` while a message of an operation waits.
    pub(super) fn holds_operations(&self) -> bool {
        self.of_operations > 0
    }

    /// Returns `true` while a ping waits.
    pub(super) fn ping_waits(&self) -> bool {
        self.ping_waits
    }

    pub(super) fn push(&mut self, text: String, about: About) {
        self.add(Entry { text: Some(text), about });
    }

    pub(super) fn push_ping_frame(&mut self) {
        self.add(Entry { text: None, about: About::Ping });
    }

    fn add(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.ping_waits |= entry.about == About::Ping;
        self.of_operations += usize::from(entry.is_of_operation());
        self.entries.push_back(entry);
    }

    /// Takes the next, and what it is about.
    pub(super) fn pop(&mut self) -> Option<(Transmit, About)> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.bytes();
        if entry.about == About::Ping {
            self.ping_waits = false;
        }
        self.of_operations -= usize::from(entry.is_of_operation());
        Some((entry.text.map_or(Transmit::Ping, Transmit::Text), entry.about))
    }

    /// Drops the messages of an operation.
    pub(super) fn remove(&mut self, key: OperationKey) {
        let (bytes, of_operations) = (&mut self.bytes, &mut self.of_operations);
        self.entries.retain(|entry| {
            let keep = entry.about != About::Operation(key);
            if !keep {
                *bytes -= entry.bytes();
                *of_operations -= 1;
            }
            keep
        });
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
