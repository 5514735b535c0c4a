//! Ours and `juniper_graphql_ws`, with the engine juniper.

use std::process::ExitCode;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::future::{self, BoxFuture};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use graphql_bench::{Bench, Contender, Ends, events, ours};
use juniper::{
    DefaultScalarValue, EmptyMutation, FieldError, OperationType, RootNode, ValidatedOperation, Variables,
    graphql_object, graphql_subscription,
};
use juniper_graphql_ws::ConnectionConfig;
use juniper_graphql_ws::graphql_transport_ws::{ClientMessage, Connection, Input, NextPayload, Output};
use juniper_subscriptions::Connection as SubscriptionResults;
use wavetank_graphql::engine::juniper::Juniper;

#[derive(Clone, Copy, Default)]
struct Nothing;

impl juniper::Context for Nothing {}

struct Query;

#[graphql_object(context = Nothing)]
impl Query {
    fn hello() -> &'static str {
        "Hello, world!"
    }
}

struct Subscriptions;

type Items<T> = BoxStream<'static, Result<T, FieldError>>;

#[graphql_subscription(context = Nothing)]
impl Subscriptions {
    async fn count() -> Items<i32> {
        events::count().map(Ok).boxed()
    }

    async fn one() -> Items<i32> {
        events::one().map(Ok).boxed()
    }

    async fn events() -> Items<i32> {
        events::events().map(Ok).boxed()
    }

    async fn silent() -> Items<i32> {
        events::silent().map(Ok).boxed()
    }

    async fn padded() -> Items<String> {
        events::padded().map(Ok).boxed()
    }
}

type Root = RootNode<Query, EmptyMutation<Nothing>, Subscriptions>;

static SCHEMA: LazyLock<Arc<Root>> =
    LazyLock::new(|| Arc::new(RootNode::new(Query, EmptyMutation::new(), Subscriptions)));

fn serve_ours(ends: Ends) -> BoxFuture<'static, ()> {
    ours::serve(Juniper::new(Arc::clone(&SCHEMA)), ends)
}

/// A message of the client.
struct Text(String);

impl TryFrom<Text> for Input<DefaultScalarValue> {
    type Error = serde_json::Error;

    fn try_from(text: Text) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<ClientMessage<DefaultScalarValue>>(&text.0).map(Self::Message)
    }
}

/// As the crate's own hosts do. Without keepalive, which would close the client after 15 s.
fn serve_theirs(ends: Ends) -> BoxFuture<'static, ()> {
    let config = ConnectionConfig::new(Nothing).with_keep_alive_interval(Duration::ZERO);
    let (to_handler, from_handler) = Connection::new(Arc::clone(&SCHEMA), config).split::<Text>();
    let receiving = ends.receiver.map(|text| Ok(Text(text))).forward(to_handler);
    let sending = from_handler
        .map(|output| match output {
            Output::Message(message) => Ok(serde_json::to_string(&message).expect("messages are JSON")),
            Output::Close { code, message } => panic!("the server closes: {code} {message}"),
        })
        .forward(ends.sender);
    future::select(receiving, sending).map(drop).boxed()
}

static VARIABLES: LazyLock<Variables> = LazyLock::new(Variables::new);

static CONTEXT: Nothing = Nothing;

fn results(query: &'static str) -> BoxStream<'static, String> {
    let schema: &'static Root = &SCHEMA;
    let executing = async move {
        let operation = ValidatedOperation::new(query, None, schema).expect("a valid document");
        if operation.operation_type() == OperationType::Subscription {
            let resolved = operation.resolve_into_stream(&VARIABLES, &CONTEXT).await;
            let (events, errors) = resolved.expect("a source stream");
            return SubscriptionResults::from_stream(events, errors)
                .map(|output| text(NextPayload { data: output.data, errors: output.errors }))
                .left_stream();
        }
        let (data, errors) = operation.execute(&VARIABLES, &CONTEXT).await.expect("a result");
        stream::once(future::ready(text(NextPayload { data, errors }))).right_stream()
    };
    executing.flatten_stream().boxed()
}

fn text(payload: NextPayload<DefaultScalarValue>) -> String {
    serde_json::to_string(&payload).expect("results are JSON")
}

static BENCH: Bench = Bench {
    engine: "juniper 0.18.0",
    contenders: [
        Contender { name: "ours", serve: serve_ours },
        Contender { name: "`juniper_graphql_ws`", serve: serve_theirs },
    ],
    results,
};

fn main() -> ExitCode {
    graphql_bench::run(&BENCH)
}
