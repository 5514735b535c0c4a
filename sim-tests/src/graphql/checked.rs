//! A transport that checks what the handler does with it.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};

use serde_json::Value;
use wavetank_graphql::{CloseFrame, Incoming, MessageTransport, Progress, TransportError};

/// Passes everything on, and panics if the handler
///
/// - sends anything once it has closed, or closes with two different frames, or with one that must not be sent;
/// - sends a message for an id whose operation it was not asked for, has ended, or was completed by the client;
/// - sends anything but `next* (complete | error)` for an operation, or more than one result of a query or a mutation
///   without `@defer`, or `complete` before its result;
/// - acknowledges twice, or without being asked, or answers more pings than there were.
#[derive(Debug)]
pub struct Checked<T> {
    inner: T,
    rules: Rules,
}

#[derive(Debug)]
struct Asked {
    single: bool,
    results: u32,
    /// The client of the legacy protocol has stopped it. Only `complete` may follow.
    stopped: bool,
}

#[derive(Debug, Default)]
struct Rules {
    legacy: bool,
    inits: u32,
    acks: u32,
    pings: u32,
    pongs: u32,
    /// Operations of each id, the oldest first: an id may be used again before its last message is sent.
    asked: BTreeMap<String, VecDeque<Asked>>,
    closing: Option<CloseFrame>,
    over: bool,
}

impl Rules {
    fn received(&mut self, text: &str) {
        let Ok(Value::Object(message)) = serde_json::from_str(text) else { return };
        let id = message.get("id").and_then(Value::as_str).map(str::to_owned);
        match (message.get("type").and_then(Value::as_str), id) {
            (Some("connection_init"), _) => self.inits += 1,
            (Some("ping"), _) => self.pings += 1,
            (Some(kind @ ("subscribe" | "start")), Some(id)) => {
                self.legacy |= kind == "start";
                let query = message.get("payload").and_then(|payload| payload.get("query")?.as_str());
                let query = query.unwrap_or_default().trim_start();
                let single = !query.starts_with("subscription") && !query.contains("@defer");
                let asked = self.asked.entry(id).or_default();
                if self.legacy {
                    asked.clear();
                }
                asked.push_back(Asked { single, results: 0, stopped: false });
            }
            (Some("complete"), Some(id)) => {
                self.asked.remove(&id);
            }
            (Some("stop"), Some(id)) => {
                if let Some(asked) = self.asked.get_mut(&id) {
                    asked.drain(..asked.len() - 1);
                    asked[0].stopped = true;
                }
            }
            // In the legacy protocol that is answered with `error`.
            (_, Some(id)) if self.legacy => {
                let asked = self.asked.entry(id).or_default();
                asked.push_back(Asked { single: true, results: 0, stopped: false });
            }
            _ => {}
        }
    }

    fn sent(&mut self, text: &str) {
        assert!(self.closing.is_none() && !self.over, "sent behind the end: {text}");
        let message: Value = serde_json::from_str(text).expect("what is sent is JSON");
        let kind = message["type"].as_str().expect("every message has a type");
        match kind {
            "connection_ack" => {
                self.acks += 1;
                assert!(self.acks <= 1 && self.inits > 0, "an acknowledgement that was not asked for");
            }
            "pong" => {
                self.pongs += 1;
                assert!(self.pongs <= self.pings, "more pongs than pings");
            }
            "ping" | "ka" | "connection_error" => {}
            "next" | "data" | "error" | "complete" => self.sent_for(kind, &message, text),
            other => panic!("the type {other} is unknown: {text}"),
        }
    }

    fn sent_for(&mut self, kind: &str, message: &Value, text: &str) {
        assert!(kind != if self.legacy { "next" } else { "data" }, "the other protocol is spoken: {text}");
        let id = message["id"].as_str().expect("messages of operations have an id");
        let asked =
            self.asked.get_mut(id).unwrap_or_else(|| panic!("sent for an id that is not active: {text}"));
        let first = asked.front_mut().expect("ids without operations are removed");
        let ends = match kind {
            "next" | "data" => {
                first.results += 1;
                assert!(!first.single || first.results == 1, "a second result of a query: {text}");
                assert!(!first.stopped, "a result of an operation that was stopped: {text}");
                false
            }
            "complete" => {
                let done = !first.single || first.results == 1 || first.stopped;
                assert!(done, "a query completes without a result: {text}");
                assert!(message.get("payload").is_none(), "`complete` has no payload: {text}");
                true
            }
            _ => {
                match (&message["payload"], self.legacy) {
                    (Value::Array(errors), false) => assert!(!errors.is_empty(), "no errors: {text}"),
                    (Value::Object(_), true) => {}
                    _ => panic!("errors of the wrong kind: {text}"),
                }
                true
            }
        };
        if ends {
            asked.pop_front();
            if asked.is_empty() {
                self.asked.remove(id);
            }
        }
    }

    fn closes(&mut self, frame: &CloseFrame) {
        assert!(frame.reason().len() <= CloseFrame::REASON_BYTES_MAX, "{frame}");
        match &self.closing {
            None => self.closing = Some(frame.clone()),
            Some(first) => assert_eq!(first, frame, "closed twice, and differently"),
        }
    }
}

impl<T: MessageTransport> Checked<T> {
    /// Checks what is done with `inner`.
    pub fn new(inner: T) -> Self {
        let legacy = inner.subprotocol() == Some("graphql-ws");
        Self { inner, rules: Rules { legacy, ..Rules::default() } }
    }
}

impl<T: MessageTransport> MessageTransport for Checked<T> {
    type Text = T::Text;

    fn subprotocol(&self) -> Option<&str> {
        self.inner.subprotocol()
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming<T::Text>, TransportError>> {
        assert!(!self.rules.over, "received behind the end");
        let received = self.inner.poll_recv(context);
        match &received {
            Poll::Ready(Ok(Incoming::Text(text))) => self.rules.received(text.as_ref()),
            Poll::Ready(Ok(Incoming::Closed(_)) | Err(_)) => self.rules.over = true,
            Poll::Ready(Ok(Incoming::Binary | Incoming::Control)) | Poll::Pending => {}
        }
        received
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_ready(context)
    }

    fn start_send(&mut self, text: String) -> Result<(), TransportError> {
        self.rules.sent(&text);
        self.inner.start_send(text)
    }

    fn start_ping(&mut self) -> Result<bool, TransportError> {
        assert!(self.rules.closing.is_none() && !self.rules.over, "a ping behind the end");
        self.inner.start_ping()
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_flush(context)
    }

    fn poll_close(&mut self, context: &mut Context<'_>, frame: &CloseFrame) -> Poll<()> {
        self.rules.closes(frame);
        self.inner.poll_close(context, frame)
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }
}
