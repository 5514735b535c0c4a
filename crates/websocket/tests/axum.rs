//! Handlers of a real axum server and a service of a hyper server, over real sockets.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::any;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank_runtime::{Runtime as _, Tokio};
use wavetank_websocket::axum::{Socket, WebSocketUpgrade};
use wavetank_websocket::client::Client;
use wavetank_websocket::handshake::{AcceptOptions, ClientRequest, Origins};
use wavetank_websocket::{CloseCode, Config, Message, OpenError};

async fn echo(socket: Socket) {
    while let Ok(message) = socket.recv().await {
        if socket.send(&message).await.is_err() {
            break;
        }
    }
}

async fn chat(upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade.options(AcceptOptions::new().subprotocols(["chat.v2"])).on_upgrade(echo)
}

/// Takes messages of 10 bytes at most, of one origin, and says whether the request came through TLS.
async fn strict(upgrade: WebSocketUpgrade) -> axum::response::Response {
    let mut config = Config::default();
    config.limits().message(10);
    let options = AcceptOptions::new().origins(Origins::ListedOnly(vec!["https://example.com".to_owned()]));
    upgrade.options(options).config(config).secure(true).on_upgrade(|socket| async move {
        let is_secure = socket.request().expect("a request").is_secure;
        if socket.send(if is_secure { "secure" } else { "plain" }).await.is_ok() {
            echo(socket).await;
        }
    })
}

async fn serve() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().route("/chat", any(chat)).route("/strict", any(strict));
    drop(Tokio.spawn("server", async move { axum::serve(listener, app).await }));
    address
}

fn request(address: SocketAddr) -> ClientRequest {
    ClientRequest::new(&format!("ws://{address}/chat")).expect("an address")
}

#[tokio::test]
async fn a_handler_talks_with_the_client() {
    let address = serve().await;
    let request = request(address).subprotocol("chat.v1").and_then(|request| request.subprotocol("chat.v2"));
    let socket = Client::new(Tokio).connect(request.expect("a request")).await.expect("a connection");
    assert_eq!(socket.subprotocol(), Some("chat.v2"));
    assert!(socket.compression().is_some());
    for length in [0, 5, 300, 100_000] {
        let message = Message::text("x".repeat(length));
        socket.send(&message).await.expect("is open");
        assert_eq!(socket.recv().await, Ok(message));
    }
    assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
}

#[tokio::test]
async fn a_client_without_compression_gets_none() {
    let address = serve().await;
    let mut config = Config::default();
    config.compression().enabled(false);
    let socket = Client::new(Tokio).config(config).connect(request(address)).await.expect("a connection");
    assert!(socket.compression().is_none());
    socket.send("hello").await.expect("is open");
    assert_eq!(socket.recv().await, Ok(Message::text("hello")));
}

/// Sends a request to the extractor, and returns the response.
async fn response(request_line: &str, headers: &str) -> String {
    let address = serve().await;
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a listener");
    let request = format!("{request_line}\r\nHost: a\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let (mut response, mut chunk) = (String::new(), [0; 1024]);
    while !response.contains("\r\n\r\n") {
        let count = stream.read(&mut chunk).await.expect("a response");
        assert_ne!(count, 0, "the response ends: {response}");
        response.push_str(std::str::from_utf8(&chunk[..count]).expect("text"));
    }
    response.to_ascii_lowercase()
}

#[tokio::test]
async fn the_extractor_says_what_it_refuses() {
    let asks = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = |version: u32| format!("{asks}Sec-WebSocket-Version: {version}\r\n");
    for (line, headers, status, header) in [
        ("GET /chat HTTP/1.1", "", "426", "upgrade: websocket"),
        ("GET /chat HTTP/1.1", &version(8), "426", "sec-websocket-version: 13"),
        ("POST /chat HTTP/1.1", "Content-Length: 0\r\n", "405", "allow: get"),
        ("POST /chat HTTP/1.1", &version(13), "405", "allow: get"),
        ("GET /chat HTTP/1.1", asks, "426", "sec-websocket-version: 13"),
        ("GET /chat HTTP/1.1", &format!("{}Sec-WebSocket-Key: x\r\n", version(13)), "400", "content-type"),
    ] {
        let response = response(line, headers).await;
        assert!(response.starts_with(&format!("http/1.1 {status} ")), "{line} {headers}: {response}");
        assert!(response.contains(&format!("\r\n{header}")), "{line} {headers}: {response}");
        assert!(response.contains("\r\ncontent-type: text/plain; charset=utf-8\r\n"), "{response}");
        assert!(!response.ends_with("\r\n\r\n"), "a text says why: {response}");
    }
}

#[tokio::test]
async fn origins_and_limits_of_a_handler_hold() {
    let address = serve().await;
    let request = |origin| {
        let request = ClientRequest::new(&format!("ws://{address}/strict")).expect("an address");
        request.origin(origin).expect("an origin")
    };
    match Client::new(Tokio).connect(request("https://example.org")).await {
        Err(OpenError::Rejected(rejection)) => assert_eq!(rejection.status, 403),
        other => panic!("{other:?}"),
    }
    let socket = Client::new(Tokio).connect(request("https://example.com")).await.expect("a connection");
    assert_eq!(socket.recv().await, Ok(Message::text("secure")));
    socket.send("0123456789").await.expect("is open");
    assert_eq!(socket.recv().await, Ok(Message::text("0123456789")));
    socket.send("0123456789a").await.expect("is open");
    let closed = socket.closed().await;
    assert_eq!(closed.received.and_then(|frame| frame.code), Some(CloseCode::MESSAGE_TOO_BIG));
}

/// Serves one connection of a hyper server.
async fn serve_hyper() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(Tokio.spawn("server", async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let service = service_fn(|mut request: http::Request<hyper::body::Incoming>| async move {
            let (options, config) = (AcceptOptions::new().subprotocols(["chat.v2"]), Config::default());
            let response = match wavetank_websocket::hyper::upgrade(&mut request, true, &options, &config) {
                Ok((response, upgrade)) => {
                    assert!(upgrade.request().is_some_and(|request| request.is_secure));
                    drop(Tokio.spawn("session", async move {
                        echo(upgrade.finish().await.expect("the response is sent")).await;
                    }));
                    response.map(|()| String::new())
                }
                Err(refusal) => refusal.response,
            };
            Ok::<_, std::convert::Infallible>(response)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        connection.await.expect("the connection is served");
    }));
    address
}

#[tokio::test]
async fn a_service_of_hyper_talks_with_the_client() {
    let address = serve_hyper().await;
    let request = request(address).subprotocol("chat.v2").expect("a token");
    let socket = Client::new(Tokio).connect(request).await.expect("a connection");
    assert_eq!(socket.subprotocol(), Some("chat.v2"));
    assert!(socket.compression().is_some());
    let message = Message::text("x".repeat(100_000));
    socket.send(&message).await.expect("is open");
    assert_eq!(socket.recv().await, Ok(message));
    assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
}

#[tokio::test]
async fn a_service_of_hyper_refuses_other_requests() {
    let address = serve_hyper().await;
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a listener");
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("the server reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("a response");
    assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
    assert!(response.contains("\r\nupgrade: websocket\r\n"), "{response}");
}
