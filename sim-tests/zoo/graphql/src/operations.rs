//! Ids of operations, and how operations end.

use serde_json::json;
use wavetank::Sim;

use crate::{Client, Handler, Heard, quiet, subscribe, world};

/// How often a client uses an id again.
const REUSES: u32 = 5;

/// Asks `{ hello }` under the id `after` and waits for its result. Returns the types of the messages for the id `of`
/// that come before.
async fn types_before(client: &mut Client, of: &str, after: &str) -> Result<Vec<String>, String> {
    client.say(subscribe(after, "{ hello }")).await?;
    let mut types = Vec::new();
    loop {
        let message = client.message().await?;
        let kind = message["type"].as_str().unwrap_or_default().to_owned();
        match message["id"].as_str() {
            Some(id) if id == of => types.push(kind),
            Some(id) if id == after && kind == "complete" => return Ok(types),
            _ => {}
        }
    }
}

/// A second operation with the id of a running one must close the connection with 4409.
pub fn a_taken_id_closes_with_4409<H: Handler>(sim: &mut Sim) {
    world::<H, _, _>(sim, async |mut client| {
        client.say(subscribe("1", &quiet())).await?;
        client.message().await?;
        client.say(subscribe("1", "{ hello }")).await?;
        loop {
            match client.hear().await? {
                Heard::Message(message) if message["payload"]["data"]["count"].is_number() => {}
                Heard::Message(message) => {
                    tracing::info!("hears {message}");
                    return Err("the id of a running operation is taken by another".to_owned());
                }
                Heard::Close { code: 4409, .. } => return Ok(()),
                Heard::Close { code, reason } => return Err(format!("closed with {code}: {reason}")),
            }
        }
    });
}

/// A request that is not valid gets one `error` and nothing after it, not even `complete`.
pub fn an_error_is_the_last_message<H: Handler>(sim: &mut Sim) {
    world::<H, _, _>(sim, async |mut client| {
        client.say(subscribe("1", "{ nothing }")).await?;
        let first = client.message().await?;
        if first["type"] != "error" {
            return Err(format!("an invalid request is answered with {}", first["type"]));
        }
        match types_before(&mut client, "1", "2").await?.first() {
            None => Ok(()),
            Some(kind) => Err(format!("{kind} after error")),
        }
    });
}

/// A client may use an id again as soon as it has received `complete`.
pub fn a_completed_id_may_be_used_again<H: Handler>(sim: &mut Sim) {
    world::<H, _, _>(sim, async |mut client| {
        for _ in 0..REUSES {
            client.say(subscribe("1", "{ hello }")).await?;
            while client.message().await?["type"] != "complete" {}
        }
        Ok(())
    });
}

/// After its own `complete` a client must hear nothing more about an operation.
pub fn nothing_follows_the_complete_of_a_client<H: Handler>(sim: &mut Sim) {
    world::<H, _, _>(sim, async |mut client| {
        client.say(subscribe("1", &quiet())).await?;
        client.message().await?;
        client.say(json!({ "type": "complete", "id": "1" })).await?;
        // A result may have been on its way.
        let types = types_before(&mut client, "1", "2").await?;
        match types.iter().find(|kind| *kind != "next") {
            None => Ok(()),
            Some(kind) => Err(format!("{kind} answers the client's complete")),
        }
    });
}
