//! Callers that read for themselves: what they read, what they leave to the reader thread, and what ends their reads.

use wavetank_runtime::{Std, Threads};

use super::peer::{BINARY, PING, PONG, Peer, TEXT, connected};
use super::{LONG, millis, quiet, spawn, trace_of};
use crate::blocking::WebSocket;
use crate::{Cause, CloseCode, Error, Message};

/// Has the client receive messages until it has read one for itself.
fn until_it_reads(client: &WebSocket<Std>, peer: &mut Peer) {
    // It finds the read permit free, unless it comes after the reader thread has taken it back.
    while client.shared().lock().read_permit.is_none() {
        peer.send(TEXT, b"hello");
        assert_eq!(client.recv(), Ok(Message::from("hello")));
    }
    peer.send(TEXT, b"hello");
    assert_eq!(client.recv(), Ok(Message::from("hello")));
}

/// Waits until a caller is in a read.
fn until_a_caller_is_in_a_read(client: &WebSocket<Std>, peer: &mut Peer) {
    loop {
        let guard = client.shared().lock();
        if guard.receiving && !guard.awaits_arrival && guard.read_permit.is_none() {
            return;
        }
        let came_too_late = guard.awaits_arrival;
        drop(guard);
        if came_too_late {
            // The reader thread reads this, and leaves the next read to the caller.
            peer.send(PING, b"");
            Std.sleep(millis(1));
        }
        Std.yield_now();
    }
}

#[test]
fn receiving_one_by_one_reads_in_the_caller() {
    let (client, mut peer) = connected(quiet(LONG));
    until_it_reads(&client, &mut peer);
    for number in 0..100_u32 {
        peer.send(BINARY, &number.to_be_bytes());
        assert_eq!(client.recv(), Ok(Message::from(&number.to_be_bytes()[..])));
    }
}

#[test]
fn a_message_longer_than_a_read_arrives_whole() {
    let (client, mut peer) = connected(quiet(LONG));
    let payload: Vec<u8> = (0..1_000_003_u32).map(|index| (index * 31) as u8).collect();
    let expected = Message::from(&payload[..]);
    let sending = spawn(move || {
        peer.send(BINARY, &payload);
        peer
    });
    assert_eq!(client.recv(), Ok(expected));
    let _peer = sending();
}

#[test]
fn pings_between_receives_are_answered() {
    let (client, mut peer) = connected(quiet(LONG));
    for _ in 0..3 {
        until_it_reads(&client, &mut peer);
        peer.send(PING, b"heard?");
        let pong = peer.read();
        assert_eq!((pong.opcode, &pong.payload[..]), (PONG, &b"heard?"[..]));
    }
}

#[test]
fn closing_wakes_a_caller_in_a_read() {
    let (client, mut peer) = connected(quiet(millis(50)));
    until_it_reads(&client, &mut peer);
    let trace = trace_of(&client);
    let receiver = client.clone();
    let receiving = spawn(move || receiver.recv());
    until_a_caller_is_in_a_read(&client, &mut peer);
    let closed = client.close(CloseCode::NORMAL, "");
    assert_eq!(closed.cause, Cause::CloseTimeout { timeout: millis(50) });
    assert_eq!(receiving(), Err(Error::Closed(closed)));
    drop(client);
    while trace.strong_count() > 0 {
        Std.sleep(millis(1));
    }
}

#[test]
fn a_pong_comes_whichever_thread_reads() {
    let (client, mut peer) = connected(quiet(LONG));
    until_it_reads(&client, &mut peer);
    let answering = spawn(move || {
        for _ in 0..2 {
            let ping = peer.read();
            assert_eq!(ping.opcode, PING);
            peer.send(PONG, &ping.payload);
        }
        peer.send(TEXT, b"last");
        peer
    });
    client.ping_timeout(LONG).expect("a pong, though nothing is received");
    let receiver = client.clone();
    let receiving = spawn(move || receiver.recv());
    client.ping_timeout(LONG).expect("a pong, which the receiver may read");
    assert_eq!(receiving(), Ok(Message::from("last")));
    let _peer = answering();
}

#[test]
fn timed_out_reads_lose_no_message() {
    let (client, mut peer) = connected(quiet(LONG));
    for timeout in [1, 40, 100].map(millis) {
        until_it_reads(&client, &mut peer);
        assert_eq!(client.recv_timeout(timeout), Err(Error::TimedOut));
        peer.send(TEXT, b"late");
        assert_eq!(client.recv_timeout(LONG), Ok(Message::from("late")));
    }
}

#[test]
fn a_read_in_progress_refuses_a_second_receiver() {
    let (client, mut peer) = connected(quiet(LONG));
    until_it_reads(&client, &mut peer);
    let receiver = client.clone();
    let receiving = spawn(move || receiver.recv());
    until_a_caller_is_in_a_read(&client, &mut peer);
    assert_eq!(client.recv(), Err(Error::ConcurrentRecv));
    peer.send(TEXT, b"for the first");
    assert_eq!(receiving(), Ok(Message::from("for the first")));
}
