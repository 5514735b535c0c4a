//! The re-created websockets connection on real threads and real sockets.
//!
//! These tests show what holds on every schedule. The simulation finds the races.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use wavetank_runtime::{BlockingListener, ListenOptions, Std, ThreadHandle as _, Threads};
use wavetank_sim_tests::museum::websockets::scenarios::{Outcome, recv_while_closing, two_closers};
use wavetank_sim_tests::museum::websockets::{
    Cause, Connection, ConnectionClosed, HandshakeError, OpenError, Peer, PeerScript, RecvError, Settings,
    Version,
};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const VERSIONS: [Version; 3] = [Version::V13_0_1, Version::V13_1, Version::V14_2];

type PeerThread = <Std as Threads>::ThreadHandle<io::Result<()>>;

fn start_peer(script: PeerScript) -> (SocketAddr, PeerThread) {
    let peer = Peer::listen(&Std, ANY_PORT, script).expect("loopback has a free port");
    let address = peer.local_addr().expect("the listener is open");
    (address, Std.spawn("peer", move || peer.serve()).expect("a thread starts"))
}

fn join_peer(peer: PeerThread) {
    peer.join().expect("the peer does not panic").expect("the peer could accept");
}

fn closed(outcome: &Outcome) -> &ConnectionClosed {
    match &outcome.recv {
        Ok(Err(RecvError::Closed(closed))) => closed,
        other => panic!("recv returned {other:?}"),
    }
}

#[test]
fn texts_return_in_order_and_closing_is_clean() {
    for version in VERSIONS {
        let (server, peer) = start_peer(PeerScript::Echo);
        let connection = Connection::connect(&Std, server, Settings::new(version)).expect("the peer answers");
        for text in ["", "hello", &"long ".repeat(40_000)] {
            connection.send(text).expect("the connection is open");
            assert_eq!(connection.recv(None).as_deref(), Ok(text), "{version:?}");
        }
        assert_eq!(connection.recv(Some(Duration::from_millis(1))), Err(RecvError::TimedOut));
        connection.close(1000, "bye").expect("code and reason are valid");
        let Err(RecvError::Closed(closed)) = connection.recv(None) else { panic!("a message after the end") };
        assert!(closed.is_ok(), "{version:?}: {closed}");
        assert_eq!(connection.send("late"), Err(closed));
        connection.join().expect("the background thread does not panic");
        join_peer(peer);
    }
}

#[test]
fn an_answering_peer_ends_recv_and_close() {
    for version in VERSIONS {
        let (server, peer) = start_peer(PeerScript::Echo);
        let outcome = recv_while_closing(Std, server, Settings::new(version)).expect("the peer answers");
        assert_eq!(outcome.surprise(), None, "{version:?}");
        assert!(closed(&outcome).is_ok(), "{version:?}: {}", closed(&outcome));
        assert!(outcome.elapsed < Duration::from_secs(5), "{version:?}: {:?}", outcome.elapsed);
        join_peer(peer);
    }
}

#[test]
fn the_fixed_version_survives_a_silent_peer() {
    let close_timeout = Duration::from_millis(20);
    let settings = Settings::new(Version::V14_2).close_timeout(close_timeout);
    for scenario in [recv_while_closing::<Std>, two_closers::<Std>] {
        for _ in 0..10 {
            let (server, peer) = start_peer(PeerScript::Silent);
            let outcome = scenario(Std, server, settings).expect("the peer answers the opening handshake");
            assert_eq!(outcome.surprise(), None);
            let closed = closed(&outcome);
            assert_eq!(closed.to_string(), "sent 1000; no close frame received");
            // Either of the two waits may notice the deadline first.
            assert!(
                matches!(closed.cause, Some(Cause::CloseTimedOut | Cause::Socket(_))),
                "{:?}",
                closed.cause
            );
            assert!(outcome.elapsed >= close_timeout, "{:?}", outcome.elapsed);
            join_peer(peer);
        }
    }
}

#[test]
fn a_refusing_http_server_is_an_error() {
    let listener = Std.listen(ANY_PORT, ListenOptions::new()).expect("loopback has a free port");
    let server = BlockingListener::local_addr(&listener).expect("the listener is open");
    let peer = Std.spawn("peer", move || -> io::Result<()> {
        let (mut stream, _) = BlockingListener::accept(&listener)?;
        // Read the whole request. Otherwise a reset would lose the answer.
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            io::Read::read_exact(&mut stream, &mut byte)?;
            request.push(byte[0]);
        }
        io::Write::write_all(&mut stream, b"HTTP/1.1 404 Not Found\r\n\r\n")
    });
    let settings = Settings::new(Version::V14_2);
    match Connection::connect(&Std, server, settings) {
        Err(OpenError::Handshake(error)) => assert_eq!(error, HandshakeError::Status(404)),
        other => panic!("connect returned {other:?}"),
    }
    join_peer(peer.expect("a thread starts"));
}

#[test]
fn a_silent_server_ends_in_the_open_timeout() {
    let listener = Std.listen(ANY_PORT, ListenOptions::new()).expect("loopback has a free port");
    let server = BlockingListener::local_addr(&listener).expect("the listener is open");
    let settings = Settings::new(Version::V14_2).open_timeout(Duration::from_millis(20));
    let refused = Connection::connect(&Std, server, settings).expect_err("no answer");
    assert!(matches!(refused, OpenError::TimedOut), "{refused:?}");
}

#[test]
fn an_invalid_close_code_keeps_the_connection_open() {
    let (server, peer) = start_peer(PeerScript::Echo);
    let settings = Settings::new(Version::V14_2);
    let connection = Connection::connect(&Std, server, settings).expect("the peer answers");
    assert!(connection.close(1006, "").is_err());
    connection.send("still here").expect("the connection is open");
    assert_eq!(connection.recv(None).as_deref(), Ok("still here"));
    connection.close(1000, "").expect("code and reason are valid");
    connection.join().expect("the background thread does not panic");
    join_peer(peer);
}
