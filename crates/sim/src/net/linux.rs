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
fn check_is_over(tank: &mut Harness, socket: SocketId) {
    for _ in 0..2 {
        assert_eq!(outcome(tank.read(socket, 9)), gives(b""));
        assert_eq!(outcome(tank.write(socket, b"x")), fails(BrokenPipe));
        assert_eq!(outcome(tank.write(socket, b"")), fails(BrokenPipe));
    }
    assert_eq!(tank.network.peer_addr(socket).unwrap_err().kind(), NotConnected);
    assert!(tank.network.local_addr(socket).is_ok());
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        assert_eq!(tank.shutdown(socket, how).unwrap_err().kind(), NotConnected);
    }
}

/// Five bytes from the server, then its RST.
fn reset_after_five_bytes() -> (Harness, SocketId) {
    let (mut tank, client, server) = Harness::connected();
    tank.send(server, b"12345");
    tank.abort(server);
    tank.settle();
    (tank, client)
}

#[test]
fn bytes_before_a_reset_are_read_then_one_error_then_the_end() {
    let (mut tank, client) = reset_after_five_bytes();
    assert_eq!(outcome(tank.read(client, 2)), gives(b"12"));
    assert_eq!(outcome(tank.read(client, 9)), gives(b"345"));
    assert_eq!(outcome(tank.read(client, 9)), fails(ConnectionReset));
    check_is_over(&mut tank, client);
}

#[test]
fn the_writer_may_take_the_error_of_a_reset_and_the_bytes_stay_readable() {
    let (mut tank, client) = reset_after_five_bytes();
    assert_eq!(outcome(tank.write(client, b"x")), fails(ConnectionReset));
    assert_eq!(outcome(tank.write(client, b"x")), fails(BrokenPipe));
    assert_eq!(outcome(tank.read(client, 9)), gives(b"12345"));
    check_is_over(&mut tank, client);
}

#[test]
fn a_shutdown_after_a_reset_fails_and_leaves_the_error() {
    let (mut tank, client) = reset_after_five_bytes();
    assert_eq!(tank.shutdown(client, Shutdown::Both).unwrap_err().kind(), NotConnected);
    assert_eq!(tank.network.peer_addr(client).unwrap_err().kind(), NotConnected);
    assert_eq!(outcome(tank.write(client, b"")), fails(ConnectionReset));
}

#[test]
fn a_close_with_unread_bytes_is_a_reset() {
    for shut_before in [false, true] {
        let (mut tank, client, server) = Harness::connected();
        tank.send(client, b"unread");
        tank.settle();
        if shut_before {
            tank.shutdown(server, Shutdown::Read).unwrap();
        }
        tank.send(server, b"12345");
        tank.close(server);
        tank.settle();
        assert_eq!(outcome(tank.read(client, 9)), gives(b"12345"));
        assert_eq!(outcome(tank.read(client, 9)), fails(ConnectionReset));
        check_is_over(&mut tank, client);
    }
}

#[test]
fn a_reset_wakes_a_blocked_reader_and_a_blocked_writer() {
    let (mut tank, client, server) = Harness::connected();
    assert!(tank.read(client, 9).is_pending());
    tank.fill(client);
    tank.settle();
    tank.fill(client);
    tank.ready();
    tank.abort(server);
    tank.settle();
    let ready = tank.ready();
    assert!(ready.contains(&Ready::Socket(client, Direction::Read)));
    assert!(ready.contains(&Ready::Socket(client, Direction::Write)));
    assert_eq!(outcome(tank.write(client, b"x")), fails(ConnectionReset));
    check_is_over(&mut tank, client);
}

#[test]
fn a_reset_in_fin_wait_is_an_error() {
    let (mut tank, client, server) = Harness::connected();
    tank.shutdown(client, Shutdown::Write).unwrap();
    tank.settle();
    tank.abort(server);
    tank.settle();
    assert_eq!(outcome(tank.read(client, 9)), fails(ConnectionReset));
    check_is_over(&mut tank, client);
}

#[test]
fn a_write_after_shutdown_takes_the_error_of_a_reset() {
    let (mut tank, client, server) = Harness::connected();
    tank.shutdown(client, Shutdown::Write).unwrap();
    tank.abort(server);
    tank.settle();
    assert_eq!(outcome(tank.write(client, b"x")), fails(ConnectionReset));
    check_is_over(&mut tank, client);
}

