//! The host `axum` over real sockets: what only the adapter decides.
#![cfg(all(feature = "axum", feature = "websocket"))]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank_graphql::mock::{Mock, TokenHooks};
use wavetank_graphql::{Config, Server, Shutdown};
use wavetank_runtime::{Runtime as _, Tokio};
use wavetank_websocket::client::{Client, WebSocket};
use wavetank_websocket::handshake::ClientRequest;

type App = Server<Tokio, Mock<Tokio>, TokenHooks>;

async fn upgrade(State(app): State<App>, headers: HeaderMap, request: WebSocketUpgrade) -> Response {
    wavetank_graphql::axum::upgrade(app, request, headers, None)
}

async fn serve(config: Config) -> (App, Mock<Tokio>, SocketAddr) {
    let mock = Mock::new(Tokio);
    let app = Server::with_hooks(Tokio, mock.clone(), TokenHooks).config(config);
    let router = Router::new().route("/graphql", get(upgrade)).with_state(app.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    Tokio.spawn("axum", async move { axum::serve(listener, router).await });
    (app, mock, address)
}

fn request(address: SocketAddr) -> ClientRequest {
    ClientRequest::new(&format!("ws://{address}/graphql")).expect("a URL")
}

async fn connect(address: SocketAddr) -> WebSocket<Tokio> {
    let request = request(address).subprotocol("graphql-transport-ws").expect("a name");
    Client::new(Tokio).connect(request).await.expect("a connection")
}

async fn acknowledged(address: SocketAddr) -> WebSocket<Tokio> {
    let socket = connect(address).await;
    socket.send(r#"{"type":"connection_init"}"#).await.expect("sent");
    assert_eq!(hear(&socket).await, r#"{"type":"connection_ack"}"#);
    socket
}

async fn hear(socket: &WebSocket<Tokio>) -> String {
    let message = socket.recv().await.expect("a message");
    message.as_text().expect("a text").to_owned()
}

/// The code and the reason of the server's Close frame.
async fn closed(socket: &WebSocket<Tokio>) -> (u16, String) {
    while socket.recv().await.is_ok() {}
    let frame = socket.closed().await.received.expect("a Close frame");
    (frame.code.expect("a code").get(), frame.reason)
}

/// Waits until nothing of any connection is left.
async fn released(app: &App, mock: &Mock<Tokio>) {
    while app.connections() + mock.live() > 0 {
        Tokio.sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn subscriptions_run_over_axum() {
    let (app, mock, address) = serve(Config::new()).await;
    let socket = acknowledged(address).await;
    let query = "subscription { count(to: 2, everyMs: 1) }";
    socket
        .send(format!(r#"{{"type":"subscribe","id":"1","payload":{{"query":"{query}"}}}}"#).as_str())
        .await
        .expect("sent");
    assert_eq!(hear(&socket).await, r#"{"type":"next","id":"1","payload":{"data":{"count":1}}}"#);
    assert_eq!(hear(&socket).await, r#"{"type":"next","id":"1","payload":{"data":{"count":2}}}"#);
    assert_eq!(hear(&socket).await, r#"{"type":"complete","id":"1"}"#);
    socket.abort();
    released(&app, &mock).await;
}

#[tokio::test]
async fn a_lost_client_releases_its_operations() {
    let (app, mock, address) = serve(Config::new()).await;
    let socket = acknowledged(address).await;
    socket
        .send(r#"{"type":"subscribe","id":"1","payload":{"query":"subscription { silent }"}}"#)
        .await
        .expect("sent");
    while mock.live() == 0 {
        Tokio.sleep(Duration::from_millis(5)).await;
    }
    socket.abort();
    released(&app, &mock).await;
}

#[tokio::test]
async fn messages_that_axum_refuses_close_with_1009() {
    let (app, mock, address) = serve(Config::new().message_bytes_max(1000)).await;
    let socket = acknowledged(address).await;
    socket
        .send(format!(r#"{{"type":"ping","payload":{{"a":"{}"}}}}"#, "b".repeat(2000)).as_str())
        .await
        .expect("sent");
    assert_eq!(closed(&socket).await.0, 1009);
    released(&app, &mock).await;
}

/// A Close frame must not be lost behind what the client is still sending.
#[tokio::test]
async fn a_message_of_20_mb_closes_with_1009() {
    let (app, mock, address) = serve(Config::new()).await;
    let socket = acknowledged(address).await;
    let sending = {
        let socket = socket.clone();
        Tokio.spawn("sender", async move { socket.send("x".repeat(20_000_000).as_str()).await.is_ok() })
    };
    assert_eq!(closed(&socket).await.0, 1009);
    drop(sending.await);
    socket.abort();
    released(&app, &mock).await;
}

/// A connection on which the opening handshake was sent, and nothing is read.
async fn asked(address: SocketAddr) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let upgrade = format!(
        "GET /graphql HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test]
async fn broken_frames_over_axum_close_with_codes() {
    // Masked with zeros: a text of one byte that is not UTF-8, and a reserved opcode.
    for (frame, code) in [(b"\x81\x81\0\0\0\0\xff", 1007_u16), (b"\x83\x81\0\0\0\0x", 1002)] {
        let (app, mock, address) = serve(Config::new()).await;
        let mut stream = asked(address).await;
        stream.write_all(frame).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("read");
        let close = [&[0x88, 2][..], &code.to_be_bytes()].concat();
        assert!(answer.ends_with(&close), "{answer:?}");
        released(&app, &mock).await;
    }
}

/// axum answers every ping that is read. So a client that takes no answer is not read for ever.
#[tokio::test]
async fn pings_without_end_over_axum_are_bounded() {
    const BOUND: usize = 40 << 20;
    let (app, mock, address) = serve(Config::new().init_timeout(Duration::from_secs(60))).await;
    let mut stream = asked(address).await;
    // A mask of zeros changes nothing.
    let mut ping = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
    ping.resize(6 + 125, b'x');
    let pings = ping.repeat(1000);
    let mut taken = 0;
    // What the sockets take is a few MiB. The server would keep 64 MiB of pongs, and so read more than that.
    while let Ok(sent) = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&pings)).await {
        sent.expect("the connection lasts");
        taken += pings.len();
        assert!(taken < BOUND, "the server reads pings without end");
    }
    drop(stream);
    released(&app, &mock).await;
}

#[tokio::test]
async fn a_binary_message_over_axum_closes_with_4400() {
    let (app, mock, address) = serve(Config::new()).await;
    let socket = acknowledged(address).await;
    socket.send(&b"bytes"[..]).await.expect("sent");
    assert_eq!(closed(&socket).await.0, 4400);
    released(&app, &mock).await;
}

#[tokio::test]
async fn a_client_without_subprotocol_closes_with_4406() {
    let (app, mock, address) = serve(Config::new()).await;
    let socket = Client::new(Tokio).connect(request(address)).await.expect("a connection");
    assert_eq!(closed(&socket).await, (4406, "Subprotocol not acceptable".to_owned()));
    released(&app, &mock).await;
}

#[tokio::test]
async fn a_foreign_origin_is_refused_with_403() {
    let (_app, _mock, address) = serve(Config::new()).await;
    let request = request(address).subprotocol("graphql-transport-ws").expect("a name");
    let request = request.origin("https://elsewhere.example").expect("an origin");
    let refused = Client::new(Tokio).connect(request).await.expect_err("refused");
    assert!(refused.to_string().contains("403"), "{refused}");
}

#[tokio::test]
async fn shutting_down_reaches_sockets_of_axum() {
    let (app, mock, address) = serve(Config::new()).await;
    let sockets = [acknowledged(address).await, acknowledged(address).await, connect(address).await];
    let shutting = app.clone();
    let shutdown = Tokio.spawn("shutdown", async move {
        shutting.shutdown(Shutdown::restart(Duration::from_secs(5))).await;
    });
    for socket in &sockets {
        assert_eq!(closed(socket).await, (1012, "Service restart".to_owned()));
    }
    shutdown.await.expect("no panic");
    released(&app, &mock).await;
}

/// A client that does not read: the server keeps little, and drops it in the end.
#[tokio::test]
async fn a_stalled_client_of_axum_is_dropped() {
    let (app, mock, address) = serve(Config::new().write_timeout(Duration::from_millis(500))).await;
    let socket = acknowledged(address).await;
    let query = "subscription { count(pad: 10000) }";
    socket
        .send(format!(r#"{{"type":"subscribe","id":"1","payload":{{"query":"{query}"}}}}"#).as_str())
        .await
        .expect("sent");
    released(&app, &mock).await;
    // Buffers of the sockets took some 10 kB results, and the server made no others.
    assert!(mock.results() < 10_000, "{} results for a client that does not read", mock.results());
    drop(socket);
}

/// A handler of axum over this project's WebSocket.
async fn upgrade_counting(
    State(app): State<App>,
    headers: HeaderMap,
    request: wavetank_websocket::axum::WebSocketUpgrade,
) -> Response {
    wavetank_graphql::websocket::upgrade(app, request, headers, None)
}

/// Passes bytes on at 1 MB/s towards the client, over small buffers.
async fn slow_link(address: SocketAddr) -> tokio::io::DuplexStream {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(64 << 10).expect("a size");
    let mut server = socket.connect(address).await.expect("a connection");
    let (client, mut link) = tokio::io::duplex(64 << 10);
    Tokio.spawn("link", async move {
        let (mut from_server, mut to_server) = server.split();
        let (mut from_client, mut to_client) = tokio::io::split(&mut link);
        let down = async {
            let mut piece = vec![0; 50_000];
            while let Ok(length @ 1..) = from_server.read(&mut piece).await {
                to_client.write_all(&piece[..length]).await?;
                Tokio.sleep(Duration::from_micros(length as u64)).await;
            }
            std::io::Result::Ok(())
        };
        let _ended = tokio::join!(down, tokio::io::copy(&mut from_client, &mut to_server));
    });
    client
}

/// The result takes three times the timeout.
#[tokio::test]
async fn long_results_to_slow_clients_are_progress() {
    const BYTES: usize = 3_000_000;
    let second = Duration::from_secs(1);
    let keepalive = wavetank_graphql::Keepalive::new(second, second);
    let app = Server::with_hooks(Tokio, Mock::new(Tokio), TokenHooks)
        .config(Config::new().write_timeout(second).keepalive(Some(keepalive)));
    let router = Router::new().route("/graphql", get(upgrade_counting)).with_state(app);
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_send_buffer_size(64 << 10).expect("a size");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(16).expect("a listener");
    let address = listener.local_addr().expect("an address");
    Tokio.spawn("axum", async move { axum::serve(listener, router).await });

    let request = request(address).subprotocol("graphql-transport-ws").expect("a name");
    let socket =
        Client::new(Tokio).connect_over(slow_link(address).await, request).await.expect("a connection");
    let query = format!("subscription {{ count(to: 1, pad: {BYTES}) }}");
    let subscribe = format!(r#"{{"type":"subscribe","id":"1","payload":{{"query":"{query}"}}}}"#);
    socket.send(r#"{"type":"connection_init"}"#).await.expect("sent");
    socket.recv().await.expect("an ack");
    socket.send(subscribe.as_str()).await.expect("sent");
    let result = loop {
        let message = socket.recv().await.expect("a message");
        let text = message.as_text().expect("a text");
        match text.contains(r#""type":"ping""#) {
            true => socket.send(r#"{"type":"pong"}"#).await.expect("sent"),
            false => break text.len(),
        }
    };
    assert!(result > BYTES);
}

/// The head of the answer to a GET, and its body.
#[cfg(feature = "graphiql")]
async fn get_raw(address: SocketAddr, path: &str) -> (String, Vec<u8>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("text");
    (head.to_ascii_lowercase(), answer.split_off(end + 4))
}

#[cfg(feature = "graphiql")]
#[tokio::test]
async fn graphiql_is_served_at_any_path() {
    let router: Router = Router::new()
        .route("/", wavetank_graphql::axum::graphiql("/graphql"))
        .nest("/deep", Router::new().route("/page", wavetank_graphql::axum::graphiql("../graphql")));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    Tokio.spawn("axum", async move { axum::serve(listener, router).await });
    for path in ["/", "/deep/page"] {
        let (head, page) = get_raw(address, path).await;
        assert!(
            head.starts_with("http/1.1 200") && head.contains("content-type: text/html; charset=utf-8"),
            "{head}"
        );
        assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{head}");
        let page = String::from_utf8(page).expect("text");
        assert!(!page.contains("//"), "no external URL: {page}");
        let assets = page.split('"').filter(|part| part.starts_with('?'));
        for (asset, kind) in assets.zip(["text/css", "text/javascript"]) {
            let (head, body) = get_raw(address, &format!("{path}{asset}")).await;
            assert!(head.contains(&format!("content-type: {kind}; charset=utf-8")), "{head}");
            assert!(head.contains("content-encoding: gzip") && body.starts_with(&[0x1f, 0x8b]), "{head}");
        }
    }
}
