//! The schema, and `Connection` as juniper's own hosts drive it.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, future};
use juniper::{
    DefaultScalarValue, EmptyMutation, FieldError, RootNode, graphql_object, graphql_subscription,
};
use juniper_graphql_ws::ConnectionConfig;
use juniper_graphql_ws::graphql_transport_ws::{ClientMessage, Connection, Input, Output};
use wavetank::Host;
use wavetank_zoo_graphql::{Handler, Line, numbers};

#[derive(Clone, Copy)]
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
        let schema = Arc::new(RootNode::new(Query, EmptyMutation::<Nothing>::new(), Subscriptions));
        let (from_handler, to_handler) = {
            let (sink, stream) = Connection::new(schema, ConnectionConfig::new(Nothing)).split::<Text>();
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
