//! Backpressure: how many bytes a writer can send without a reader, and that none is lost.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use wavetank_runtime::{Runtime, SocketOptions};

use super::super::world::{SETTLE, STUCK, Seen, assert_bounded, assert_pattern, pattern};
use super::{World, expect, fill, pair_with, read, settle};

pub(crate) async fn buffers_of_4_kib_bound_a_writer<R: Runtime>(world: World<R>) {
    a_writer_is_bounded(world, 4 * 1024, 100_000).await;
}

pub(crate) async fn buffers_of_64_kib_bound_a_writer<R: Runtime>(world: World<R>) {
    a_writer_is_bounded(world, 64 * 1024, 1_000_000).await;
}

async fn a_writer_is_bounded<R: Runtime>(world: World<R>, buffer_bytes: u32, total: usize) {
    let options = SocketOptions::new().send_buffer_bytes(buffer_bytes).receive_buffer_bytes(buffer_bytes);
    let (mut client, mut server) = pair_with(&world, options).await;
    let accepted = fill(&world.client, &mut client).await;
    assert_bounded(accepted, buffer_bytes);

    let rest = pattern(accepted, total - accepted);
    let writer = world.client.spawn("writer", async move { client.write_all(&rest).await.is_ok() });
    let (mut received, mut sip) = (Vec::new(), [0; 700]);
    loop {
        let count = server.read(&mut sip).await.expect("a live stream");
        if count == 0 {
            break;
        }
        received.extend_from_slice(&sip[..count]);
    }
    assert_eq!(writer.await, Ok(true));
    assert_pattern(&received, total);
}

pub(crate) async fn reading_unblocks_a_stuck_writer<R: Runtime>(world: World<R>) {
    let options = SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096);
    let (mut client, mut server) = pair_with(&world, options).await;
    let accepted = fill(&world.client, &mut client).await;
    let mut received = vec![0; accepted];
    server.read_exact(&mut received).await.expect("a live stream");
    assert_pattern(&received, accepted);
    client.write_all(b"!").await.expect("a live stream");
    assert_eq!(read(&mut server).await, Seen::Byte(b'!'));
}

pub(crate) async fn an_abandoned_read_loses_nothing<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair_with(&world, SocketOptions::new()).await;
    tokio::select! {
        biased;
        seen = read(&mut client) => panic!("nothing was sent, and yet {seen:?}"),
        () = world.client.sleep(SETTLE) => {}
    }
    server.write_all(b"!").await.expect("a live stream");
    tokio::select! {
        biased;
        seen = read(&mut client) => assert_eq!(seen, Seen::Byte(b'!')),
        () = world.client.sleep(20 * STUCK) => panic!("the byte is lost"),
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls `stream` for reading, without result, until only what arrives wakes the bell: a world may say `Pending` for
/// other reasons.
async fn wait_with<R: Runtime>(world: &World<R>, stream: &mut R::Stream, bell: &Arc<Bell>) {
    let waker = Waker::from(Arc::clone(bell));
    loop {
        bell.0.store(0, Ordering::SeqCst);
        let mut buffer = [0];
        let read = Pin::new(&mut *stream)
            .poll_read(&mut Context::from_waker(&waker), &mut ReadBuf::new(&mut buffer));
        assert!(read.is_pending(), "nothing was sent: {read:?}");
        settle(world).await;
        if bell.0.load(Ordering::SeqCst) == 0 {
            return;
        }
    }
}

pub(crate) async fn only_the_most_recent_poller_is_woken<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair_with(&world, SocketOptions::new()).await;
    let (first, last) = (Arc::default(), Arc::default());
    wait_with(&world, &mut client, &first).await;
    wait_with(&world, &mut client, &last).await;
    server.write_all(b"!").await.expect("a live stream");
    settle(&world).await;
    let woken = [&first, &last].map(|bell| bell.0.load(Ordering::SeqCst) > 0);
    assert_eq!(woken, [false, true]);
    assert_eq!(read(&mut client).await, Seen::Byte(b'!'));
}

fn poll_write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), bytes)
}

/// Tokio does not try a write again before the socket is writable: when a third of its buffer is free.
pub(crate) async fn a_stuck_writer_waits_for_its_wakeup<R: Runtime>(world: World<R>) {
    let options = SocketOptions::new().send_buffer_bytes(64 * 1024).receive_buffer_bytes(16 * 1024);
    let (mut client, mut server) = pair_with(&world, options).await;
    let accepted = fill(&world.client, &mut client).await;
    // Much less than a third of the send buffer.
    let mut received = vec![0; 2 * 1024];
    server.read_exact(&mut received).await.expect("a live stream");
    settle(&world).await;
    assert!(poll_write(&mut client, b"x").is_pending(), "there is room, but less than a third");
    received.resize(accepted / 4 * 3, 0);
    server.read_exact(&mut received[2 * 1024..]).await.expect("a live stream");
    settle(&world).await;
    assert!(poll_write(&mut client, b"x").is_ready(), "more than a third is free");
    let read_before = received.len();
    received.resize(accepted, 0);
    server.read_exact(&mut received[read_before..]).await.expect("a live stream");
    assert_pattern(&received, accepted);
    assert_eq!(read(&mut server).await, Seen::Byte(b'x'));
    client.write_all(b"!").await.expect("a live stream");
    assert_eq!(read(&mut server).await, Seen::Byte(b'!'));
}

pub(crate) async fn vectored_writes_are_taken_whole<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair_with(&world, SocketOptions::new()).await;
    assert!(client.is_write_vectored());
    let slices = [IoSlice::new(b"head"), IoSlice::new(b""), IoSlice::new(b" and body")];
    assert_eq!(client.write_vectored(&slices).await.expect("a live stream"), 13);
    expect(&mut server, "head and body").await;
}
