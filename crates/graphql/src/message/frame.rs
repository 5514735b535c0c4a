//! Writing our messages: the text around what an engine has serialised.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Protocol;
use crate::engine::Payload;
use crate::error::RequestErrors;

/// The id of an operation, as the client chose it.
#[derive(Clone, Debug)]
pub(crate) struct Id {
    text: Arc<str>,
    /// Nothing in it is escaped in JSON.
    plain: bool,
}

impl Id {
    pub(crate) fn new(text: &str) -> Self {
        let plain = text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
        Self { text: Arc::from(text), plain }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    fn write(&self, frame: &mut Vec<u8>) {
        if self.plain {
            frame.push(b'"');
            frame.extend_from_slice(self.text.as_bytes());
            frame.push(b'"');
        } else {
            write_string(&self.text, frame);
        }
    }
}

fn write_string(text: &str, frame: &mut Vec<u8>) {
    // Writing a string into memory does not fail.
    let _ = serde_json::to_writer(frame, text);
}

/// Bytes of a frame around its id and its payload.
const AROUND: usize = 40;

/// Begins a message with `head`, the text before the id. Literals are copied without a call.
#[inline]
fn begin(head: &'static str, id: &Id, payload_bytes: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(AROUND + id.text.len() + payload_bytes);
    frame.extend_from_slice(head.as_bytes());
    id.write(&mut frame);
    frame
}

/// A frame that was made of JSON texts is text. `None` if what an engine appended is not.
fn finish(mut frame: Vec<u8>) -> Option<String> {
    frame.push(b'}');
    String::from_utf8(frame).ok()
}

/// `complete`.
pub(crate) fn write_complete(id: &Id) -> String {
    finish(begin(r#"{"type":"complete","id":"#, id, 0)).unwrap_or_default()
}

/// `next`, in the legacy protocol `data`. `None` if the engine's payload is not UTF-8.
pub(crate) fn write_result(protocol: Protocol, id: &Id, payload: &impl Payload) -> Option<String> {
    let head = match protocol {
        Protocol::Transport => r#"{"type":"next","id":"#,
        Protocol::Legacy => r#"{"type":"data","id":"#,
    };
    let mut frame = begin(head, id, payload.bytes_hint());
    frame.extend_from_slice(b",\"payload\":");
    payload.append_to(&mut frame);
    finish(frame)
}

/// `error`: an array of errors, in the legacy protocol the first of them.
pub(crate) fn write_errors(protocol: Protocol, id: &Id, errors: &RequestErrors) -> String {
    let mut frame = begin(r#"{"type":"error","id":"#, id, 64);
    frame.extend_from_slice(b",\"payload\":");
    let written = match (protocol, errors.errors().first()) {
        (Protocol::Legacy, Some(first)) => serde_json::to_writer(&mut frame, first),
        _ => serde_json::to_writer(&mut frame, errors),
    };
    debug_assert!(written.is_ok(), "errors are serialised");
    finish(frame).unwrap_or_default()
}

/// A message about the connection, such as `connection_ack`.
pub(crate) fn write_about_connection(kind: &str, payload: Option<&RawValue>) -> String {
    match payload {
        Some(payload) => format!("{{\"type\":\"{kind}\",\"payload\":{}}}", payload.get()),
        None => format!("{{\"type\":\"{kind}\"}}"),
    }
}
