//! Receiving: order, time limits, fragments.

use wavetank_runtime::{Std, Threads};

use super::peer::{BINARY, MORE, PING, PONG, TEXT, connected, frame};
use super::{LONG, millis, quiet, spawn};
use crate::{CloseCode, Error, Kind, Message};

#[test]
fn messages_arrive_in_order_between_pings() {
    let (client, mut peer) = connected(quiet(LONG));
    for number in 0..100_u32 {
        peer.send(BINARY, &number.to_be_bytes());
        peer.send(PING, &number.to_be_bytes());
    }
    for number in 0..100_u32 {
        assert_eq!(client.recv(), Ok(Message::from(&number.to_be_bytes()[..])));
    }
    // Pongs may be left out, but never the last.
    let last = loop {
        let frame = peer.read();
        assert_eq!(frame.opcode, PONG);
        if frame.payload == 99_u32.to_be_bytes() {
            break frame;
        }
    };
    assert!(last.fin);
}

#[test]
fn a_waiting_receiver_excludes_any_other() {
    let (client, mut peer) = connected(quiet(LONG));
    let receiver = client.clone();
    let receiving = spawn(move || receiver.recv());
    while !client.shared().lock().receiving {
        Std.yield_now();
    }
    assert_eq!(client.recv(), Err(Error::ConcurrentRecv));
    assert_eq!(client.recv_timeout(millis(0)), Err(Error::ConcurrentRecv));
    assert_eq!(client.recv_fragment(), Err(Error::ConcurrentRecv));
    peer.send(TEXT, b"for the first");
    assert_eq!(receiving(), Ok(Message::from("for the first")));
    peer.send(TEXT, b"for one of them");
    assert_eq!(client.recv(), Ok(Message::from("for one of them")));
}

#[test]
fn receive_timeouts_at_any_byte_lose_nothing() {
    let (client, mut peer) = connected(quiet(LONG));
    let mut bytes = frame(TEXT | MORE, "κό".as_bytes());
    bytes.extend(frame(PING, b"between"));
    bytes.extend(frame(MORE, &"σμε".as_bytes()[..3]));
    bytes.extend(frame(0, &"σμε".as_bytes()[3..]));
    for byte in &bytes[..bytes.len() - 1] {
        peer.write(&[*byte]);
        assert_eq!(client.recv_timeout(millis(1)), Err(Error::TimedOut));
        assert_eq!(client.recv_timeout(millis(0)), Err(Error::TimedOut));
    }
    assert_eq!(peer.read().payload, b"between", "a ping is answered before its surrounding message ends");
    peer.write(&bytes[bytes.len() - 1..]);
    assert_eq!(client.recv_timeout(LONG), Ok(Message::from("κόσμε")));
}

#[test]
fn a_zero_timeout_receives_without_waiting() {
    let (client, mut peer) = connected(quiet(LONG));
    assert_eq!(client.recv_timeout(millis(0)), Err(Error::TimedOut));
    peer.send(TEXT, b"one");
    let message = loop {
        match client.recv_timeout(millis(0)) {
            Err(Error::TimedOut) => Std.yield_now(),
            other => break other,
        }
    };
    assert_eq!(message, Ok(Message::from("one")));
}

#[test]
fn fragments_are_received_as_they_arrive() {
    let (client, mut peer) = connected(quiet(LONG));
    for (opcode, piece, first, last) in
        [(BINARY | MORE, "one", true, false), (MORE, "", false, false), (0, "three", false, true)]
    {
        assert_eq!(client.recv_fragment_timeout(millis(1)), Err(Error::TimedOut));
        peer.send(opcode, piece.as_bytes());
        let fragment = client.recv_fragment().expect("a piece");
        assert_eq!((fragment.kind, &fragment.data[..]), (Kind::Binary, piece.as_bytes()));
        assert_eq!((fragment.first, fragment.last), (first, last));
    }
    peer.send(TEXT, b"whole");
    assert_eq!(client.recv(), Ok(Message::from("whole")));
}

#[test]
fn a_slow_application_slows_the_peer_losing_nothing() {
    let mut config = quiet(LONG);
    config.limits.receive_queue_bytes = 64 * 1024;
    let (client, mut peer) = connected(config);
    const MESSAGES: u32 = 400;
    let flooding = spawn(move || {
        for number in 0..MESSAGES {
            let mut payload = vec![7; 64 * 1024];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            peer.send(BINARY, &payload);
        }
        Std.now()
    });
    Std.sleep(millis(300));
    let began = Std.now();
    for number in 0..MESSAGES {
        let message = client.recv().expect("a message");
        assert_eq!(message.as_bytes()[..4], number.to_be_bytes());
    }
    assert!(flooding() >= began, "25 MB fit into no queue: the peer had to wait");
    drop(client);
}

#[test]
fn pings_measure_latency_and_can_time_out() {
    let (client, mut peer) = connected(quiet(millis(50)));
    let answering = spawn(move || {
        let ping = peer.read();
        assert_eq!(ping.opcode, PING);
        Std.sleep(millis(20));
        peer.send(PONG, &ping.payload);
        peer
    });
    let latency = client.ping().expect("a pong");
    assert!(latency >= millis(20) && latency < LONG, "{latency:?}");
    assert_eq!(client.statistics().latency, Some(latency));
    let _silent = answering();
    assert_eq!(client.ping_timeout(millis(10)), Err(Error::TimedOut));
    let waiting = client.clone();
    let pinging = spawn(move || waiting.ping());
    Std.sleep(millis(10));
    let closed = client.close(CloseCode::NORMAL, "");
    assert_eq!(pinging(), Err(Error::Closed(closed)));
}

#[test]
fn frames_beyond_a_full_queue_are_processed() {
    let mut config = quiet(LONG);
    config.limits.receive_queue_messages = 1;
    let (client, mut peer) = connected(config);
    let pinger = client.clone();
    let pinging = spawn(move || pinger.ping());
    let ours = peer.read().payload;
    let mut bytes = Vec::new();
    for (opcode, payload) in
        [(TEXT, &b"1"[..]), (TEXT, b"2"), (PING, b"behind 2"), (TEXT, b"3"), (PONG, &ours), (TEXT, b"4")]
    {
        bytes.extend(frame(opcode, payload));
    }
    peer.write(&bytes);
    assert_eq!(client.recv(), Ok(Message::from("1")));
    assert_eq!(peer.read().payload, b"behind 2");
    assert_eq!(client.recv(), Ok(Message::from("2")));
    pinging().expect("the pong was read long ago");
    assert_eq!([client.recv(), client.recv()], ["3", "4"].map(|text| Ok(Message::from(text))));
    peer.send(TEXT, b"5");
    assert_eq!(client.recv(), Ok(Message::from("5")), "reading goes on");
}

#[test]
fn the_latest_pong_answers_all_earlier_pings() {
    const PINGS: usize = 1500;
    let (client, mut peer) = connected(quiet(LONG));
    let pinger = client.clone();
    let pinging = spawn(move || pinger.ping());
    peer.read();
    for _ in 0..PINGS {
        assert_eq!(client.ping_timeout(millis(0)), Err(Error::TimedOut));
    }
    let mut latest = Vec::new();
    for _ in 0..PINGS {
        latest = peer.read().payload;
    }
    peer.send(PONG, &latest);
    pinging().expect("a later ping was answered");
}
