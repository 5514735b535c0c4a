//! A client subscribes to a stream that always has a message ready, and sends a query beside it.
//!
//! `http::WebSocket` keeps the operations of a connection in a std `HashMap`. For every message that it sends, it polls
//! them from the first one until one has a message. Operations after one that is always ready are never polled. The
//! order depends on the map's hash keys, which come from the seed.
//!
//! Messages are lines over simulated TCP: the type leaves WebSocket frames to its host.

use std::net::SocketAddr;

use async_graphql::http::{WebSocket, WebSocketProtocols, WsMessage};
use async_graphql::{EmptyMutation, Object, Schema, Subscription};
use futures::{StreamExt, future, stream};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_util::codec::{FramedRead, LinesCodec};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions, Stream};
use wavetank::{Host, Sim};

/// After this number of messages without an answer the query counts as starved. The buffers on the way hold fewer than
/// 300 messages.
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

/// Returns the smallest buffers that Linux allows.
fn small_buffers() -> SocketOptions {
    SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096)
}

/// Serves one connection as a host of the crate does: sends the messages that it yields, one after another.
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
            // The client has its answer and has closed.
            break;
        }
    }
    Ok(())
}

/// Subscribes, sends the query, and reads until its answer.
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

/// The body of the test: builds the hosts.
pub fn a_query_is_answered_beside_a_busy_subscription(sim: &mut Sim) {
    sim.server("server", serve);
    sim.client("client", ask);
}
