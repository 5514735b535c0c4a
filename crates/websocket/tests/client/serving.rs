//! Our client and our server with each other: on TCP, in TLS, on Unix sockets.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::AsyncReadExt as _;
use wavetank_runtime::{
    ListenOptions, Listener as _, LocalSockets as _, Runtime, SocketOptions, Tokio, UnixListener as _,
};
use wavetank_websocket::client::{Client, WebSocket};
use wavetank_websocket::handshake::{AcceptOptions, ClientRequest};
use wavetank_websocket::server::Server;
use wavetank_websocket::{CloseCode, Error, Kind, Message, OpenError};

/// Sends back what comes, piece by piece, until the end.
async fn echo<S>(socket: WebSocket<Tokio, S>) -> wavetank_websocket::Closed
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    while let Ok(message) = socket.recv().await {
        if socket.send(&message).await.is_err() {
            break;
        }
    }
    socket.closed().await
}

/// The task of a server, and how its connection ended.
pub(crate) type Serving = <Tokio as Runtime>::TaskHandle<Result<wavetank_websocket::Closed, OpenError>>;

/// A server for one connection on TCP. Returns its port.
pub(crate) async fn serve_once(server: Server<Tokio>) -> (u16, Serving) {
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = Tokio.listen(any, ListenOptions::new()).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let serving = Tokio.spawn("test", async move {
        let (stream, _) = listener.accept().await.expect("a client");
        Ok(echo(server.accept(stream).await?).await)
    });
    (port, serving)
}

