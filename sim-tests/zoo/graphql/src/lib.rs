//! Requirements on every handler of `graphql-transport-ws`, as bodies of tests: `fn body<H: Handler>(sim: &mut Sim)`.
//!
//! Each workspace of the zoo with a handler implements [`Handler`] for it and runs the bodies. The client is a script
//! over [`Client`]. Handlers leave WebSocket frames to their hosts, so messages are lines over simulated TCP: see
//! [`Line`].
//!
//! # The schema
//!
//! Every handler serves the same fields, with the engine that it has:
//!
//! - `Query { hello: String! }`
//! - `Subscription { count(everyMs: Int): Int! }`: the numbers from 1, without end. Without `everyMs` the next number
//!   is always ready.
//!
//! # Invariants
//!
//! - A violation is an error of `client/main`, and a fault of a handler has one symptom.
//! - A body ends, whatever a handler does: after its last question a client waits for one answer.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use serde_json::{Value, json};
use wavetank::{Host, Sim};

pub use line::{Client, Heard, Line, text};

pub mod connection;
pub mod fairness;
mod line;
pub mod operations;
pub mod ours;

/// A handler for the bodies.
pub trait Handler: 'static {
    /// Serves one connection with the schema, as a host of the handler does, until it has ended.
    ///
    /// # Errors
    ///
    /// If the handler fails. That it closes the connection is not an error.
    fn serve(host: Host, line: Line) -> impl Future<Output = Result<(), String>>;
}

/// A body, with a name for its sweeps.
pub type Body = (&'static str, fn(&mut Sim));

/// Returns every body.
pub fn bodies<H: Handler>() -> [Body; 7] {
    [
        ("busy_subscription", fairness::a_query_is_answered_beside_a_busy_subscription::<H>),
        ("taken_id", operations::a_taken_id_closes_with_4409::<H>),
        ("error", operations::an_error_is_the_last_message::<H>),
        ("client_complete", operations::nothing_follows_the_complete_of_a_client::<H>),
        ("reused_id", operations::a_completed_id_may_be_used_again::<H>),
        ("second_init", connection::a_second_init_closes_with_4429::<H>),
        ("keepalive", connection::a_client_that_answers_is_kept::<H>),
    ]
}

/// Returns the numbers of `count`.
#[expect(clippy::disallowed_methods, reason = "published handlers run on tokio's own timers")]
pub fn numbers(every_ms: Option<u64>) -> BoxStream<'static, i32> {
    let numbers = stream::iter(1..);
    let Some(every) = every_ms.map(Duration::from_millis) else { return numbers.boxed() };
    let later = move |number| async move {
        tokio::time::sleep(every).await;
        number
    };
    numbers.then(later).boxed()
}

/// Builds the two hosts of a body.
fn world<H, C, F>(sim: &mut Sim, client: C)
where
    H: Handler,
    C: FnMut(Client) -> F + 'static,
    F: Future<Output = Result<(), String>> + 'static,
{
    sim.server("server", async |host| H::serve(host, line::accept(host).await?).await);
    let mut client = client;
    sim.client("client", async move |host| {
        let mut connection = Client::connect(host).await?;
        connection.say(json!({ "type": "connection_init" })).await?;
        match connection.hear().await? {
            Heard::Message(message) if message["type"] == "connection_ack" => client(connection).await,
            other => Err(format!("there is no connection_ack: {other:?}")),
        }
    });
}

/// Returns a `subscribe` message.
fn subscribe(id: &str, query: &str) -> Value {
    json!({ "type": "subscribe", "id": id, "payload": { "query": query } })
}

/// The time between two numbers of a quiet subscription.
const QUIET: Duration = Duration::from_secs(10);

/// Returns a subscription that is never always ready.
fn quiet() -> String {
    format!("subscription {{ count(everyMs: {}) }}", QUIET.as_millis())
}
