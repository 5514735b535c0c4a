//! The messages of a soak. Each is a pure function of its session and its number, so that the echo can be checked.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use wavetank_websocket::{Kind, Message, Text};

/// Returns the message with this number. Most are short, some fill many segments, and half of their content repeats.
pub(super) fn message(session: u64, number: u64) -> Message {
    let mut chance = StdRng::seed_from_u64(session.wrapping_add(number));
    let length = match chance.random_range(0..50) {
        0 => chance.random_range(0..300_000),
        1..10 => chance.random_range(0..20_000),
        _ => chance.random_range(0..200),
    };
    let mut text = format!("{session:016x} {number} ");
    let repeats = chance.random::<bool>();
    text.extend((0..length).map(|_| if repeats { '.' } else { chance.random_range('!'..'~') }));
    if chance.random() { Message::Text(Text::from(text)) } else { Message::Binary(text.into_bytes().into()) }
}

/// Returns the kind of a message and its bytes.
pub(super) fn parts(message: &Message) -> (Kind, &[u8]) {
    match message {
        Message::Text(text) => (Kind::Text, text.as_bytes()),
        Message::Binary(bytes) => (Kind::Binary, bytes),
    }
}

/// Returns the size of a message, in bytes.
pub(super) fn bytes(message: &Message) -> u64 {
    parts(message).1.len() as u64
}
