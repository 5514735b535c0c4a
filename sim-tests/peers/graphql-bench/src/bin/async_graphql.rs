//! Ours and `async_graphql::http::WebSocket`, with the engine async-graphql.

use std::process::ExitCode;
use std::sync::LazyLock;

use async_graphql::http::{WebSocket, WebSocketProtocols, WsMessage};
use async_graphql::{EmptyMutation, Object, Request, Schema, Subscription};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{SinkExt, StreamExt};
use graphql_bench::{Bench, Contender, Ends, events, ours};
use wavetank_graphql::engine::async_graphql::AsyncGraphql;

struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "Hello, world!"
    }
}

struct Subscriptions;

#[Subscription]
impl Subscriptions {
    async fn count(&self) -> BoxStream<'static, i32> {
        events::count()
    }

    async fn one(&self) -> BoxStream<'static, i32> {
        events::one()
    }

    async fn events(&self) -> BoxStream<'static, i32> {
        events::events()
    }

    async fn silent(&self) -> BoxStream<'static, i32> {
        events::silent()
    }

    async fn padded(&self) -> BoxStream<'static, String> {
        events::padded()
    }
}

type Root = Schema<Query, EmptyMutation, Subscriptions>;

static SCHEMA: LazyLock<Root> = LazyLock::new(|| Schema::new(Query, EmptyMutation, Subscriptions));

fn serve_ours(ends: Ends) -> BoxFuture<'static, ()> {
    ours::serve(AsyncGraphql::new(SCHEMA.clone()), ends)
}

/// As the crate's own hosts do: sends the messages one after another.
fn serve_theirs(ends: Ends) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let Ends { receiver, mut sender } = ends;
        let mut messages = WebSocket::new(SCHEMA.clone(), receiver, WebSocketProtocols::GraphQLWS);
        while let Some(WsMessage::Text(text)) = messages.next().await {
            if sender.send(text).await.is_err() {
                return;
            }
        }
    })
}

fn results(query: &'static str) -> BoxStream<'static, String> {
    let responses = SCHEMA.execute_stream(Request::new(query));
    responses.map(|response| serde_json::to_string(&response).expect("responses are JSON")).boxed()
}

static BENCH: Bench = Bench {
    engine: "async-graphql 7.2.1",
    contenders: [
        Contender { name: "ours", serve: serve_ours },
        Contender { name: "`http::WebSocket`", serve: serve_theirs },
    ],
    results,
};

fn main() -> ExitCode {
    graphql_bench::run(&BENCH)
}
