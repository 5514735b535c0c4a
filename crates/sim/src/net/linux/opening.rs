//! How connections begin: connecting, listeners, backlogs, ports and addresses.

use std::io::ErrorKind::*;
use std::net::{Shutdown, SocketAddr};
use std::task::Poll;

use wavetank_runtime::{ListenOptions, SocketOptions};

use super::check_is_over;
use crate::net::harness::{Harness, SERVER_PORT, fails, gives, outcome};
use crate::net::hosts::EPHEMERAL_FIRST;
use crate::net::link::SECOND;
use crate::net::*;

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
            .listen(harness.now, harness.server, addr.parse().unwrap(), ListenOptions::new())
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
        harness.network.listen(harness.now, harness.client, taken, ListenOptions::new()).map_err(|e| e.kind())
    };
    assert_eq!(listen(&mut harness), Err(AddrInUse));
    harness.close(client);
    harness.close(server);
    harness.settle();
    harness.pass(59 * SECOND);
    assert_eq!(listen(&mut harness), Err(AddrInUse), "the port is in TIME-WAIT");
    harness.pass(2 * SECOND);
    assert!(listen(&mut harness).is_ok());
}

#[test]
fn the_end_that_closes_last_frees_its_port() {
    let (mut harness, client, server) = Harness::connected();
    let own = harness.network.local_addr(client).unwrap();
    harness.close(server);
    harness.settle();
    harness.close(client);
    harness.settle();
    harness.network.listen(harness.now, harness.client, own, ListenOptions::new()).unwrap();
}

#[test]
fn time_wait_uses_up_ephemeral_ports() {
    // Of two addresses of the server only the loopback's ports are free again after a second.
    for (loopback, free_after) in [(false, 60), (true, 1)] {
        let mut harness = Harness::new();
        let any = "0.0.0.0:80".parse().unwrap();
        let listener = harness.network.listen(0, harness.server, any, ListenOptions::new()).unwrap();
        let ip = harness.network.host_ip(harness.server);
        let (host, ip) =
            if loopback { (harness.server, [127, 0, 0, 1].into()) } else { (harness.client, ip) };
        let target = SocketAddr::new(ip, SERVER_PORT);
        let connect = |harness: &mut Harness| {
            let connected = harness.network.connect(
                harness.now,
                &mut harness.outside,
                host,
                target,
                SocketOptions::new(),
            );
            connected.map_err(|error| error.raw_os_error())
        };
        let clients: Vec<SocketId> = std::iter::from_fn(|| connect(&mut harness).ok()).collect();
        assert_eq!(clients.len(), usize::from(u16::MAX - EPHEMERAL_FIRST) + 1);
        harness.pass(SECOND / 10);
        let mut servers = Vec::new();
        while let Poll::Ready(accepted) = harness.network.accept(listener) {
            servers.push(accepted.unwrap().0);
        }
        assert!(servers.len() > 1000);
        clients.iter().for_each(|&client| harness.close(client));
        harness.pass(SECOND / 10);
        servers.iter().for_each(|&server| harness.close(server));
        harness.pass(SECOND / 2);
        let more: Vec<SocketId> = std::iter::from_fn(|| connect(&mut harness).ok()).collect();
        assert!(more.len() < clients.len(), "those that were accepted are in TIME-WAIT");
        assert_eq!(connect(&mut harness), Err(Some(libc::EADDRNOTAVAIL)));
        harness.pass(free_after * SECOND);
        connect(&mut harness).unwrap();
    }
}

#[test]
fn a_socket_may_connect_to_itself() {
    let mut harness = Harness::new();
    let target = SocketAddr::new([127, 0, 0, 1].into(), EPHEMERAL_FIRST + 3);
    let connect = |harness: &mut Harness| {
        let (now, host) = (harness.now, harness.client);
        harness.network.connect(now, &mut harness.outside, host, target, SocketOptions::new()).unwrap()
    };
    for _ in 0..3 {
        let refused = connect(&mut harness);
        harness.settle();
        assert_eq!(outcome(harness.network.poll_connected(refused)), fails(ConnectionRefused));
        harness.close(refused);
    }
    let socket = connect(&mut harness);
    harness.settle();
    assert_eq!(outcome(harness.network.poll_connected(socket)), Poll::Ready(Ok(())));
    assert_eq!(harness.network.local_addr(socket).unwrap(), target);
    assert_eq!(harness.network.peer_addr(socket).unwrap(), target);
    assert_eq!(harness.network.open_sockets(harness.client).len(), 1);
    assert!(harness.read(socket, 9).is_pending());
    harness.ready();
    harness.send(socket, b"to myself");
    harness.settle();
    assert!(harness.ready().contains(&Ready::Socket(socket, Direction::Read)));
    assert_eq!(outcome(harness.read(socket, 99)), gives(b"to myself"));
    harness.shutdown(socket, Shutdown::Write).unwrap();
    harness.pass(SECOND / 10);
    check_is_over(&mut harness, socket);
    harness.close(socket);
    harness.settle();
    assert!(harness.is_empty());
}

