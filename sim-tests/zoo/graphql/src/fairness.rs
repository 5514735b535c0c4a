//! A busy operation beside others.

use serde_json::json;
use wavetank::Sim;

use crate::{Handler, Heard, subscribe, world};

/// After this number of messages without an answer the query counts as starved. The buffers on the way hold fewer than
/// 300 messages.
const PATIENCE: usize = 1_000;

/// A client subscribes to a stream that always has a message ready. A query beside it must be answered.
pub fn a_query_is_answered_beside_a_busy_subscription<H: Handler>(sim: &mut Sim) {
    world::<H, _, _>(sim, async |mut client| {
        client.say(subscribe("busy", "subscription { count }")).await?;
        client.say(subscribe("query", "{ hello }")).await?;
        for _ in 0..PATIENCE {
            match client.hear().await? {
                Heard::Message(message) if message["id"] == "query" => {
                    assert_eq!(message["payload"]["data"], json!({ "hello": "Hello, world!" }), "{message}");
                    return Ok(());
                }
                Heard::Message(_) => {}
                Heard::Close { code, reason } => return Err(format!("closed with {code}: {reason}")),
            }
        }
        Err(format!("the query has no answer after {PATIENCE} messages"))
    });
}
