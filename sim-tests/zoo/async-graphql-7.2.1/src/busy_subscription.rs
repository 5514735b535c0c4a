//! A client subscribes to a stream that always has something to say, and asks a query beside it.
//!
//! `http::WebSocket` keeps the operations of a connection in a std `HashMap` and, for every message that it sends, polls
//! them from the first on until one has something. What comes behind one that always has is never polled. Which one
//! that is depends on the entropy that the map is hashed with, which the seed gives.
//!
//! Messages travel as lines over simulated TCP: the framing of WebSocket is the business of whoever hosts the type.

use std::net::SocketAddr;

use async_graphql::http::{WebSocket, WebSocketProtocols, WsMessage};
use async_graphql::{EmptyMutation, Object, Schema, Subscription};
use futures::{StreamExt, future, stream};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_util::codec::{FramedRead, LinesCodec};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions, Stream};
use wavetank::{Host, Sim};

/// After so many messages that are not the answer, the query is starved. The buffers on the way hold less than 300.
const PATIENCE: usize = 1_000;

struct Query;

#[Object]
impl Query {
    async fn answer(&self) -> u32 {
        42
    }
}

struct Subscriptions;

#[Subscription]
impl Subscriptions {
    /// Always has the next number ready.
    async fn numbers(&self) -> impl futures::Stream<Item = u32> {
        stream::iter(0..)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The smallest buffers that Linux gives.
fn small_buffers() -> SocketOptions {
    SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096)
}

/// Serves one connection as a host of the crate does: what it yields is sent, one after the other.
async fn serve(host: Host) -> Result<(), String> {
    let address = SocketAddr::from(([0, 0, 0, 0], 80));
    let options = ListenOptions::new().accepted(small_buffers());
    let listener = Runtime::listen(&host, address, options).await.map_err(text)?;
    let (socket, _) = listener.accept().await.map_err(text)?;
    let (reader, mut writer) = socket.into_split();
    let lines = FramedRead::new(reader, LinesCodec::new()).filter_map(|line| future::ready(line.ok()));
    let schema = Schema::new(Query, EmptyMutation, Subscriptions);
    let mut messages = WebSocket::new(schema, lines, WebSocketProtocols::GraphQLWS);
    while let Some(WsMessage::Text(message)) = messages.next().await {
        if writer.write_all(format!("{message}\n").as_bytes()).await.is_err() {
            // The client has what it wanted.
            break;
        }
    }
    Ok(())
}

/// Subscribes, asks beside it, and reads until the answer.
async fn ask(host: Host) -> Result<(), String> {
    let server = Runtime::resolve(&host, "server", 80).await.map_err(text)?[0];
    let socket = Runtime::connect(&host, server, small_buffers()).await.map_err(text)?;
    let (reader, mut writer) = socket.into_split();
    for message in [
        json!({ "type": "connection_init" }),
        json!({ "type": "subscribe", "id": "busy", "payload": { "query": "subscription { numbers }" } }),
        json!({ "type": "subscribe", "id": "query", "payload": { "query": "{ answer }" } }),
    ] {
        writer.write_all(format!("{message}\n").as_bytes()).await.map_err(text)?;
    }
    let mut lines = FramedRead::new(reader, LinesCodec::new());
    for _ in 0..PATIENCE {
        let line = lines.next().await.ok_or("the server closed the connection")?.map_err(text)?;
        let message: Value = serde_json::from_str(&line).map_err(text)?;
        if message["id"] == "query" {
            assert_eq!(message["payload"]["data"], json!({ "answer": 42 }), "{message}");
            return Ok(());
        }
    }
    Err(format!("the query has no answer after {PATIENCE} messages"))
}

/// The body of the test.
pub fn a_query_is_answered_beside_a_busy_subscription(sim: &mut Sim) {
    sim.server("server", serve);
    sim.client("client", ask);
}
