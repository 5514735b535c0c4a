//! Both ends are ours, and both talk.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use wavetank_runtime::{BlockingListener, SocketOptions, Std, Threads};

use super::peer::{connect, listen};
use super::{LONG, quiet, spawn, trace_of};
use crate::blocking::{Client, Server, WebSocket};
use crate::handshake::{AcceptOptions, ClientRequest, TlsOptions};
use crate::{Cause, CloseCode, Config, Error, Message};

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
fn flood(socket: WebSocket<Std>, length: usize) -> impl FnOnce() -> u64 {
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
fn drain(socket: WebSocket<Std>) -> impl FnOnce() -> u64 {
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

/// The same in TLS.
fn secure_pair(config: Config) -> (WebSocket<Std>, WebSocket<Std>) {
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("../../../testdata/certificate.pem")).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../../testdata/key.pem")).expect("PEM");
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("ring has them").with_no_client_auth();
    let tls = builder.with_single_cert(vec![certificate.clone()], key).expect("they belong together");
    let options = AcceptOptions::new().tls(Arc::new(tls));

    let (listener, address) = listen();
    let server = Server::new(Std).config(config.clone()).options(options);
    let accepting = spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        server.accept(stream).expect("a client of ours")
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let request =
        ClientRequest::new("wss://example.test/").expect("a URL").tls(TlsOptions::new().roots(roots));
    let stream = Std.connect(address, SocketOptions::new(), None).expect("a listener");
    let client = Client::new(Std).config(config).connect_over(stream, request).expect("a server of ours");
    (client, accepting())
}

#[test]
fn ends_flooding_each_other_over_tls_lose_nothing() {
    let (client, server) = secure_pair(quiet(LONG));
    let received = [drain(client.clone()), drain(server.clone())];
    let sent = [flood(server.clone(), 100_000), flood(client.clone(), 100_000)];
    Std.sleep(super::millis(300));
    let closed = client.close(CloseCode::NORMAL, "enough");
    assert!(closed.is_clean(), "{closed}");
    let [_, from_client] = sent.map(|end| end());
    let [by_client, by_server] = received.map(|end| end());
    assert!(by_server >= from_client && by_server <= from_client + 1, "{by_server} of {from_client}");
    assert!(by_client > 0 && by_server > 0);
}

#[test]
fn closing_over_tls_respects_the_close_timeout() {
    let mut config = quiet(super::millis(200));
    config.limits.receive_queue_bytes = 1;
    let (client, _server) = secure_pair(config);
    let flooding = flood(client.clone(), 64 * 1024);
    Std.sleep(super::millis(300));
    let closed = client.close(CloseCode::NORMAL, "");
    assert_eq!(closed.cause, Cause::CloseTimeout { timeout: super::millis(200) });
    flooding();
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
