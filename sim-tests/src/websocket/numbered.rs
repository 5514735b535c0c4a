//! Numbered messages, which show that none is lost, doubled or out of order.

use std::io;

use wavetank_runtime::Runtime;

use super::frames::{BINARY, CLOSE};
use super::{Log, Peer, scripts};

/// Returns the message with this number, padded to a length so that buffers fill soon.
#[must_use]
pub fn numbered(number: u32, bytes: usize) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.resize(bytes.max(4), 7);
    message
}

/// Returns the number of a message.
///
/// # Panics
///
/// If it has none.
#[must_use]
pub fn number_of(message: &[u8]) -> u32 {
    u32::from_be_bytes(*message.first_chunk().expect("a number"))
}

/// Reads numbered messages into `log`. Answers the Close, if there is one.
///
/// # Errors
///
/// The stream's.
pub async fn log_all<R: Runtime>(mut peer: Peer<R>, log: Log<u32>) -> io::Result<()> {
    while let Some(frame) = peer.input.frame().await? {
        match frame.opcode {
            BINARY => log.push(number_of(&frame.payload)),
            CLOSE => return scripts::say_goodbye(peer, &frame.payload).await,
            _ => {}
        }
    }
    Ok(())
}
