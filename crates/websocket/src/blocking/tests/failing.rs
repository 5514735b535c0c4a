//! Openings that fail: the peer that they name, and whose fault it is.

use wavetank_runtime::{BlockingListener, SocketOptions, Std, Threads};

use super::peer::{Peer, connect, listen};
use super::{LONG, quiet, spawn};
use crate::OpenError;
use crate::blocking::Server;
use crate::error::{HandshakeError, RequestError};

#[test]
fn a_non_http_server_fails_the_opening_immediately() {
    let (listener, address) = listen();
    let serving = spawn(move || {
        let mut peer = Peer { stream: listener.accept().expect("a connection").0 };
        peer.write(b"SSH-2.0-OpenSSH_9.9\r\n");
        peer.read_until_end()
    });
    let error = connect(address, quiet(LONG)).expect_err("no WebSocket is spoken there");
    assert_eq!(error.peer(), Some(address.to_string()));
    let OpenError::Handshake { error: HandshakeError::NotHttp { beginning }, .. } = error else {
        panic!("{error}")
    };
    assert!("SSH-2.0-OpenSSH_9.9\\r\\n".starts_with(&beginning) && !beginning.is_empty(), "{beginning}");
    assert!(serving(), "the stream is closed");
}

#[test]
fn a_client_that_starts_tls_gets_400() {
    let (listener, address) = listen();
    let serving = spawn(move || {
        let stream = listener.accept().expect("a connection").0;
        Server::new(Std).config(quiet(LONG)).accept(stream).map(drop)
    });
    let stream = Std.connect(address, SocketOptions::new(), None).expect("a listener");
    let mut client = Peer { stream };
    client.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert!(client.read_request().starts_with("HTTP/1.1 400 "));
    drop(client);
    let error = serving().expect_err("it cannot ask for a WebSocket");
    assert!(matches!(error, OpenError::Request(RequestError::NotHttp { .. })), "{error}");
}
