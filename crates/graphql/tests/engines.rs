//! Both engines behind the one trait: the same schema gives the same results, and the same kinds of errors.
#![cfg(all(feature = "async-graphql", feature = "juniper"))]

#[path = "../examples/server/async_graphql_schema.rs"]
mod async_graphql_schema;
#[path = "../examples/server/channels.rs"]
mod channels;
#[path = "../examples/server/juniper_schema.rs"]
mod juniper_schema;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use serde_json::{Value, json};
use wavetank_graphql::engine::async_graphql::AsyncGraphql;
use wavetank_graphql::engine::juniper::Juniper;
use wavetank_graphql::{
    BoxFuture, BoxStream, Engine, Operation, Payload, RawValue, Request, RequestErrors, Server, Upgrade,
    memory,
};
use wavetank_runtime::{Runtime as _, Tokio};

use channels::Channels;

/// Runs a test once for each engine, with the schema of the example server.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod on_async_graphql {
            $(#[tokio::test]
            async fn $name() {
                let channels = super::Channels::default();
                let mut data = async_graphql::Data::default();
                data.insert(channels.clone());
                let engine = super::AsyncGraphql::new(super::async_graphql_schema::schema());
                super::$name(engine, std::sync::Arc::new(data), channels).await;
            })+
        }
        mod on_juniper {
            $(#[tokio::test]
            async fn $name() {
                let channels = super::Channels::default();
                let context = super::juniper_schema::Context(channels.clone());
                let engine = super::Juniper::new(super::juniper_schema::schema());
                super::$name(engine, std::sync::Arc::new(context), channels).await;
            })+
        }
    };
}

on_both_engines![
    a_query_gives_one_result,
    variables_and_operation_names_count,
    failed_fields_are_part_of_results,
    wrong_requests_are_request_errors,
    places_of_syntax_errors_are_kept,
    failed_source_streams_are_request_errors,
    subscriptions_give_results_and_end,
    dropping_a_stream_drops_its_source,
    dropping_a_preparation_cancels_it,
    a_failed_source_stream_reaches_the_client,
];

fn text(payload: &impl Payload) -> Value {
    let mut bytes = Vec::new();
    payload.append_to(&mut bytes);
    serde_json::from_slice(&bytes).expect("an engine writes JSON")
}

async fn single<E: Engine>(engine: &E, request: Request, context: &Arc<E::Context>) -> Value {
    match engine.prepare(request, Arc::clone(context)).await {
        Ok(Operation::Done(result)) => text(&result),
        Ok(Operation::Single(result)) => text(&result.await),
        other => panic!("not one result: {other:?}"),
    }
}

async fn refused<E: Engine>(engine: &E, request: Request, context: &Arc<E::Context>) -> RequestErrors {
    let errors = match engine.prepare(request.clone(), Arc::clone(context)).await {
        Ok(Operation::Subscribing(source)) => source.await.err(),
        prepared => prepared.err(),
    };
    errors.unwrap_or_else(|| panic!("this was executed: {request:?}"))
}

async fn subscribed<E: Engine>(engine: &E, query: &str, context: &Arc<E::Context>) -> BoxStream<E::Payload> {
    match engine.prepare(Request::new(query), Arc::clone(context)).await {
        Ok(Operation::Subscription(results)) => results,
        Ok(Operation::Subscribing(source)) => Box::pin(Flattened { source: Some(source), results: None }),
        other => panic!("not a subscription: {other:?}"),
    }
}

/// The results of a subscription whose source stream may not be there yet.
struct Flattened<P> {
    source: Option<BoxFuture<Result<BoxStream<P>, RequestErrors>>>,
    results: Option<BoxStream<P>>,
}

impl<P> Stream for Flattened<P> {
    type Item = P;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<P>> {
        if let Some(source) = &mut self.source {
            let results = std::task::ready!(source.as_mut().poll(context));
            self.results = Some(results.expect("a source stream"));
            self.source = None;
        }
        self.results.as_mut().expect("the source is there").as_mut().poll_next(context)
    }
}

async fn next<P: Payload>(results: &mut BoxStream<P>) -> Option<Value> {
    poll_fn(|context| results.as_mut().poll_next(context)).await.map(|result| text(&result))
}

fn raw(json: &Value) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(json).ok()
}

async fn a_query_gives_one_result<E: Engine>(engine: E, context: Arc<E::Context>, _: Channels) {
    let result = single(&engine, Request::new("{ hello }"), &context).await;
    assert_eq!(result, json!({"data": {"hello": "world"}}));
}

async fn variables_and_operation_names_count<E: Engine>(
    engine: E,
    context: Arc<E::Context>,
    channels: Channels,
) {
    let mut request = Request::new(
        "query Other { hello } mutation Say($text: String!) { publish(channel: \"a\", text: $text) }",
    );
    request.operation_name = Some("Say".into());
    request.variables = raw(&json!({"text": "hi \"there\""}));
    let mut received = channels.subscribe("a".into());
    assert_eq!(single(&engine, request.clone(), &context).await, json!({"data": {"publish": 1}}));
    let heard = poll_fn(|context| Pin::new(&mut received).poll_next(context)).await;
    assert_eq!(heard.as_deref(), Some("hi \"there\""));
    request.operation_name = Some("Other".into());
    assert_eq!(single(&engine, request, &context).await, json!({"data": {"hello": "world"}}));
}

