//! How connections end: shutdowns, closes and resets.

use std::io::ErrorKind::*;
use std::net::Shutdown;
use std::task::Poll;

use super::check_is_over;
use crate::net::faults::Way;
use crate::net::harness::{Harness, fails, gives, outcome};
use crate::net::link::SECOND;
use crate::net::*;

/// Five bytes from the server, then its RST.
fn reset_after_five_bytes() -> (Harness, SocketId) {
    let (mut harness, client, server) = Harness::connected();
    harness.send(server, b"12345");
    harness.abort(server);
    harness.settle();
    (harness, client)
}

#[test]
fn readers_see_bytes_then_reset_then_end() {
    let (mut harness, client) = reset_after_five_bytes();
    assert_eq!(outcome(harness.read(client, 2)), gives(b"12"));
    assert_eq!(outcome(harness.read(client, 9)), gives(b"345"));
    assert_eq!(outcome(harness.read(client, 9)), fails(ConnectionReset));
    check_is_over(&mut harness, client);
}

#[test]
fn a_writer_may_take_the_resets_error() {
    let (mut harness, client) = reset_after_five_bytes();
    assert_eq!(outcome(harness.write(client, b"x")), fails(ConnectionReset));
    assert_eq!(outcome(harness.write(client, b"x")), fails(BrokenPipe));
    assert_eq!(outcome(harness.read(client, 9)), gives(b"12345"));
    check_is_over(&mut harness, client);
}

#[test]
fn a_failed_shutdown_keeps_the_reset_error() {
    let (mut harness, client) = reset_after_five_bytes();
    assert_eq!(harness.shutdown(client, Shutdown::Both).unwrap_err().kind(), NotConnected);
    assert_eq!(harness.network.peer_addr(client).unwrap_err().kind(), NotConnected);
    assert_eq!(outcome(harness.write(client, b"")), fails(ConnectionReset));
}

#[test]
fn a_close_with_unread_bytes_is_a_reset() {
    for shut_before in [false, true] {
        let (mut harness, client, server) = Harness::connected();
        harness.send(client, b"unread");
        harness.settle();
        if shut_before {
            harness.shutdown(server, Shutdown::Read).unwrap();
        }
        harness.send(server, b"12345");
        harness.close(server);
        harness.settle();
        assert_eq!(outcome(harness.read(client, 9)), gives(b"12345"));
        assert_eq!(outcome(harness.read(client, 9)), fails(ConnectionReset));
        check_is_over(&mut harness, client);
    }
}

#[test]
fn a_reset_wakes_blocked_readers_and_writers() {
    let (mut harness, client, server) = Harness::connected();
    assert!(harness.read(client, 9).is_pending());
    harness.fill(client);
    harness.settle();
    harness.fill(client);
    harness.ready();
    harness.abort(server);
    harness.settle();
    let ready = harness.ready();
    assert!(ready.contains(&Ready::Socket(client, Direction::Read)));
    assert!(ready.contains(&Ready::Socket(client, Direction::Write)));
    assert_eq!(outcome(harness.write(client, b"x")), fails(ConnectionReset));
    check_is_over(&mut harness, client);
}

#[test]
fn a_reset_in_fin_wait_is_an_error() {
    let (mut harness, client, server) = Harness::connected();
    harness.shutdown(client, Shutdown::Write).unwrap();
    harness.settle();
    harness.abort(server);
    harness.settle();
    assert_eq!(outcome(harness.read(client, 9)), fails(ConnectionReset));
    check_is_over(&mut harness, client);
}

#[test]
fn writing_after_shutdown_reports_a_reset() {
    let (mut harness, client, server) = Harness::connected();
    harness.shutdown(client, Shutdown::Write).unwrap();
    harness.abort(server);
    harness.settle();
    assert_eq!(outcome(harness.write(client, b"x")), fails(ConnectionReset));
    check_is_over(&mut harness, client);
}

#[test]
fn a_reset_after_fin_breaks_writes_only() {
    let (mut harness, client, server) = Harness::connected();
    harness.send(server, b"12345");
    harness.shutdown(server, Shutdown::Write).unwrap();
    harness.abort(server);
    harness.settle();
    assert_eq!(outcome(harness.read(client, 9)), gives(b"12345"));
    check_is_over(&mut harness, client);
}

#[test]
fn the_second_write_to_a_closed_peer_fails() {
    let (mut harness, client, server) = Harness::connected();
    harness.send(server, b"12345");
    harness.close(server);
    harness.settle();
    harness.send(client, b"into the void");
    harness.settle();
    assert_eq!(outcome(harness.write(client, b"x")), fails(BrokenPipe));
    assert_eq!(outcome(harness.read(client, 9)), gives(b"12345"));
    check_is_over(&mut harness, client);
}

