//! What an application decides and observes by hooks, over the transport in memory.

#[path = "support/app.rs"]
mod app;

use std::collections::BTreeMap;

use app::{App, Session};
use serde_json::json;
use wavetank_graphql::Protocol;

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