#[test]
fn a_reset_after_fin_is_a_broken_pipe_and_never_disturbs_the_reader() {
    let (mut tank, client, server) = Harness::connected();
    tank.send(server, b"12345");
    tank.shutdown(server, Shutdown::Write).unwrap();
    tank.abort(server);
    tank.settle();
    assert_eq!(outcome(tank.read(client, 9)), gives(b"12345"));
    check_is_over(&mut tank, client);
}

#[test]
fn the_first_write_to_a_closed_peer_succeeds_and_the_next_is_a_broken_pipe() {
    let (mut tank, client, server) = Harness::connected();
    tank.send(server, b"12345");
    tank.close(server);
    tank.settle();
    tank.send(client, b"into the void");
    tank.settle();
    assert_eq!(outcome(tank.write(client, b"x")), fails(BrokenPipe));
    assert_eq!(outcome(tank.read(client, 9)), gives(b"12345"));
    check_is_over(&mut tank, client);
}

#[test]
fn after_the_peers_fin_this_end_still_has_a_peer_until_it_ends_too() {
    let (mut tank, client, server) = Harness::connected();
    tank.shutdown(server, Shutdown::Write).unwrap();
    tank.settle();
    assert_eq!(outcome(tank.read(client, 9)), gives(b""));
    assert_eq!(tank.network.peer_addr(client).unwrap(), tank.network.local_addr(server).unwrap());
    tank.shutdown(client, Shutdown::Write).unwrap();
    tank.pass(SECOND);
    check_is_over(&mut tank, client);
    check_is_over(&mut tank, server);
}

#[test]
fn shutdown_of_writing_may_be_repeated_while_the_peer_goes_on() {
    let (mut tank, client, server) = Harness::connected();
    for how in [Shutdown::Write, Shutdown::Write, Shutdown::Both] {
        tank.shutdown(client, how).unwrap();
        tank.settle();
        assert_eq!(outcome(tank.write(client, b"x")), fails(BrokenPipe));
        assert_eq!(outcome(tank.write(client, b"")), fails(BrokenPipe));
    }
    assert!(tank.network.peer_addr(client).is_ok());
    assert_eq!(outcome(tank.read(server, 9)), gives(b""));
}

#[test]
fn shutdown_of_writing_wakes_a_blocked_writer_and_leaves_the_reader_blocked() {
    let (mut tank, client, _) = Harness::connected();
    tank.fill(client);
    assert!(tank.read(client, 9).is_pending());
    tank.ready();
    tank.shutdown(client, Shutdown::Write).unwrap();
    assert!(tank.ready().contains(&Ready::Socket(client, Direction::Write)));
    assert_eq!(outcome(tank.write(client, b"x")), fails(BrokenPipe));
    assert!(tank.read(client, 9).is_pending());
}

#[test]
fn after_shutdown_of_reading_what_is_there_or_still_comes_is_readable() {
    let (mut tank, client, server) = Harness::connected();
    tank.send(server, b"before");
    tank.settle();
    assert!(tank.read(client, 0).is_ready());
    tank.shutdown(client, Shutdown::Read).unwrap();
    assert_eq!(outcome(tank.read(client, 9)), gives(b"before"));
    assert_eq!(outcome(tank.read(client, 9)), gives(b""));
    tank.send(server, b"after");
    tank.settle();
    assert_eq!(outcome(tank.read(client, 9)), gives(b"after"));
    assert_eq!(outcome(tank.read(client, 9)), gives(b""));
    tank.send(client, b"unaffected");
    tank.settle();
    assert_eq!(outcome(tank.read(server, 99)), gives(b"unaffected"));
    tank.send(server, b"unaffected");
}

#[test]
fn shutdown_of_reading_wakes_a_blocked_reader_with_the_end() {
    for how in [Shutdown::Read, Shutdown::Both] {
        let (mut tank, client, _) = Harness::connected();
        assert!(tank.read(client, 9).is_pending());
        tank.shutdown(client, how).unwrap();
        assert!(tank.ready().contains(&Ready::Socket(client, Direction::Read)));
        assert_eq!(outcome(tank.read(client, 9)), gives(b""));
    }
}

