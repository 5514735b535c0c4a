//! The trace of one run, as the simulator's journal holds it.

use serde_json::{Map, Value};

/// A run and its events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// The entry of the journal that describes the run.
    pub(crate) head: Value,
    pub(crate) events: Vec<Event>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// Virtual nanoseconds since the start of the run.
    pub(crate) at: u64,
    pub(crate) task: Option<String>,
    pub(crate) kind: String,
    /// What the rendered trace says.
    pub(crate) text: String,
    /// Everything that the journal says of it.
    pub(crate) members: Map<String, Value>,
}

impl Event {
    fn of(members: Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            number: members.get("n")?.as_u64()?,
            at: members.get("at")?.as_u64()?,
            task: text("task"),
            kind: text("kind")?,
            text: text("text")?,
            members,
        })
    }

    pub(crate) fn member(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        self.members.get(name).and_then(Value::as_u64)
    }

    /// Whether it is the failure of the run, or a part of it.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(&*self.kind, "panicked" | "failed" | "broken")
    }

    /// Whether it is a choice that differs from the default.
    pub(crate) fn is_choice(&self) -> bool {
        self.text.starts_with("~ ")
    }
}

impl Trace {
    /// Starts a trace with the entry `trace` of a journal.
    pub(crate) fn new(head: Value) -> Self {
        Self { head, events: Vec::new() }
    }

    /// Adds an entry of the journal, if it is an event.
    pub(crate) fn add(&mut self, entry: &Value) -> bool {
        let event = entry.as_object().cloned().and_then(Event::of);
        let is_event = event.is_some();
        self.events.extend(event);
        is_event
    }

    /// Reads what [`lines`](Self::lines) wrote. `None` if it is something else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let head: Value = serde_json::from_str(lines.next()?).ok()?;
        if head["event"] != "trace" {
            return None;
        }
        let mut trace = Self::new(head);
        for line in lines {
            trace.add(&serde_json::from_str(line).ok()?);
        }
        Some(trace)
    }

    /// The run and its events as JSON lines.
    pub(crate) fn lines(&self) -> String {
        let mut lines = format!("{}\n", self.head);
        for event in &self.events {
            lines.push_str(&serde_json::to_string(&event.members).unwrap_or_default());
            lines.push('\n');
        }
        lines
    }

    pub(crate) fn test(&self) -> &str {
        self.head["test"].as_str().unwrap_or_default()
    }

    pub(crate) fn symptom(&self) -> Option<&str> {
        self.head["symptom"].as_str()
    }

    /// The names of the tasks and threads, in the order of their starts.
    pub(crate) fn tasks(&self) -> Vec<&str> {
        let list = self.head["tasks"].as_array().map_or(&[][..], |list| list);
        list.iter().filter_map(Value::as_str).collect()
    }

    /// The hosts with their addresses. A host of another network has none.
    pub(crate) fn hosts(&self) -> Vec<(&str, &str)> {
        let known = self.head["hosts"].as_object();
        let mut hosts: Vec<(&str, &str)> = Vec::new();
        for task in self.tasks() {
            let host = host_of(task);
            if hosts.iter().all(|(name, _)| *name != host) {
                let address = known.and_then(|known| known.get(host)).and_then(Value::as_str);
                hosts.push((host, address.unwrap_or_default()));
            }
        }
        for (name, address) in known.into_iter().flatten() {
            if hosts.iter().all(|(host, _)| host != name) {
                hosts.push((name, address.as_str().unwrap_or_default()));
            }
        }
        hosts
    }

    /// The last event that fails the run.
    pub(crate) fn failure(&self) -> Option<&Event> {
        self.events.iter().rev().find(|event| event.is_failure())
    }

    /// What every task waited for when the run was stopped.
    pub(crate) fn waits(&self) -> Vec<&str> {
        let list = self.head["waits"].as_array().map_or(&[][..], |list| list);
        list.iter().filter_map(Value::as_str).collect()
    }
}

/// The host of a task.
pub(crate) fn host_of(task: &str) -> &str {
    task.split_once('/').map_or(task, |(host, _)| host)
}

/// Virtual time as reports show it: milliseconds, exact to the microsecond.
pub(crate) fn milliseconds(nanos: u64) -> String {
    format!("{}.{:03}ms", nanos / 1_000_000, nanos % 1_000_000 / 1_000)
}

/// A fault that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) begin: u64,
    pub(crate) end: u64,
    /// The hosts that its text names.
    pub(crate) hosts: Vec<String>,
    pub(crate) text: String,
    /// The number of the event that begins it.
    pub(crate) number: u64,
}

