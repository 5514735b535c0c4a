//! tokio-tungstenite as a client for the bodies.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use wavetank::Host;
use wavetank::host::SimStream;
use wavetank::runtime::SocketOptions;
use wavetank_zoo_websocket::{Client, Received, connect, text};

pub struct TokioTungstenite(WebSocketStream<SimStream>);

impl Client for TokioTungstenite {
    async fn open(host: Host, socket: SocketOptions) -> Result<Self, String> {
        let stream = connect(host, socket).await?;
        let (websocket, _) = client_async("ws://server/", stream).await.map_err(text)?;
        Ok(Self(websocket))
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), String> {
        self.0.send(Message::binary(payload.to_vec())).await.map_err(text)
    }

    async fn recv(&mut self) -> Result<Received, String> {
        loop {
            match self.0.next().await.transpose().map_err(text)? {
                None | Some(Message::Close(_)) => return Ok(Received::Closed),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                Some(message) => return Ok(Received::Message(message.into_data().to_vec())),
            }
        }
    }

    async fn close(&mut self) -> Result<(), String> {
        self.0.close(None).await.map_err(text)
    }
}
