//! Two sides of a session, and what tests do with streams.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank_multiplexer::{Config, Session, Stream};
use wavetank_runtime::{Runtime, Tokio};

/// Two sides over a pipe that holds `pipe` bytes.
pub(crate) fn pair_with(pipe: usize, client: Config, server: Config) -> (Session<Tokio>, Session<Tokio>) {
    let (near, far) = tokio::io::duplex(pipe);
    (Session::client(Tokio, near, client), Session::server(Tokio, far, server))
}

pub(crate) fn pair() -> (Session<Tokio>, Session<Tokio>) {
    pair_with(64 * 1024, Config::default(), Config::default())
}

/// A stream, seen from both sides.
pub(crate) async fn streams(
    client: &Session<Tokio>,
    server: &Session<Tokio>,
) -> (Stream<Tokio>, Stream<Tokio>) {
    let near = client.open().await.expect("an open session");
    (near, server.accept().await.expect("an open session"))
}

/// Body bytes that differ from place to place.
pub(crate) fn body(length: usize, seed: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at + (at >> 8) + (at >> 16) + 13 * seed) & 0xff).expect("a byte"))
        .collect()
}

/// Sends back what comes, on every stream, until the session ends.
pub(crate) async fn echo(session: Session<Tokio>) {
    while let Ok(stream) = session.accept().await {
        Tokio.spawn("task", async move {
            let (mut read, mut write) = stream.into_split();
            if tokio::io::copy(&mut read, &mut write).await.is_ok() {
                let _ = write.shutdown().await;
            }
        });
    }
}

pub(crate) async fn read_to_end(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}
