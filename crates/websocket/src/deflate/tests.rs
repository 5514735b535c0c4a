//! Compression as messages see it: round trips, takeover, windows, limits while inflating, and what negotiation
//! agrees on.

use bytes::BytesMut;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::compressor::TAIL;
use super::*;

const PLENTY: usize = 1 << 24;

fn compressed(compressor: &mut Compressor, message: &[u8]) -> BytesMut {
    let mut output = BytesMut::new();
    compressor.compress(message, true, &mut output);
    output
}

fn inflated(decompressor: &mut Decompressor, payload: &[u8]) -> Result<BytesMut, InflateError> {
    let mut output = BytesMut::new();
    decompressor.decompress(payload, true, &mut output, PLENTY, PLENTY)?;
    Ok(output)
}

/// Words and noise in turn, with matches both near and far.
fn message(chance: &mut StdRng, length: usize) -> Vec<u8> {
    let mut message = Vec::new();
    while message.len() < length {
        match chance.random_range(0..3) {
            0 => message.extend_from_slice(b"the quick brown fox jumps over the lazy dog"),
            1 => message.extend((0..40).map(|_| chance.random::<u8>())),
            _ if message.is_empty() => message.push(7),
            _ => {
                let start = chance.random_range(0..message.len());
                let copy = message[start..].iter().take(200).copied().collect::<Vec<_>>();
                message.extend(copy);
            }
        }
    }
    message.truncate(length);
    message
}

#[test]
fn every_level_window_and_takeover_round_trips() {
    let mut chance = StdRng::seed_from_u64(1);
    for bits in 8..=15 {
        for level in 0..=9 {
            for takeover in [false, true] {
                let mut compressor = Compressor::new(bits, takeover, level);
                let mut decompressor = Decompressor::new(takeover);
                for length in [0, 1, 31, 32, 33, 63, 64, 65, 127, 1000, 0, 70_000] {
                    let message = message(&mut chance, length);
                    let payload = compressed(&mut compressor, &message);
                    assert!(!payload.is_empty());
                    assert_eq!(inflated(&mut decompressor, &payload).unwrap(), message);
                }
            }
        }
    }
}

#[test]
fn a_window_of_the_agreed_size_inflates() {
    // The crate's own decompressor has all 15 bits: only a small one notices distances that are too far.
    let mut chance = StdRng::seed_from_u64(2);
    for bits in 9..=15 {
        for level in 1..=9 {
            let mut compressor = Compressor::new(bits, true, level);
            let mut strict = flate2::Decompress::new_with_window_bits(false, bits);
            for _ in 0..4 {
                let message = message(&mut chance, 50_000);
                let mut payload = compressed(&mut compressor, &message);
                payload.extend_from_slice(&TAIL);
                let mut output = vec![0; message.len() + 1];
                let before = strict.total_out();
                strict.decompress(&payload, &mut output, flate2::FlushDecompress::Sync).unwrap();
                assert_eq!(strict.total_out() - before, 50_000, "{bits} bits, level {level}");
            }
        }
    }
}

#[test]
fn the_examples_of_the_rfc_inflate_and_compress() {
    // RFC 7692, section 7.2.3.1 and 7.2.3.2.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let mut compressor = Compressor::new(15, true, 6);
    assert_eq!(compressed(&mut compressor, b"Hello")[..], hello);
    assert_eq!(compressed(&mut compressor, b"Hello")[..], again);
    let mut decompressor = Decompressor::new(true);
    assert_eq!(inflated(&mut decompressor, &hello).unwrap(), &b"Hello"[..]);
    assert_eq!(inflated(&mut decompressor, &again).unwrap(), &b"Hello"[..]);
    // 7.2.3.3: without compression; 7.2.3.5: two blocks.
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    assert_eq!(inflated(&mut decompressor, &stored).unwrap(), &b"Hello"[..]);
    let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflated(&mut decompressor, &two).unwrap(), &b"Hello"[..]);
}

