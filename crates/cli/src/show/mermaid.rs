//! A trace as a Mermaid sequence diagram: a participant for each host, arrows for what arrived, notes for the rest.
//!
//! Such diagrams are for a few dozen events. Bytes that follow one another in one direction are drawn as one arrow.

use std::fmt::Write as _;

use crate::trace::{Trace, host_of, messages, milliseconds};

/// A diagram with more lines cannot be read.
const LINES_MAX: usize = 400;

pub(super) fn diagram(trace: &Trace) -> String {
    let mut text = "sequenceDiagram\n".to_owned();
    let hosts: Vec<&str> = trace.hosts().into_iter().map(|(host, _)| host).collect();
    let participant =
        |host: &str| hosts.iter().position(|known| *known == host).map(|index| format!("h{index}"));
    for (index, host) in hosts.iter().enumerate() {
        let _ = writeln!(text, "    participant h{index} as {}", escaped(host));
    }
    let messages = messages(trace);
    let mut lines = 0;
    for (index, event) in trace.events.iter().enumerate() {
        let time = milliseconds(event.at);
        let arrived = messages.iter().any(|message| message.received == Some(index));
        let lost = messages.iter().any(|message| message.sent == index && message.received.is_none());
        let way = event.member("from").and_then(participant).zip(event.member("to").and_then(participant));
        if let Some((from, to)) = way {
            let words = event.text.split_once(" -> ").and_then(|(_, rest)| rest.split_once(' '));
            let words = escaped(words.map_or(&*event.text, |(_, words)| words));
            match (arrived, lost) {
                (true, _) => {
                    let _ = writeln!(text, "    {from}->>{to}: {words} ({time})");
                }
                (false, true) => {
                    let _ = writeln!(text, "    {from}-x{to}: {words}, and it never arrives ({time})");
                }
                (false, false) => continue,
            }
        } else {
            let is_worth = event.is_failure()
                || event.is_choice()
                || matches!(&*event.kind, "fault" | "logged" | "socket" | "local");
            if !is_worth {
                continue;
            }
            let host = event.task.as_deref().map(host_of).and_then(participant);
            let over = match (host, hosts.len()) {
                (Some(host), _) => host,
                (None, 0) => continue,
                (None, 1) => "h0".to_owned(),
                (None, count) => format!("h0,h{}", count - 1),
            };
            let task = event.task.as_deref().map(|task| format!("{task} ")).unwrap_or_default();
            let _ = writeln!(
                text,
                "    Note over {over}: {}",
                escaped(&format!("{task}{} ({time})", event.text))
            );
        }
        lines += 1;
        if lines == LINES_MAX {
            let _ = writeln!(
                text,
                "    Note over h0: {} more events are left out",
                trace.events.len() - index - 1
            );
            break;
        }
    }
    text
}

/// Mermaid reads `;` and `#` as its own.
fn escaped(text: &str) -> String {
    text.replace('#', "#35;").replace(';', "#59;").replace('<', "#lt;").replace('>', "#gt;")
}
