//! The protocol, criterion by criterion: what a connection sends for what it is given.
//!
//! `t1` to `t19` are the acceptance criteria of `graphql-transport-ws`, `l1` to `l9` those of the legacy protocol.

mod bad_input;
mod legacy;
mod liveness;
mod transport;

use super::*;
use crate::error::GraphqlError;
use crate::{Config, Legacy};

const START: Instant = Instant::from_nanos(1_000_000_000);

/// A connection, and what it has asked for and sent.
struct Pair {
    connection: Connection,
    now: Instant,
    started: Vec<(OperationKey, String)>,
    cancelled: Vec<OperationKey>,
    inits: usize,
    pings: Vec<Option<String>>,
    ended: bool,
    closed: Option<CloseFrame>,
}

impl Pair {
    fn new(config: Config, subprotocol: &str) -> Self {
        let connection = Connection::new(Arc::new(config), Some(subprotocol), 7, START);
        Self {
            connection,
            now: START,
            started: Vec::new(),
            cancelled: Vec::new(),
            inits: 0,
            pings: Vec::new(),
            ended: false,
            closed: None,
        }
    }

    fn transport() -> Self {
        Self::new(Config::new().keepalive(None), "graphql-transport-ws")
    }

    fn legacy() -> Self {
        Self::new(Config::new().keepalive(None).legacy(Legacy::On), "graphql-ws")
    }

    fn acknowledged(mut self) -> Self {
        self.hear(r#"{"type":"connection_init"}"#);
        self.connection.accept(None, self.now);
        self.events();
        assert_eq!(self.sent()[0], r#"{"type":"connection_ack"}"#);
        self
    }

    fn events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Init(_) => self.inits += 1,
                Event::Ping(payload) => self.pings.push(payload.map(|raw| raw.get().to_owned())),
                Event::Start { key, info, .. } => self.started.push((key, info.id().to_owned())),
                Event::Cancel(key) => self.cancelled.push(key),
                Event::End => self.ended = true,
            }
        }
    }

    /// The client says this.
    fn hear(&mut self, text: &str) {
        self.connection.handle_text(text, self.now);
        self.events();
    }

    /// The client asks for something; returns the key of the operation.
    fn subscribe(&mut self, id: &str) -> OperationKey {
        let kind = if self.connection.protocol() == Protocol::Legacy { "start" } else { "subscribe" };
        self.hear(&format!(r#"{{"type":"{kind}","id":"{id}","payload":{{"query":"{{a}}"}}}}"#));
        self.started.last().expect("an operation is started").0
    }

    fn next(&mut self, key: OperationKey, payload: &str) {
        self.connection.next(key, &payload.to_owned(), self.now);
        self.events();
    }

    fn complete(&mut self, key: OperationKey) {
        self.connection.complete(key, self.now);
        self.events();
    }

    fn fail(&mut self, key: OperationKey) {
        self.connection.error(key, &GraphqlError::new("no").into(), self.now);
        self.events();
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.connection.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.connection.handle_timeout(Progress::default(), self.now);
            self.events();
        }
        self.now = end;
    }

    /// Everything that is sent now. The close frame is kept.
    fn sent(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(transmit) = self.connection.poll_transmit(self.now) {
            self.connection.sent(self.now);
            match transmit {
                Transmit::Text(text) => {
                    assert!(self.closed.is_none(), "sent behind the close frame: {text}");
                    sent.push(text);
                }
                Transmit::Ping => sent.push("ping frame".to_owned()),
                Transmit::Close(frame) => {
                    assert!(self.closed.is_none(), "closed twice");
                    self.closed = Some(frame);
                    self.connection.handle_close_done();
                }
            }
        }
        self.connection.flushed();
        sent
    }

    /// The code and the reason with which the connection has closed.
    #[track_caller]
    fn expect_closed(&mut self, code: u16, reason: &str) {
        let sent = self.sent();
        let frame = self.closed.clone().unwrap_or_else(|| panic!("not closed, but sent {sent:?}"));
        assert_eq!((frame.code().get(), frame.reason()), (code, reason));
        assert!(self.ended, "operations are dropped");
        assert_eq!(self.connection.operations(), 0);
        assert_eq!(self.connection.ended(), Some(&Ended::Closed(frame)));
    }
}
