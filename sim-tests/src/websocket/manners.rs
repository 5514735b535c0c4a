//! What servers do that many tests meet: each function is the script of one connection, or the end of one.

use std::io;
use std::time::Duration;

use wavetank_runtime::Runtime;

use super::frames::{self, CLOSE, Frame, PING, PONG};
use super::peer::Peer;

/// Sends every frame of a message back as it came, answers pings and the Close, and ends the stream after it.
///
/// It answers before it reads on: a client that does not read is not read from either.
///
/// # Errors
///
/// The stream's.
pub async fn echo<R: Runtime>(mut peer: Peer<R>) -> io::Result<()> {
    while let Some(frame) = peer.input.frame().await? {
        let Frame { fin, opcode, payload } = frame;
        match opcode {
            CLOSE => return say_goodbye(peer, &payload).await,
            PING => peer.output.send(&frames::frame(PONG, &payload)).await?,
            PONG => {}
            opcode => peer.output.send(&frames::fragment(opcode, fin, &payload)).await?,
        }
    }
    Ok(())
}

/// Reads until the end of the stream, and says nothing.
///
/// # Errors
///
/// The stream's.
pub async fn silent<R: Runtime>(mut peer: Peer<R>) -> io::Result<()> {
    peer.input.end().await
}

/// Neither reads nor says anything for `time`, then reads on in silence.
///
/// # Errors
///
/// The stream's.
pub async fn deaf<R: Runtime>(peer: Peer<R>, time: Duration) -> io::Result<()> {
    peer.host.sleep(time).await;
    silent(peer).await
}

/// Closes with `code`, waits for the client's Close, and ends the stream.
///
/// # Errors
///
/// The stream's.
pub async fn close_first<R: Runtime>(mut peer: Peer<R>, code: u16) -> io::Result<()> {
    peer.output.send(&frames::close(code, "")).await?;
    if peer.input.close().await?.is_some() {
        peer.output.finish().await?;
    }
    peer.input.end().await
}

/// Waits for the client's Close, which it answers, and drops all that comes before.
///
/// # Errors
///
/// The stream's.
pub async fn answer_close<R: Runtime>(mut peer: Peer<R>) -> io::Result<()> {
    match peer.input.close().await? {
        Some(close) => say_goodbye(peer, &close.payload).await,
        None => Ok(()),
    }
}

/// Sends a Close frame with `body`, ends the stream (RFC 6455, section 7.1.1: the server's part), and waits for the
/// client to do so.
///
/// # Errors
///
/// The stream's.
pub async fn say_goodbye<R: Runtime>(mut peer: Peer<R>, body: &[u8]) -> io::Result<()> {
    peer.output.send(&frames::frame(CLOSE, body)).await?;
    peer.output.finish().await?;
    peer.input.end().await
}

/// Sends `bytes` over and over while it reads, until the client's Close, which it answers; `times` over at most.
///
/// # Errors
///
/// The stream's.
pub async fn flood<R: Runtime>(peer: Peer<R>, bytes: &[u8], times: usize) -> io::Result<()> {
    let Peer { host, mut input, mut output } = peer;
    let flooding = async {
        for _ in 0..times {
            output.send(bytes).await?;
        }
        io::Result::Ok(())
    };
    let (flooded, close) = tokio::join!(flooding, input.close());
    flooded?;
    match close? {
        Some(close) => say_goodbye(Peer { host, input, output }, &close.payload).await,
        None => Ok(()),
    }
}