async fn failed_fields_are_part_of_results<E: Engine>(engine: E, context: Arc<E::Context>, _: Channels) {
    let result = single(&engine, Request::new("{ hello boom }"), &context).await;
    assert_eq!(result["data"], json!({"hello": "world", "boom": null}));
    assert_eq!(result["errors"][0]["message"], "boom");
    assert_eq!(result["errors"][0]["path"], json!(["boom"]));
    assert_eq!(result["errors"][0]["locations"], json!([{"line": 1, "column": 9}]));
}

async fn wrong_requests_are_request_errors<E: Engine>(engine: E, context: Arc<E::Context>, _: Channels) {
    for query in ["", "{", "{ nope }", "query A { hello } query B { hello }", "subscription { nope }"] {
        refused(&engine, Request::new(query), &context).await;
    }
    let mut unknown = Request::new("query A { hello }");
    unknown.operation_name = Some("B".into());
    refused(&engine, unknown, &context).await;
    for variables in [json!({"ms": "long"}), json!({"ms": {}}), json!([1]), json!(3)] {
        let mut request = Request::new("query ($ms: Int!) { slow(ms: $ms) }");
        request.variables = raw(&variables);
        let errors = refused(&engine, request, &context).await;
        assert!(!errors.errors()[0].message.is_empty());
    }
}

async fn places_of_syntax_errors_are_kept<E: Engine>(engine: E, context: Arc<E::Context>, _: Channels) {
    let errors = refused(&engine, Request::new("{\n  hello )\n}"), &context).await;
    let place = errors.errors()[0].locations[0];
    assert_eq!((place.line, place.column), (2, 9));
}

async fn failed_source_streams_are_request_errors<E: Engine>(
    engine: E,
    context: Arc<E::Context>,
    _: Channels,
) {
    let errors = refused(&engine, Request::new("subscription { again: fails }"), &context).await;
    let errors = serde_json::to_value(&errors).expect("JSON");
    assert_eq!(errors[0]["message"], "this subscription always fails");
    assert_eq!(errors[0]["path"], json!(["again"]));
}

async fn subscriptions_give_results_and_end<E: Engine>(engine: E, context: Arc<E::Context>, _: Channels) {
    let mut results = subscribed(&engine, "subscription { n: count(to: 3, everyMs: 0) }", &context).await;
    for n in 1..=3 {
        assert_eq!(next(&mut results).await, Some(json!({"data": {"n": n}})));
    }
    assert_eq!(next(&mut results).await, None);
}

