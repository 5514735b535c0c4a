//! Both ends are ours, and both talk.

use wavetank_runtime::{BlockingListener, Std, Threads};

use super::peer::{connect, listen};
use super::{LONG, quiet, spawn, trace_of};
use crate::blocking::{Server, WebSocket};
use crate::{CloseCode, Config, Error, Message};

/// A client and the server's end of its connection.
fn pair(config: Config) -> (WebSocket<Std>, WebSocket<Std>) {
    let (listener, address) = listen();
    let server = Server::new(Std).config(config.clone());
    let accepting = spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        server.accept(stream).expect("a client of ours")
    });
    let client = connect(address, config).expect("a server of ours");
    (client, accepting())
}

/// Sends messages until the connection is closing, and tells how many.
pub(super) fn flood(socket: WebSocket<Std>, length: usize) -> impl FnOnce() -> u64 {
    spawn(move || {
        let mut payload = vec![7; length];
        let mut sent: u64 = 0;
        loop {
            payload[..8].copy_from_slice(&sent.to_be_bytes());
            match socket.send(&payload) {
                Ok(()) => sent += 1,
                Err(error) => break assert!(matches!(error, Error::Closed(_)), "{error}"),
            }
        }
        sent
    })
}

/// Receives until the connection is over, and tells how many messages came: all of them in order.
pub(super) fn drain(socket: WebSocket<Std>) -> impl FnOnce() -> u64 {
    spawn(move || {
        let mut next: u64 = 0;
        while let Ok(message) = socket.recv() {
            assert_eq!(message.as_bytes()[..8], next.to_be_bytes());
            next += 1;
        }
        next
    })
}

#[test]
fn ends_flooding_each_other_lose_nothing() {
    for (length, compression) in [(16, false), (5000, false), (100_000, false), (5000, true)] {
        let mut config = Config::default();
        config.compression.enabled = compression;
        let (client, server) = pair(config);
        let received = [drain(client.clone()), drain(server.clone())];
        let sent = [flood(server.clone(), length), flood(client.clone(), length)];
        Std.sleep(super::millis(300));
        let closed = client.close(CloseCode::NORMAL, "enough");
        assert!(closed.is_clean(), "{closed}");
        assert_eq!(server.wait_closed().received, closed.sent);
        let [from_server, from_client] = sent.map(|end| end());
        let [by_client, by_server] = received.map(|end| end());
        // What is sent before the Close frame arrives; a message whose sending failed may have.
        assert!(by_server >= from_client && by_server <= from_client + 1, "{by_server} of {from_client}");
        assert!(by_client <= from_server + 1, "{by_client} of {from_server}");
        assert!(by_client > 0 && by_server > 0);
    }
}

#[test]
fn ends_flooding_without_receiving_can_close() {
    let mut config = quiet(super::millis(300));
    config.limits.receive_queue_bytes = 64 * 1024;
    let (client, server) = pair(config);
    let floods = [flood(client.clone(), 64 * 1024), flood(server.clone(), 64 * 1024)];
    Std.sleep(super::millis(300));
    let other = server.clone();
    let closing = spawn(move || other.close(CloseCode::NORMAL, "server"));
    let closed = client.close(CloseCode::NORMAL, "client");
    closing();
    assert_eq!(client.outcome(), Some(closed));
    let _sent = floods.map(|end| end());
}

#[test]
fn a_thousand_closed_connections_leave_no_threads() {
    let (listener, address) = listen();
    let serving = spawn(move || {
        let server = Server::new(Std).config(quiet(LONG));
        for _ in 0..1000 {
            let (stream, _) = listener.accept().expect("a connection");
            let socket = server.accept(stream).expect("a client of ours");
            if let Ok(message) = socket.recv() {
                socket.send(&message).expect("an open connection");
            }
            let _closed = socket.wait_closed();
        }
    });
    let mut traces = Vec::new();
    for number in 0..1000 {
        let client = connect(address, quiet(LONG)).expect("a server of ours");
        traces.push(trace_of(&client));
        let message = Message::from(format!("number {number}"));
        client.send(&message).expect("an open connection");
        assert_eq!(client.recv(), Ok(message));
        assert!(client.close(CloseCode::NORMAL, "").is_clean());
    }
    serving();
    while traces.iter().any(|trace| trace.strong_count() > 0) {
        Std.yield_now();
    }
}