/// The faults of a run with their beginnings and ends.
///
/// A fault that is drawn says how long it lasts. One that the test injects ends with a later line about the same hosts,
/// or with the run.
pub(crate) fn faults(trace: &Trace) -> Vec<Span> {
    let last = trace.events.last().map_or(0, |event| event.at);
    let hosts = trace.hosts();
    let named = |text: &str| -> Vec<String> {
        let is_named = |host: &str| {
            text.match_indices(host).any(|(at, _)| {
                let is_part =
                    |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
                !is_part(text[..at].chars().next_back()) && !is_part(text[at + host.len()..].chars().next())
            })
        };
        hosts.iter().filter(|(host, _)| is_named(host)).map(|(host, _)| (*host).to_owned()).collect()
    };
    let mut spans: Vec<Span> = Vec::new();
    let mut is_open: Vec<bool> = Vec::new();
    for event in trace.events.iter().filter(|event| event.kind == "fault") {
        let text = event.text.trim_start_matches("* ");
        let hosts = named(text);
        if is_end(text) {
            let of_hosts = |(span, is_open): (&Span, &bool)| *is_open && span.hosts == hosts;
            let found = (0..spans.len()).rev().find(|&index| of_hosts((&spans[index], &is_open[index])));
            if let Some(index) = found {
                spans[index].end = event.at;
                is_open[index] = false;
            }
            continue;
        }
        let lasts = lasting(text);
        is_open.push(lasts.is_none());
        let is_sudden = text.starts_with("something ");
        let end = match lasts {
            Some(nanos) => (event.at + nanos).min(last),
            None if is_sudden => event.at,
            None => last,
        };
        spans.push(Span { begin: event.at, end, hosts, text: text.to_owned(), number: event.number });
    }
    spans
}

/// Whether the line of a fault is about an end.
fn is_end(text: &str) -> bool {
    let ends = [" again", " go on", " as before", " runs on", " is released", " are lost"];
    (ends.iter().any(|end| text.ends_with(end)) || text.ends_with(" restarts")) && !text.contains(" for ")
        || text.starts_with("no more ")
}

/// How long the line of a fault says that it lasts, in nanoseconds.
fn lasting(text: &str) -> Option<u64> {
    let (before, _) = text.rsplit_once("ms")?;
    let number = before.rsplit(' ').next()?;
    let (before, _) = before.rsplit_once(' ')?;
    if !(before.ends_with(" for") || before.ends_with(" after")) {
        return None;
    }
    let (whole, part) = number.split_once('.')?;
    let part: u64 = format!("{part:0<6}").get(..6)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(part)
}

/// A message: bytes, a datagram or a part of a handshake that one host sent and another received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The index of the event that sent it.
    pub(crate) sent: usize,
    /// The index of the event that received it; `None` if it never arrived.
    pub(crate) received: Option<usize>,
}

/// Pairs what was sent with what was received.
///
/// Bytes of a connection arrive in order, so a part that arrives belongs to the part that was sent at its offset.
/// Datagrams are paired by their size, first in first out.
pub(crate) fn messages(trace: &Trace) -> Vec<Message> {
    let mut pairing = Pairing::default();
    for (index, event) in trace.events.iter().enumerate() {
        if let ("network" | "datagram", Some(way)) = (&*event.kind, Way::of(event)) {
            pairing.add(index, event, way);
        }
    }
    pairing.messages.sort_by_key(|message| (message.received.unwrap_or(message.sent), message.sent));
    pairing.messages
}

/// A direction of a connection, or of datagrams between two ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    kind: String,
    from: String,
    from_port: u64,
    to: String,
    to_port: u64,
}

impl Way {
    fn of(event: &Event) -> Option<Self> {
        Some(Self {
            kind: event.kind.clone(),
            from: event.member("from")?.to_owned(),
            from_port: event.count("from_port")?,
            to: event.member("to")?.to_owned(),
            to_port: event.count("to_port")?,
        })
    }
}

/// Bytes on their way.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// The index of its message.
    message: usize,
    /// Where it ends in the stream.
    end: u64,
}

