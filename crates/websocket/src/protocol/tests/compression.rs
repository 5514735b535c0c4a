//! RFC 7692 on connections: RSV1, which messages are compressed, limits and UTF-8 of what was inflated.

use super::*;
use crate::Limit;
use crate::deflate::Parameters;

fn pair(config: &Config) -> (Connection, Connection) {
    let connection = |role| Connection::new(role, config.clone(), Some(Parameters::default()), SEED, START);
    (connection(Role::Client), connection(Role::Server))
}

fn eager() -> Config {
    let mut config = Config::default();
    config.compression.threshold = 0;
    config
}

fn transfer(from: &mut Connection, to: &mut Connection) {
    let bytes = from.output().to_vec();
    from.output_written(bytes.len(), &|| START);
    feed(to, &bytes);
}

#[test]
fn messages_from_the_threshold_on_are_compressed() {
    let (mut client, mut server) = pair(&Config::default());
    let long = "abcdefgh".repeat(32);
    for text in ["", "short", &long[1..], &long] {
        client.send(Kind::Text, text.as_bytes()).unwrap();
    }
    let sent = parsed(client.output());
    assert_eq!(sent.iter().map(|(first, _)| *first).collect::<Vec<_>>(), [TEXT, TEXT, TEXT, TEXT | 0x40]);
    assert!(sent[3].1.len() < 32);
    transfer(&mut client, &mut server);
    assert_eq!(messages(&mut server), ["", "short", &long[1..], &long].map(Message::text));
}

#[test]
fn only_the_first_compressed_fragment_has_rsv1() {
    let (mut client, mut server) = pair(&eager());
    for (piece, last) in [(&b"one "[..], false), (b"", false), ("dré".as_bytes(), true)] {
        client.send_fragment(Kind::Text, piece, last).unwrap();
    }
    let firsts: Vec<u8> = parsed(client.output()).iter().map(|(first, _)| *first).collect();
    assert_eq!(firsts, [TEXT_BEGINS | 0x40, GOES_ON, ENDS]);
    transfer(&mut client, &mut server);
    assert_eq!(messages(&mut server), [Message::text("one dré")]);
}

#[test]
fn alternating_compression_keeps_messages_intact() {
    let mut config = Config::default();
    config.compression.threshold = 50;
    let (mut client, mut server) = pair(&config);
    let mut expected = Vec::new();
    for round in 0..50usize {
        let message = format!("{{\"round\":{round}}}").repeat(1 + round % 7);
        server.send(Kind::Text, message.as_bytes()).unwrap();
        expected.push(Message::from(message));
    }
    transfer(&mut server, &mut client);
    assert_eq!(messages(&mut client), expected);
}

#[test]
fn an_empty_message_survives_compression() {
    let (mut client, mut server) = pair(&eager());
    for payload in [&b""[..], b"x", b""] {
        client.send(Kind::Binary, payload).unwrap();
    }
    assert_eq!(parsed(client.output())[0], (BINARY | 0x40, vec![0]));
    transfer(&mut client, &mut server);
    assert_eq!(messages(&mut server), [&b""[..], b"x", b""].map(Message::from));
}

#[test]
fn rsv1_on_continuations_and_controls_fails_the_connection() {
    for bytes in [frame(PING | 0x40, b""), frames([(TEXT_BEGINS | 0x40, b""), (ENDS | 0x40, b"")])] {
        let (mut client, _) = pair(&eager());
        feed(&mut client, &bytes);
        assert_eq!(close_code_written(&mut client), 1002);
        let violation = Violation::CompressedContinuationOrControl;
        assert_eq!(outcome(&mut client).cause, Cause::Violation { what: violation });
        assert_eq!(violation.section(), "RFC 7692, section 6");
    }
}

#[test]
fn the_message_limit_counts_all_inflated_fragments() {
    let mut config = eager();
    config.limits.message = 1000;
    for pieces in [vec![1001], vec![600, 401]] {
        let (mut client, mut server) = pair(&config);
        client.send(Kind::Binary, &[0; 1000]).unwrap();
        for (index, piece) in pieces.iter().enumerate() {
            client.send_fragment(Kind::Binary, &vec![0; *piece], index + 1 == pieces.len()).unwrap();
        }
        transfer(&mut client, &mut server);
        assert_eq!(messages(&mut server).len(), 1);
        assert_eq!(close_code_written(&mut server), 1009);
        assert_eq!(outcome(&mut server).cause, Cause::LimitExceeded { limit: Limit::Message, allowed: 1000 });
    }
}

#[test]
fn inflated_text_is_validated_across_fragments() {
    for (first, second, valid) in
        [(&b"a\xc3"[..], &b"\xa9"[..], true), (b"a\xc3", b"b", false), (b"", b"\xc3", false)]
    {
        let (mut client, mut server) = pair(&eager());
        client.send_fragment(Kind::Text, first, false).unwrap();
        client.send_fragment(Kind::Text, second, true).unwrap();
        transfer(&mut client, &mut server);
        assert_eq!(server.state() == State::Open, valid);
        if !valid {
            assert_eq!(close_code_written(&mut server), 1007);
        }
    }
}