#[test]
fn without_takeover_every_message_is_the_first() {
    let mut compressor = Compressor::new(15, false, 6);
    let first = compressed(&mut compressor, b"Hello");
    assert_eq!(compressed(&mut compressor, b"Hello"), first);
}

#[test]
fn an_empty_message_is_one_zero_octet() {
    // RFC 7692, section 7.2.3.6.
    let mut compressor = Compressor::new(15, true, 6);
    assert_eq!(compressed(&mut compressor, b"")[..], [0x00]);
    let mut decompressor = Decompressor::new(true);
    assert_eq!(inflated(&mut decompressor, &[0x00]).unwrap(), &b""[..]);
    let hello = compressed(&mut compressor, b"Hello");
    assert_eq!(inflated(&mut decompressor, &hello).unwrap(), &b"Hello"[..]);
}

#[test]
fn bfinal_blocks_and_the_messages_after_them_inflate() {
    // RFC 7692, section 7.2.3.4; the second without the octet that the section demands.
    let by_the_book = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    for takeover in [false, true] {
        for payload in [&by_the_book[..], &by_the_book[..7]] {
            let mut decompressor = Decompressor::new(takeover);
            for _ in 0..3 {
                assert_eq!(inflated(&mut decompressor, payload).unwrap(), &b"Hello"[..]);
                let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
                assert_eq!(inflated(&mut decompressor, &hello).unwrap(), &b"Hello"[..]);
            }
        }
    }
}

#[test]
fn an_empty_payload_inflates_to_an_empty_message() {
    let mut decompressor = Decompressor::new(true);
    assert_eq!(inflated(&mut decompressor, b"").unwrap(), &b""[..]);
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(inflated(&mut decompressor, &hello).unwrap(), &b"Hello"[..]);
}

#[test]
fn messages_inflate_piece_by_piece() {
    let mut chance = StdRng::seed_from_u64(3);
    let mut compressor = Compressor::new(12, true, 6);
    let mut decompressor = Decompressor::new(true);
    for _ in 0..20 {
        let pieces = (0..chance.random_range(1..5)).map(|_| {
            let length = chance.random_range(0..3_000);
            message(&mut chance, length)
        });
        let pieces = pieces.collect::<Vec<_>>();
        let mut output = BytesMut::new();
        let mut expected = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let last = index + 1 == pieces.len();
            let mut payload = BytesMut::new();
            compressor.compress(piece, last, &mut payload);
            expected.extend_from_slice(piece);
            decompressor.decompress(&payload, last, &mut output, PLENTY, PLENTY).unwrap();
            assert_eq!(output, expected);
        }
    }
}

#[test]
fn frames_may_cut_compressed_data_anywhere() {
    let mut chance = StdRng::seed_from_u64(4);
    let text = message(&mut chance, 2_000);
    let payload = compressed(&mut Compressor::new(15, true, 6), &text);
    let mut decompressor = Decompressor::new(true);
    for cut in 0..=payload.len() {
        let mut output = BytesMut::new();
        decompressor.decompress(&payload[..cut], false, &mut output, PLENTY, PLENTY).unwrap();
        decompressor.decompress(&payload[cut..], true, &mut output, PLENTY, PLENTY).unwrap();
        assert_eq!(output, text);
    }
}

#[test]
fn inflating_stops_at_the_limit() {
    let zeros = vec![0; 1 << 22];
    let bomb = compressed(&mut Compressor::new(15, true, 9), &zeros);
    assert!(bomb.len() < 8_192);
    for limit in [0, 1, 1_000, (1 << 22) - 1] {
        let mut output = BytesMut::new();
        let result = Decompressor::new(true).decompress(&bomb, true, &mut output, limit, PLENTY);
        assert_eq!(result, Err(InflateError::TooLarge), "{limit}");
        assert!(output.len() <= limit);
        assert!(output.capacity() <= 2 * limit + 65_536, "{limit}: {}", output.capacity());
    }
    let mut output = BytesMut::new();
    Decompressor::new(true).decompress(&bomb, true, &mut output, 1 << 22, PLENTY).unwrap();
    assert_eq!(output, zeros);
}