async fn dropping_a_stream_drops_its_source<E: Engine>(
    engine: E,
    context: Arc<E::Context>,
    channels: Channels,
) {
    let mut results = subscribed(&engine, "subscription { channel(name: \"a\") }", &context).await;
    assert!(results.as_mut().poll_next(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(channels.publish("a", "one"), 1);
    assert_eq!(next(&mut results).await, Some(json!({"data": {"channel": "one"}})));
    drop(results);
    assert_eq!(channels.publish("a", "two"), 0);
}

async fn dropping_a_preparation_cancels_it<E: Engine>(engine: E, context: Arc<E::Context>, _: Channels) {
    let held = Arc::strong_count(&context);
    let mut prepared = Box::pin(engine.prepare(Request::new("{ slow(ms: 60000) }"), Arc::clone(&context)));
    assert!(prepared.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(Arc::strong_count(&context) > held);
    drop(prepared);
    assert_eq!(Arc::strong_count(&context), held);
}

async fn a_failed_source_stream_reaches_the_client<E: Engine>(
    engine: E,
    context: Arc<E::Context>,
    _: Channels,
) {
    let context = std::sync::Mutex::new(Arc::try_unwrap(context).ok());
    let server = Server::with_hooks(Tokio, engine, Given { context });
    let (transport, mut client) = memory::pair(Some("graphql-transport-ws"), 64);
    let connection = Tokio.spawn("connection", server.serve(transport, Upgrade::new()));
    client.send(r#"{"type":"connection_init"}"#).await;
    client.recv_text().await.expect("an acknowledgement");
    client.send(r#"{"type":"subscribe","id":"1","payload":{"query":"subscription { fails }"}}"#).await;
    let error = client.recv_text().await.expect("an error");
    let error: Value = serde_json::from_str(&error).expect("JSON");
    assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("1")));
    assert_eq!(error["payload"][0]["message"], "this subscription always fails");
    // The id is free, and no `complete` follows.
    client.send(r#"{"type":"subscribe","id":"1","payload":{"query":"{ hello }"}}"#).await;
    let result = client.recv_text().await.expect("a result");
    assert_eq!(result, r#"{"type":"next","id":"1","payload":{"data":{"hello":"world"}}}"#);
    drop(client);
    connection.await.expect("no panic");
}

/// Accepts one connection, with the context that it was given.
struct Given<C> {
    context: std::sync::Mutex<Option<C>>,
}

impl<C: Send + Sync + 'static> wavetank_graphql::Hooks for Given<C> {
    type Context = C;

    async fn on_connect(
        &self,
        _connection: &wavetank_graphql::ConnectionInfo,
        _payload: Option<&RawValue>,
    ) -> Result<wavetank_graphql::Accepted<C>, wavetank_graphql::Rejection> {
        let context = self.context.lock().expect("no panic").take();
        context.map(wavetank_graphql::Accepted::new).ok_or_else(wavetank_graphql::Rejection::default)
    }
}

/// A stream of which every event is there.
struct Events<T>(VecDeque<T>);

impl<T: Unpin> Stream for Events<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<T>> {
        Poll::Ready(self.0.pop_front())
    }
}

/// One schema in both engines: a second event that fails, and a source stream that fails after a wait.
mod flaky {
    use super::{Events, VecDeque};

    fn events<E>(error: E) -> Events<Result<i32, E>> {
        Events(VecDeque::from([Ok(1), Err(error), Ok(3)]))
    }

    pub(super) struct Query;

    #[async_graphql::Object]
    impl Query {
        async fn hello(&self) -> i32 {
            1
        }
    }

    pub(super) struct Subscription;

    #[async_graphql::Subscription]
    impl Subscription {
        async fn late(&self) -> Result<Events<i32>, async_graphql::Error> {
            tokio::task::yield_now().await;
            Err("this source failed late".into())
        }

        async fn flaky(&self) -> Events<Result<i32, async_graphql::Error>> {
            events("this event fails".into())
        }
    }

    pub(super) struct JuniperQuery;

    #[juniper::graphql_object]
    impl JuniperQuery {
        fn hello() -> i32 {
            1
        }
    }

    pub(super) struct JuniperSubscription;

    #[juniper::graphql_subscription]
    impl JuniperSubscription {
        async fn late() -> Result<Events<i32>, juniper::FieldError> {
            tokio::task::yield_now().await;
            Err("this source failed late".into())
        }

        async fn flaky() -> Events<Result<i32, juniper::FieldError>> {
            events("this event fails".into())
        }
    }
}

async fn failures_come_as_what_they_are<E: Engine<Context: Default>>(engine: E) {
    let errors = refused(&engine, Request::new("subscription { late }"), &Arc::default()).await;
    assert_eq!(errors.errors()[0].message, "this source failed late");
    let mut results = subscribed(&engine, "subscription { flaky }", &Arc::default()).await;
    assert_eq!(next(&mut results).await, Some(json!({"data": {"flaky": 1}})));
    let failed = next(&mut results).await.expect("a result");
    assert_eq!(failed["data"], Value::Null);
    assert_eq!(failed["errors"][0]["message"], "this event fails");
    assert_eq!(failed["errors"][0]["path"], json!(["flaky"]));
    assert_eq!(next(&mut results).await, Some(json!({"data": {"flaky": 3}})));
    assert_eq!(next(&mut results).await, None);
}

#[tokio::test]
async fn async_graphql_tells_failed_sources_from_failed_events() {
    let schema = async_graphql::Schema::new(flaky::Query, async_graphql::EmptyMutation, flaky::Subscription);
    failures_come_as_what_they_are(AsyncGraphql::new(schema)).await;
}

fn juniper_flaky() -> Juniper<flaky::JuniperQuery, juniper::EmptyMutation, flaky::JuniperSubscription> {
    let mutation = juniper::EmptyMutation::new();
    Juniper::new(juniper::RootNode::new(flaky::JuniperQuery, mutation, flaky::JuniperSubscription))
}

#[tokio::test]
async fn juniper_tells_failed_sources_from_failed_events() {
    failures_come_as_what_they_are(juniper_flaky()).await;
}

#[tokio::test]
async fn juniper_refuses_several_root_fields() {
    let errors =
        refused(&juniper_flaky(), Request::new("subscription { a: flaky b: flaky }"), &Arc::new(())).await;
    assert!(errors.errors()[0].message.contains("exactly one root field"), "{errors}");
}

#[tokio::test]
async fn juniper_refuses_missing_variables() {
    let engine = Juniper::new(juniper_schema::schema());
    let context = Arc::new(juniper_schema::Context(Channels::default()));
    let errors = refused(&engine, Request::new("query ($ms: Int!) { slow(ms: $ms) }"), &context).await;
    assert!(errors.errors()[0].message.contains("ms"), "{errors}");
}

#[tokio::test]
async fn mutations_that_juniper_lacks_are_refused() {
    let errors = refused(&juniper_flaky(), Request::new("mutation { x }"), &Arc::new(())).await;
    assert!(!errors.errors().is_empty());
}
