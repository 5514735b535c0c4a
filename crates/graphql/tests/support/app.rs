//! An application with hooks, and one of its connections, over the transport in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wavetank_graphql::memory::{self, Client};
use wavetank_graphql::mock::{Context, Mock};
use wavetank_graphql::{
    Accepted, Completion, ConnectionInfo, Ended, GraphqlError, Hooks, OperationInfo, RawValue, Rejection,
    Request, RequestErrors, Server, Upgrade,
};
use wavetank_runtime::{Runtime as _, Tokio};

/// Hooks that decide by what they are given, and note what they saw.
#[derive(Clone, Default)]
pub(crate) struct App {
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
    pub(crate) documents: BTreeMap<&'static str, &'static str>,
}

impl App {
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.seen.lock().expect("no panic").push(text.into());
    }

    pub(crate) fn seen(&self) -> Vec<String> {
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
pub(crate) struct Session {
    pub(crate) client: Client,
    connection: <Tokio as wavetank_runtime::Runtime>::TaskHandle<Ended>,
}

impl Session {
    pub(crate) async fn open(app: &App, init: Value) -> Self {
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

    pub(crate) async fn acknowledged(app: &App) -> Self {
        let mut session = Self::open(app, json!({"type": "connection_init"})).await;
        assert_eq!(session.hear().await, json!({"type": "connection_ack", "payload": {"version": 1}}));
        session
    }

    pub(crate) async fn hear(&mut self) -> Value {
        let text = self.client.recv_text().await.expect("a message");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Subscribes, and returns everything up to the end of the operation.
    pub(crate) async fn operation(&mut self, payload: Value) -> Vec<Value> {
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

    pub(crate) async fn error(&mut self, payload: Value) -> Value {
        let mut heard = self.operation(payload).await;
        let last = heard.pop().expect("a message");
        assert_eq!((last["type"].as_str(), heard.len()), (Some("error"), 0), "{last} behind {heard:?}");
        last["payload"][0].clone()
    }

    pub(crate) async fn close(self) -> Ended {
        drop(self.client);
        self.connection.await.expect("no panic")
    }
}
