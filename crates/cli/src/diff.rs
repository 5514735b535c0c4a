//! `cargo wavetank diff`: where two runs first differ.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::arguments::Diff;
use crate::error::Problem;
use crate::load;
use crate::show::line;
use crate::trace::{Event, Trace};

/// Runs the command. Returns whether the runs are the same.
pub(crate) fn run(arguments: &Diff) -> Result<bool, Problem> {
    let one = load::trace(&arguments.one, &arguments.build)?;
    let other = load::trace(&arguments.other, &arguments.build)?;
    let index = first_difference(&one, &other, arguments.ignore_time);
    if arguments.json {
        println!("{}", json(index, &one, &other, arguments.context));
    } else {
        print!("{}", text(index, &one, &other, arguments));
    }
    Ok(index.is_none())
}

/// The index of the first event that differs.
pub(crate) fn first_difference(one: &Trace, other: &Trace, ignore_time: bool) -> Option<usize> {
    let same = |a: &Event, b: &Event| {
        (ignore_time || a.at == b.at) && a.task == b.task && a.kind == b.kind && a.text == b.text
    };
    let pairs = one.events.iter().zip(&other.events);
    let differing = pairs.into_iter().position(|(a, b)| !same(a, b));
    let shorter = one.events.len().min(other.events.len());
    differing.or_else(|| (one.events.len() != other.events.len()).then_some(shorter))
}

fn window(trace: &Trace, from: usize, count: usize) -> &[Event] {
    let from = from.min(trace.events.len());
    &trace.events[from..(from + count).min(trace.events.len())]
}

pub(crate) fn json(index: Option<usize>, one: &Trace, other: &Trace, context: usize) -> Value {
    let Some(index) = index else { return json!({"same": true, "events": one.events.len()}) };
    let members = |events: &[Event]| -> Vec<Value> {
        events.iter().map(|event| Value::Object(event.members.clone())).collect()
    };
    json!({
        "same": false,
        "event": index + 1,
        "before": members(window(one, index.saturating_sub(context), index.min(context))),
        "one": members(window(one, index, context + 1)),
        "other": members(window(other, index, context + 1)),
        "symptoms": [one.symptom(), other.symptom()],
    })
}

fn text(index: Option<usize>, one: &Trace, other: &Trace, arguments: &Diff) -> String {
    let mut text = String::new();
    let files = [&arguments.one, &arguments.other].map(|file| file.display().to_string());
    let Some(index) = index else {
        let _ = writeln!(text, "the runs are the same: {} events", one.events.len());
        return text;
    };
    let _ = writeln!(text, "- {}\n+ {}\nevent {} differs\n", files[0], files[1], index + 1);
    let width = [one, other].iter().flat_map(|trace| trace.tasks()).map(str::len).max().unwrap_or(0);
    for event in window(one, index.saturating_sub(arguments.context), index.min(arguments.context)) {
        let _ = writeln!(text, "  {}", line(event, width));
    }
    for (mark, trace) in [("-", one), ("+", other)] {
        let events = window(trace, index, arguments.context + 1);
        for event in events {
            let _ = writeln!(text, "{mark} {}", line(event, width));
        }
        if events.len() <= arguments.context {
            let end = trace.symptom().map_or("the end of the run, which passed", |_| "the end of the run");
            let _ = writeln!(text, "{mark} {end}");
        }
    }
    let symptom =
        |trace: &Trace| trace.symptom().unwrap_or("passed").lines().next().unwrap_or_default().to_owned();
    let _ = writeln!(text, "\n- ends with: {}\n+ ends with: {}", symptom(one), symptom(other));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(texts: &[(u64, &str)]) -> Trace {
        let mut trace = Trace::new(json!({"event": "trace", "tasks": [], "hosts": {}}));
        for (number, (at, text)) in (1..).zip(texts) {
            trace.add(&json!({"n": number, "at": at, "task": null, "kind": "logged", "text": text}));
        }
        trace
    }

    #[test]
    fn the_first_difference_counts_time_unless_told() {
        let (one, other) = (trace(&[(0, "a"), (1, "b"), (2, "c")]), trace(&[(0, "a"), (5, "b"), (6, "d")]));
        assert_eq!(first_difference(&one, &other, false), Some(1));
        assert_eq!(first_difference(&one, &other, true), Some(2));
        assert_eq!(first_difference(&one, &trace(&[(0, "a")]), false), Some(1));
        assert_eq!(first_difference(&one, &one, false), None);
    }
}
