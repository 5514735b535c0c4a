//! Opening, conversing, half-close, stop and reset.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank_multiplexer::{LocalReset, ReadError, ResetCode, WriteEnd, WriteError};
use wavetank_runtime::{Runtime, Tokio};

use crate::support::{body, echo, pair, pair_with, read_to_end, streams};

#[tokio::test]
async fn many_streams_echo_at_once() {
    for pipe in [64, 4096, 256 * 1024] {
        let (client, server) = pair_with(pipe, Default::default(), Default::default());
        let echo = Tokio.spawn("task", echo(server));
        let mut tasks = Vec::new();
        for seed in 0..20 {
            let stream = client.open().await.expect("an open session");
            tasks.push(Tokio.spawn("task", async move {
                let body = body(300_000 / (1 + seed % 4) / if pipe == 64 { 20 } else { 1 }, seed);
                let (mut read, mut write) = stream.into_split();
                let sent = body.clone();
                let writer = Tokio.spawn("task", async move {
                    write.write_all(&sent).await.expect("an open stream");
                    write.shutdown().await.expect("an open stream");
                });
                assert!(read_to_end(&mut read).await.expect("an open stream") == body, "stream {seed}");
                writer.await.expect("no panic");
            }));
        }
        for task in tasks {
            task.await.expect("no panic");
        }
        assert!(client.close().await.is_clean());
        echo.await.expect("no panic");
    }
}

#[tokio::test]
async fn half_closed_stream_still_reads() {
    let (client, server) = pair();
    let (mut near, mut far) = streams(&client, &server).await;
    near.write_all(b"question").await.unwrap();
    near.close_write().unwrap();
    assert_eq!(read_to_end(&mut far).await.unwrap(), b"question");
    far.write_all(b"answer").await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut near).await.unwrap(), b"answer");
    assert_eq!(near.stopped().await, WriteEnd::Complete);
}

#[tokio::test]
async fn a_writer_learns_that_its_reader_stopped() {
    let (client, server) = pair();
    let (mut near, mut far) = streams(&client, &server).await;
    let watcher = Tokio.spawn("task", near.stopped());
    let writer = Tokio.spawn("task", async move {
        let error = loop {
            if let Err(error) = near.write_all(&[7; 100_000]).await {
                break error;
            }
        };
        assert_eq!(WriteError::from_io(&error), Some(&WriteError::Stopped));
        // The other direction goes on.
        assert_eq!(read_to_end(&mut near).await.unwrap(), b"still here");
    });
    let mut some = [0; 1000];
    far.read_exact(&mut some).await.unwrap();
    far.stop();
    assert_eq!(watcher.await.unwrap(), WriteEnd::Failed(WriteError::Stopped));
    far.write_all(b"still here").await.unwrap();
    far.shutdown().await.unwrap();
    writer.await.unwrap();
    drop(far);
    server.shutdown(Duration::from_secs(60)).await;
    assert_eq!((client.statistics().streams_held, server.statistics().streams_held), (0, 0));
}

#[tokio::test]
async fn stopped_outlives_the_stream() {
    let (client, server) = pair();
    let (near, mut far) = streams(&client, &server).await;
    let stopped = near.stopped();
    drop(near);
    let reset = WriteError::ResetHere(LocalReset::Caller(ResetCode::NONE));
    assert_eq!(stopped.await, WriteEnd::Failed(reset));
    let stopped = far.stopped();
    assert!(read_to_end(&mut far).await.is_err());
    drop(far);
    assert_eq!(stopped.await, WriteEnd::Failed(WriteError::Reset(ResetCode::NONE)));
    // A half that was closed may fail, too.
    let (mut near, mut far) = streams(&client, &server).await;
    let stopped = near.stopped();
    near.close_write().unwrap();
    drop(near);
    far.reset(ResetCode::new(7));
    assert_eq!(stopped.await, WriteEnd::Failed(WriteError::Reset(ResetCode::new(7))));
    let ((near, _far), (mut closed_half, _other)) =
        (streams(&client, &server).await, streams(&client, &server).await);
    let (stopped, of_closed_half) = (near.stopped(), closed_half.stopped());
    closed_half.close_write().unwrap();
    drop(closed_half);
    let closed = client.close().await;
    drop(near);
    let failed = WriteEnd::Failed(WriteError::Closed(closed));
    assert_eq!((stopped.await, of_closed_half.await), (failed.clone(), failed));
}

#[tokio::test]
async fn data_arrives_before_a_later_reset() {
    let (client, server) = pair();
    let (mut near, mut far) = streams(&client, &server).await;
    near.write_all(b"some").await.unwrap();
    near.reset(ResetCode::new(7));
    let mut read = Vec::new();
    let error = far.read_to_end(&mut read).await.unwrap_err();
    assert_eq!(
        (read.as_slice(), ReadError::from_io(&error)),
        (&b"some"[..], Some(&ReadError::Reset(ResetCode::new(7))))
    );
    let error = far.write_all(b"more").await.unwrap_err();
    assert_eq!(WriteError::from_io(&error), Some(&WriteError::Reset(ResetCode::new(7))));
}

#[tokio::test]
async fn a_ping_measures_the_round_trip() {
    let (client, _server) = pair();
    assert!(client.ping().await.unwrap() < Duration::from_secs(5));
    assert!(client.statistics().peer_understands_stop);
}

#[tokio::test]
async fn statistics_count_what_happened() {
    let (client, server) = pair();
    let (mut near, mut far) = streams(&client, &server).await;
    near.write_all(&body(1000, 0)).await.unwrap();
    near.close_write().unwrap();
    assert_eq!(read_to_end(&mut far).await.unwrap().len(), 1000);
    far.write_all(&body(500, 1)).await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut near).await.unwrap().len(), 500);
    let counts = [near.statistics(), far.statistics()];
    assert_eq!(counts.map(|counts| (counts.bytes_sent, counts.bytes_received)), [(1000, 500), (500, 1000)]);
    drop((near, far));
    // This one is reset, by the side that opened it.
    let (mut near, far) = streams(&client, &server).await;
    near.reset(ResetCode::new(3));
    assert_eq!(far.stopped().await, WriteEnd::Failed(WriteError::Reset(ResetCode::new(3))));
    drop((near, far));
    client.ping().await.expect("a pong");
    assert!(client.close().await.is_clean());
    assert!(server.closed().await.is_clean());
    let (of_client, of_server) = (client.statistics(), server.statistics());
    assert_eq!((of_client.opened, of_client.accepted, of_server.opened, of_server.accepted), (2, 0, 0, 2));
    assert_eq!((of_client.resets_sent, of_server.resets_received), (1, 1));
    assert_eq!((of_client.payload_sent, of_server.payload_received), (1000, 1000));
    assert_eq!((of_server.payload_sent, of_client.payload_received), (500, 500));
    assert_eq!(of_client.frames_sent, of_server.frames_received);
    assert_eq!(of_client.bytes_sent, of_server.bytes_received);
    assert!(of_client.bytes_sent > 1000 + 12 * of_client.opened);
    assert!(of_client.round_trip.is_some() && of_client.peer_understands_stop);
    assert_eq!((of_client.streams_held, of_server.streams_held, of_server.refused), (0, 0, 0));
}
