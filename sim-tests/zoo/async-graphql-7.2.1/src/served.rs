//! The schema, and `http::WebSocket` as the crate's own hosts drive it.

use std::time::Duration;

use async_graphql::http::{WebSocket, WebSocketProtocols, WsMessage};
use async_graphql::{EmptyMutation, Object, Schema, Subscription};
use futures::stream::BoxStream;
use futures::{SinkExt, StreamExt};
use wavetank::Host;
use wavetank_zoo_graphql::{Handler, Line, numbers};

pub struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "Hello, world!"
    }
}

pub struct Subscriptions;

#[Subscription]
impl Subscriptions {
    async fn count(&self, every_ms: Option<u64>) -> BoxStream<'static, i32> {
        numbers(every_ms)
    }
}

pub fn schema() -> Schema<Query, EmptyMutation, Subscriptions> {
    Schema::new(Query, EmptyMutation, Subscriptions)
}

/// `http::WebSocket`, with this `keepalive_timeout` in seconds. 0, the default, sets none.
pub struct AsyncGraphql<const KEEPALIVE: u64 = 0>;

impl<const KEEPALIVE: u64> Handler for AsyncGraphql<KEEPALIVE> {
    async fn serve(_host: Host, line: Line) -> Result<(), String> {
        let (mut sink, lines) = line.split();
        let timeout = (KEEPALIVE > 0).then_some(Duration::from_secs(KEEPALIVE));
        let mut messages =
            WebSocket::new(schema(), lines, WebSocketProtocols::GraphQLWS).keepalive_timeout(timeout);
        while let Some(message) = messages.next().await {
            let line = match message {
                WsMessage::Text(text) => text,
                WsMessage::Close(code, reason) => format!("close {code} {reason}"),
            };
            if sink.send(line).await.is_err() {
                // The client has its answer and has closed.
                break;
            }
        }
        Ok(())
    }
}
