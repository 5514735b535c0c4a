//! yawc as a client for the bodies.

use futures_util::SinkExt;
use wavetank::Host;
use wavetank::host::SimStream;
use wavetank::runtime::SocketOptions;
use wavetank_zoo_websocket::opening::connect_and_open;
use wavetank_zoo_websocket::{Client, Received, text};
use yawc::{Frame, OpCode, Options, Role, WebSocket};

/// Its own opening handshake runs hyper in a task that the scheduler does not know. So it starts after the handshake.
pub struct Yawc(WebSocket<SimStream>);

impl Client for Yawc {
    async fn open(host: Host, socket: SocketOptions) -> Result<Self, String> {
        let stream = connect_and_open(host, socket).await?;
        Ok(Self(WebSocket::from_stream(stream, Role::Client, Options::default()).map_err(text)?))
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), String> {
        self.0.send(Frame::binary(payload.to_vec())).await.map_err(text)
    }

    async fn recv(&mut self) -> Result<Received, String> {
        loop {
            let frame = self.0.next_frame().await.map_err(text)?;
            match frame.opcode() {
                OpCode::Close => return Ok(Received::Closed),
                OpCode::Ping | OpCode::Pong => {}
                OpCode::Continuation | OpCode::Text | OpCode::Binary => {
                    return Ok(Received::Message(frame.payload().to_vec()));
                }
            }
        }
    }

    /// `Sink::poll_close` is the only way to close.
    async fn close(&mut self) -> Result<(), String> {
        self.0.close().await.map_err(text)
    }
}
