//! Calls that wait: deadlines, and futures that are dropped.

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank_multiplexer::{Config, LocalReset, OpenError, ReadError, ResetCode, WriteError};
use wavetank_runtime::{Runtime, Tokio};

use crate::support::{pair, pair_with, read_to_end, streams};

/// Polls a future a few times, and drops it.
async fn give_up<T>(future: impl Future<Output = T>) {
    let mut future = pin!(future);
    for _ in 0..3 {
        let ready = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
        assert!(!ready, "the call waits");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn deadlines_end_waits_and_lose_nothing() {
    let (client, server) = pair();
    let (mut near, mut far) = streams(&client, &server).await;
    far.set_read_deadline(Some(Tokio.now() + Duration::from_millis(10)));
    assert_eq!(far.read(&mut [0; 4]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    near.write_all(b"late").await.unwrap();
    far.set_read_deadline(None);
    let mut read = [0; 4];
    far.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"late");

    near.set_write_deadline(Some(Tokio.now() + Duration::from_millis(10)));
    let error = loop {
        if let Err(error) = near.write(&[0; 50_000]).await {
            break error;
        }
    };
    assert_eq!(WriteError::from_io(&error), Some(&WriteError::TimedOut));
}

#[tokio::test]
async fn a_dropped_sending_half_wakes_the_reader() {
    let (client, server) = pair();
    let (_near, far) = streams(&client, &server).await;
    let (mut read, write) = far.into_split();
    let reader = Tokio.spawn("reader", async move { read.read(&mut [0; 4]).await.unwrap_err() });
    tokio::task::yield_now().await;
    drop(write);
    let error = reader.await.unwrap();
    let reset = LocalReset::Caller(ResetCode::NONE);
    assert_eq!(ReadError::from_io(&error), Some(&ReadError::ResetHere(reset)));
}

#[tokio::test]
async fn dropped_reads_and_writes_lose_nothing() {
    let (client, server) = pair();
    let (mut near, mut far) = streams(&client, &server).await;
    give_up(far.read(&mut [0; 4])).await;
    near.write_all(b"first").await.unwrap();
    let mut read = [0; 5];
    far.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"first");

    // Fill the window, and give a write up.
    let mut written = 0;
    let filled = tokio::time::timeout(Duration::from_millis(50), async {
        loop {
            written += near.write(&[7; 10_000]).await.unwrap();
        }
    });
    assert!(filled.await.is_err());
    give_up(near.write(&[8; 10_000])).await;
    near.close_write().unwrap();
    assert_eq!(read_to_end(&mut far).await.unwrap(), vec![7; written]);
}

#[tokio::test]
async fn dropped_accepts_and_opens_lose_no_stream() {
    let mut config = Config::default();
    config.limits().unacknowledged_opens(1);
    let (client, server) = pair_with(64 * 1024, config, Config::default());
    give_up(server.accept()).await;
    let _first = client.open().await.unwrap();
    give_up(client.open()).await;
    let _accepted = server.accept().await.unwrap();
    let second = client.open().await.unwrap();
    assert_eq!(second.id(), 3, "the open that was given up has opened nothing");
    assert_eq!(server.accept().await.unwrap().id(), 3);
}

#[tokio::test]
async fn an_open_waits_no_longer_than_its_timeout() {
    let mut config = Config::default();
    config.limits().unacknowledged_opens(1);
    config.timeouts().open(Some(Duration::from_millis(20)));
    let (client, server) = pair_with(64 * 1024, config, Config::default());
    let _first = client.open().await.unwrap();
    // Either the wait ends, or the first stream is given up before and makes room.
    match client.open().await {
        Err(OpenError::TimedOut) | Ok(_) => {}
        Err(error) => panic!("{error}"),
    }
    assert_eq!(server.statistics().accepted, 0);
}

#[tokio::test]
async fn large_pieces_are_handed_out_without_a_copy() {
    let (client, server) = pair();
    let (mut near, mut far) = streams(&client, &server).await;
    let writer = Tokio.spawn("writer", async move {
        near.write_all(&[5; 200_000]).await.unwrap();
        near.close_write().unwrap();
    });
    let mut total = 0;
    while let Some(chunk) = far.read_chunk(1 << 20).await.unwrap() {
        assert!(chunk.iter().all(|byte| *byte == 5));
        total += chunk.len();
    }
    assert_eq!(total, 200_000);
    writer.await.unwrap();
}
