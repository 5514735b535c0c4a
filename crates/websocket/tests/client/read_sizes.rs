//! How much is read at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use wavetank_runtime::Tokio;
use wavetank_websocket::client::{Client, WebSocket};
use wavetank_websocket::handshake::{AcceptOptions, ClientRequest};
use wavetank_websocket::server::Server;
use wavetank_websocket::{Config, Message};

use crate::raw_peer::plain;

/// A stream that remembers the longest read it was asked for.
struct Measured {
    stream: DuplexStream,
    longest: Arc<AtomicUsize>,
}

impl AsyncRead for Measured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.longest.fetch_max(buffer.remaining(), Ordering::SeqCst);
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Measured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn options(secure: bool) -> (ClientRequest, AcceptOptions) {
    #[cfg(feature = "ring")]
    if secure {
        return crate::secure::options();
    }
    assert!(!secure, "TLS needs the feature `ring`");
    ("ws://example.test/".parse().expect("a URL"), AcceptOptions::new())
}

/// Without TLS, and with it where it can be had.
fn plain_and_secure() -> impl Iterator<Item = bool> {
    [false, true].into_iter().filter(|secure| cfg!(feature = "ring") || !secure)
}

/// Both ends of a connection, and the longest read of each.
async fn pair(secure: bool, config: Config) -> ([WebSocket<Tokio, Measured>; 2], [Arc<AtomicUsize>; 2]) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let longest = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let [near, far] = [(near, 0), (far, 1)]
        .map(|(stream, index)| Measured { stream, longest: Arc::clone(&longest[index]) });
    let (request, options) = options(secure);
    let client = Client::new(Tokio).config(config.clone());
    let server = Server::new(Tokio).config(config).options(options);
    let (client, server) = tokio::join!(client.connect_over(near, request), server.accept_over(far));
    ([client.expect("a connection"), server.expect("a connection")], longest)
}

#[tokio::test]
async fn reads_are_as_long_as_configured_over_tls() {
    for (secure, configured) in plain_and_secure().flat_map(|secure| [(secure, 1000), (secure, 300_000)]) {
        let mut config = plain();
        config.limits().read_buffer(configured);
        let ([client, server], longest) = pair(secure, config).await;
        // The opening is over, and has read as it likes.
        longest.iter().for_each(|longest| longest.store(0, Ordering::SeqCst));
        for _ in 0..1000 {
            let message = Message::from(vec![7; 100]);
            client.send(&message).await.expect("is open");
            assert_eq!(server.recv().await.as_ref(), Ok(&message));
            server.send(&message).await.expect("is open");
            assert_eq!(client.recv().await.as_ref(), Ok(&message));
        }
        for longest in longest {
            let longest = longest.load(Ordering::SeqCst);
            // A buffer has room for a head besides.
            assert!((configured..=configured + 64).contains(&longest), "{longest} of {configured}, {secure}");
        }
    }
}

#[tokio::test]
async fn even_the_shortest_reads_bring_messages() {
    for (secure, read_buffer) in plain_and_secure().flat_map(|secure| [(secure, 0), (secure, 1)]) {
        let mut config = plain();
        config.limits().read_buffer(read_buffer);
        let ([client, server], _) = pair(secure, config).await;
        let message = Message::from(vec![7; 5000]);
        client.send(&message).await.expect("is open");
        assert_eq!(server.recv().await.as_ref(), Ok(&message));
        server.send(&message).await.expect("is open");
        assert_eq!(client.recv().await.as_ref(), Ok(&message));
    }
}