/// Inflates in steps of about `most` bytes, and returns the output or the error, and the longest step.
fn in_steps(
    takeover: bool,
    payload: &[u8],
    limit: usize,
    most: usize,
) -> (Result<BytesMut, InflateError>, usize) {
    let mut decompressor = Decompressor::new(takeover);
    let (mut output, mut rest, mut longest) = (BytesMut::new(), payload, 0);
    loop {
        let before = output.len();
        let result = decompressor.decompress(rest, true, &mut output, limit, most);
        longest = longest.max(output.len() - before);
        match result {
            Ok(Progress { done: true, .. }) => return (Ok(output), longest),
            Ok(Progress { read, .. }) => rest = &rest[read..],
            Err(error) => return (Err(error), longest),
        }
    }
}

#[test]
fn inflating_in_steps_gives_the_same() {
    let mut chance = StdRng::seed_from_u64(6);
    for length in [0, 1, 100, 65_536, 131_072, 300_000] {
        for text in [vec![7; length], message(&mut chance, length)] {
            for takeover in [false, true] {
                let payload = compressed(&mut Compressor::new(15, takeover, 6), &text);
                for most in [1, 1_000, 65_536] {
                    let (output, longest) = in_steps(takeover, &payload, PLENTY, most);
                    assert_eq!(output.unwrap(), text);
                    assert!(longest <= most + 65_536, "{longest} bytes in a step of {most}");
                }
                let short = in_steps(takeover, &payload, length.saturating_sub(1), 1_000).0;
                assert_eq!(short.is_err(), length > 0, "the limit holds over all steps");
            }
        }
    }
}

#[test]
fn noise_never_panics_and_is_called_corrupt() {
    let mut chance = StdRng::seed_from_u64(5);
    let mut corrupt = 0;
    for _ in 0..5_000 {
        let noise = (0..chance.random_range(0..200)).map(|_| chance.random::<u8>()).collect::<Vec<_>>();
        let mut output = BytesMut::new();
        let mut decompressor = Decompressor::new(chance.random::<bool>());
        match decompressor.decompress(&noise, true, &mut output, 10_000, PLENTY) {
            Err(InflateError::Corrupt) => corrupt += 1,
            Err(InflateError::TooLarge) | Ok(_) => {}
        }
        assert!(output.len() <= 10_000);
    }
    assert!(corrupt > 2_500, "{corrupt}");
}

#[test]
fn at_eight_bits_nothing_is_compressed() {
    let parameters =
        Parameters { client_max_window_bits: 8, server_max_window_bits: 8, ..Parameters::default() };
    assert!(parameters.compressor(Role::Client, 6).is_none());
    assert!(parameters.compressor(Role::Server, 6).is_none());
    let repetitive = vec![b'a'; 3_000];
    assert!(compressed(&mut Compressor::new(8, true, 6), &repetitive).len() >= 3_000);
}

#[test]
fn each_role_inflates_what_the_other_compresses() {
    let parameters = Parameters { client_no_context_takeover: true, ..Parameters::default() };
    let mut client = parameters.compressor(Role::Client, 6).unwrap();
    assert_eq!(compressed(&mut client, b"Hello"), compressed(&mut client, b"Hello"));
    let mut server = parameters.compressor(Role::Server, 6).unwrap();
    let mut receiver = parameters.decompressor(Role::Client).unwrap();
    let first = compressed(&mut server, b"Hello");
    let second = compressed(&mut server, b"Hello");
    assert_ne!(first, second);
    assert_eq!(inflated(&mut receiver, &first).unwrap(), &b"Hello"[..]);
    assert_eq!(inflated(&mut receiver, &second).unwrap(), &b"Hello"[..]);
}
