//! Orderly ends: half-close, the end of a stream, halves that are dropped.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank_runtime::{Runtime, Stream};

use super::super::world::{BROKEN, Seen, assert_pattern, pattern};
use super::{World, expect, pair, read, send, settle, write};

/// Too long for one segment, and for the smaller buffers.
const LONG: usize = 100_000;

pub(crate) async fn messages_travel_both_ways<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    let echo = world.server.spawn("echo", async move {
        let mut buffer = [0; 16];
        loop {
            let count = server.read(&mut buffer).await.expect("a live stream");
            if count == 0 {
                return;
            }
            server.write_all(&buffer[..count]).await.expect("a live stream");
        }
    });
    for message in ["hello", "a message that is longer than the buffer of the echo", "x"] {
        send(&mut client, message).await;
        expect(&mut client, message).await;
    }
    client.shutdown().await.expect("a live stream");
    assert_eq!(read(&mut client).await, Seen::End);
    assert_eq!(echo.await, Ok(()));
}

pub(crate) async fn an_answer_arrives_whole_after_half_close<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    send(&mut client, "question").await;
    client.shutdown().await.expect("a live stream");
    let answering = world.server.spawn("server", async move {
        let mut question = String::new();
        server.read_to_string(&mut question).await.expect("a question");
        assert_eq!(question, "question");
        server.write_all(&pattern(0, LONG)).await.expect("the client still reads");
    });
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.expect("an orderly end");
    assert_pattern(&answer, LONG);
    assert_eq!(answering.await, Ok(()));
}

pub(crate) async fn a_client_may_send_after_the_servers_fin<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    server.shutdown().await.expect("a live stream");
    assert_eq!(read(&mut client).await, Seen::End);
    let sending = world.client.spawn("client", async move {
        client.write_all(&pattern(0, LONG)).await.expect("the server still reads");
    });
    let mut message = Vec::new();
    server.read_to_end(&mut message).await.expect("an orderly end");
    assert_pattern(&message, LONG);
    assert_eq!(sending.await, Ok(()));
}

pub(crate) async fn the_end_is_read_again_and_again<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    send(&mut server, "bye").await;
    server.shutdown().await.expect("a live stream");
    expect(&mut client, "bye").await;
    assert_eq!([read(&mut client).await, read(&mut client).await, read(&mut client).await], [Seen::End; 3]);
}

pub(crate) async fn an_end_within_a_message_is_unexpected<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    send(&mut server, "half").await;
    drop(server);
    let error = client.read_exact(&mut [0; 8]).await.err();
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::UnexpectedEof));
}

pub(crate) async fn writing_after_half_close_is_a_broken_pipe<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    client.shutdown().await.expect("a live stream");
    assert_eq!([write(&mut client).await, write(&mut client).await], [BROKEN; 2]);
    client.shutdown().await.expect("closing what is closed is fine");
    send(&mut server, "still here").await;
    expect(&mut client, "still here").await;
}

pub(crate) async fn a_connection_ends_after_two_half_closes<R: Runtime>(world: World<R>) {
    let (mut client, mut server) = pair(&world).await;
    let address = client.local_addr().expect("a live stream");
    client.shutdown().await.expect("a live stream");
    settle(&world).await;
    assert_eq!(server.peer_addr().expect("half of it lives"), address);
    server.shutdown().await.expect("a live stream");
    settle(&world).await;
    for stream in [&mut client, &mut server] {
        assert_eq!(stream.peer_addr().map_err(|error| error.kind()), Err(ErrorKind::NotConnected));
        assert_eq!(
            [read(stream).await, write(stream).await, read(stream).await],
            [Seen::End, BROKEN, Seen::End]
        );
        stream.shutdown().await.expect("closing what is closed is fine");
    }
    assert_eq!(client.local_addr().expect("its own address stays"), address);
}

pub(crate) async fn dropping_the_writing_half_half_closes<R: Runtime>(world: World<R>) {
    let (client, mut server) = pair(&world).await;
    let (mut reader, mut writer) = client.into_split();
    send(&mut writer, "bye").await;
    drop(writer);
    expect(&mut server, "bye").await;
    assert_eq!(read(&mut server).await, Seen::End);
    send(&mut server, "an answer").await;
    expect(&mut reader, "an answer").await;
}

pub(crate) async fn dropping_the_reading_half_does_nothing<R: Runtime>(world: World<R>) {
    let (client, mut server) = pair(&world).await;
    let (reader, mut writer) = client.into_split();
    drop(reader);
    settle(&world).await;
    assert_eq!([write(&mut server).await, write(&mut writer).await], [Seen::Written; 2]);
    settle(&world).await;
    assert_eq!([write(&mut server).await, write(&mut writer).await], [Seen::Written; 2]);
    expect(&mut server, "ww").await;
}

pub(crate) async fn dropping_both_halves_closes<R: Runtime>(world: World<R>) {
    let (client, mut server) = pair(&world).await;
    let (reader, mut writer) = client.into_split();
    send(&mut writer, "bye").await;
    drop(reader);
    drop(writer);
    expect(&mut server, "bye").await;
    assert_eq!([read(&mut server).await, write(&mut server).await], [Seen::End, Seen::Written]);
    settle(&world).await;
    assert_eq!([write(&mut server).await, read(&mut server).await], [BROKEN, Seen::End]);
}
