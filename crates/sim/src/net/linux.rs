//! What Linux does, one test a line: each was observed on a Linux 6.18 loopback with the same calls.
//!
//! The observer is `client`, and `server` the other end, where a test has both.

use std::io::ErrorKind::*;
use std::net::Shutdown;
use std::task::Poll;

use wavetank_runtime::{ListenOptions, SocketOptions};

use super::harness::{Harness, SERVER_PORT, fails, gives, outcome};
use super::link::SECOND;
use super::*;

/// What every socket says of a connection that is over.
fn check_is_over(harness: &mut Harness, socket: SocketId) {
    for _ in 0..2 {
        assert_eq!(outcome(harness.read(socket, 9)), gives(b""));
        assert_eq!(outcome(harness.write(socket, b"x")), fails(BrokenPipe));
        assert_eq!(outcome(harness.write(socket, b"")), fails(BrokenPipe));
    }
    assert_eq!(harness.network.peer_addr(socket).unwrap_err().kind(), NotConnected);
    assert!(harness.network.local_addr(socket).is_ok());
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        assert_eq!(harness.shutdown(socket, how).unwrap_err().kind(), NotConnected);
    }
}

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
fn connecting_without_a_listener_is_refused() {
    let mut harness = Harness::new();
    for port in [SERVER_PORT, 0] {
        let addr = SocketAddr::new(harness.server_addr().ip(), port);
        let client = harness
            .network
            .connect(harness.now, &mut harness.outside, harness.client, addr, SocketOptions::new())
            .unwrap();
        assert!(outcome(harness.network.poll_connected(client)).is_pending());
        harness.settle();
        assert!(harness.ready().contains(&Ready::Socket(client, Direction::Connect)));
        assert_eq!(outcome(harness.network.poll_connected(client)), fails(ConnectionRefused));
        check_is_over(&mut harness, client);
    }
}

#[test]
fn a_dropped_listener_resets_connections_not_accepted() {
    for sent in [&b""[..], b"data"] {
        for finished in [false, true] {
            let mut harness = Harness::new();
            let listener = harness.listen(ListenOptions::new());
            let client = harness.connect();
            harness.settle();
            harness.send(client, sent);
            if finished {
                harness.shutdown(client, Shutdown::Write).unwrap();
            }
            harness.settle();
            harness.network.close_listener(harness.now, &mut harness.outside, listener);
            harness.settle();
            assert_eq!(outcome(harness.read(client, 9)), fails(ConnectionReset));
            check_is_over(&mut harness, client);
            harness.close(client);
            assert!(harness.is_empty());
        }
    }
}

#[test]
fn accepted_connections_outlive_their_listener() {
    let mut harness = Harness::new();
    let first = harness.listen(ListenOptions::new());
    let client = harness.connect();
    harness.settle();
    let server = harness.accept(first);
    harness.network.close_listener(harness.now, &mut harness.outside, first);
    let second = harness.listen(ListenOptions::new());
    harness.connect();
    harness.settle();
    harness.accept(second);
    harness.send(client, b"still here");
    harness.settle();
    assert_eq!(outcome(harness.read(server, 99)), gives(b"still here"));
    harness.close(server);
    harness.close(client);
    harness.settle();
    harness.network.close_listener(harness.now, &mut harness.outside, second);
    harness.listen(ListenOptions::new());
}

#[test]
fn addresses_of_listeners_exclude_each_other() {
    let mut harness = Harness::new();
    let listen = |harness: &mut Harness, addr: &str| {
        harness
            .network
            .listen(harness.server, addr.parse().unwrap(), ListenOptions::new())
            .map_err(|e| e.kind())
    };
    let specific = listen(&mut harness, "192.168.0.2:80").unwrap();
    assert_eq!(listen(&mut harness, "192.168.0.2:80"), Err(AddrInUse));
    assert_eq!(listen(&mut harness, "0.0.0.0:80"), Err(AddrInUse));
    listen(&mut harness, "127.0.0.1:80").unwrap();
    listen(&mut harness, "0.0.0.0:81").unwrap();
    assert_eq!(listen(&mut harness, "192.168.0.2:81"), Err(AddrInUse));
    assert_eq!(listen(&mut harness, "192.168.0.1:82"), Err(AddrNotAvailable));
    harness.network.close_listener(0, &mut harness.outside, specific);
    listen(&mut harness, "192.168.0.2:80").unwrap();
}

