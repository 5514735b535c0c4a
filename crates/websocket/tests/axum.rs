//! Handlers of a real axum server, over real sockets.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::any;
use wavetank_runtime::{Runtime as _, Tokio};
use wavetank_websocket::axum::{Socket, WebSocketUpgrade};
use wavetank_websocket::client::Client;
use wavetank_websocket::handshake::{AcceptOptions, ClientRequest};
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

async fn serve() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().route("/chat", any(chat));
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

#[tokio::test]
async fn other_paths_are_refused() {
    let address = serve().await;
    let request = ClientRequest::new(&format!("ws://{address}/other")).expect("an address");
    match Client::new(Tokio).connect(request).await {
        Err(OpenError::Rejected(rejection)) => assert_eq!(rejection.status, 404),
        other => panic!("{other:?}"),
    }
}
