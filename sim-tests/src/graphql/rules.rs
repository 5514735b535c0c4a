//! The rules of the protocols, for what a handler receives and sends.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;
use wavetank_graphql::CloseFrame;

#[derive(Debug)]
struct Asked {
    single: bool,
    results: u32,
    /// The client of the legacy protocol has stopped it. Only `complete` may follow.
    stopped: bool,
}

/// What one connection has received and sent, as far as the rules ask for it.
#[derive(Debug, Default)]
pub(super) struct Rules {
    legacy: bool,
    /// One thread receives while another sends.
    on_threads: bool,
    inits: u32,
    acks: u32,
    pings: u32,
    pongs: u32,
    /// Operations of each id, the oldest first: an id may be used again before its last message is sent.
    asked: BTreeMap<String, VecDeque<Asked>>,
    /// On threads: operations that the client has completed, and of which one message may be on its way.
    crossing: Vec<Crossing>,
    closing: Option<CloseFrame>,
    over: bool,
}

#[derive(Debug)]
struct Crossing {
    id: String,
    /// The handler has seen the `complete`.
    handled: bool,
}

impl Rules {
    /// Begins a connection of tasks, with the subprotocol that was agreed on.
    pub(super) fn new(subprotocol: Option<&str>) -> Self {
        Self { legacy: subprotocol == Some("graphql-ws"), ..Self::default() }
    }

    /// Begins a connection on threads. There the writer may hold one message that it took before the client's
    /// `complete` was handled. The legacy protocol is not checked on threads.
    pub(super) fn on_threads(subprotocol: Option<&str>) -> Self {
        assert_ne!(subprotocol, Some("graphql-ws"), "the rules on threads are those of graphql-transport-ws");
        Self { on_threads: true, ..Self::default() }
    }

    /// The handler asks for what comes next: it has handled what came before.
    pub(super) fn receives(&mut self) {
        assert!(!self.over, "received behind the end");
        for crossing in &mut self.crossing {
            crossing.handled = true;
        }
    }

    /// Nothing comes any more.
    pub(super) fn is_over(&mut self) {
        self.over = true;
    }

    pub(super) fn received(&mut self, text: &str) {
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
                let asked = self.asked.entry(id.clone()).or_default();
                if self.legacy {
                    asked.clear();
                }
                // What crosses may be taken for a message of this one, so its results are not counted.
                let single = single && !self.crossing.iter().any(|crossing| crossing.id == id);
                asked.push_back(Asked { single, results: 0, stopped: false });
            }
            (Some("complete"), Some(id)) => self.completed(id),
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

    fn completed(&mut self, id: String) {
        if self.asked.remove(&id).is_some() && self.on_threads {
            self.crossing.push(Crossing { id, handled: false });
        }
    }

    pub(super) fn sent(&mut self, text: &str) {
        self.may_send(text);
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
        // What is sent after this was taken after the `complete` was handled.
        self.crossing.retain(|crossing| !crossing.handled);
    }

    /// Nothing is sent behind the end. On threads the writer may not have heard of the client's yet.
    pub(super) fn may_send(&self, what: &str) {
        assert!(self.closing.is_none() && (self.on_threads || !self.over), "sent behind the end: {what}");
    }

    fn sent_for(&mut self, kind: &str, message: &Value, text: &str) {
        assert!(kind != if self.legacy { "next" } else { "data" }, "the other protocol is spoken: {text}");
        let id = message["id"].as_str().expect("messages of operations have an id");
        if let Some(crossing) = self.crossing.iter().position(|crossing| crossing.id == id) {
            if matches!(kind, "error" | "complete") {
                self.crossing.remove(crossing);
            }
            return;
        }
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

    pub(super) fn closes(&mut self, frame: &CloseFrame) {
        assert!(frame.reason().len() <= CloseFrame::REASON_BYTES_MAX, "{frame}");
        match &self.closing {
            None => self.closing = Some(frame.clone()),
            Some(first) => assert_eq!(first, frame, "closed twice, and differently"),
        }
    }
}
