//! `connection_init`, and keeping a connection alive.

use serde_json::json;
use wavetank::Sim;

use crate::{Handler, Heard, quiet, subscribe, world};

/// How many numbers of a quiet subscription a client waits for: longer than any timeout of a handler.
const NUMBERS: u32 = 10;

/// A second `connection_init` must close the connection with 4429.
pub fn a_second_init_closes_with_4429<H: Handler>(sim: &mut Sim) {
    world::<H, _, _>(sim, async |mut client| {
        client.say(json!({ "type": "connection_init" })).await?;
        client.say(subscribe("1", "{ hello }")).await?;
        match client.hear().await? {
            Heard::Close { code: 4429, .. } => Ok(()),
            Heard::Close { code, reason } => Err(format!("closed with {code}: {reason}")),
            Heard::Message(message) => {
                tracing::info!("hears {message}");
                Err("a second connection_init is ignored".to_owned())
            }
        }
    });
}

/// A client that answers every ping, and sends none of its own, must be kept.
pub fn a_client_that_answers_is_kept<H: Handler>(sim: &mut Sim) {
    world::<H, _, _>(sim, async |mut client| {
        client.say(subscribe("1", &quiet())).await?;
        for _ in 0..NUMBERS {
            match client.hear().await? {
                Heard::Message(message) => tracing::info!("hears {}", message["payload"]),
                Heard::Close { .. } => return Err("a client that answers is closed".to_owned()),
            }
        }
        Ok(())
    });
}
