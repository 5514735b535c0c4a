//! A stream that is used in both directions at once, each half in its own task.

use futures::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Host, Sim};
use yamux::Stream;

use crate::session::{accept, open, text};

/// Adds a client and a server that open a stream over sockets with these options. Both send and receive at once. The
/// client ends when both have received everything.
pub fn client_and_server<S, R>(
    sim: &mut Sim,
    socket: SocketOptions,
    send: fn(Host, WriteHalf<Stream>) -> S,
    receive: fn(ReadHalf<Stream>) -> R,
) where
    S: Future<Output = Result<WriteHalf<Stream>, String>> + Send + 'static,
    R: Future<Output = Result<ReadHalf<Stream>, String>> + 'static,
{
    sim.server("server", async move |host| {
        accept(&host, socket, async |stream| {
            let (_reader, mut writer) = exchange(&host, stream, send, receive).await?;
            // Tells the client that everything has arrived.
            writer.write_all(b".").await.map_err(text)?;
            writer.close().await.map_err(text)
        })
        .await
    });
    sim.client("client", async move |host| {
        open(&host, socket, async |stream| {
            let (mut reader, _writer) = exchange(&host, stream, send, receive).await?;
            reader.read_exact(&mut [0]).await.map_err(text)
        })
        .await
    });
}

/// Sends in a separate task, receives, and returns the halves when both are done.
async fn exchange<S, R>(
    host: &Host,
    mut stream: Stream,
    send: fn(Host, WriteHalf<Stream>) -> S,
    receive: fn(ReadHalf<Stream>) -> R,
) -> Result<(ReadHalf<Stream>, WriteHalf<Stream>), String>
where
    S: Future<Output = Result<WriteHalf<Stream>, String>> + Send + 'static,
    R: Future<Output = Result<ReadHalf<Stream>, String>> + 'static,
{
    // First one byte in each direction, so that the pings of a new connection are over.
    stream.write_all(b"!").await.map_err(text)?;
    stream.read_exact(&mut [0]).await.map_err(text)?;
    let (reader, writer) = stream.split();
    let writer = host.spawn("writer", send(*host, writer));
    let reader = receive(reader).await?;
    Ok((reader, writer.await.map_err(text)??))
}

/// Sends a chunk of this size `count` times.
pub async fn send(
    mut writer: WriteHalf<Stream>,
    bytes: usize,
    count: usize,
) -> Result<WriteHalf<Stream>, String> {
    let chunk = vec![7; bytes];
    for _ in 0..count {
        writer.write_all(&chunk).await.map_err(text)?;
    }
    writer.flush().await.map_err(text)?;
    Ok(writer)
}

/// Receives this number of bytes.
pub async fn receive(mut reader: ReadHalf<Stream>, bytes: usize) -> Result<ReadHalf<Stream>, String> {
    reader.read_exact(&mut vec![0; bytes]).await.map_err(text)?;
    Ok(reader)
}

/// Returns the smallest buffers that Linux allows.
pub fn small_buffers() -> SocketOptions {
    SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096)
}
