//! Options of sockets. Nagle's algorithm would delay a small message until the one before it is acknowledged: 40 ms on
//! Linux.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
#[cfg(target_os = "linux")]
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use wavetank_runtime::{Runtime as _, Stream, Tokio};
use wavetank_websocket::client::Client;
use wavetank_websocket::server::Server;

#[cfg(target_os = "linux")]
use crate::raw_peer::{RawPeer, plain};

/// A stream whose socket the test has too, to ask the system for its options.
struct Shared(TcpStream);

impl Stream for Shared {
    type ReadHalf = OwnedReadHalf;
    type WriteHalf = OwnedWriteHalf;

    fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        self.0.into_split()
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.set_nodelay(nodelay)
    }

    fn abort(self) {
        self.0.set_zero_linger().expect("is open");
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}

impl AsyncRead for Shared {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Has a client of ours connect, and gives its stream to `accept`, which returns once the connection is open. Returns
/// whether Nagle's algorithm is off then, at the server's end.
async fn is_off_after<F: Future>(accept: impl FnOnce(TcpStream) -> F) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let connecting = Tokio.spawn("client", async move {
        Client::new(Tokio).connect(url.parse().expect("a URL")).await.expect("a connection")
    });
    let (stream, _) = listener.accept().await.expect("a client");
    let stream = stream.into_std().expect("is open");
    let observer = stream.try_clone().expect("a descriptor");
    assert!(!observer.nodelay().expect("an option of TCP"), "it is on unless it is turned off");
    let _open = accept(TcpStream::from_std(stream).expect("a reactor")).await;
    drop(connecting.await.expect("no panic"));
    observer.nodelay().expect("an option of TCP")
}

#[tokio::test]
async fn accepted_tcp_streams_send_small_messages_at_once() {
    let server = &Server::new(Tokio);
    assert!(is_off_after(async |stream| server.accept(Shared(stream)).await.expect("a client")).await);
    let asked = async |stream| {
        let incoming = server.request(Shared(stream)).await.expect("a client");
        incoming.accept().await.expect("a connection")
    };
    assert!(is_off_after(asked).await);
}

#[tokio::test]
async fn any_other_stream_is_taken_as_it_is() {
    let server = &Server::new(Tokio);
    assert!(!is_off_after(async |stream| server.accept_over(stream).await.expect("a client")).await);
}

/// What cannot be sent yet is sent before a ping that follows it, and no socket tells how much it is.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_clients_socket_takes_few_unsent_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let request = format!("ws://{address}/").parse().expect("an address");
    let client = Client::new(Tokio).config(plain());
    let (socket, peer) = tokio::join!(client.connect(request), async {
        RawPeer::open(listener.accept().await.expect("a client").0, b"").await
    });
    let socket = socket.expect("a connection");
    socket.send(&vec![1; 8 << 20]).await.expect("is open");
    Tokio.sleep(Duration::from_millis(200)).await;
    let sent = socket.statistics().bytes_sent;
    assert!(sent < 2 << 20, "{sent} bytes were taken for a peer that reads nothing");
    drop(peer);
}
