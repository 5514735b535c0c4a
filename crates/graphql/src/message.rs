//! Messages of both subprotocols: reading those of clients, writing ours.
//!
//! A client's message is parsed once, by borrowing; payloads stay the JSON text that they are. How deeply it is
//! nested is checked before, so that nothing that parses a payload later can run out of stack.
//!
//! # Not here
//!
//! What a message means in a state (`connection`).

mod frame;
mod json;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Config;
use crate::engine::Request;

pub(crate) use frame::{Id, write_about_connection, write_complete, write_errors, write_result};
pub(crate) use json::Json;

/// The subprotocol that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `graphql-transport-ws`.
    Transport,
    /// The legacy protocol of `subscriptions-transport-ws`, whose name is `graphql-ws`.
    Legacy,
}

impl Protocol {
    /// Returns the name in `Sec-WebSocket-Protocol`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transport => "graphql-transport-ws",
            Self::Legacy => "graphql-ws",
        }
    }

    /// Returns the protocol of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Transport, Self::Legacy].into_iter().find(|protocol| protocol.name() == name)
    }
}

/// What a client says, whichever subprotocol it speaks.
#[derive(Debug)]
pub(crate) enum ClientMessage<'a> {
    Init(Json),
    Ping(Json),
    Pong,
    Subscribe {
        id: Cow<'a, str>,
        request: Box<Request>,
        /// It was called `start`, as in the legacy protocol.
        legacy: bool,
    },
    Complete {
        id: Cow<'a, str>,
    },
    Terminate,
}

/// A message that the protocol does not know, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) reason: String,
    /// The operation it is about, if it says so.
    pub(crate) id: Option<String>,
}

impl Malformed {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), id: None }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubscribePayload<'a> {
    #[serde(borrow, default)]
    query: Option<Cow<'a, str>>,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(borrow, default)]
    variables: Option<&'a RawValue>,
    #[serde(borrow, default)]
    extensions: Option<&'a RawValue>,
}

impl<'a> ClientMessage<'a> {
    /// Reads a message of `protocol`.
    pub(crate) fn parse(text: &'a str, protocol: Protocol, config: &Config) -> Result<Self, Malformed> {
        json::check_nesting(text, config.nesting_max)?;
        if !json::is_object(text) {
            return Err(Malformed::new("the message is not a JSON object"));
        }
        let envelope: Envelope<'a> = serde_json::from_str(text)
            .map_err(|error| Malformed::new(format!("the message is invalid: {error}")))?;
        let tolerant = config.legacy == crate::Legacy::Tolerated;
        let id = |envelope: &Envelope<'a>| id(envelope, config.id_bytes_max);
        match (protocol, &*envelope.kind) {
            (_, "connection_init") => {
                let payload = object("the payload of connection_init", envelope.payload)?;
                if payload.is_some_and(|raw| raw.get().len() > config.init_payload_bytes_max) {
                    return Err(Malformed::new("the payload of connection_init is too long"));
                }
                Ok(Self::Init(payload.map(ToOwned::to_owned)))
            }
            (Protocol::Transport, "ping") => {
                Ok(Self::Ping(object("the payload of ping", envelope.payload)?.map(ToOwned::to_owned)))
            }
            (Protocol::Transport, "pong") => {
                object("the payload of pong", envelope.payload)?;
                Ok(Self::Pong)
            }
            (Protocol::Transport, "subscribe") => subscribe(id(&envelope)?, envelope.payload, false),
            (Protocol::Transport, "start") if tolerant => subscribe(id(&envelope)?, envelope.payload, true),
            (Protocol::Legacy, "start") => subscribe(id(&envelope)?, envelope.payload, true),
            (Protocol::Transport, "complete") => Ok(Self::Complete { id: id(&envelope)? }),
            (Protocol::Legacy, "stop") => Ok(Self::Complete { id: id(&envelope)? }),
            (Protocol::Legacy, "connection_terminate") => Ok(Self::Terminate),
            (_, kind) => {
                let reason = format!("the type {kind:?} is unknown");
                Err(Malformed { reason, id: id(&envelope).ok().map(Cow::into_owned) })
            }
        }
    }
}

fn id<'a>(envelope: &Envelope<'a>, bytes_max: usize) -> Result<Cow<'a, str>, Malformed> {
    let Some(raw) = envelope.id else {
        return Err(Malformed::new(format!("the message of type {:?} has no id", envelope.kind)));
    };
    // The text of a string is never shorter than the string by more than its escapes: do not even decode what is
    // huge.
    if raw.get().len() > bytes_max.saturating_mul(6).saturating_add(2) {
        return Err(Malformed::new(format!("the id is longer than {bytes_max} bytes")));
    }
    let id: Cow<'a, str> = match json::plain_string(raw.get()) {
        Some(plain) => Cow::Borrowed(plain),
        None => match serde_json::from_str::<String>(raw.get()) {
            Ok(id) => Cow::Owned(id),
            Err(_) => return Err(Malformed::new("the id is not a string")),
        },
    };
    if id.is_empty() {
        return Err(Malformed::new("the id is empty"));
    }
    if id.len() > bytes_max {
        return Err(Malformed::new(format!("the id is longer than {bytes_max} bytes")));
    }
    Ok(id)
}

/// An object, or nothing: `null` counts as absent.
fn object<'a>(what: &str, payload: Option<&'a RawValue>) -> Result<Option<&'a RawValue>, Malformed> {
    match payload {
        None => Ok(None),
        Some(raw) if raw.get() == "null" => Ok(None),
        Some(raw) if json::is_object(raw.get()) => Ok(Some(raw)),
        Some(_) => Err(Malformed::new(format!("{what} is not an object"))),
    }
}

fn subscribe<'a>(
    id: Cow<'a, str>,
    payload: Option<&'a RawValue>,
    legacy: bool,
) -> Result<ClientMessage<'a>, Malformed> {
    let of_operation = |reason: String| Malformed { reason, id: Some(id.clone().into_owned()) };
    let Some(payload) = object("the payload of an operation", payload)? else {
        return Err(of_operation("the operation has no payload".to_owned()));
    };
    let payload: SubscribePayload<'a> = serde_json::from_str(payload.get())
        .map_err(|error| of_operation(format!("the payload of the operation is invalid: {error}")))?;
    let variables = object("variables", payload.variables)?.map(ToOwned::to_owned);
    let extensions = object("extensions", payload.extensions)?.map(ToOwned::to_owned);
    if payload.query.is_none() && extensions.is_none() {
        return Err(of_operation("the operation has no query".to_owned()));
    }
    let request = Request {
        query: payload.query.map(Cow::into_owned).unwrap_or_default(),
        operation_name: payload.operation_name,
        variables,
        extensions,
    };
    Ok(ClientMessage::Subscribe { id, request: Box::new(request), legacy })
}
