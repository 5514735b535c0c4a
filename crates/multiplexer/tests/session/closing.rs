//! How sessions end.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use wavetank_multiplexer::{Cause, OpenError, ReadError};
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
