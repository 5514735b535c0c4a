//! Openings as their drivers see them: bytes in, bytes and outcomes out.

mod client;
#[cfg(feature = "proxies")]
mod proxies;
mod redirects;
mod server;
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tls;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::session::Session;
use crate::{Config, Message};
use wavetank_runtime::Instant;

const NOW: Instant = Instant::from_nanos(1_000_000);

/// A text frame of a server: "Hello" (RFC 6455, section 5.7).
const HELLO: &[u8] = &[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
/// The same of a client.
const MASKED_HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

fn open(request: ClientRequest) -> Opening {
    Opening::new(request, Config::default(), [7; 32], NOW).unwrap()
}

fn request(url: &str) -> ClientRequest {
    ClientRequest::new(url).unwrap()
}

/// What an opening has to write, written.
fn written(opening: &mut Opening) -> Vec<u8> {
    let bytes = opening.output().to_vec();
    opening.output_written(bytes.len());
    bytes
}

fn written_text(opening: &mut Opening) -> String {
    String::from_utf8(written(opening)).unwrap()
}

fn feed(opening: &mut Opening, bytes: &[u8]) -> Step {
    opening.input().extend_from_slice(bytes);
    opening.process(NOW)
}

/// The value of a header of a request, unchanged.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A valid answer to a request, with more headers.
fn acceptance(request: &str, headers: &str) -> String {
    let accept = digest::accept(value(request, "Sec-WebSocket-Key").unwrap().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
    )
}

fn failure(step: Step) -> OpenError {
    match step {
        Step::Failed(error) => error,
        other => panic!("this did not fail: {other:?}"),
    }
}

fn done(step: Step) -> (Session, Response) {
    match step {
        Step::Done(session, response) => (*session, response),
        other => panic!("this is not done: {other:?}"),
    }
}

fn received(session: &mut Session) -> Option<Message> {
    session.process(NOW);
    session.connection_mut().recv_message()
}

/// Every text is "Hello".
fn assert_hello(session: &mut Session) {
    assert_eq!(format!("{:?}", received(session).unwrap()), format!("{:?}", Message::text("Hello")));
}

/// Cuts `bytes` at random.
fn pieces(bytes: &[u8], chance: &mut StdRng) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(chance.random_range(1..=rest.len().min(40)));
        pieces.push(piece.to_vec());
        rest = tail;
    }
    pieces
}

fn chance(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
