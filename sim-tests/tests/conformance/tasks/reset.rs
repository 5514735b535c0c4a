//! Disorderly ends: what a reset does to bytes, to readers, to writers.
//!
//! Linux keeps one pending error a socket. Whichever call comes first takes it; after that the stream has ended for
//! readers, and is a broken pipe for writers.

use std::io::ErrorKind;

use tokio::io::AsyncWriteExt;
use wavetank_runtime::{Runtime, SocketOptions, Stream};

use super::super::world::{BROKEN, RESET, Seen, pattern};
use super::{World, expect, fill, pair, pair_with, read, send, settle, write};

pub(crate) async fn abort_resets_the_connection<R: Runtime>(world: World<R>) {
    let (mut client, server) = pair(&world).await;
    server.abort();
    settle(&world).await;
    assert_eq!(
        [
            read(&mut client).await,
            read(&mut client).await,
            write(&mut client).await,
            write(&mut client).await
        ],
        [RESET, Seen::End, BROKEN, BROKEN]
    );
}

pub(crate) async fn a_reset_is_reported_once<R: Runtime>(world: World<R>) {
    let (mut client, server) = pair(&world).await;
    server.abort();
    settle(&world).await;
    assert_eq!(
        [
            write(&mut client).await,
            write(&mut client).await,
            read(&mut client).await,
            read(&mut client).await
        ],
        [RESET, BROKEN, Seen::End, Seen::End]
    );
}

pub(crate) async fn bytes_before_a_reset_are_read_first<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    send(&mut server, "hello").await;
    settle(&world).await;
    server.abort();
    settle(&world).await;
    assert_eq!(read(&mut client).await, Seen::Byte(b'h'));
    expect(&mut client, "ello").await;
    assert_eq!(
        [read(&mut client).await, read(&mut client).await, write(&mut client).await],
        [RESET, Seen::End, BROKEN]
    );
}

pub(crate) async fn bytes_before_a_reset_survive_a_failed_write<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    send(&mut server, "hello").await;
    settle(&world).await;
    server.abort();
    settle(&world).await;
    assert_eq!([write(&mut client).await, write(&mut client).await], [RESET, BROKEN]);
    expect(&mut client, "hello").await;
    assert_eq!(read(&mut client).await, Seen::End);
}

pub(crate) async fn closing_with_unread_bytes_resets_the_peer<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    send(&mut client, "unread").await;
    send(&mut server, "hello").await;
    settle(&world).await;
    drop(server);
    settle(&world).await;
    expect(&mut client, "hello").await;
    assert_eq!(
        [read(&mut client).await, read(&mut client).await, write(&mut client).await],
        [RESET, Seen::End, BROKEN]
    );
}

pub(crate) async fn a_writer_sees_the_reset_of_unread_bytes<R: Runtime>(world: World<R>) {
    let (mut client, server) = pair(&world).await;
    send(&mut client, "unread").await;
    settle(&world).await;
    drop(server);
    settle(&world).await;
    assert_eq!(
        [write(&mut client).await, write(&mut client).await, read(&mut client).await],
        [RESET, BROKEN, Seen::End]
    );
}

pub(crate) async fn the_second_write_to_a_closed_reader_fails<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    send(&mut server, "hello").await;
    drop(server);
    settle(&world).await;
    // The end has come, but the client does not know that the server reads no more: only the answer to the first byte
    // says so.
    assert_eq!(write(&mut client).await, Seen::Written);
    settle(&world).await;
    assert_eq!([write(&mut client).await, write(&mut client).await], [BROKEN; 2]);
    // The end had come before the reset, so for readers it stays an orderly end.
    expect(&mut client, "hello").await;
    assert_eq!([read(&mut client).await, read(&mut client).await], [Seen::End; 2]);
}

pub(crate) async fn a_reset_after_the_end_stays_unseen<R: Runtime>(world: World<R>) {
    let (mut client, server) = pair(&world).await;
    drop(server);
    assert_eq!([read(&mut client).await, write(&mut client).await], [Seen::End, Seen::Written]);
    settle(&world).await;
    assert_eq!(
        [read(&mut client).await, write(&mut client).await, read(&mut client).await],
        [Seen::End, BROKEN, Seen::End]
    );
}

pub(crate) async fn a_reader_at_the_end_never_sees_resets<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    send(&mut server, "hello").await;
    server.shutdown().await.expect("a live stream");
    settle(&world).await;
    server.abort();
    settle(&world).await;
    expect(&mut client, "hello").await;
    assert_eq!(
        [
            read(&mut client).await,
            read(&mut client).await,
            write(&mut client).await,
            write(&mut client).await
        ],
        [Seen::End, Seen::End, BROKEN, BROKEN]
    );
}

pub(crate) async fn a_half_closed_client_still_sees_a_reset<R: Runtime>(world: World<R>) {
    let (mut client, server) = pair(&world).await;
    client.shutdown().await.expect("a live stream");
    settle(&world).await;
    server.abort();
    settle(&world).await;
    assert_eq!(
        [read(&mut client).await, read(&mut client).await, write(&mut client).await],
        [RESET, Seen::End, BROKEN]
    );
}

pub(crate) async fn after_a_reset_the_peer_is_unknown<R: Runtime>(world: World<R>) {
    let (mut client, server) = pair(&world).await;
    let address = client.local_addr().expect("a live stream");
    server.abort();
    settle(&world).await;
    assert_eq!(client.peer_addr().map_err(|error| error.kind()), Err(ErrorKind::NotConnected));
    assert_eq!(client.local_addr().expect("its own address stays"), address);
    client.shutdown().await.expect("closing what is closed is fine");
    assert_eq!(read(&mut client).await, RESET);
}

pub(crate) async fn a_reader_that_waits_meets_the_reset<R: Runtime>(world: World<R>) {
    let (mut client, server) = pair(&world).await;
    let reader = world.client.spawn("reader", async move {
        [read(&mut client).await, read(&mut client).await, write(&mut client).await]
    });
    settle(&world).await;
    server.abort();
    assert_eq!(reader.await, Ok([RESET, Seen::End, BROKEN]));
}

pub(crate) async fn a_writer_that_waits_meets_the_reset<R: Runtime>(world: World<R>) {
    let small = SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096);
    let (mut client, server) = pair_with(&world, small).await;
    fill(&world.client, &mut client).await;
    let writer = world.client.spawn("writer", async move {
        let error = client.write_all(&pattern(0, 100_000)).await.err().map(|error| error.kind());
        (error, [write(&mut client).await, read(&mut client).await])
    });
    settle(&world).await;
    // With unread bytes, so this is a reset.
    drop(server);
    assert_eq!(writer.await, Ok((Some(ErrorKind::ConnectionReset), [BROKEN, Seen::End])));
}

pub(crate) async fn one_of_two_halves_meets_the_reset<R: Runtime>(world: World<R>) {
    let (client, server) = pair(&world).await;
    let (mut reader, mut writer) = client.into_split();
    server.abort();
    settle(&world).await;
    assert_eq!([write(&mut writer).await, read(&mut reader).await], [RESET, Seen::End]);
}