#[test]
fn bytes_that_do_not_inflate_fail_the_connection() {
    let (mut client, _) = pair(&eager());
    feed(&mut client, &frame(TEXT | 0x40, &[0xff; 20]));
    assert_eq!(close_code_written(&mut client), 1007);
    assert_eq!(outcome(&mut client).cause, Cause::Violation { what: Violation::CorruptCompression });
}

#[test]
fn inflating_one_read_stops_at_a_full_queue() {
    const LENGTH: usize = 1 << 20;
    let mut config = eager();
    config.limits.message = LENGTH;
    let (mut client, mut server) = pair(&config);
    for _ in 0..60 {
        server.send(Kind::Binary, &[0; LENGTH]).unwrap();
    }
    assert!(server.output().len() < 65_536, "one read");
    transfer(&mut server, &mut client);
    let mut taken = 0;
    while let Some(message) = client.recv_message() {
        assert_eq!(message.as_bytes().len(), LENGTH);
        taken += 1;
        assert_eq!(client.statistics().messages_received, taken, "one waits, which is as much as may");
        assert!(!client.wants_read() || taken == 60);
        while client.has_input_left() {
            client.process(START);
        }
    }
    assert_eq!(taken, 60);
}

#[test]
fn a_message_may_say_whether_it_is_compressed() {
    let (mut client, mut server) = pair(&Config::default());
    let secret = "s".repeat(1000);
    client.put(crate::client::Outgoing::from(&*secret).compressed(false).whole()).unwrap();
    client.put(crate::client::Outgoing::from("short").compressed(true).whole()).unwrap();
    let firsts: Vec<u8> = parsed(client.output()).iter().map(|(first, _)| *first).collect();
    assert_eq!(firsts, [TEXT, TEXT | 0x40]);
    transfer(&mut client, &mut server);
    assert_eq!(messages(&mut server), [&*secret, "short"].map(Message::text));
}

#[test]
fn payloads_that_are_deflated_apart_arrive_whole() {
    let (mut client, mut server) = pair(&Config::default());
    let long: Vec<u8> = (0..200_000_u32).map(|index| (index / 7) as u8).collect();
    for give_up in [false, true, false] {
        let piece = crate::client::Outgoing::from(&long).whole();
        let mut deflating = client.begin_deflating(piece).unwrap();
        assert!(client.begin_deflating(piece).is_none(), "the compressor is lent");
        let mut parts = 1;
        while !deflating.advance(piece) {
            parts += 1;
            // Control frames go between the parts.
            client.ping(START).unwrap();
        }
        assert!(parts > 4, "{parts}");
        if give_up {
            client.give_up(deflating);
        } else {
            client.put_deflated(piece, deflating).unwrap();
        }
        client.send(Kind::Text, "between".repeat(50).as_bytes()).unwrap();
        transfer(&mut client, &mut server);
        let mut expected = vec![Message::text("between".repeat(50))];
        if !give_up {
            expected.insert(0, Message::binary(long.clone()));
        }
        assert_eq!(messages(&mut server), expected);
    }
}

#[test]
fn inflating_pauses_for_others_and_loses_nothing() {
    let (mut client, mut server) = pair(&eager());
    let long = vec![7; 1 << 20];
    for payload in [&long[..], b"short", &long[..]] {
        client.send(Kind::Binary, payload).unwrap();
    }
    client.ping_with(b"behind", START).unwrap();
    let bytes = client.output().to_vec();
    server.input().extend_from_slice(&bytes);
    let (mut turns, mut taken) = (0, Vec::new());
    while turns == 0 || server.has_input_left() {
        assert_eq!(turns > 0, !server.wants_read(), "nothing is read before the rest is processed");
        server.process(START);
        turns += 1;
        let inflated = server.take_inflated();
        assert!(inflated <= 4 << 16, "{inflated} bytes in one turn");
        taken.extend(std::iter::from_fn(|| server.recv_message()));
    }
    assert!(turns >= (2 << 20) / (4 << 16), "{turns} turns");
    assert_eq!(taken, [&long[..], b"short", &long[..]].map(|payload| Message::binary(payload.to_vec())));
    assert_eq!(written(&mut server), [(PONG, b"behind".to_vec())]);
    assert!(server.wants_read());
}

#[test]
fn a_pong_behind_a_pause_is_awaited() {
    let (mut client, mut server) = pair(&eager());
    server.handle_deadline(at(20));
    client.send(Kind::Binary, &vec![7; 1 << 20]).unwrap();
    let ping = server.output().to_vec();
    client.input().extend_from_slice(&ping);
    client.process(at(20));
    let bytes = client.output().to_vec();
    server.input().extend_from_slice(&bytes);
    server.process(at(39));
    assert!(server.has_input_left());
    server.handle_deadline(at(40));
    assert_eq!(server.state(), State::Open, "the pong is here, unread");
    while server.has_input_left() {
        server.process(at(41));
    }
    assert!(server.statistics().latency.is_some());
}

#[test]
fn the_earliest_failure_counts_however_turns_fall() {
    let mut config = eager();
    config.limits.message = 300_000;
    let (mut client, mut server) = pair(&config);
    let mut text = vec![b'a'; 1 << 20];
    text[200_000] = 0xff;
    client.send(Kind::Text, &text).unwrap();
    transfer(&mut client, &mut server);
    assert_eq!(close_code_written(&mut server), 1007);
}
