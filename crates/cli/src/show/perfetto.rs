//! A trace for ui.perfetto.dev, in Chrome's JSON format: a process for each host, a thread for each task, arrows for
//! messages, spans for faults and delays.

use serde_json::{Value, json};

use crate::trace::{Event, Trace, faults, host_of, messages};

pub(super) fn file(trace: &Trace) -> String {
    let hosts: Vec<&str> = trace.hosts().into_iter().map(|(host, _)| host).collect();
    let tasks = trace.tasks();
    let process = |host: &str| hosts.iter().position(|known| *known == host).map_or(0, |index| index + 1);
    let thread = |task: &str| tasks.iter().position(|known| *known == task).map_or(0, |index| index + 1);
    let mut events: Vec<Value> = Vec::new();
    let mut name = |kind: &str, process: usize, thread: usize, name: &str| {
        events.push(json!({"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}));
    };
    name("process_name", 0, 0, "run");
    for host in &hosts {
        name("process_name", process(host), 0, host);
        name("thread_name", process(host), 0, "network");
    }
    for task in &tasks {
        name("thread_name", process(host_of(task)), thread(task), task);
    }
    let micros = |nanos: u64| nanos as f64 / 1000.0;
    let place = |event: &Event| match &event.task {
        Some(task) => (process(host_of(task)), thread(task)),
        None => (event.member("from").map_or(0, process), 0),
    };
    for event in &trace.events {
        let (process, thread) = place(event);
        let nanos = event.count("nanos").filter(|_| event.kind == "delayed");
        let mut entry = json!({
            "name": event.text, "cat": event.kind, "pid": process, "tid": thread, "ts": micros(event.at),
            "args": {"event": event.number},
        });
        match nanos {
            Some(nanos) => {
                entry["ph"] = json!("X");
                entry["dur"] = json!(micros(nanos));
            }
            // An arrow needs a slice at both ends, so what is instantaneous lasts a nanosecond.
            None => {
                entry["ph"] = json!("X");
                entry["dur"] = json!(0.001);
            }
        }
        events.push(entry);
    }
    for (id, message) in messages(trace).iter().enumerate() {
        let Some(received) = message.received else { continue };
        for (phase, index) in [("s", message.sent), ("f", received)] {
            let event = &trace.events[index];
            let (process, thread) = place(event);
            events.push(json!({
                "ph": phase, "bp": "e", "id": id, "name": "message", "cat": "message", "pid": process, "tid": thread,
                "ts": micros(event.at),
            }));
        }
    }
    for (id, fault) in faults(trace).iter().enumerate() {
        for (phase, at) in [("b", fault.begin), ("e", fault.end)] {
            let host = fault.hosts.first().map_or(0, |host| process(host));
            events.push(json!({
                "ph": phase, "id": id, "name": fault.text, "cat": "fault", "pid": host, "tid": 0, "ts": micros(at),
            }));
        }
    }
    json!({
        "displayTimeUnit": "ns",
        "otherData": {"test": trace.test(), "seed": trace.head["seed"], "symptom": trace.symptom()},
        "traceEvents": events,
    })
    .to_string()
}