#[test]
fn the_peer_is_known_until_both_ends_finish() {
    let (mut harness, client, server) = Harness::connected();
    harness.shutdown(server, Shutdown::Write).unwrap();
    harness.settle();
    assert_eq!(outcome(harness.read(client, 9)), gives(b""));
    assert_eq!(harness.network.peer_addr(client).unwrap(), harness.network.local_addr(server).unwrap());
    harness.shutdown(client, Shutdown::Write).unwrap();
    harness.pass(SECOND);
    check_is_over(&mut harness, client);
    check_is_over(&mut harness, server);
}

#[test]
fn shutting_down_writing_may_be_repeated() {
    let (mut harness, client, server) = Harness::connected();
    for how in [Shutdown::Write, Shutdown::Write, Shutdown::Both] {
        harness.shutdown(client, how).unwrap();
        harness.settle();
        assert_eq!(outcome(harness.write(client, b"x")), fails(BrokenPipe));
        assert_eq!(outcome(harness.write(client, b"")), fails(BrokenPipe));
    }
    assert!(harness.network.peer_addr(client).is_ok());
    assert_eq!(outcome(harness.read(server, 9)), gives(b""));
}

#[test]
fn shutting_down_writing_wakes_only_the_writer() {
    let (mut harness, client, _) = Harness::connected();
    harness.fill(client);
    assert!(harness.read(client, 9).is_pending());
    harness.ready();
    harness.shutdown(client, Shutdown::Write).unwrap();
    assert!(harness.ready().contains(&Ready::Socket(client, Direction::Write)));
    assert_eq!(outcome(harness.write(client, b"x")), fails(BrokenPipe));
    assert!(harness.read(client, 9).is_pending());
}

#[test]
fn bytes_are_readable_after_shutting_down_reading() {
    let (mut harness, client, server) = Harness::connected();
    harness.send(server, b"before");
    harness.settle();
    assert!(harness.read(client, 0).is_ready());
    harness.shutdown(client, Shutdown::Read).unwrap();
    assert_eq!(outcome(harness.read(client, 9)), gives(b"before"));
    assert_eq!(outcome(harness.read(client, 9)), gives(b""));
    harness.send(server, b"after");
    harness.settle();
    assert_eq!(outcome(harness.read(client, 9)), gives(b"after"));
    assert_eq!(outcome(harness.read(client, 9)), gives(b""));
    harness.send(client, b"unaffected");
    harness.settle();
    assert_eq!(outcome(harness.read(server, 99)), gives(b"unaffected"));
    harness.send(server, b"unaffected");
}

#[test]
fn shutting_down_reading_wakes_a_reader() {
    for how in [Shutdown::Read, Shutdown::Both] {
        let (mut harness, client, _) = Harness::connected();
        assert!(harness.read(client, 9).is_pending());
        harness.shutdown(client, how).unwrap();
        assert!(harness.ready().contains(&Ready::Socket(client, Direction::Read)));
        assert_eq!(outcome(harness.read(client, 9)), gives(b""));
    }
}

#[test]
fn data_after_shutting_down_both_resets_both_ends() {
    let (mut harness, client, server) = Harness::connected();
    harness.shutdown(client, Shutdown::Both).unwrap();
    harness.settle();
    assert_eq!(outcome(harness.read(server, 9)), gives(b""));
    harness.send(server, b"late");
    harness.settle();
    assert_eq!(outcome(harness.read(client, 9)), fails(ConnectionReset));
    check_is_over(&mut harness, client);
    assert_eq!(outcome(harness.write(server, b"x")), fails(BrokenPipe));
    check_is_over(&mut harness, server);
}

#[test]
fn empty_reads_wait_and_empty_writes_do_not() {
    let (mut harness, client, server) = Harness::connected();
    assert!(harness.read(client, 0).is_pending());
    assert_eq!(outcome(harness.write(client, b"")), Poll::Ready(Ok(0)));
    harness.send(server, b"x");
    harness.settle();
    assert_eq!(outcome(harness.read(client, 0)), gives(b""));
    assert_eq!(outcome(harness.read(client, 9)), gives(b"x"));
    harness.fill(client);
    assert_eq!(outcome(harness.write(client, b"")), Poll::Ready(Ok(0)));
}

#[test]
fn data_for_an_orphan_resets_it_after_healing() {
    let (mut harness, client, server) = Harness::connected();
    harness.partition(Way::Both);
    harness.close(server);
    harness.pass(SECOND * 36 / 100);
    let began = harness.now;
    harness.send(client, b"abc");
    harness.pass(SECOND * 58 / 100);
    harness.heal();
    harness.pass(SECOND * 23 / 100);
    assert_eq!(outcome(harness.read(client, 9)), fails(ConnectionReset), "{:?}", harness.trace());
    assert_eq!((harness.now - began) / (SECOND / 100), 81);
}
