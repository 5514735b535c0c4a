//! Whatever a client sends, and whatever operations, hooks, the transport and the clock do meanwhile: no panic,
//! bounded memory, and only what the protocol allows is sent.
//!
//! An input is lines. Each begins with a letter that says what happens, and the rest of it is what is sent, or a
//! number. So a mutation of a line leaves the others what they were.
#![no_main]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wavetank_graphql::connection::{Connection, Event, OperationKey, Transmit};
use wavetank_graphql::{
    CloseCode, CloseFrame, Config, GraphqlError, Keepalive, Legacy, Progress, TransportError,
};
use wavetank_runtime::Instant;

/// About what may wait to be sent: twice the write buffer, and what one message may add.
const WAITING_MAX: usize = 2 * 1000 + 6000;

struct World {
    connection: Connection,
    now: Instant,
    init: bool,
    pings: usize,
    /// Operations that run, in the order of their starts.
    running: Vec<OperationKey>,
    /// Operations that were asked for and whose last message was not sent, by id.
    asked: BTreeMap<String, VecDeque<OperationKey>>,
    ids: BTreeMap<OperationKey, String>,
    legacy: bool,
    closed: bool,
    ended: bool,
    progress: Progress,
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let way = lines.next().and_then(|line| line.bytes().next()).unwrap_or(b'0');
    let legacy = [Legacy::Off, Legacy::On, Legacy::Tolerated][usize::from(way) % 3];
    let subprotocol = ["graphql-transport-ws", "graphql-ws"][usize::from(way / 3) % 2];
    let keepalive = Keepalive::new(Duration::from_secs(10), Duration::from_secs(5));
    let config = Config::new()
        .keepalive((way & 64 == 0).then_some(keepalive))
        .idle_timeout(Some(Duration::from_secs(60)))
        .age_max(Some(Duration::from_secs(600)))
        .message_bytes_max(2000)
        .operations_max(4)
        .write_buffer_bytes(1000)
        .id_bytes_max(20)
        .nesting_max(10)
        .legacy(legacy);
    let now = Instant::from_nanos(1_000_000_000);
    let mut world = World {
        connection: Connection::new(Arc::new(config), Some(subprotocol), u64::from(way), now),
        now,
        init: false,
        pings: 0,
        running: Vec::new(),
        asked: BTreeMap::new(),
        ids: BTreeMap::new(),
        legacy: subprotocol == "graphql-ws",
        closed: false,
        ended: false,
        progress: Progress::default(),
    };
    world.events();
    for line in lines {
        let Some(what) = line.chars().next() else { continue };
        world.step(what, &line[what.len_utf8()..]);
        world.events();
        world.check();
    }
    world.flush(usize::MAX);
    world.finish();
});

impl World {
    fn step(&mut self, what: char, rest: &str) {
        let number =
            rest.bytes().fold(0_u64, |number, byte| number.wrapping_mul(7).wrapping_add(u64::from(byte)));
        let pick = |running: &[OperationKey]| running.get(number as usize % running.len().max(1)).copied();
        match what {
            'h' if self.connection.may_read() => self.hear(rest),
            'b' if self.connection.may_read() => self.connection.handle_binary(self.now),
            'f' => self.connection.handle_control(),
            'a' if std::mem::take(&mut self.init) => self.connection.accept(None, self.now),
            'r' if std::mem::take(&mut self.init) => self.connection.reject(rest, self.now),
            'p' if self.pings > 0 => {
                self.pings -= 1;
                if number % 4 == 0 { self.connection.no_pong() } else { self.connection.pong(None, self.now) }
            }
            'n' if self.connection.wants_results() => {
                if let Some(key) = pick(&self.running) {
                    self.connection.next(key, &format!("{{\"data\":{number}}}"), self.now);
                }
            }
            'c' => {
                if let Some(key) = pick(&self.running) {
                    self.running.retain(|running| *running != key);
                    self.connection.complete(key, self.now);
                    // A key of an operation that has ended does nothing.
                    self.connection.complete(key, self.now);
                    self.connection.next(key, &String::from("{}"), self.now);
                }
            }
            'e' => {
                if let Some(key) = pick(&self.running) {
                    self.running.retain(|running| *running != key);
                    self.connection.error(key, &GraphqlError::new(rest).into(), self.now);
                }
            }
            's' => {
                if let Some(key) = pick(&self.running) {
                    self.connection.is_subscription(key, self.now);
                }
            }
            't' => self.wait(Duration::from_millis(number % 20_000)),
            'w' => self.flush(number as usize % 5),
            'm' => self.progress.received = self.progress.received.wrapping_add(number % 1000),
            'd' => {
                let frame = CloseFrame::new(CloseCode::GOING_AWAY, rest);
                self.connection.drain(frame, Duration::from_millis(number % 20_000), self.now);
            }
            'k' => self.connection.close(CloseFrame::new(CloseCode::NORMAL, rest), self.now),
            'x' => self.connection.handle_closed(u16::try_from(number).ok(), self.now),
            'l' => self.connection.handle_failure(TransportError::Lost(rest.to_owned()), self.now),
            'o' => self.connection.handle_failure(TransportError::MessageTooBig, self.now),
            _ => {}
        }
    }

