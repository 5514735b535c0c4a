//! Sending: by many threads, in pieces, with a limit of time.

use std::time::Duration;

use wavetank_runtime::{Std, Threads};

use super::peer::{BINARY, PING, PONG, TEXT, connected};
use super::{LONG, millis, quiet, spawn};
use crate::{Error, Kind, Message};

#[test]
fn concurrent_senders_keep_messages_whole_and_ordered() {
    let (client, mut peer) = connected(quiet(LONG));
    const SENDERS: u32 = 4;
    const EACH: u32 = 300;
    let sending: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let client = client.clone();
            spawn(move || {
                for number in 0..EACH {
                    let mut payload = vec![sender as u8; 1000 + number as usize * 10];
                    payload.extend(number.to_be_bytes());
                    client.send(&payload).expect("an open connection");
                }
            })
        })
        .collect();
    let mut next = [0; SENDERS as usize];
    for _ in 0..SENDERS * EACH {
        let frame = peer.read();
        let (payload, number) = frame.payload.split_at(frame.payload.len() - 4);
        let sender = payload[0];
        assert!(payload.iter().all(|byte| *byte == sender), "one message is from one sender");
        assert_eq!(number, u32::to_be_bytes(next[usize::from(sender)]));
        next[usize::from(sender)] += 1;
    }
    for end in sending {
        end();
    }
}

#[cfg(feature = "compression")]
#[test]
fn a_close_during_compression_keeps_the_timeout() {
    use wavetank_runtime::BlockingListener as _;

    use super::peer::{Peer, answer, connect, listen};
    use crate::CloseCode;

    let mut config = quiet(LONG);
    config.compression().enabled(true).level(9);
    let (listener, address) = listen();
    let accepting = spawn(move || {
        let mut peer = Peer { stream: listener.accept().expect("a connection").0 };
        let answer = answer(&peer.read_request());
        let answer = answer.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
        peer.write(answer.as_bytes());
        peer
    });
    let client = connect(address, config).expect("a connection");
    let peer = accepting();
    let sender = client.clone();
    let sending = spawn(move || {
        let long: Vec<u8> = (0..16 << 20).map(|index: usize| ((index * index) >> 7) as u8).collect();
        let result = sender.send_timeout(&long, millis(50));
        (result, Std.now())
    });
    while !client.shared().lock().deflating {
        Std.sleep(millis(1));
    }
    let start = Std.now();
    let closer = client.clone();
    let closing = spawn(move || closer.close(CloseCode::NORMAL, ""));
    let (result, end) = sending();
    assert_eq!(result, Err(Error::Closing), "the peer does not answer");
    assert!(end - start < LONG / 2, "the call has waited for the close timeout");
    client.abort();
    assert!(!closing().is_clean());
    drop(peer);
}

#[cfg(target_os = "linux")]
#[test]
fn a_clients_socket_takes_few_unsent_bytes() {
    let (client, peer) = connected(quiet(millis(10)));
    let sender = client.clone();
    let sending = spawn(move || sender.send(&vec![1; 8 << 20]));
    Std.sleep(millis(300));
    let sent = client.statistics().bytes_sent;
    assert!(sent < 2 << 20, "{sent} bytes were taken for a peer that reads nothing");
    client.abort();
    assert!(sending().is_err());
    drop(peer);
}

#[test]
fn a_streamed_message_makes_other_senders_wait() {
    let (client, mut peer) = connected(quiet(LONG));
    let mut message = client.send_stream(Kind::Text).expect("an open connection");
    message.write(b"one ").expect("an open connection");
    let other = client.clone();
    let sending = spawn(move || other.send("other"));
    Std.sleep(millis(20));
    message.write(b"two ").expect("an open connection");
    message.finish(b"three").expect("an open connection");
    assert_eq!(sending(), Ok(()));
    client.send_fragments(Kind::Binary, [b"a", b"b"]).expect("an open connection");
    client.send_fragments(Kind::Binary, Vec::<Vec<u8>>::new()).expect("an open connection");
    let frames: Vec<_> =
        (0..7).map(|_| peer.read()).map(|frame| (frame.opcode, frame.fin, frame.payload)).collect();
    let expected: [(u8, bool, &[u8]); 7] = [
        (TEXT, false, b"one "),
        (0, false, b"two "),
        (0, true, b"three"),
        (TEXT, true, b"other"),
        (BINARY, false, b"a"),
        (0, true, b"b"),
        (BINARY, true, b""),
    ];
    for (frame, (opcode, fin, payload)) in frames.iter().zip(expected) {
        assert_eq!((frame.0, frame.1, &frame.2[..]), (opcode, fin, payload));
    }
}

#[test]
fn abandoning_a_streamed_message_closes_with_1011() {
    let (client, mut peer) = connected(quiet(LONG));
    drop(client.send_stream(Kind::Text).expect("an open connection"));
    let mut message = client.send_stream(Kind::Text).expect("an open connection");
    message.write(b"half").expect("an open connection");
    drop(message);
    let (before, code) = peer.read_to_close();
    assert_eq!((before.len(), code), (1, 1011));
    drop(peer);
    assert!(matches!(client.send("more"), Err(Error::Closed(_))));
}