#[derive(Default)]
struct Pairing {
    messages: Vec<Message>,
    /// Of every way: what was sent in all, what was received in all, and the parts between the two.
    ways: std::collections::BTreeMap<Way, (u64, u64, std::collections::VecDeque<Part>)>,
    /// Of every way and word: messages that have not arrived.
    signals: std::collections::BTreeMap<(Way, &'static str), std::collections::VecDeque<usize>>,
}

impl Pairing {
    fn add(&mut self, index: usize, event: &Event, way: Way) {
        let bytes = event.count("bytes").unwrap_or(0);
        let fact = event.member("what").unwrap_or_default().to_owned();
        match (&*event.kind, &*fact) {
            ("network", "sends") => {
                let message = self.sent(index);
                let (sent, _, parts) = self.ways.entry(way).or_default();
                *sent += bytes;
                parts.push_back(Part { message, end: *sent });
            }
            ("network", "delivers") => {
                let (_, received, parts) = self.ways.entry(way).or_default();
                *received += bytes;
                let mut arrived = Vec::new();
                while let Some(part) = parts.front().copied() {
                    arrived.push(part.message);
                    if part.end > *received {
                        break;
                    }
                    parts.pop_front();
                    if part.end == *received {
                        break;
                    }
                }
                for message in arrived {
                    self.messages[message].received = Some(index);
                }
            }
            ("network", "connects") => self.signal(index, way, "SYN"),
            ("network", "waits to be accepted") => self.answer(index, way, "SYN"),
            ("network", "sends FIN") => self.signal(index, way, "FIN"),
            ("network", "delivers FIN") => self.answer(index, way, "FIN"),
            ("network", "sends RST") => self.signal(index, way, "RST"),
            ("network", "delivers RST") => self.answer(index, way, "RST"),
            ("datagram", "sends") => self.signal(index, way, "datagram"),
            ("datagram", "delivers") => self.datagram(index, event, way),
            _ => {}
        }
    }

    fn sent(&mut self, index: usize) -> usize {
        self.messages.push(Message { sent: index, received: None });
        self.messages.len() - 1
    }

    fn signal(&mut self, index: usize, way: Way, word: &'static str) {
        let message = self.sent(index);
        self.signals.entry((way, word)).or_default().push_back(message);
    }

    fn answer(&mut self, index: usize, way: Way, word: &'static str) {
        if let Some(message) = self.signals.get_mut(&(way, word)).and_then(|waiting| waiting.pop_front()) {
            self.messages[message].received = Some(index);
        }
    }

    /// A datagram may be lost, late or repeated, so the oldest of its size is the likeliest.
    fn datagram(&mut self, index: usize, _event: &Event, way: Way) {
        self.answer(index, way, "datagram");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trace(events: &[Value]) -> Trace {
        let head = json!({
            "event": "trace", "test": "chat/t::x", "symptom": null, "tasks": ["client/main", "server/main"],
            "hosts": {"client": "192.168.0.1", "server": "192.168.0.2"}, "waits": [],
        });
        let mut trace = Trace::new(head);
        for (number, event) in (1..).zip(events) {
            let mut event = event.clone();
            event["n"] = json!(number);
            assert!(trace.add(&event), "{event}");
        }
        trace
    }

    fn network(at: u64, fact: &str, bytes: u64) -> Value {
        json!({"at": at, "task": "client/main", "kind": "network", "text": fact, "what": fact, "bytes": bytes,
            "from": "client", "from_port": 49152, "to": "server", "to_port": 80})
    }

    #[test]
    fn parts_of_a_stream_meet_their_offsets() {
        let trace = trace(&[
            network(0, "connects", 0),
            network(1, "waits to be accepted", 0),
            network(2, "sends", 10),
            network(3, "sends", 5),
            network(4, "delivers", 4),
            network(5, "delivers", 11),
            network(6, "sends", 1),
        ]);
        let pairs: Vec<(usize, Option<usize>)> =
            messages(&trace).iter().map(|message| (message.sent, message.received)).collect();
        assert_eq!(pairs, [(0, Some(1)), (2, Some(5)), (3, Some(5)), (6, None)]);
    }

    #[test]
    fn faults_end_as_they_say_or_later() {
        let fault = |at: u64, text: &str| json!({"at": at, "task": null, "kind": "fault", "text": format!("* {text}")});
        let trace = trace(&[
            fault(1_000_000, "client and server are cut off from each other for 2.500ms"),
            fault(2_000_000, "server is paused"),
            fault(3_500_000, "client and server reach each other again"),
            fault(4_000_000, "server runs on"),
            fault(9_000_000, "something resets the connections between client and server"),
        ]);
        let spans: Vec<(u64, u64, usize)> =
            faults(&trace).iter().map(|span| (span.begin, span.end, span.hosts.len())).collect();
        assert_eq!(spans, [(1_000_000, 3_500_000, 2), (2_000_000, 4_000_000, 1), (9_000_000, 9_000_000, 2)]);
    }

    #[test]
    fn a_written_trace_reads_back() {
        let trace = trace(&[network(0, "connects", 0), network(7, "sends", 3)]);
        let again = Trace::parse(&trace.lines()).expect("reads back");
        assert_eq!((again.events.len(), again.lines()), (2, trace.lines()));
        assert!(Trace::parse("wavetank recording 1\n").is_none());
    }
}