#[test]
fn data_for_an_end_that_shut_both_down_resets_both_ends() {
    let (mut tank, client, server) = Harness::connected();
    tank.shutdown(client, Shutdown::Both).unwrap();
    tank.settle();
    assert_eq!(outcome(tank.read(server, 9)), gives(b""));
    tank.send(server, b"late");
    tank.settle();
    assert_eq!(outcome(tank.read(client, 9)), fails(ConnectionReset));
    check_is_over(&mut tank, client);
    assert_eq!(outcome(tank.write(server, b"x")), fails(BrokenPipe));
    check_is_over(&mut tank, server);
}

#[test]
fn an_empty_read_waits_like_any_other_and_an_empty_write_does_not() {
    let (mut tank, client, server) = Harness::connected();
    assert!(tank.read(client, 0).is_pending());
    assert_eq!(outcome(tank.write(client, b"")), Poll::Ready(Ok(0)));
    tank.send(server, b"x");
    tank.settle();
    assert_eq!(outcome(tank.read(client, 0)), gives(b""));
    assert_eq!(outcome(tank.read(client, 9)), gives(b"x"));
    tank.fill(client);
    assert_eq!(outcome(tank.write(client, b"")), Poll::Ready(Ok(0)));
}

#[test]
fn where_nobody_listens_a_connect_is_refused() {
    let mut tank = Harness::new();
    for port in [SERVER_PORT, 0] {
        let addr = SocketAddr::new(tank.server_addr().ip(), port);
        let client =
            tank.network.connect(tank.now, &mut tank.out, tank.client, addr, SocketOptions::new()).unwrap();
        assert!(outcome(tank.network.poll_connected(client)).is_pending());
        tank.settle();
        assert!(tank.ready().contains(&Ready::Socket(client, Direction::Connect)));
        assert_eq!(outcome(tank.network.poll_connected(client)), fails(ConnectionRefused));
        check_is_over(&mut tank, client);
    }
}

#[test]
fn a_dropped_listener_resets_what_it_has_not_accepted() {
    for sent in [&b""[..], b"data"] {
        for finished in [false, true] {
            let mut tank = Harness::new();
            let listener = tank.listen(ListenOptions::new());
            let client = tank.connect();
            tank.settle();
            tank.send(client, sent);
            if finished {
                tank.shutdown(client, Shutdown::Write).unwrap();
            }
            tank.settle();
            tank.network.close_listener(tank.now, &mut tank.out, listener);
            tank.settle();
            assert_eq!(outcome(tank.read(client, 9)), fails(ConnectionReset));
            check_is_over(&mut tank, client);
            tank.close(client);
            assert!(tank.is_empty());
        }
    }
}

#[test]
fn accepted_connections_outlive_their_listener_and_leave_its_port_free() {
    let mut tank = Harness::new();
    let first = tank.listen(ListenOptions::new());
    let client = tank.connect();
    tank.settle();
    let server = tank.accept(first);
    tank.network.close_listener(tank.now, &mut tank.out, first);
    let second = tank.listen(ListenOptions::new());
    tank.connect();
    tank.settle();
    tank.accept(second);
    tank.send(client, b"still here");
    tank.settle();
    assert_eq!(outcome(tank.read(server, 99)), gives(b"still here"));
    tank.close(server);
    tank.close(client);
    tank.settle();
    tank.network.close_listener(tank.now, &mut tank.out, second);
    tank.listen(ListenOptions::new());
}

#[test]
fn addresses_of_listeners_exclude_each_other() {
    let mut tank = Harness::new();
    let listen = |tank: &mut Harness, addr: &str| {
        tank.network.listen(tank.server, addr.parse().unwrap(), ListenOptions::new()).map_err(|e| e.kind())
    };
    let specific = listen(&mut tank, "192.168.0.2:80").unwrap();
    assert_eq!(listen(&mut tank, "192.168.0.2:80"), Err(AddrInUse));
    assert_eq!(listen(&mut tank, "0.0.0.0:80"), Err(AddrInUse));
    listen(&mut tank, "127.0.0.1:80").unwrap();
    listen(&mut tank, "0.0.0.0:81").unwrap();
    assert_eq!(listen(&mut tank, "192.168.0.2:81"), Err(AddrInUse));
    assert_eq!(listen(&mut tank, "192.168.0.1:82"), Err(AddrNotAvailable));
    tank.network.close_listener(0, &mut tank.out, specific);
    listen(&mut tank, "192.168.0.2:80").unwrap();
}

