//! The server's end of an open connection, for scripts.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use wavetank_runtime::Runtime;

use super::cut::{CutStream, End};
use super::{Frame, Wire};

/// The server's end of an open connection. Its halves can be used at the same time (`tokio::join!`).
pub struct Peer<R: Runtime> {
    /// The host of the peer, for its clock and its sleep.
    pub host: R,
    /// What comes from the client.
    pub input: Input<R>,
    /// What goes to the client.
    pub output: Output<R>,
}

/// What comes from the client.
pub struct Input<R: Runtime> {
    half: ReadHalf<CutStream<R::Stream>>,
    wire: Wire,
}

/// What goes to the client.
pub struct Output<R: Runtime> {
    host: R,
    half: WriteHalf<CutStream<R::Stream>>,
}

impl<R: Runtime> Peer<R> {
    pub(super) fn new(host: R, stream: CutStream<R::Stream>) -> Self {
        let (input, output) = tokio::io::split(stream);
        Self {
            input: Input { half: input, wire: Wire::default() },
            output: Output { host: host.clone(), half: output },
            host,
        }
    }

    /// Ends the stream with RST.
    pub fn reset(self) {
        self.input.half.unsplit(self.output.half).end(End::Reset);
    }
}

impl<R: Runtime> Input<R> {
    /// Waits for the next frame. Returns `None` at the end of the stream, even within a frame.
    ///
    /// # Errors
    ///
    /// The stream's.
    ///
    /// # Panics
    ///
    /// If the client sends what no client may send.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn frame(&mut self) -> io::Result<Option<Frame>> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = self.wire.frame() {
                return Ok(Some(frame));
            }
            match self.half.read(&mut buffer).await? {
                0 => return Ok(None),
                count => self.wire.feed(&buffer[..count]),
            }
        }
    }

    /// Waits for the client's Close frame, or for the end of the stream, and drops what comes before.
    ///
    /// # Errors
    ///
    /// The stream's.
    ///
    /// # Panics
    ///
    /// As [`frame`](Self::frame).
    pub async fn close(&mut self) -> io::Result<Option<Frame>> {
        loop {
            match self.frame().await? {
                Some(frame) if frame.opcode != super::frames::CLOSE => {}
                other => return Ok(other),
            }
        }
    }

    /// Reads until the end of the stream, and drops everything.
    ///
    /// # Errors
    ///
    /// The stream's.
    ///
    /// # Panics
    ///
    /// As [`frame`](Self::frame).
    pub async fn end(&mut self) -> io::Result<()> {
        while self.frame().await?.is_some() {}
        Ok(())
    }
}

impl<R: Runtime> Output<R> {
    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// The stream's, and `BrokenPipe` where the stream is cut.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.half.write_all(bytes).await
    }

    /// Sends every byte by itself, with a pause after each.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn dribble(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        for byte in bytes {
            self.send(&[*byte]).await?;
            self.host.sleep(pause).await;
        }
        Ok(())
    }

    /// Ends this direction with FIN.
    ///
    /// # Errors
    ///
    /// The stream's.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.half.shutdown().await
    }
}

impl<R: Runtime> fmt::Debug for Peer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("input", &self.input).finish_non_exhaustive()
    }
}

impl<R: Runtime> fmt::Debug for Input<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("wire", &self.wire).finish_non_exhaustive()
    }
}

impl<R: Runtime> fmt::Debug for Output<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}
