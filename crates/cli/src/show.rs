//! `cargo wavetank show`: a trace in the terminal, as a diagram, a page, or a file of another tool.

use std::fmt::Write as _;
use std::path::Path;

use crate::arguments::Show;
use crate::error::Problem;
use crate::load;
use crate::trace::{Event, Trace, milliseconds};

mod html;
mod mermaid;
mod pcap;
mod perfetto;

/// Runs the command.
pub(crate) fn run(arguments: &Show) -> Result<bool, Problem> {
    let trace = load::trace(&arguments.file, &arguments.build)?;
    if arguments.json {
        print!("{}", trace.lines());
    } else if let Some(out) = &arguments.html {
        write(out, html::page(&trace).as_bytes())?;
    } else if let Some(out) = &arguments.perfetto {
        write(out, perfetto::file(&trace).as_bytes())?;
    } else if let Some(out) = &arguments.pcap {
        write(out, &pcap::file(&trace))?;
    } else if arguments.mermaid {
        print!("{}", mermaid::diagram(&trace));
    } else {
        print!("{}", text(&trace));
    }
    Ok(true)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    std::fs::write(path, bytes).map_err(|error| Problem::of_file(path, "write", &error))?;
    eprintln!("{}", path.display());
    Ok(())
}

/// The run as text: what it is, every event, what tasks wait for, and how it ended.
pub(crate) fn text(trace: &Trace) -> String {
    let mut text = String::new();
    let number = |name: &str| trace.head[name].as_u64().unwrap_or(0);
    let _ = writeln!(text, "{}", trace.test());
    let _ = writeln!(
        text,
        "seed {}, {} events, {} steps, {} faults, {} of virtual time\n",
        trace.head["seed"].as_str().unwrap_or_default(),
        trace.events.len(),
        number("steps"),
        number("faults"),
        milliseconds(number("virtual_ns")),
    );
    let width = trace.tasks().iter().map(|task| task.len()).max().unwrap_or(0);
    let mut last = 0;
    for event in &trace.events {
        if event.number > last + 1 {
            let _ = writeln!(text, "       … {} events were dropped …", event.number - last - 1);
        }
        last = event.number;
        let _ = writeln!(text, "{}", line(event, width));
    }
    if !trace.waits().is_empty() {
        let _ = writeln!(text, "\nstopped after event {last}:");
        for wait in trace.waits() {
            let _ = writeln!(text, "  {wait}");
        }
        return text;
    }
    match trace.symptom() {
        Some(symptom) => {
            let _ = writeln!(text, "\nfailed: {symptom}");
        }
        None => text.push_str("\npassed\n"),
    }
    text
}

/// An event as one line: its number, its time, its task, and what happened.
pub(crate) fn line(event: &Event, width: usize) -> String {
    let task = event.task.as_deref().unwrap_or_default();
    let time = milliseconds(event.at);
    format!("{:>6} {time:>14}  {task:<width$}  {}", event.number, event.text)
}
