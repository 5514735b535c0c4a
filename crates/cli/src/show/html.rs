//! A trace as one page that needs nothing else: its data, its style and its program are in it.
//!
//! Each event is a row with its text, so a short run reads like the trace in a terminal. Beside the text are the lanes
//! of hosts, tasks and threads, with arrows for messages and shades for faults. Only the rows that are visible are
//! drawn, so a long run scrolls as well.

use serde_json::{Map, Value, json};

use crate::trace::{Event, Trace, faults, host_of, messages};

const PAGE: &str = include_str!("page.html");

/// Where the page takes its data.
const PLACE: &str = "__DATA__";

pub(super) fn page(trace: &Trace) -> String {
    // `<` could end the script that holds the data.
    let data = data(trace).to_string().replace('<', "\\u003c");
    PAGE.replacen(PLACE, &data, 1)
}

/// A lane of the page: a task or thread, or what happens on a host without one.
#[derive(Debug)]
struct Lane {
    host: String,
    name: String,
    first: usize,
    last: usize,
}

/// The lane of a host for what no task does: the name of no task begins so.
const NETWORK: &str = "(network)";

/// The host of the lane for what concerns no host.
const RUN: &str = "run";

fn data(trace: &Trace) -> Value {
    let lanes = lanes(trace);
    let lane_of = |event: &Event| {
        let (host, name) = place(event);
        lanes.iter().position(|lane| lane.host == host && lane.name == name)
    };
    let events: Vec<Value> = trace
        .events
        .iter()
        .map(|event| {
            let task = event.task.as_deref();
            json!([event.number, event.at, lane_of(event), kind(event), event.text, task, more(event)])
        })
        .collect();
    let spans: Vec<Value> = faults(trace)
        .into_iter()
        .map(|span| {
            let index = trace.events.iter().position(|event| event.number == span.number);
            json!({"begin": span.begin, "end": span.end, "hosts": span.hosts, "text": span.text, "index": index})
        })
        .collect();
    let messages: Vec<Value> =
        messages(trace).iter().map(|message| json!([message.sent, message.received])).collect();
    let hosts: Vec<Value> =
        trace.hosts().iter().map(|(name, address)| json!({"name": name, "address": address})).collect();
    let lanes: Vec<Value> = lanes
        .iter()
        .map(|lane| json!({"host": lane.host, "name": lane.name, "first": lane.first, "last": lane.last}))
        .collect();
    json!({
        "test": trace.test(),
        "seed": trace.head["seed"],
        "symptom": trace.symptom(),
        "dropped": trace.head["dropped"],
        "steps": trace.head["steps"],
        "virtual_ns": trace.head["virtual_ns"],
        "hosts": hosts,
        "lanes": lanes,
        "events": events,
        "messages": messages,
        "faults": spans,
    })
}

/// The host and the name of an event's lane.
fn place(event: &Event) -> (&str, &str) {
    if let Some(task) = &event.task {
        return task.split_once('/').unwrap_or((task, "main"));
    }
    // What the network does by itself is at the end where it happens.
    let arrives =
        event.member("what").is_some_and(|fact| fact.starts_with("delivers") || fact.starts_with("waits"));
    let host = if arrives { event.member("to") } else { event.member("from") };
    host.map_or((RUN, ""), |host| (host, NETWORK))
}

fn lanes(trace: &Trace) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for (index, event) in trace.events.iter().enumerate() {
        let (host, name) = place(event);
        match lanes.iter_mut().find(|lane| lane.host == host && lane.name == name) {
            Some(lane) => lane.last = index,
            None => {
                lanes.push(Lane { host: host.to_owned(), name: name.to_owned(), first: index, last: index })
            }
        }
        // A task begins where it is started.
        if let Some(child) = event.member("child")
            && !lanes.iter().any(|lane| child.strip_prefix(&*lane.host) == Some(&format!("/{}", lane.name)))
        {
            let name = child.split_once('/').map_or("main", |(_, name)| name).to_owned();
            lanes.push(Lane { host: host_of(child).to_owned(), name, first: index, last: index });
        }
    }
    let hosts = trace.hosts();
    let rank =
        |lane: &Lane| hosts.iter().position(|(host, _)| *host == lane.host).map_or(0, |index| index + 1);
    lanes.sort_by_key(|lane| (rank(lane), lane.name == NETWORK));
    lanes
}

/// The kind of an event as the page lists them.
fn kind(event: &Event) -> usize {
    match &*event.kind {
        _ if event.is_failure() => 5,
        "fault" => 4,
        _ if event.text.starts_with("* ") => 4,
        _ if event.is_choice() => 3,
        "logged" => 2,
        "network" | "datagram" | "local" | "socket" => 1,
        _ => 0,
    }
}

/// What the details of an event show beside its text.
fn more(event: &Event) -> Map<String, Value> {
    let shown = ["n", "at", "task", "kind", "text"];
    event.members.clone().into_iter().filter(|(name, _)| !shown.contains(&&**name)).collect()
}