pub(crate) async fn converse<S>(socket: &WebSocket<Tokio, S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let large = vec![42; 3_000_000];
    let messages =
        [Message::text("hello"), Message::text(""), Message::binary(large), Message::text("é".repeat(999))];
    for message in &messages {
        socket.send(message).await.expect("is open");
        assert_eq!(socket.recv().await.as_ref(), Ok(message));
    }
    let mut writer = socket.send_stream(Kind::Text).await.expect("is open");
    for piece in ["in ", "several ", "pieces"] {
        writer.write(piece.as_bytes()).await.expect("is open");
    }
    writer.finish(b"").await.expect("is open");
    assert_eq!(socket.recv().await, Ok(Message::text("in several pieces")));
    assert!(socket.ping().await.expect("a pong") < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_ends_converse_and_close_cleanly() {
    let options = AcceptOptions::new().subprotocols(["chat.v2", "chat.v1"]);
    let (port, serving) = serve_once(Server::new(Tokio).options(options)).await;
    let request = ClientRequest::new(&format!("ws://127.0.0.1:{port}/room?id=5"))
        .and_then(|request| request.subprotocol("chat.v1"))
        .expect("a request");
    let socket = Client::new(Tokio).connect(request).await.expect("a connection");
    assert_eq!(socket.subprotocol(), Some("chat.v1"));
    assert_eq!(socket.compression().is_some(), cfg!(feature = "compression"));
    converse(&socket).await;
    let closed = socket.close(CloseCode::NORMAL, "done").await;
    assert!(closed.is_clean(), "{closed}");
    let seen = serving.await.expect("no panic").expect("a connection");
    assert!(seen.is_clean(), "{seen}");
    assert_eq!(seen.received.map(|frame| frame.reason), Some("done".to_owned()));
    assert_eq!(socket.recv().await, Err(Error::Closed(closed)));
}

#[tokio::test]
async fn a_server_may_refuse_and_may_choose() {
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = Tokio.listen(any, ListenOptions::new()).await.expect("a port");
    let url = format!("ws://{}/secret", listener.local_addr().expect("an address"));
    let serving = Tokio.spawn("test", async move {
        let server = Server::new(Tokio);
        let (stream, _) = listener.accept().await.expect("a client");
        let incoming = server.request(stream).await.expect("a request");
        assert_eq!(incoming.request().path(), "/secret");
        let refused = incoming.refuse(StatusCode::FORBIDDEN, &HeaderMap::new(), b"not for you").await;
        refused.expect("a status that refuses");
        let (stream, _) = listener.accept().await.expect("a client");
        let incoming = server.request(stream).await.expect("a request");
        let mut headers = HeaderMap::new();
        headers.insert("x-room", "5".parse().expect("a value"));
        echo(incoming.accept_with(Some("b"), &headers).await.expect("a connection")).await
    });
    let request = || {
        ClientRequest::new(&url)
            .and_then(|request| request.subprotocol("a"))
            .and_then(|request| request.subprotocol("b"))
            .expect("a request")
    };
    let client = Client::new(Tokio);
    let Err(OpenError::Rejected(rejection)) = client.connect(request()).await else { panic!("is refused") };
    assert_eq!((rejection.status, &rejection.body[..]), (StatusCode::FORBIDDEN, &b"not for you"[..]));
    let socket = client.connect(request()).await.expect("a connection");
    assert_eq!(socket.subprotocol(), Some("b"));
    assert_eq!(socket.headers().get("x-room").and_then(|value| value.to_str().ok()), Some("5"));
    assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
    serving.await.expect("no panic");
}

#[tokio::test]
async fn an_impossible_answer_fails_and_sends_500() {
    for (status, subprotocol, header) in [
        (Some(100), None, None),
        (Some(101), None, None),
        (None, Some("not offered"), None),
        (None, None, Some("upgrade")),
    ] {
        let (near, far) = tokio::io::duplex(1024);
        let serving = async {
            let incoming = Server::new(Tokio).request_over(far).await.expect("a request");
            if let Some(status) = status {
                let status = StatusCode::from_u16(status).expect("a status");
                return incoming.refuse(status, &HeaderMap::new(), b"").await;
            }
            let mut headers = HeaderMap::new();
            headers.extend(header.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x"))));
            incoming.accept_with(subprotocol, &headers).await.map(drop)
        };
        let request = ClientRequest::new("ws://server.test/").expect("a URL");
        let client = Client::new(Tokio);
        let (served, connected) = tokio::join!(serving, client.connect_over(near, request));
        let error = served.expect_err("the answer cannot be given");
        assert!(matches!(error, OpenError::Setup(_)), "{error}");
        let Err(OpenError::Rejected(rejection)) = connected else { panic!("no answer") };
        assert_eq!((rejection.status, rejection.complete), (StatusCode::INTERNAL_SERVER_ERROR, true));
    }
}

#[tokio::test]
async fn unix_sockets_carry_connections_too() {
    let folder = std::env::temp_dir().join(format!("wavetank-websocket-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    let path = folder.join("echo");
    let listener = Tokio.listen_unix(&path, ListenOptions::new()).await.expect("a path");
    let serving = Tokio.spawn("test", async move {
        let stream = listener.accept().await.expect("a client");
        echo(Server::new(Tokio).accept_over(stream).await.expect("a connection")).await
    });
    let request = ClientRequest::new("ws://localhost/").expect("a request").unix_path(&path);
    let client = Client::new(Tokio).socket_options(SocketOptions::new());
    let socket = client.connect_unix(request.clone()).await.expect("a connection");
    converse(&socket).await;
    assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
    serving.await.expect("no panic");
    // `connect` is for TCP.
    assert!(client.connect(request).await.is_err());
    std::fs::remove_dir_all(&folder).expect("the folder is there");
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_request_is_given_up() {
    let (near, mut far) = tokio::io::duplex(1024);
    let start = Tokio.now();
    let error = Server::new(Tokio).accept_over(near).await.expect_err("no client asks");
    assert!(matches!(error, OpenError::TimedOut { .. }), "{error}");
    assert!(Tokio.now() - start < Duration::from_secs(11));
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.expect("an open pipe");
    assert!(rest.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plain_request_is_answered_by_a_status() {
    let (near, mut far) = tokio::io::duplex(1024);
    let server = Server::new(Tokio);
    let (result, answer) = tokio::join!(server.accept_over(near), async {
        tokio::io::AsyncWriteExt::write_all(&mut far, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .expect("an open pipe");
        let mut answer = String::new();
        far.read_to_string(&mut answer).await.expect("an open pipe");
        answer
    });
    assert!(matches!(result, Err(OpenError::Request(_))), "{result:?}");
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}
