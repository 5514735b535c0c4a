//! What holds for all input: how it is cut into reads does not matter, and nothing panics.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::Limits;
use crate::deflate::Parameters;

const ROUNDS: u64 = 3000;

fn limits() -> Limits {
    Limits { message: 2000, frame: 1500, fragments: 5, receive_queue_messages: 4, ..Limits::default() }
}

fn connection(role: Role, compressed: bool) -> Connection {
    let mut config = Config { limits: limits(), ..Config::default() };
    config.compression.threshold = 30;
    Connection::new(role, config, compressed.then(Parameters::default), SEED, START)
}

fn text(rng: &mut StdRng, length: usize) -> String {
    (0..length).map(|_| ['a', 'é', '€', '𝄞'][rng.random_range(0..4)]).collect()
}

/// What a peer of `role` may send: mostly valid, with an occasional change of a byte.
fn stream(role: Role, compressed: bool, rng: &mut StdRng) -> Vec<u8> {
    let peer = if role == Role::Client { Role::Server } else { Role::Client };
    let mut peer = connection(peer, compressed);
    for _ in 0..rng.random_range(0..12) {
        match rng.random_range(0..10) {
            0..3 => {
                let length = rng.random_range(0..60);
                peer.send(Kind::Text, text(rng, length).as_bytes()).unwrap();
            }
            3..5 => {
                let length = [3, 125, 126, 300, 1400, 1600][rng.random_range(0..6)];
                peer.send(Kind::Binary, &vec![rng.random(); length]).unwrap();
            }
            5..8 => {
                let length = rng.random_range(1..90);
                let bytes = text(rng, length).into_bytes();
                let pieces = rng.random_range(1..7);
                for piece in 0..pieces {
                    let range = bytes.len() * piece / pieces..bytes.len() * (piece + 1) / pieces;
                    peer.send_fragment(Kind::Text, &bytes[range], piece + 1 == pieces).unwrap();
                    if rng.random_bool(0.2) {
                        peer.ping(START).unwrap();
                    }
                }
            }
            8 => drop(peer.ping(START)),
            _ if rng.random_bool(0.3) => peer.close(CloseCode::NORMAL, &text(rng, 5), START),
            _ => {}
        }
        if peer.state() != State::Open {
            break;
        }
    }
    let mut bytes = peer.output().to_vec();
    if !bytes.is_empty() && rng.random_bool(0.5) {
        let index = rng.random_range(0..bytes.len());
        bytes[index] ^= 1 << rng.random_range(0..8);
    }
    bytes
}

#[derive(Debug, PartialEq)]
struct Seen {
    messages: Vec<Message>,
    output: Vec<u8>,
    closed: Closed,
}

/// Writes all there is to write.
fn write(connection: &mut Connection, written: &mut Vec<u8>) {
    written.extend_from_slice(connection.output());
    connection.output_written(connection.output().len(), &|| START);
}

