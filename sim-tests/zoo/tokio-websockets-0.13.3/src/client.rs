//! tokio-websockets as a client for the bodies.

use futures_util::{SinkExt, StreamExt};
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};
use wavetank::Host;
use wavetank::host::SimStream;
use wavetank::runtime::SocketOptions;
use wavetank_zoo_websocket::{Client, Received, connect, text};

pub struct TokioWebsockets(WebSocketStream<SimStream>);

impl Client for TokioWebsockets {
    async fn open(host: Host, socket: SocketOptions) -> Result<Self, String> {
        let stream = connect(host, socket).await?;
        let builder = ClientBuilder::new().uri("ws://server/").map_err(text)?;
        let (websocket, _) = builder.connect_on(stream).await.map_err(text)?;
        Ok(Self(websocket))
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), String> {
        self.0.send(Message::binary(payload.to_vec())).await.map_err(text)
    }

    async fn recv(&mut self) -> Result<Received, String> {
        loop {
            match self.0.next().await.transpose().map_err(text)? {
                None => return Ok(Received::Closed),
                Some(message) if message.is_close() => return Ok(Received::Closed),
                Some(message) if message.is_ping() || message.is_pong() => {}
                Some(message) => return Ok(Received::Message(message.into_payload().to_vec())),
            }
        }
    }

    /// `Sink::poll_close` is the only way to close.
    async fn close(&mut self) -> Result<(), String> {
        self.0.close().await.map_err(text)
    }
}
