//! The whole core, by its bytes. Frames are written and read here by hand, so that the core is not its own judge.

mod closing;
#[cfg(feature = "compression")]
mod compression;
mod keepalive;
mod limits;
mod properties;
mod receiving;
mod sending;

use std::io;
use std::time::Duration;

use wavetank_runtime::Instant;

use super::*;
use crate::{Cause, CloseCode, CloseFrame, Closed, Config, Message};

const SEED: [u8; 32] = [7; 32];
const START: Instant = Instant::from_nanos(0);
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
/// First fragments and continuations.
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const GOES_ON: u8 = 0x00;
const ENDS: u8 = 0x80;

fn at(seconds: u64) -> Instant {
    START + Duration::from_secs(seconds)
}

fn client() -> Connection {
    with(Role::Client, Config::default())
}

fn server() -> Connection {
    with(Role::Server, Config::default())
}

fn with(role: Role, config: Config) -> Connection {
    Connection::new(role, config, None, SEED, START)
}

/// A frame as a server sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ ..126 => bytes.push(length as u8),
        length @ ..65_536 => {
            bytes.push(126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// A frame as a client sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut bytes = frame(first, payload);
    let head = bytes.len() - payload.len();
    bytes[1] |= 0x80;
    for (byte, mask) in bytes[head..].iter_mut().zip(MASK.iter().cycle()) {
        *byte ^= mask;
    }
    bytes.splice(head..head, MASK);
    bytes
}

fn frames<const N: usize>(frames: [(u8, &[u8]); N]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect()
}

fn close_body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

fn feed(connection: &mut Connection, bytes: &[u8]) {
    connection.input().extend_from_slice(bytes);
    connection.process(START);
    while connection.receiver.is_paused() {
        connection.process(START);
    }
}

/// Writes all output, and returns its frames: first byte and unmasked payload.
fn written(connection: &mut Connection) -> Vec<(u8, Vec<u8>)> {
    let bytes = connection.output().to_vec();
    connection.output_written(bytes.len(), &|| START);
    parsed(&bytes)
}

fn parsed(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (length, rest) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(rest[..2].try_into().unwrap())), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            short => (usize::from(short), rest),
        };
        let (mask, rest) = if second & 0x80 == 0 { ([0; 4].as_slice(), rest) } else { rest.split_at(4) };
        let payload =
            rest[..length].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        frames.push((*first, payload));
        bytes = &rest[length..];
    }
    assert_eq!(bytes, b"", "the output is whole frames");
    frames
}

/// Takes all messages as a driver does it.
fn messages(connection: &mut Connection) -> Vec<Message> {
    std::iter::from_fn(|| take(connection, Connection::recv_message)).collect()
}

/// Takes what there is, and goes on with input for which there is room then.
fn take<T>(connection: &mut Connection, take: fn(&mut Connection) -> Option<T>) -> Option<T> {
    let taken = take(connection);
    if connection.has_input_left() {
        connection.process(START);
    }
    taken
}

/// The code of the only frame in the output, which is a Close.
fn close_code_written(connection: &mut Connection) -> u16 {
    match written(connection).as_slice() {
        [(CLOSE, body)] => u16::from_be_bytes([body[0], body[1]]),
        other => panic!("not one Close: {other:x?}"),
    }
}

/// The outcome of a connection whose transport ends now.
fn outcome(connection: &mut Connection) -> Closed {
    connection.end_of_input(START);
    connection.closed().expect("the end of the transport ends the connection").clone()
}

/// Feeds `bytes` to a client whose application takes all messages, and asserts that it fails the connection for
/// `violation` at the last of them, no earlier.
#[track_caller]
fn assert_violation(bytes: &[u8], violation: Violation) {
    let mut connection = client();
    let (last, before) = bytes.split_last().unwrap();
    feed(&mut connection, before);
    messages(&mut connection);
    assert_eq!(connection.state(), State::Open, "failed early");
    feed(&mut connection, &[*last]);
    assert_eq!(connection.state(), State::Closing, "not failed");
    let code = written(&mut connection).pop().map(|(_, body)| u16::from_be_bytes([body[0], body[1]]));
    assert_eq!(code, Some(violation.code().get()));
    assert_eq!(outcome(&mut connection).cause, Cause::Violation { what: violation });
}
