//! What both versions share: the schema, `Connection` as juniper's own hosts drive it, and the bugs that both have.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, future};
use juniper::{
    DefaultScalarValue, EmptyMutation, FieldError, RootNode, graphql_object, graphql_subscription,
};
use juniper_graphql_ws::ConnectionConfig;
use juniper_graphql_ws::graphql_transport_ws::{ClientMessage, Connection, Input, Output};
use wavetank::Host;
use wavetank_zoo_graphql::{Handler, Line, connection, numbers, operations};
use wavetank_zoo_harness::Entry;

pub const ERROR: Entry = Entry::bad(
    "error",
    "`complete` follows `error`",
    "error in client: complete after error",
    operations::an_error_is_the_last_message::<Juniper>,
);

pub const CLIENT_COMPLETE: Entry = Entry::bad(
    "client_complete",
    "the client's `complete` is answered with `complete`",
    "error in client: complete answers the client's complete",
    operations::nothing_follows_the_complete_of_a_client::<Juniper>,
);

pub const SECOND_INIT: Entry = Entry::bad(
    "second_init",
    "a second `connection_init` is ignored, instead of closing with 4429",
    "error in client: a second connection_init is ignored",
    connection::a_second_init_closes_with_4429::<Juniper>,
);

#[derive(Clone, Copy, Default)]
pub struct Nothing;

impl juniper::Context for Nothing {}

pub struct Query;

#[graphql_object(context = Nothing)]
impl Query {
    fn hello() -> &'static str {
        "Hello, world!"
    }
}

pub struct Subscriptions;

#[graphql_subscription(context = Nothing)]
impl Subscriptions {
    async fn count(every_ms: Option<i32>) -> BoxStream<'static, Result<i32, FieldError>> {
        numbers(every_ms.and_then(|ms| ms.try_into().ok())).map(Ok).boxed()
    }
}

pub type Schema = RootNode<Query, EmptyMutation<Nothing>, Subscriptions>;

pub fn schema() -> Schema {
    RootNode::new(Query, EmptyMutation::new(), Subscriptions)
}

/// `Connection`, with the default configuration.
pub struct Juniper;

/// A message of the client. A text that is none closes the connection.
struct Text(String);

impl TryFrom<Text> for Input<DefaultScalarValue> {
    type Error = serde_json::Error;

    fn try_from(text: Text) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<ClientMessage<DefaultScalarValue>>(&text.0).map(Self::Message)
    }
}

impl Handler for Juniper {
    async fn serve(_host: Host, line: Line) -> Result<(), String> {
        let (from_handler, to_handler) = {
            let (sink, stream) =
                Connection::new(Arc::new(schema()), ConnectionConfig::new(Nothing)).split::<Text>();
            (stream, sink)
        };
        let (sink, lines) = line.split();
        let receiving = lines.map(|line| Ok(Text(line))).forward(to_handler);
        let sending = from_handler
            .map(|output| {
                Ok(match output {
                    Output::Message(message) => serde_json::to_string(&message).expect("messages are JSON"),
                    Output::Close { code, message } => format!("close {code} {message}"),
                })
            })
            .forward(sink);
        // Either end ends the connection.
        future::select(receiving, sending).await;
        Ok(())
    }
}
