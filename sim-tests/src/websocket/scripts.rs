//! Scripts of servers that many tests share. Each function is the script of one connection, or of its end.

use std::io;
use std::pin::pin;
use std::time::Duration;

use wavetank_runtime::Runtime;

use super::frames::{self, CLOSE, Frame, PING, PONG, RESERVED, TEXT};
use super::peer::Peer;

/// Sends every frame of a message back unchanged. Answers pings and the Close, and then ends the stream.
///
/// It answers before it reads more. So it does not read from a client that does not read.
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

/// Reads until the end of the stream, and sends nothing.
///
/// # Errors
///
/// The stream's.
pub async fn silent<R: Runtime>(mut peer: Peer<R>) -> io::Result<()> {
    peer.input.end().await
}

/// Neither reads nor sends for `time`. Then reads until the end of the stream, and sends nothing.
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

/// Waits for the client's Close and answers it. Drops everything before it.
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

/// Answers the client's Close, and leaves the end of the stream to the client.
///
/// # Errors
///
/// The stream's.
pub async fn answer_close_and_stay<R: Runtime>(mut peer: Peer<R>) -> io::Result<()> {
    if let Some(close) = peer.input.close().await? {
        peer.output.send(&frames::frame(CLOSE, &close.payload)).await?;
    }
    peer.input.end().await
}

/// Answers nothing but the client's Close, then resets the stream.
///
/// # Errors
///
/// The stream's.
pub async fn answer_close_and_reset<R: Runtime>(mut peer: Peer<R>) -> io::Result<()> {
    if let Some(close) = peer.input.close().await? {
        peer.output.send(&frames::frame(CLOSE, &close.payload)).await?;
        peer.reset();
    }
    Ok(())
}

/// Sends a Close frame with `body`, ends the stream as a server must (RFC 6455, section 7.1.1), and waits until the
/// client has ended it as well.
///
/// # Errors
///
/// The stream's.
pub async fn say_goodbye<R: Runtime>(mut peer: Peer<R>, body: &[u8]) -> io::Result<()> {
    peer.output.send(&frames::frame(CLOSE, body)).await?;
    peer.output.finish().await?;
    peer.input.end().await
}

/// Sends the text "welcome" twice, then passes each frame to `heard`. Answers pings and the Close.
///
/// # Errors
///
/// The stream's.
pub async fn greet<R: Runtime>(mut peer: Peer<R>, heard: impl Fn(&Frame)) -> io::Result<()> {
    peer.output.send(&frames::frame(TEXT, b"welcome").repeat(2)).await?;
    while let Some(frame) = peer.input.frame().await? {
        heard(&frame);
        match frame.opcode {
            PING => peer.output.send(&frames::frame(PONG, &frame.payload)).await?,
            CLOSE => return say_goodbye(peer, &frame.payload).await,
            _ => {}
        }
    }
    Ok(())
}

/// Answers the Close, and of every `of` pings only the latest, as RFC 6455 allows (section 5.5.3).
///
/// # Errors
///
/// The stream's.
pub async fn answer_the_latest_ping<R: Runtime>(mut peer: Peer<R>, of: u32) -> io::Result<()> {
    let mut pings = 0;
    while let Some(frame) = peer.input.frame().await? {
        match frame.opcode {
            PING => {
                pings += 1;
                if pings % of == 0 {
                    peer.output.send(&frames::frame(PONG, &frame.payload)).await?;
                }
            }
            CLOSE => return say_goodbye(peer, &frame.payload).await,
            _ => {}
        }
    }
    Ok(())
}

/// After `time`, ends its direction without a Close or, if `breaks_rules`, sends a frame that no server may send. Then
/// waits until the client has ended its direction.
///
/// # Errors
///
/// The stream's.
///
/// # Panics
///
/// If that takes longer than `at_most`.
pub async fn end_and_wait<R: Runtime>(
    mut peer: Peer<R>,
    time: Duration,
    breaks_rules: bool,
    at_most: Duration,
) -> io::Result<()> {
    peer.host.sleep(time).await;
    let ended = peer.host.now();
    if breaks_rules {
        peer.output.send(&frames::frame(RESERVED, b"")).await?;
    } else {
        peer.output.finish().await?;
    }
    peer.input.end().await?;
    let took = peer.host.now() - ended;
    assert!(took <= at_most, "the client ends the stream after {took:?}, and not within {at_most:?}");
    Ok(())
}

/// Sends a ping every `pause` while it reads, until `longer` after the client's Close. Only then answers the Close.
///
/// # Errors
///
/// The stream's.
///
/// # Panics
///
/// If the client sends anything after its Close, such as a pong.
pub async fn ping_on<R: Runtime>(peer: Peer<R>, pause: Duration, longer: Duration) -> io::Result<()> {
    let Peer { host, mut input, mut output } = peer;
    let close = {
        let mut closing = pin!(async {
            let close = input.close().await?;
            host.sleep(longer).await;
            io::Result::Ok(close)
        });
        loop {
            output.send(&frames::frame(PING, b"still there?")).await?;
            tokio::select! {
                close = &mut closing => break close?,
                () = host.sleep(pause) => {}
            }
        }
    };
    match close {
        Some(close) => say_goodbye(Peer { host, input, output }, &close.payload).await,
        None => Ok(()),
    }
}

/// Sends `bytes` again and again while it reads, at most `times`. The client's Close ends it, and is answered.
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
