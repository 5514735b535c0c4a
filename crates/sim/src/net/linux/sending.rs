//! When data is sent and buffers have room: Nagle's algorithm, tail loss probes, reading.

use std::net::Shutdown;

use wavetank_runtime::SocketOptions;

use crate::net::harness::{Harness, LATENCY, gives, outcome};
use crate::net::link::SECOND;
use crate::net::*;

/// Two writes of the client, the second so long after the first, while acknowledgements are lost. The server has the
/// first.
fn second_write(after: Nanos) -> (Harness, SocketId, SocketId) {
    let (mut harness, client, server) = Harness::connected();
    harness.partition_from_server();
    harness.send(client, b"first");
    harness.pass(after);
    assert_eq!(outcome(harness.read(server, 99)), gives(b"first"));
    harness.send(client, b", second");
    harness.pass(SECOND / 20);
    assert!(harness.read(server, 99).is_pending());
    (harness, client, server)
}

#[test]
fn a_tail_loss_probe_carries_the_second_write() {
    let (mut harness, client, server) = second_write(SECOND / 20);
    harness.pass(SECOND / 10 + LATENCY);
    assert_eq!(outcome(harness.read(server, 99)), gives(b", second"));
    harness.send(client, b", third");
    harness.pass(SECOND);
    assert!(harness.read(server, 99).is_pending(), "there is one probe");
}

#[test]
fn small_writes_wait_for_lost_acknowledgements() {
    let (mut harness, client, server) = second_write(SECOND / 2);
    harness.pass(SECOND);
    assert!(harness.read(server, 99).is_pending());
    // A whole segment goes at once, and so does the rest before the end.
    harness.send(client, &[7; 1460]);
    harness.pass(SECOND / 10);
    assert_eq!(harness.receive(server).len(), 1448);
    harness.shutdown(client, Shutdown::Write).unwrap();
    harness.pass(SECOND / 10);
    assert_eq!(harness.receive(server).len(), 20);
    harness.heal();
    harness.settle();
    assert_eq!(outcome(harness.read(server, 9)), gives(b""));
}

#[test]
fn kept_back_writes_go_once_acknowledgements_come() {
    for by_nodelay in [false, true] {
        let (mut harness, client, server) = second_write(SECOND / 2);
        harness.send(client, b", third");
        harness.pass(SECOND);
        assert!(harness.read(server, 99).is_pending());
        if by_nodelay {
            harness.nodelay(client);
            harness.pass(SECOND / 10);
        } else {
            harness.heal();
            harness.pass(2 * SECOND);
        }
        assert_eq!(outcome(harness.read(server, 99)), gives(b", second, third"));
    }
}

#[test]
fn unsent_bytes_limit_the_send_buffer() {
    let bounded = SocketOptions::new().unsent_bytes(1000).receive_buffer_bytes(1);
    let (mut harness, client, server) = Harness::connected_with(bounded, bounded);
    for socket in [client, server] {
        let mut accepted = 0;
        for _ in 0..10 {
            accepted += harness.fill(socket);
            harness.settle();
        }
        assert!((1000..1100).contains(&accepted), "{accepted}");
    }
}

#[test]
fn reading_frees_both_buffers() {
    for (send, receive) in [(4096, 4096), (65536, 4096), (4096, 65536), (1024, 1024)] {
        let options = SocketOptions::new().send_buffer_bytes(send).receive_buffer_bytes(receive);
        let (mut harness, client, server) = Harness::connected_with(options, options);
        let mut accepted = 0;
        for _ in 0..100 {
            accepted += harness.fill(client);
            harness.settle();
        }
        assert!(accepted >= send.max(receive) as usize && accepted <= 4 * (send + receive) as usize);
        harness.ready();
        let mut read = 0;
        while read < accepted {
            read += harness.receive(server).len();
            harness.settle();
        }
        assert!(harness.ready().contains(&Ready::Socket(client, Direction::Write)));
        assert!(harness.fill(client) > 0);
    }
}
