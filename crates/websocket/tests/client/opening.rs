//! How connections come about.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wavetank_runtime::{Runtime as _, Tokio};
use wavetank_websocket::OpenError;
use wavetank_websocket::client::Client;
use wavetank_websocket::handshake::ClientRequest;

use crate::raw_peer::{RawPeer, TEXT, frame, plain, read_head};

#[tokio::test(start_paused = true)]
async fn frames_behind_the_response_are_the_first_messages() {
    let (near, far) = tokio::io::duplex(1024);
    let client = Client::new(Tokio).config(plain());
    let glued = [frame(TEXT, b"first"), frame(TEXT, b"second")].concat();
    let request = "ws://peer.test/".parse().expect("an address");
    let (socket, _peer) =
        tokio::join!(client.connect_over(near, request), RawPeer::open(far, &glued[..glued.len() - 2]));
    let socket = socket.expect("the handshake succeeds");
    assert_eq!(socket.recv().await.expect("a message").as_text(), Some("first"));
    let mut peer = _peer;
    peer.send(&glued[glued.len() - 2..]).await;
    assert_eq!(socket.recv().await.expect("a message").as_text(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_meets_the_open_timeout() {
    let (near, mut far) = tokio::io::duplex(1024);
    let start = Tokio.now();
    let client = Client::new(Tokio);
    let request = "ws://peer.test/".parse().expect("an address");
    let (result, _head) = tokio::join!(client.connect_over(near, request), read_head(&mut far));
    assert!(matches!(result, Err(OpenError::TimedOut { .. })), "{result:?}");
    let took = Tokio.now() - start;
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{took:?}");
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    drop(listener);
    let error =
        Client::new(Tokio).connect(url.parse().expect("an address")).await.expect_err("the port is closed");
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_refused_opening_shows_the_servers_status() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = Tokio.spawn("test", async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\ngo away")
            .await
            .expect("the client reads");
    });
    let error = Client::new(Tokio).connect(url.parse().expect("an address")).await.expect_err("is refused");
    server.await.expect("no panic");
    assert!(error.to_string().contains("403"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_before_the_whole_request_is_reported() {
    for ends in [false, true] {
        let (near, mut far) = tokio::io::duplex(256);
        let client = Client::new(Tokio);
        let request = ClientRequest::new("ws://peer.test/").expect("an address");
        let request = request.header("X-Long", "x".repeat(10_000)).expect("a header");
        let refusing = async {
            far.read_exact(&mut [0; 300]).await.expect("the client writes");
            let answer = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n";
            far.write_all(answer).await.expect("the client reads");
            (!ends).then_some(far)
        };
        let start = Tokio.now();
        let (result, _far) = tokio::join!(client.connect_over(near, request), refusing);
        let Err(OpenError::Rejected(rejection)) = result else { panic!("ends {ends}: {result:?}") };
        assert_eq!(rejection.status.as_u16(), 431);
        assert_eq!(Tokio.now(), start, "nothing has to be waited for");
    }
}
