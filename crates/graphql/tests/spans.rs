//! Tracing spans, over the transport in memory. Alone in its process: `tracing` decides once for a place in the code
//! whether any subscriber is interested, and tests beside this one have none.

#[path = "support/app.rs"]
#[expect(dead_code, reason = "tests of hooks use the rest")]
mod app;

use std::sync::{Arc, Mutex};

use app::{App, Session};
use serde_json::json;
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

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