/// Feeds `bytes` in reads that end at `cuts`, and takes out all there is after each.
fn run(mut connection: Connection, bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Seen {
    let (mut messages, mut output, mut start) = (Vec::new(), Vec::new(), 0);
    for cut in cuts.into_iter().chain([bytes.len()]) {
        feed(&mut connection, &bytes[start..cut]);
        start = cut;
        messages.extend(super::messages(&mut connection));
        write(&mut connection, &mut output);
    }
    let closed = outcome(&mut connection);
    assert_eq!(connection.output(), b"", "nothing is written after the end");
    Seen { messages, output, closed }
}

#[test]
fn splitting_input_into_reads_changes_nothing() {
    for seed in 0..ROUNDS {
        let rng = &mut StdRng::seed_from_u64(seed);
        let role = if rng.random() { Role::Client } else { Role::Server };
        let compressed = cfg!(feature = "compression") && rng.random();
        let bytes = stream(role, compressed, rng);

        let whole = run(connection(role, compressed), &bytes, []);
        let bytewise = run(connection(role, compressed), &bytes, 0..bytes.len());
        assert_eq!(whole, bytewise, "seed {seed}, bytewise");
        let mut cuts: Vec<usize> =
            (0..rng.random_range(1..8)).map(|_| rng.random_range(0..=bytes.len())).collect();
        cuts.sort_unstable();
        let random = run(connection(role, compressed), &bytes, cuts.iter().copied());
        assert_eq!(whole, random, "seed {seed}, cut at {cuts:?}");

        let closes = parsed(&whole.output).iter().filter(|(first, _)| *first == CLOSE).count();
        assert!(closes <= 1, "seed {seed}: {closes} Close frames");
    }
}

/// Feeds `bytes` in reads while reading is wanted, and takes messages one by one between.
fn run_slowly(mut connection: Connection, bytes: &[u8], rng: &mut StdRng) -> Seen {
    let (mut messages, mut output, mut start) = (Vec::new(), Vec::new(), 0);
    while start < bytes.len() {
        if connection.wants_read() && rng.random() {
            let end = rng.random_range(start..=bytes.len());
            feed(&mut connection, &bytes[start..end]);
            start = end;
        } else {
            let could_read = connection.wants_read();
            let taken = take(&mut connection, Connection::recv_message);
            assert!(taken.is_some() || could_read || connection.wants_read(), "nothing is going on");
            messages.extend(taken);
        }
        write(&mut connection, &mut output);
    }
    messages.extend(super::messages(&mut connection));
    write(&mut connection, &mut output);
    let closed = outcome(&mut connection);
    Seen { messages, output, closed }
}

#[test]
fn slow_taking_from_a_short_queue_changes_nothing() {
    for seed in 0..ROUNDS {
        let rng = &mut StdRng::seed_from_u64(seed);
        let role = if rng.random() { Role::Client } else { Role::Server };
        let compressed = cfg!(feature = "compression") && rng.random();
        let bytes = stream(role, compressed, rng);
        let whole = run(connection(role, compressed), &bytes, []);
        let mut config = Config { limits: limits(), ..Config::default() };
        config.limits.receive_queue_messages = rng.random_range(0..4);
        config.limits.receive_queue_bytes = [0, 1, 100, 1 << 20][rng.random_range(0..4)];
        let connection = Connection::new(role, config, compressed.then(Parameters::default), SEED, START);
        assert_eq!(whole, run_slowly(connection, &bytes, rng), "seed {seed}");
    }
}

#[test]
fn fragments_make_up_the_messages() {
    for seed in 0..ROUNDS / 3 {
        let rng = &mut StdRng::seed_from_u64(seed);
        let compressed = cfg!(feature = "compression") && rng.random();
        let bytes = stream(Role::Client, compressed, rng);
        let whole = run(connection(Role::Client, compressed), &bytes, []);

        let mut connection = connection(Role::Client, compressed);
        let (mut messages, mut unfinished) = (Vec::new(), Vec::new());
        for byte in bytes {
            feed(&mut connection, &[byte]);
            while let Some(fragment) = take(&mut connection, Connection::recv_fragment) {
                assert_eq!(fragment.first, unfinished.is_empty());
                unfinished.push(fragment.data);
                if fragment.last {
                    messages.push(std::mem::take(&mut unfinished).concat());
                }
            }
        }
        let expected: Vec<&[u8]> = whole.messages.iter().map(Message::as_bytes).collect();
        assert_eq!(messages, expected, "seed {seed}");
    }
}

#[test]
fn no_bytes_or_calls_panic_or_revive_connections() {
    for seed in 0..ROUNDS {
        let rng = &mut StdRng::seed_from_u64(seed);
        let role = if rng.random() { Role::Client } else { Role::Server };
        let compressed = cfg!(feature = "compression") && rng.random();
        let mut connection = connection(role, compressed);
        let mut now = START;
        let (mut closed, mut dropped): (Option<Closed>, bool) = (None, false);
        for _ in 0..40 {
            now += Duration::from_millis(rng.random_range(0..6000));
            match rng.random_range(0..16) {
                0..3 => {
                    let noise: Vec<u8> = (0..rng.random_range(0..40)).map(|_| rng.random()).collect();
                    connection.input().extend_from_slice(&noise);
                }
                3..6 => connection.input().extend_from_slice(&stream(role, compressed, rng)),
                6 => drop(connection.recv_message()),
                7 => drop(connection.recv_fragment()),
                8 => drop(connection.send(Kind::Text, b"abc")),
                9 => drop(connection.send_fragment(Kind::Binary, &[1; 50], rng.random())),
                10 => drop(connection.ping(now)),
                11 => connection.output_written(rng.random_range(0..=connection.output().len()), &|| now),
                12 if rng.random_bool(0.3) => connection.close(CloseCode::NORMAL, "é", now),
                13 if rng.random_bool(0.2) => connection.end_of_input(now),
                14 if rng.random_bool(0.1) => connection.write_failed(&io::ErrorKind::BrokenPipe.into(), now),
                15 if rng.random_bool(0.1) => {
                    connection.transport_failed(&io::ErrorKind::TimedOut.into(), now)
                }
                _ => connection.handle_deadline(now),
            }
            connection.process(now);
            if let Some(closed) = &closed {
                assert_eq!(connection.closed(), Some(closed), "seed {seed}: the outcome changed");
                assert_eq!(connection.output(), b"", "seed {seed}");
                let is_dropped = connection.transport() == Transport::Drop;
                assert_eq!(connection.deadline().is_none(), is_dropped, "seed {seed}");
                assert!(is_dropped || !dropped, "seed {seed}: the transport is dropped once and for all");
                dropped = is_dropped;
            }
            closed = connection.closed().cloned();
        }
        // Whatever happened, the end is bounded.
        connection.close(CloseCode::NORMAL, "", now);
        connection.handle_deadline(now + Duration::from_secs(10));
        assert_eq!(connection.state(), State::Closed, "seed {seed}");
        assert_eq!(connection.transport(), Transport::Drop, "seed {seed}");
    }
}
