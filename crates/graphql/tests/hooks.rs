//! What an application decides and observes: hooks and tracing spans, over the transport in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use wavetank_graphql::memory::{self, Client};
use wavetank_graphql::mock::{Context, Mock};
use wavetank_graphql::{
    Accepted, Completion, ConnectionInfo, Ended, GraphqlError, Hooks, OperationInfo, Protocol, RawValue,
    Rejection, Request, RequestErrors, Server, Upgrade,
};
use wavetank_runtime::{Runtime as _, Tokio};

/// Hooks that decide by what they are given, and note what they saw.
#[derive(Clone, Default)]
struct App {
    seen: Arc<Mutex<Vec<String>>>,
    documents: BTreeMap<&'static str, &'static str>,
}

impl App {
    fn note(&self, text: impl Into<String>) {
        self.seen.lock().expect("no panic").push(text.into());
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

impl Hooks for App {
    type Context = Context;

    async fn on_connect(
        &self,
        connection: &ConnectionInfo,
        payload: Option<&RawValue>,
    ) -> Result<Accepted<Context>, Rejection> {
        let user = connection.headers().get("x-user").and_then(|user| user.to_str().ok());
        self.note(format!("connect {user:?} {:?} {:?}", connection.peer(), connection.protocol()));
        let ack = match payload.map(RawValue::get) {
            Some(r#"{"ack":"array"}"#) => json!([1]),
            _ => json!({"version": 1}),
        };
        let ack = serde_json::value::to_raw_value(&ack).expect("JSON");
        Ok(Accepted::new(Context::new(user)).payload(ack))
    }

    async fn on_ping(
        &self,
        context: Option<&Context>,
        payload: Option<Box<RawValue>>,
    ) -> Option<Box<RawValue>> {
        let user = context.and_then(Context::token).map(str::to_owned);
        payload.is_some().then(|| serde_json::value::to_raw_value(&json!({"user": user})).expect("JSON"))
    }

    async fn on_operation(
        &self,
        _context: &Context,
        operation: &OperationInfo,
        request: &Request,
    ) -> Result<(), RequestErrors> {
        self.note(format!("operation {} {:?}", operation.id(), operation.name()));
        if request.query.contains("forbidden") {
            return Err(GraphqlError::new("not for you").code("FORBIDDEN").into());
        }
        Ok(())
    }

    async fn persisted_query(
        &self,
        _context: &Context,
        mut request: Request,
    ) -> Result<Request, RequestErrors> {
        let extensions = request.extensions.as_deref().map_or("null", RawValue::get);
        let extensions: Value = serde_json::from_str(extensions).expect("JSON");
        let hash = extensions["persistedQuery"]["sha256Hash"].as_str().unwrap_or_default();
        match self.documents.get(hash) {
            Some(document) => request.query = (*document).to_owned(),
            None if !request.query.is_empty() => {}
            None => {
                return Err(GraphqlError::new("PersistedQueryNotFound")
                    .code("PERSISTED_QUERY_NOT_FOUND")
                    .into());
            }
        }
        Ok(request)
    }

    async fn on_complete(&self, _context: &Context, operation: &OperationInfo, completion: Completion) {
        self.note(format!("complete {} {completion:?}", operation.id()));
    }

    async fn on_disconnect(&self, _connection: &ConnectionInfo, context: Option<&Context>, ended: &Ended) {
        self.note(format!("disconnect {:?} {ended:?}", context.and_then(Context::token)));
    }

    fn format_error(&self, _context: &Context, mut error: GraphqlError) -> GraphqlError {
        assert!(!error.message.contains("explode"), "a hook that panics");
        error.message = format!("worded: {}", error.message);
        error
    }
}

/// A client of a server with these hooks.
struct Session {
    client: Client,
    connection: <Tokio as wavetank_runtime::Runtime>::TaskHandle<Ended>,
}

impl Session {
    async fn open(app: &App, init: Value) -> Self {
        let server = Server::with_hooks(Tokio, Mock::new(Tokio), app.clone());
        let (transport, client) = memory::pair(Some("graphql-transport-ws"), 64);
        let mut headers = http::HeaderMap::new();
        headers.insert("x-user", "ada".parse().expect("a value"));
        let upgrade = Upgrade::new().headers(headers).peer(([192, 0, 2, 1], 7).into());
        let connection = Tokio.spawn("connection", server.serve(transport, upgrade));
        let session = Self { client, connection };
        session.client.send(init.to_string()).await;
        session
    }

    async fn acknowledged(app: &App) -> Self {
        let mut session = Self::open(app, json!({"type": "connection_init"})).await;
        assert_eq!(session.hear().await, json!({"type": "connection_ack", "payload": {"version": 1}}));
        session
    }

    async fn hear(&mut self) -> Value {
        let text = self.client.recv_text().await.expect("a message");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Subscribes, and returns everything up to the end of the operation.
    async fn operation(&mut self, payload: Value) -> Vec<Value> {
        self.client.send(json!({"type": "subscribe", "id": "1", "payload": payload}).to_string()).await;
        let mut heard = Vec::new();
        loop {
            let message = self.hear().await;
            let is_last = message["type"] != "next";
            heard.push(message);
            if is_last {
                return heard;
            }
        }
    }

    async fn error(&mut self, payload: Value) -> Value {
        let mut heard = self.operation(payload).await;
        let last = heard.pop().expect("a message");
        assert_eq!((last["type"].as_str(), heard.len()), (Some("error"), 0), "{last} behind {heard:?}");
        last["payload"][0].clone()
    }

    async fn close(self) -> Ended {
        drop(self.client);
        self.connection.await.expect("no panic")
    }
}

#[tokio::test]
async fn a_context_is_made_of_the_upgrade() {
    let app = App::default();
    let mut session = Session::acknowledged(&app).await;
    let heard = session.operation(json!({"query": "{ token }"})).await;
    assert_eq!(heard[0]["payload"], json!({"data": {"token": "ada"}}));
    let ended = session.close().await;
    let connect = format!("connect Some(\"ada\") Some(192.0.2.1:7) {:?}", Some(Protocol::Transport));
    let disconnect = format!("disconnect Some(\"ada\") {ended:?}");
    assert_eq!(app.seen(), [&connect, "operation 1 None", "complete 1 Finished", &disconnect]);
}

#[tokio::test]
async fn an_ack_payload_must_be_an_object() {
    let mut session =
        Session::open(&App::default(), json!({"type": "connection_init", "payload": {"ack": "array"}})).await;
    assert_eq!(session.hear().await, json!({"type": "connection_ack"}));
    session.close().await;
}

#[tokio::test]
async fn on_ping_chooses_the_payload() {
    let mut session = Session::acknowledged(&App::default()).await;
    session.client.send(r#"{"type":"ping"}"#).await;
    assert_eq!(session.hear().await, json!({"type": "pong"}));
    session.client.send(r#"{"type":"ping","payload":{}}"#).await;
    assert_eq!(session.hear().await, json!({"type": "pong", "payload": {"user": "ada"}}));
    session.close().await;
}

#[tokio::test]
async fn a_refused_operation_gets_its_error() {
    let app = App::default();
    let mut session = Session::acknowledged(&app).await;
    let error = session.error(json!({"query": "{ forbidden }", "operationName": "Look"})).await;
    assert_eq!(error, json!({"message": "worded: not for you", "extensions": {"code": "FORBIDDEN"}}));
    session.close().await;
    assert_eq!(app.seen()[1..3], ["operation 1 Some(\"Look\")", "complete 1 Failed"]);
}

#[tokio::test]
async fn format_error_words_errors_of_requests_alone() {
    let mut session = Session::acknowledged(&App::default()).await;
    let error = session.error(json!({"query": "subscription { fails }"})).await;
    assert_eq!(error["message"], "worded: The source of `fails` cannot be made.");
    // Errors of execution are the engine's.
    let heard = session.operation(json!({"query": "{ boom }"})).await;
    assert_eq!(heard[0]["payload"]["errors"][0]["message"], "boom");
    session.close().await;
}

#[tokio::test]
async fn a_panic_of_format_error_keeps_the_error() {
    let mut session = Session::acknowledged(&App::default()).await;
    let error = session.error(json!({"query": "{ explode }"})).await;
    let message = error["message"].as_str().expect("a text");
    assert!(message.contains("explode") && !message.starts_with("worded"), "{message}");
    session.close().await;
}

#[tokio::test]
async fn persisted_queries_are_found_by_the_hook() {
    let app = App { documents: BTreeMap::from([("h1", "{ hello }")]), ..App::default() };
    let mut session = Session::acknowledged(&app).await;
    let hash = |hash: &str| json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    let hello = json!({"data": {"hello": "Hello, world!"}});
    for payload in [json!({"extensions": hash("h1")}), json!({"query": "", "extensions": hash("h1")})] {
        assert_eq!(session.operation(payload).await[0]["payload"], hello);
    }
    let error = session.error(json!({"extensions": hash("h2")})).await;
    assert_eq!(error["extensions"], json!({"code": "PERSISTED_QUERY_NOT_FOUND"}));
    // A client that was not understood sends the document too.
    let heard = session.operation(json!({"query": "{ hello }", "extensions": hash("h2")})).await;
    assert_eq!(heard[0]["payload"], hello);
    session.close().await;
}

#[tokio::test]
async fn deferred_results_come_as_several_next() {
    let mut session = Session::acknowledged(&App::default()).await;
    let heard = session.operation(json!({"query": "{ parts(count: 3, everyMs: 1) @defer }"})).await;
    let types: Vec<_> = heard.iter().map(|message| message["type"].as_str().unwrap_or_default()).collect();
    assert_eq!(types, ["next", "next", "next", "next", "complete"]);
    let has_next: Vec<_> = heard[..4].iter().map(|message| message["payload"]["hasNext"].as_bool()).collect();
    assert_eq!(has_next, [Some(true), Some(true), Some(true), Some(false)]);
    session.close().await;
}

/// Spans and events, as lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: LayerContext<'_, S>) {
        let parent = context.span(id).and_then(|span| span.parent().map(|parent| parent.name()));
        let mut fields = Fields(String::new());
        attributes.record(&mut fields);
        let line = format!("new {} in {parent:?}{}", attributes.metadata().name(), fields.0);
        self.0.lock().expect("no panic").push(line);
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: LayerContext<'_, S>) {
        let span = context.event_span(event).map(|span| span.name());
        self.0.lock().expect("no panic").push(format!("event {} in {span:?}", event.metadata().level()));
    }

    fn on_close(&self, id: Id, context: LayerContext<'_, S>) {
        if let Some(span) = context.span(&id) {
            self.0.lock().expect("no panic").push(format!("closed {}", span.name()));
        }
    }
}

fn record() -> (Lines, DefaultGuard) {
    let lines = Lines::default();
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
    (lines, guard)
}

#[tokio::test]
async fn spans_name_connections_and_operations() {
    let (lines, _guard) = record();
    let mut session = Session::acknowledged(&App::default()).await;
    session.operation(json!({"query": "query Hello { hello }", "operationName": "Hello"})).await;
    session.operation(json!({"query": "{ crash }"})).await;
    session.close().await;
    let lines: Vec<_> =
        lines.0.lock().expect("no panic").iter().filter(|line| line.contains("graphql")).cloned().collect();
    assert_eq!(
        lines,
        [
            "new graphql_connection in None peer=Some(192.0.2.1:7)",
            "new graphql_operation in Some(\"graphql_connection\") id=\"1\" name=\"Hello\"",
            "closed graphql_operation",
            "new graphql_operation in Some(\"graphql_connection\") id=\"1\"",
            "event ERROR in Some(\"graphql_operation\")",
            "closed graphql_operation",
            "event DEBUG in Some(\"graphql_connection\")",
            "closed graphql_connection",
        ]
    );
}