#[test]
fn a_connected_sockets_port_cannot_be_listened_on() {
    let (mut harness, client, server) = Harness::connected();
    let taken = harness.network.local_addr(client).unwrap();
    let listen = |harness: &mut Harness| {
        harness.network.listen(harness.client, taken, ListenOptions::new()).map_err(|e| e.kind())
    };
    assert_eq!(listen(&mut harness), Err(AddrInUse));
    harness.close(client);
    harness.close(server);
    harness.settle();
    assert!(listen(&mut harness).is_ok());
}

#[test]
fn a_connection_closed_by_its_client_is_accepted() {
    let mut harness = Harness::new();
    let listener = harness.listen(ListenOptions::new());
    let client = harness.connect();
    harness.settle();
    let client_addr = harness.network.local_addr(client).unwrap();
    harness.send(client, b"12345");
    harness.close(client);
    harness.settle();
    let Poll::Ready(Ok((server, peer))) = harness.network.accept(listener) else { panic!("it waits") };
    assert_eq!(peer, client_addr);
    assert_eq!(harness.network.peer_addr(server).unwrap(), client_addr);
    assert_eq!(outcome(harness.read(server, 9)), gives(b"12345"));
    assert_eq!(outcome(harness.read(server, 9)), gives(b""));
    harness.send(server, b"into the void");
    harness.settle();
    assert_eq!(outcome(harness.write(server, b"x")), fails(BrokenPipe));
}

#[test]
fn a_reset_connection_is_accepted_then_fails() {
    for sent in [&b""[..], b"12345"] {
        let mut harness = Harness::new();
        let listener = harness.listen(ListenOptions::new());
        let client = harness.connect();
        harness.settle();
        harness.send(client, sent);
        harness.abort(client);
        harness.settle();
        let server = harness.accept(listener);
        assert_eq!(harness.network.peer_addr(server).unwrap_err().kind(), NotConnected);
        if !sent.is_empty() {
            assert_eq!(outcome(harness.read(server, 9)), gives(sent));
        }
        assert_eq!(outcome(harness.read(server, 9)), fails(ConnectionReset));
        check_is_over(&mut harness, server);
    }
}

#[test]
fn the_loopback_has_its_own_addresses() {
    let mut harness = Harness::new();
    let any = "0.0.0.0:80".parse().unwrap();
    let listener = harness.network.listen(harness.server, any, ListenOptions::new()).unwrap();
    for (target, source, peer) in [
        ("127.0.0.1:80", "127.0.0.1:49152", "127.0.0.1:80"),
        ("127.0.0.5:80", "127.0.0.1:49153", "127.0.0.5:80"),
        ("0.0.0.0:80", "127.0.0.1:49154", "127.0.0.1:80"),
        ("192.168.0.2:80", "192.168.0.2:49155", "192.168.0.2:80"),
    ] {
        let began = harness.now;
        let target = target.parse().unwrap();
        let client = harness
            .network
            .connect(harness.now, &mut harness.outside, harness.server, target, SocketOptions::new())
            .unwrap();
        harness.settle();
        assert_eq!(harness.now - began, 3 * link::LOOPBACK_LATENCY);
        assert_eq!(harness.network.local_addr(client).unwrap().to_string(), source);
        assert_eq!(harness.network.peer_addr(client).unwrap().to_string(), peer);
        let server = harness.accept(listener);
        assert_eq!(harness.network.peer_addr(server).unwrap().to_string(), source);
        assert_eq!(harness.network.local_addr(server).unwrap().to_string(), peer);
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