#[test]
fn the_port_of_a_connected_socket_cannot_be_listened_on() {
    let (mut tank, client, server) = Harness::connected();
    let taken = tank.network.local_addr(client).unwrap();
    let listen = |tank: &mut Harness| {
        tank.network.listen(tank.client, taken, ListenOptions::new()).map_err(|e| e.kind())
    };
    assert_eq!(listen(&mut tank), Err(AddrInUse));
    tank.close(client);
    tank.close(server);
    tank.settle();
    assert!(listen(&mut tank).is_ok());
}

#[test]
fn a_connection_whose_client_has_gone_is_accepted_all_the_same() {
    let mut tank = Harness::new();
    let listener = tank.listen(ListenOptions::new());
    let client = tank.connect();
    tank.settle();
    let client_addr = tank.network.local_addr(client).unwrap();
    tank.send(client, b"12345");
    tank.close(client);
    tank.settle();
    let Poll::Ready(Ok((server, peer))) = tank.network.accept(listener) else { panic!("it waits") };
    assert_eq!(peer, client_addr);
    assert_eq!(tank.network.peer_addr(server).unwrap(), client_addr);
    assert_eq!(outcome(tank.read(server, 9)), gives(b"12345"));
    assert_eq!(outcome(tank.read(server, 9)), gives(b""));
    tank.send(server, b"into the void");
    tank.settle();
    assert_eq!(outcome(tank.write(server, b"x")), fails(BrokenPipe));
}

#[test]
fn a_connection_that_was_reset_is_accepted_and_then_fails() {
    for sent in [&b""[..], b"12345"] {
        let mut tank = Harness::new();
        let listener = tank.listen(ListenOptions::new());
        let client = tank.connect();
        tank.settle();
        tank.send(client, sent);
        tank.abort(client);
        tank.settle();
        let server = tank.accept(listener);
        assert_eq!(tank.network.peer_addr(server).unwrap_err().kind(), NotConnected);
        if !sent.is_empty() {
            assert_eq!(outcome(tank.read(server, 9)), gives(sent));
        }
        assert_eq!(outcome(tank.read(server, 9)), fails(ConnectionReset));
        check_is_over(&mut tank, server);
    }
}

#[test]
fn the_loopback_has_its_own_addresses() {
    let mut tank = Harness::new();
    let any = "0.0.0.0:80".parse().unwrap();
    let listener = tank.network.listen(tank.server, any, ListenOptions::new()).unwrap();
    for (target, source, peer) in [
        ("127.0.0.1:80", "127.0.0.1:49152", "127.0.0.1:80"),
        ("127.0.0.5:80", "127.0.0.1:49153", "127.0.0.5:80"),
        ("0.0.0.0:80", "127.0.0.1:49154", "127.0.0.1:80"),
        ("192.168.0.2:80", "192.168.0.2:49155", "192.168.0.2:80"),
    ] {
        let began = tank.now;
        let target = target.parse().unwrap();
        let client =
            tank.network.connect(tank.now, &mut tank.out, tank.server, target, SocketOptions::new()).unwrap();
        tank.settle();
        assert_eq!(tank.now - began, 3 * link::LOOPBACK_LATENCY);
        assert_eq!(tank.network.local_addr(client).unwrap().to_string(), source);
        assert_eq!(tank.network.peer_addr(client).unwrap().to_string(), peer);
        let server = tank.accept(listener);
        assert_eq!(tank.network.peer_addr(server).unwrap().to_string(), source);
        assert_eq!(tank.network.local_addr(server).unwrap().to_string(), peer);
    }
}

#[test]
fn buffers_take_what_the_two_sizes_hold_and_a_reader_frees_them() {
    for (send, receive) in [(4096, 4096), (65536, 4096), (4096, 65536), (1024, 1024)] {
        let options = SocketOptions::new().send_buffer_bytes(send).receive_buffer_bytes(receive);
        let (mut tank, client, server) = Harness::connected_with(options, options);
        let mut accepted = 0;
        for _ in 0..100 {
            accepted += tank.fill(client);
            tank.settle();
        }
        assert!(accepted >= send.max(receive) as usize && accepted <= 4 * (send + receive) as usize);
        tank.ready();
        let mut read = 0;
        while read < accepted {
            read += tank.receive(server).len();
            tank.settle();
        }
        assert!(tank.ready().contains(&Ready::Socket(client, Direction::Write)));
        assert!(tank.fill(client) > 0);
    }
}