    fn hear(&mut self, text: &str) {
        if !self.connection.is_open() {
            return;
        }
        self.connection.handle_text(text, self.now);
        let Ok(Value::Object(message)) = serde_json::from_str(text) else { return };
        let id = message.get("id").and_then(Value::as_str);
        if let (Some("complete" | "stop"), Some(id)) = (message.get("type").and_then(Value::as_str), id)
            && self.connection.is_open()
        {
            // The legacy protocol answers a stop; otherwise nothing more may come for this id.
            if !self.legacy {
                self.asked.remove(id);
            }
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            assert!(!self.ended, "an event behind the end: {event:?}");
            match event {
                Event::Init(_) => {
                    assert!(!self.init, "asked twice");
                    self.init = true;
                }
                Event::Ping(_) => self.pings += 1,
                Event::Start { key, info, .. } => {
                    self.running.push(key);
                    self.ids.insert(key, info.id().to_owned());
                    self.asked.entry(info.id().to_owned()).or_default().push_back(key);
                }
                Event::Cancel(key) => {
                    assert!(self.ids.contains_key(&key), "an operation that was never started");
                    self.running.retain(|running| *running != key);
                }
                Event::End => {
                    self.ended = true;
                    self.running.clear();
                }
            }
        }
        self.legacy |= self.connection.protocol() == wavetank_graphql::Protocol::Legacy;
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..1000 {
            let Some(due) = self.connection.poll_timeout().filter(|due| *due <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            self.connection.handle_timeout(self.progress, self.now);
            self.events();
        }
        panic!("timers do not end");
    }

    /// Sends up to so many messages.
    fn flush(&mut self, most: usize) {
        for _ in 0..most {
            let Some(transmit) = self.connection.poll_transmit(self.now) else {
                self.connection.flushed();
                return;
            };
            assert!(!self.closed, "sent behind the close frame: {transmit:?}");
            self.connection.sent(self.now);
            match transmit {
                Transmit::Text(text) => self.sent(&text),
                Transmit::Ping => {}
                Transmit::Close(frame) => {
                    assert!(frame.reason().len() <= 123);
                    self.closed = true;
                    self.connection.handle_close_done();
                    self.events();
                }
            }
        }
    }

    fn sent(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).expect("what is sent is JSON");
        let kind = message["type"].as_str().expect("a type");
        let Some(id) = message["id"].as_str() else { return };
        if self.legacy {
            return;
        }
        let asked = self.asked.get_mut(id);
        match (kind, asked) {
            ("next", Some(_)) => {}
            ("complete" | "error", Some(asked)) => {
                asked.pop_front();
                if asked.is_empty() {
                    self.asked.remove(id);
                }
            }
            // An operation that was refused was never started.
            ("error", None) => assert!(text.contains("TOO_MANY_OPERATIONS"), "{text}"),
            _ => panic!("sent for an id that is not active: {text}"),
        }
    }

    fn check(&self) {
        assert!(self.connection.operations() <= 4);
        assert!(self.pings <= 16, "unanswered pings are bounded");
        assert!(self.connection.waiting_bytes() <= WAITING_MAX, "{}", self.connection.waiting_bytes());
        if self.ended {
            assert_eq!(self.connection.operations(), 0);
            assert!(!self.connection.is_open());
        }
    }

    /// Time alone ends a connection whose client is gone.
    fn finish(&mut self) {
        for _ in 0..1000 {
            if self.connection.ended().is_some() {
                return;
            }
            self.flush(usize::MAX);
            self.wait(Duration::from_secs(1));
            while let Some(key) = self.running.pop() {
                self.connection.complete(key, self.now);
                self.events();
            }
            if std::mem::take(&mut self.init) {
                self.connection.reject("", self.now);
                self.events();
            }
        }
        panic!("the connection does not end");
    }
}
