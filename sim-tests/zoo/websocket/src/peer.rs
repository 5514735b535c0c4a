//! The server of a body: a script that writes bytes and checks strictly the frames that it reads.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::Host;
use wavetank::host::SimStream;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};

use crate::opening;
use crate::wire::{Frame, Opcode, Parser};

/// The server's end of one open WebSocket.
#[derive(Debug)]
pub struct Peer {
    stream: SimStream,
    parser: Parser,
}

impl Peer {
    /// Accepts one connection on port 80, over a socket with these options, and opens the WebSocket.
    ///
    /// # Errors
    ///
    /// The socket's. `InvalidData` if the request does not ask for a WebSocket.
    pub async fn accept(host: Host, socket: SocketOptions) -> io::Result<Self> {
        let address = "0.0.0.0:80".parse().expect("an address");
        let options = ListenOptions::new().accepted(socket);
        let listener = Runtime::listen(&host, address, options).await?;
        let (mut stream, _) = listener.accept().await?;
        opening::accept(&mut stream).await?;
        Ok(Self { stream, parser: Parser::default() })
    }

    /// Writes bytes: a frame, a part of a frame, or several frames.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Ends the server's direction (FIN).
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Reads the next frame and shows it in the trace. Returns `None` if the client has ended the connection.
    ///
    /// # Errors
    ///
    /// The socket's, except a reset: a reset may discard the rest of a frame, so it counts as an end.
    ///
    /// # Panics
    ///
    /// If the client violates the protocol.
    pub async fn read(&mut self) -> io::Result<Option<Frame>> {
        let frame = self.read_quietly().await?;
        if let Some(frame) = &frame {
            tracing::info!("reads the frame {frame:?}");
        }
        Ok(frame)
    }

    /// Reads to the end of the connection.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub async fn read_to_end(&mut self) -> io::Result<()> {
        while self.read().await?.is_some() {}
        Ok(())
    }

    /// Reads until the next data frame. Returns it with the number of control frames before it, or `None` if the
    /// connection ends first.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub async fn read_data(&mut self) -> io::Result<Option<(Frame, usize)>> {
        let mut controls = 0;
        while let Some(frame) = self.read_quietly().await? {
            if !frame.opcode.is_control() {
                return Ok(Some((frame, controls)));
            }
            controls += 1;
        }
        Ok(None)
    }

    /// Waits for the client's Close, answers it, and ends the connection, as a server should.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub async fn answer_close(&mut self) -> io::Result<()> {
        while let Some(frame) = self.read().await? {
            if frame.opcode == Opcode::Close {
                self.write(&crate::wire::close_frame()).await?;
                self.finish().await?;
            }
        }
        Ok(())
    }

    async fn read_quietly(&mut self) -> io::Result<Option<Frame>> {
        loop {
            match self.parser.next_frame() {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(violation) => panic!("on the wire: {violation}"),
            }
            let mut bytes = [0; 4_096];
            match self.stream.read(&mut bytes).await {
                Ok(0) => {
                    self.parser.end().unwrap_or_else(|violation| panic!("on the wire: {violation}"));
                    return Ok(None);
                }
                Ok(count) => self.parser.push(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}