#[test]
fn closing_a_loop_with_unread_bytes_leaves_nothing() {
    let mut harness = Harness::new();
    let target = SocketAddr::new([127, 0, 0, 1].into(), EPHEMERAL_FIRST);
    let options = SocketOptions::new();
    let socket = harness.network.connect(0, &mut harness.outside, harness.client, target, options).unwrap();
    harness.settle();
    harness.fill(socket);
    harness.settle();
    harness.close(socket);
    harness.settle();
    assert!(harness.is_empty());
    harness.network.listen(harness.now, harness.client, target, ListenOptions::new()).unwrap();
}

#[test]
fn syns_beyond_the_backlog_are_answered_with_cookies() {
    let mut harness = Harness::new();
    let listener = harness.listen(ListenOptions::new().backlog(8));
    let clients: Vec<SocketId> = (0..60).map(|_| harness.connect()).collect();
    harness.pass(SECOND / 10);
    for &client in &clients {
        assert_eq!(outcome(harness.network.poll_connected(client)), Poll::Ready(Ok(())));
    }
    for &client in clients.iter().skip(1).step_by(2) {
        harness.send(client, b"here");
    }
    harness.pass(SECOND);
    let mut accepted = Vec::new();
    for _ in 0..1000 {
        while let Poll::Ready(Ok((_, peer))) = harness.network.accept(listener) {
            accepted.push(usize::from(peer.port() - EPHEMERAL_FIRST));
        }
        harness.pass(SECOND / 50);
    }
    let (wrote, silent): (Vec<usize>, Vec<usize>) = accepted.iter().partition(|&client| client % 2 == 1);
    assert_eq!(wrote.len(), 30);
    assert_eq!(silent, [0, 2, 4, 6, 8], "the backlog had room for nine");
    harness.send(clients[20], b"at last");
    harness.pass(SECOND);
    accept_one(&mut harness, listener);
    harness.pass(60 * SECOND);
    harness.send(clients[22], b"too late");
    harness.pass(SECOND);
    accept_one(&mut harness, listener);
    harness.pass(60 * SECOND);
    harness.send(clients[24], b"far too late");
    harness.settle();
    assert_eq!(outcome(harness.read(clients[24], 9)), fails(ConnectionReset));
}

fn accept_one(harness: &mut Harness, listener: ListenerId) {
    harness.accept(listener);
    assert!(harness.network.accept(listener).is_pending());
}

#[test]
fn families_of_addresses_are_separate() {
    let mut harness = Harness::new();
    let listen = |harness: &mut Harness, addr: &str| {
        let addr = addr.parse().unwrap();
        harness.network.listen(0, harness.server, addr, ListenOptions::new()).map_err(|error| error.kind())
    };
    listen(&mut harness, "0.0.0.0:80").unwrap();
    listen(&mut harness, "[::1]:80").unwrap();
    assert_eq!(listen(&mut harness, "[::]:80"), Err(AddrInUse));
    listen(&mut harness, "0.0.0.0:81").unwrap();
    let connect = |harness: &mut Harness, addr: &str| {
        let (now, host) = (harness.now, harness.server);
        let addr = addr.parse().unwrap();
        let client =
            harness.network.connect(now, &mut harness.outside, host, addr, SocketOptions::new()).unwrap();
        harness.settle();
        (client, outcome(harness.network.poll_connected(client)))
    };
    assert_eq!(connect(&mut harness, "[::1]:81").1, fails(ConnectionRefused));
    let both = listen(&mut harness, "[::]:82").unwrap();
    for addr in ["127.0.0.1:82", "0.0.0.0:82", "[::1]:82"] {
        assert_eq!(listen(&mut harness, addr), Err(AddrInUse));
    }
    let (client, connected) = connect(&mut harness, "127.0.0.1:82");
    assert_eq!(connected, Poll::Ready(Ok(())));
    let own = harness.network.local_addr(client).unwrap();
    let Poll::Ready(Ok((server, peer))) = harness.network.accept(both) else { panic!("it waits") };
    assert_eq!(peer.to_string(), format!("[::ffff:127.0.0.1]:{}", own.port()));
    assert_eq!(harness.network.peer_addr(server).unwrap(), peer);
    assert_eq!(harness.network.local_addr(server).unwrap().to_string(), "[::ffff:127.0.0.1]:82");
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
    let listener = harness.network.listen(harness.now, harness.server, any, ListenOptions::new()).unwrap();
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
