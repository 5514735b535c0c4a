//! How sessions end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use wavetank_multiplexer::{Cause, Config, OpenError, ReadError, Session, WriteError};
use wavetank_runtime::{Runtime, TaskHandle, Tokio};

use crate::support::{pair, read_to_end, streams};

#[tokio::test]
async fn both_sides_see_a_clean_close() {
    let (client, server) = pair();
    let far = Tokio.spawn("task", async move { (server.accept().await.unwrap_err(), server.closed().await) });
    assert_eq!(client.close().await.cause, Cause::Local);
    let (accept, closed) = far.await.unwrap();
    assert_eq!((accept.cause, closed.cause), (Cause::Peer, Cause::Peer));
    assert!(matches!(client.open().await, Err(OpenError::Closed(closed)) if closed.cause == Cause::Local));
}

#[tokio::test]
async fn shutdown_lets_streams_end() {
    let (client, server) = pair();
    let (mut near, mut far) = streams(&client, &server).await;
    let shutdown = Tokio.spawn("task", async move { server.shutdown(Duration::from_secs(60)).await });
    while client.open().await.is_ok() {
        // Streams that are opened and dropped without a pause are a flood, which ends the session.
        Tokio.sleep(Duration::from_millis(5)).await;
    }
    near.write_all(b"last words").await.unwrap();
    near.close_write().unwrap();
    assert_eq!(read_to_end(&mut far).await.unwrap(), b"last words");
    assert!(!shutdown.is_finished());
    far.close_write().unwrap();
    assert_eq!(shutdown.await.unwrap().cause, Cause::Local);
    assert_eq!(client.closed().await.cause, Cause::Peer);
}

#[tokio::test]
async fn received_bytes_are_read_after_the_end() {
    let (client, server) = pair();
    let (mut near, mut far) = streams(&client, &server).await;
    near.write_all(b"unread").await.unwrap();
    client.close().await;
    let mut read = Vec::new();
    let error = tokio::io::AsyncReadExt::read_to_end(&mut far, &mut read).await.unwrap_err();
    assert_eq!(read, b"unread");
    assert!(
        matches!(ReadError::from_io(&error), Some(ReadError::Closed(closed)) if closed.cause == Cause::Peer)
    );
}

#[tokio::test]
async fn the_last_handle_closes_the_session() {
    let (client, server) = pair();
    let (near, far) = streams(&client, &server).await;
    drop((client, far));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), server.closed()).await.is_err()
            || server.closed().await.is_clean()
    );
    drop(near);
    assert!(server.closed().await.is_clean());
}

/// A transport whose flushes fail once it is broken: what it took before is lost.
struct Buffered {
    inner: DuplexStream,
    is_broken: Arc<AtomicBool>,
}

impl AsyncRead for Buffered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Buffered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_broken = self.is_broken.load(Relaxed);
        Poll::Ready(if is_broken { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) })
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[tokio::test]
async fn a_failed_flush_fails_the_shutdown() {
    let (inner, far) = tokio::io::duplex(64 * 1024);
    let is_broken = Arc::new(AtomicBool::new(false));
    let near = Buffered { inner, is_broken: Arc::clone(&is_broken) };
    let client = Session::client(Tokio, near, Config::default());
    let server = Session::server(Tokio, far, Config::default());
    let (mut near, _far) = streams(&client, &server).await;
    is_broken.store(true, Relaxed);
    near.write_all(b"lost").await.unwrap();
    let error = near.shutdown().await.unwrap_err();
    assert!(matches!(WriteError::from_io(&error), Some(WriteError::Closed(_))), "{error}");
}