#[test]
fn a_timed_out_send_writes_nothing() {
    let (client, mut peer) = connected(quiet(LONG));
    let mut sent = 0_u32;
    loop {
        let mut payload = vec![1; 64 * 1024];
        payload[..4].copy_from_slice(&sent.to_be_bytes());
        match client.send_timeout(&Message::from(payload), millis(100)) {
            Ok(()) => sent += 1,
            Err(error) => break assert_eq!(error, Error::TimedOut),
        }
    }
    let reading = spawn(move || {
        for number in 0..sent {
            assert_eq!(peer.read().payload[..4], number.to_be_bytes());
        }
        peer.read().payload
    });
    client.send("after").expect("an open connection");
    assert_eq!(reading(), b"after");
}

#[test]
fn what_one_sender_leaves_behind_the_writer_sends() {
    let (client, mut peer) = connected(quiet(LONG));
    // The first is in its write, the others put theirs behind it and return.
    let big = client.clone();
    let sending = spawn(move || big.send(&vec![0_u8; 8 << 20]));
    while client.shared().lock().write_permit.is_some() {
        Std.yield_now();
    }
    let message = Message::from("small");
    let timed_out = client.send_timeout(&message, millis(20));
    assert_eq!(timed_out, Err(Error::TimedOut), "a full write buffer has no room");
    let small = client.clone();
    let waiting = spawn(move || small.send(&message));
    assert_eq!(peer.read().payload.len(), 8 << 20);
    assert_eq!(peer.read().payload, b"small");
    assert_eq!((sending(), waiting()), (Ok(()), Ok(())));
}

#[test]
fn fed_messages_are_buffered_until_a_flush() {
    let (client, mut peer) = connected(quiet(LONG));
    for round in 0..3_u8 {
        // The threads of the connection may be about to write: not while the write permit is here.
        let permit = loop {
            let permit = client.shared().lock().write_permit.take();
            match permit {
                Some(permit) => break permit,
                None => Std.yield_now(),
            }
        };
        for number in 0..10_u8 {
            client.feed(&[round, number]).expect("an open connection");
        }
        // A frame of a client with two bytes has eight.
        assert_eq!(client.shared().lock().session.output().len(), 80);
        client.shared().lock().write_permit = Some(permit);
        client.flush().expect("an open connection");
        for number in 0..10_u8 {
            assert_eq!(peer.read().payload, [round, number]);
        }
    }
    client.flush().expect("nothing to write is no error");
}

#[test]
fn sending_or_receiving_flushes_fed_messages() {
    let (client, mut peer) = connected(quiet(LONG));
    client.feed("fed").expect("an open connection");
    client.send("sent").expect("an open connection");
    assert_eq!([peer.read().payload, peer.read().payload], [b"fed".to_vec(), b"sent".to_vec()]);
    for _ in 0..3 {
        client.feed("question").expect("an open connection");
        let receiver = client.clone();
        let receiving = spawn(move || receiver.recv());
        assert_eq!(peer.read().payload, b"question");
        peer.send(TEXT, b"answer");
        assert_eq!(receiving(), Ok(Message::from("answer")));
    }
}

#[test]
fn feeding_more_than_the_write_buffer_loses_nothing() {
    let mut config = quiet(LONG);
    config.limits.write_buffer = 1024;
    let (client, mut peer) = connected(config);
    let feeding = spawn(move || {
        for number in 0..20_000_u32 {
            client.feed(&number.to_be_bytes()).expect("an open connection");
            assert!(client.shared().lock().session.output().len() < 2048, "what is fed is bounded");
        }
        client.flush().expect("an open connection");
        client
    });
    for number in 0..20_000_u32 {
        assert_eq!(peer.read().payload, number.to_be_bytes());
    }
    drop(feeding());
}

#[test]
fn feeding_and_flushing_tell_of_the_end() {
    let (client, peer) = connected(quiet(LONG));
    client.feed("lost").expect("an open connection");
    drop(peer);
    let closed = client.wait_closed();
    assert_eq!(client.feed("more"), Err(Error::Closed(closed)));
}

#[test]
fn flushing_reports_only_unwritten_messages_as_lost() {
    let (client, peer) = connected(quiet(LONG));
    // No other thread writes it.
    let _permit = client.shared().lock().write_permit.take().expect("no thread writes");
    client.feed("never written").expect("an open connection");
    drop(peer);
    let closed = client.wait_closed();
    assert_eq!(client.flush(), Err(Error::Closed(closed)));

    let (client, mut peer) = connected(quiet(LONG));
    client.feed("written").expect("an open connection");
    client.flush().expect("an open connection");
    assert_eq!(peer.read().payload, b"written");
    drop(peer);
    client.wait_closed();
    assert_eq!(client.flush(), Ok(()));
}

#[test]
fn pings_wait_while_the_write_buffer_is_full() {
    let (client, mut peer) = connected(quiet(LONG));
    let payload = vec![1; 64 * 1024];
    let mut sent = 0_u32;
    while client.send_timeout(&payload, millis(100)).is_ok() {
        sent += 1;
    }
    let before = client.statistics().frames_sent;
    for _ in 0..100 {
        assert_eq!(client.ping_timeout(Duration::ZERO), Err(Error::TimedOut));
    }
    assert_eq!(client.statistics().frames_sent, before, "no ping has found room");
    let pinging = client.clone();
    let latency = spawn(move || pinging.ping());
    for _ in 0..sent {
        assert_eq!(peer.read().opcode, BINARY);
    }
    let ping = peer.read();
    assert_eq!(ping.opcode, PING);
    peer.send(PONG, &ping.payload);
    latency().expect("a pong");
}
