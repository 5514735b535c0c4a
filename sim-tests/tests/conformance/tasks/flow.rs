//! Backpressure: what a writer can get rid of while nobody reads, and that nothing is lost.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank_runtime::{Runtime, SocketOptions};

use super::super::world::{SETTLE, STUCK, Seen, assert_bounded, assert_pattern, pattern};
use super::{World, fill, pair_with, read};

pub(crate) async fn a_writer_is_held_back_by_buffers_of_4_kib<R: Runtime>(world: World<R>) {
    a_writer_is_held_back(world, 4 * 1024, 100_000).await;
}

pub(crate) async fn a_writer_is_held_back_by_buffers_of_64_kib<R: Runtime>(world: World<R>) {
    a_writer_is_held_back(world, 64 * 1024, 1_000_000).await;
}

async fn a_writer_is_held_back<R: Runtime>(world: World<R>, buffer_bytes: u32, total: usize) {
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

pub(crate) async fn a_stuck_writer_can_write_again_once_its_bytes_were_read<R: Runtime>(world: World<R>) {
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
