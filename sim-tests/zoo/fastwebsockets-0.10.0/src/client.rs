//! fastwebsockets as a client for the bodies.

use fastwebsockets::{Frame, OpCode, Role, WebSocket};
use wavetank::Host;
use wavetank::host::SimStream;
use wavetank::runtime::SocketOptions;
use wavetank_zoo_websocket::opening::connect_and_open;
use wavetank_zoo_websocket::{Client, Received, text};

/// Its own opening handshake needs hyper and a task that the scheduler does not know. So it starts after the handshake.
pub struct Fastwebsockets(WebSocket<SimStream>);

impl Client for Fastwebsockets {
    async fn open(host: Host, socket: SocketOptions) -> Result<Self, String> {
        let stream = connect_and_open(host, socket).await?;
        Ok(Self(WebSocket::after_handshake(stream, Role::Client)))
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), String> {
        self.0.write_frame(Frame::binary(payload.to_vec().into())).await.map_err(text)?;
        self.0.flush().await.map_err(text)
    }

    async fn recv(&mut self) -> Result<Received, String> {
        loop {
            let frame = self.0.read_frame().await.map_err(text)?;
            match frame.opcode {
                OpCode::Close => return Ok(Received::Closed),
                OpCode::Ping | OpCode::Pong => {}
                OpCode::Continuation | OpCode::Text | OpCode::Binary => {
                    return Ok(Received::Message(frame.payload.to_vec()));
                }
            }
        }
    }

    /// Writing the frame is the only way to close.
    async fn close(&mut self) -> Result<(), String> {
        self.0.write_frame(Frame::close(1000, b"")).await.map_err(text)?;
        self.0.flush().await.map_err(text)
    }
}
