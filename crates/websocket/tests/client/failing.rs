//! Openings that fail: the peer that they name, and whose fault it is.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank_runtime::{Runtime as _, Tokio};
use wavetank_websocket::OpenError;
use wavetank_websocket::client::Client;
use wavetank_websocket::handshake::ClientRequest;
use wavetank_websocket::server::Server;
use wavetank_websocket::{HandshakeError, RequestError};

#[tokio::test(start_paused = true)]
async fn a_non_http_server_fails_the_opening_immediately() {
    let (near, mut far) = tokio::io::duplex(1024);
    far.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.expect("there is room");
    let start = Tokio.now();
    let request = ClientRequest::new("ws://example.test/").expect("a URL");
    let error =
        Client::new(Tokio).connect_over(near, request).await.expect_err("no WebSocket is spoken there");
    assert_eq!(Tokio.now() - start, Duration::ZERO);
    assert_eq!(error.peer().as_deref(), Some("example.test:80"));
    let OpenError::Handshake { error: HandshakeError::NotHttp { beginning }, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(beginning, "SSH-2.0-OpenSSH_9.9\\r\\n");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_starts_tls_gets_400() {
    let (near, mut far) = tokio::io::duplex(1024);
    far.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.expect("there is room");
    let start = Tokio.now();
    let client = async move {
        let mut answer = String::new();
        far.read_to_string(&mut answer).await.expect("text, and its end");
        answer
    };
    let server = Server::new(Tokio);
    let (accepted, answer) = tokio::join!(server.accept_over(near), client);
    let error = accepted.expect_err("it cannot ask for a WebSocket");
    assert!(matches!(error, OpenError::Request(RequestError::NotHttp { .. })), "{error}");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(Tokio.now() - start, Duration::ZERO);
}
