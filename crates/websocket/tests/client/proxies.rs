//! Openings through a proxy that fail.

use std::time::Duration;

use tokio::net::TcpListener;
use wavetank_runtime::{Runtime as _, Tokio};
use wavetank_websocket::Fault;
use wavetank_websocket::client::Client;
use wavetank_websocket::handshake::{ClientRequest, Proxies, Proxy};

use crate::raw_peer::{plain, read_head};

#[tokio::test]
async fn a_silent_proxy_is_named_as_the_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let proxy = Proxy::parse(&address).expect("a proxy");
    let server = Tokio.spawn("test", async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        read_head(&mut stream).await;
        stream
    });
    let request = ClientRequest::new("ws://user:secret@example.test/").expect("a URL");
    let config = plain().open_timeout(Duration::from_millis(100)).clone();
    let request = request.proxies(Proxies::always(proxy));
    let error = Client::new(Tokio).config(config).connect(request).await.expect_err("the proxy is silent");
    assert_eq!((error.fault(), error.peer()), (Fault::Proxy, Some(address)), "{error}");
    drop(server.await);
}
