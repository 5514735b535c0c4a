//! The published `yamux` crate over simulated streams: a server that echoes and a client that checks the echo.

use std::task::Poll;

use futures::future::poll_fn;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::TokioAsyncReadCompatExt;
use wavetank_runtime::{ListenOptions, Listener, Runtime, SocketOptions, TaskHandle};
use yamux::{Config, Connection, ConnectionError, Mode};

/// The `index`-th byte that the client sends. No two windows of 64 KiB are equal.
fn byte(index: usize) -> u8 {
    (index ^ (index >> 8) ^ (index >> 16)) as u8
}

/// Accepts one yamux connection on port 80 and echoes all its streams until the client closes.
///
/// # Errors
///
/// The text of the system's error, for listening and accepting.
pub async fn server<R: Runtime>(host: R) -> Result<(), String> {
    let listener = host
        .listen(([0, 0, 0, 0], 80).into(), ListenOptions::new())
        .await
        .map_err(|error| error.to_string())?;
    let (socket, _) = listener.accept().await.map_err(|error| error.to_string())?;
    let mut connection = Connection::new(socket.compat(), Config::default(), Mode::Server);
    while let Some(Ok(stream)) = poll_fn(|context| connection.poll_next_inbound(context)).await {
        drop(host.spawn("echo", async move {
            let (reader, mut writer) = stream.split();
            // An error means that the client has closed.
            let _ = futures::io::copy(reader, &mut writer).await;
            let _ = writer.close().await;
        }));
    }
    Ok(())
}

/// Sends `length` bytes to the host `server` on one yamux stream and checks what comes back, byte by byte.
///
/// # Errors
///
/// The text of the error, or how the echo differs from what was sent.
pub async fn client<R: Runtime>(host: R, length: usize) -> Result<(), String> {
    let server = host.resolve("server", 80).await.map_err(|error| error.to_string())?[0];
    let socket = host.connect(server, SocketOptions::new()).await.map_err(|error| error.to_string())?;
    let mut connection = Connection::new(socket.compat(), Config::default(), Mode::Client);
    let stream =
        poll_fn(|context| connection.poll_new_outbound(context)).await.map_err(|error| error.to_string())?;
    let (mut reader, mut writer) = stream.split();
    let driver = host.spawn("driver", async move {
        poll_fn(|context| match connection.poll_next_inbound(context) {
            Poll::Ready(Some(Ok(_))) => unreachable!("the server opens no streams"),
            Poll::Ready(Some(Err(ConnectionError::Closed)) | None) => Poll::Ready(Ok(())),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error.to_string())),
            Poll::Pending => Poll::Pending,
        })
        .await
    });
    let sender = host.spawn("sender", async move {
        let bytes: Vec<u8> = (0..length).map(byte).collect();
        writer.write_all(&bytes).await?;
        writer.close().await
    });
    let mut echoed = vec![0; length];
    reader.read_exact(&mut echoed).await.map_err(|error| error.to_string())?;
    if let Some(wrong) = (0..length).find(|&index| echoed[index] != byte(index)) {
        return Err(format!("byte {wrong} came back wrong"));
    }
    sender.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    driver.abort();
    Ok(())
}
