//! A conversation that is cut after each number of bytes in turn. Both suites use it.

use std::io;
use std::time::Duration;

use wavetank::{Host, Sim, sometimes};
use wavetank_runtime::Runtime;

use super::frames::{self, CONTINUATION, PING, TEXT};
use super::opening::{Opening, answer_length, serve_each};
use super::peer::Peer;
use super::{Cut, End};

/// What the server sends after its answer: frames, and the message that each of them ends.
fn frames_and_messages() -> Vec<(Vec<u8>, Option<String>)> {
    let long = "x".repeat(130);
    vec![
        (frames::frame(TEXT, b"whole"), Some("whole".to_owned())),
        (frames::fragment(TEXT, false, b"in "), None),
        (frames::frame(PING, b"?"), None),
        (frames::fragment(CONTINUATION, true, b"pieces"), Some("in pieces".to_owned())),
        (frames::frame(TEXT, long.as_bytes()), Some(long)),
        (frames::frame(TEXT, b""), Some(String::new())),
        (frames::close(1000, "done"), None),
    ]
}

fn all_bytes() -> Vec<u8> {
    frames_and_messages().into_iter().flat_map(|(bytes, _)| bytes).collect()
}

/// Returns what has arrived after `count` bytes: the whole messages, whether a message or a frame is incomplete, and
/// whether the Close has arrived.
#[must_use]
pub fn arrived(count: u64) -> (Vec<String>, bool, bool) {
    let (mut messages, mut end, mut inside) = (Vec::new(), 0, false);
    for (bytes, message) in frames_and_messages() {
        let begin = end;
        end += bytes.len() as u64;
        if count < end {
            return (messages, inside || count > begin, false);
        }
        inside = match bytes[0] {
            0x01 => true,
            0x80 => false,
            _ => inside,
        };
        messages.extend(message);
    }
    (messages, false, true)
}

/// Adds a server that cuts its stream after 0 bytes on the first connection, after 1 on the second, and so on. It does
/// not cut the last connection.
pub fn server_that_is_cut(sim: &mut Sim, how: End) {
    sim.server("server", move |host| {
        let opening = move |number| Opening { cut: Some(Cut { after: number, how }), ..Opening::default() };
        serve_each(host, opening, |mut peer: Peer<Host>| async move {
            // If only sending is cut, the server continues to read.
            let _ = peer.output.send(&all_bytes()).await;
            peer.input.end().await
        })
    });
}

/// Returns how many connections it takes.
#[must_use]
pub fn cuts() -> u64 {
    answer_length() + all_bytes().len() as u64 + 1
}

/// Sends all of it, a message every millisecond, and reads.
///
/// # Errors
///
/// The stream's.
pub async fn converse_slowly<R: Runtime>(mut peer: Peer<R>) -> io::Result<()> {
    for (bytes, message) in frames_and_messages() {
        peer.output.send(&bytes).await?;
        if message.is_some() {
            peer.host.sleep(Duration::from_millis(1)).await;
        }
    }
    peer.input.end().await
}

/// Checks what was delivered of a conversation that the network has reset somewhere: nothing, a part, or all of it.
///
/// # Panics
///
/// If a message in between is missing, or one is out of order.
pub fn delivered_before_a_reset(messages: &[String]) {
    let (whole, ..) = arrived(u64::MAX);
    assert_eq!(*messages, whole[..messages.len()], "in order, and once");
    sometimes!(messages.is_empty(), "the reset comes before every message");
    sometimes!(!messages.is_empty() && messages.len() < whole.len(), "the reset comes between the messages");
    sometimes!(messages.len() == whole.len(), "the reset comes after every message");
}
