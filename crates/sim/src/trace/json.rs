//! A trace as JSON lines: each event with what a viewer needs to place it.
//!
//! The text of an event is that of the rendered trace. Beside it are the parts that a viewer cannot read from text: the
//! kind, the started task, and of network events both ends and the number of bytes.

use super::{Record, Trace, TraceEvent};
use crate::json::Object;
use crate::net::{DatagramEvent, LocalEvent, NetEvent};
use crate::printable;

impl Trace {
    /// Returns every event that is held, a line each, numbered from 1. Numbers of events that a long run has dropped
    /// are left out.
    pub(crate) fn json_lines(&self) -> impl Iterator<Item = String> {
        let first_of_tail = self.head.len() + self.dropped + 1;
        let head = self.head.iter().zip(1..);
        let tail = self.tail.iter().zip(first_of_tail..);
        head.chain(tail).map(|(record, number)| self.json_line(record, number))
    }

    /// Returns the number of events, and how many of them are no longer held.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.head.len() + self.tail.len() + self.dropped, self.dropped)
    }

    /// Returns the names of the tasks, in the order of their starts.
    pub(crate) fn task_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Returns the hosts of the simulator's network with their addresses.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&str, String)> {
        let hosts = self.network.iter().flat_map(|network| network.hosts());
        #[cfg(all(feature = "process", not(miri)))]
        let hosts = hosts.chain(self.told_hosts.iter().map(|(name, address)| (&**name, address.clone())));
        hosts
    }

    fn json_line(&self, record: &Record, number: usize) -> String {
        let text = self.describe(&record.event);
        let mut object = Object::bare()
            .number("n", number as u64)
            .number("at", record.at)
            .maybe("task", record.task.map(|task| self.name(task)))
            .text("kind", self.kind(&record.event))
            .text("text", &printable::line(&text));
        object = self.add_members(object, &record.event);
        object.line()
    }

    /// The kind of an event, in one word. Programs match it.
    pub(super) fn kind(&self, event: &TraceEvent) -> &'static str {
        match event {
            #[cfg(all(feature = "process", not(miri)))]
            TraceEvent::Told(told) => told.kind,
            event => kind(event),
        }
    }

    /// The members of a line that belong to its kind, without braces.
    #[cfg(all(feature = "process", not(miri)))]
    pub(super) fn members(&self, event: &TraceEvent) -> String {
        let line = self.add_members(Object::bare(), event).line();
        line.trim_start_matches('{').trim_end_matches('}').to_owned()
    }

    fn add_members(&self, object: Object, event: &TraceEvent) -> Object {
        match event {
            TraceEvent::Started { task } => object.text("child", self.name(*task)),
            TraceEvent::Preempted { by, .. } => object.text("by", self.name(*by)),
            TraceEvent::Overtakes { first } => object.text("by", self.name(*first)),
            TraceEvent::DelayedAt { nanos, .. }
            | TraceEvent::DelayedAfter { nanos, .. }
            | TraceEvent::Delayed { nanos }
            | TraceEvent::SpuriousPending { nanos, .. } => object.number("nanos", *nanos),
            TraceEvent::Network(event) => self.network_members(object, event),
            TraceEvent::Datagram(event) => self.datagram_members(object, event),
            TraceEvent::Local(event) => local_members(object, event),
            #[cfg(all(feature = "process", not(miri)))]
            TraceEvent::Told(told) => object.members(&told.members),
            _ => object,
        }
    }

    fn network_members(&self, object: Object, NetEvent { path, what }: &NetEvent) -> Object {
        let Some(network) = &self.network else { return object };
        let object = object
            .text("from", network.host_name(path.from))
            .number("from_port", path.from_port.into())
            .maybe("to", path.to.map(|host| network.host_name(host)))
            .number("to_port", path.to_port.into())
            .text("what", &what.word());
        match what.bytes() {
            Some(bytes) => object.number("bytes", bytes.into()),
            None => object,
        }
    }

    fn datagram_members(&self, object: Object, event: &DatagramEvent) -> Object {
        let Some(network) = &self.network else { return object };
        let object = object
            .text("from", network.host_name(event.from))
            .number("from_port", event.from_port.into())
            .maybe("to", event.to.map(|host| network.host_name(host)))
            .number("to_port", event.to_port.into())
            .text("what", event.word());
        match event.bytes() {
            Some(bytes) => object.number("bytes", bytes.into()),
            None => object,
        }
    }
}

/// The connection and the end of it: no host's name, because both ends are on one.
fn local_members(object: Object, event: &LocalEvent) -> Object {
    let object = object.number("end", event.from.into());
    match event.number {
        Some(number) => object.number("connection", number.into()),
        None => object,
    }
}

/// The kind of an event of this process.
const fn kind(event: &TraceEvent) -> &'static str {
    match event {
        TraceEvent::Started { .. } => "started",
        TraceEvent::Ended => "ended",
        TraceEvent::Waits(_) => "waits",
        TraceEvent::Preempted { .. }
        | TraceEvent::OutOfBudget { .. }
        | TraceEvent::PreemptedInside { .. } => "preempted",
        TraceEvent::Overtakes { .. } => "overtakes",
        TraceEvent::DelayedAt { .. }
        | TraceEvent::DelayedAfter { .. }
        | TraceEvent::DelayedInside { .. }
        | TraceEvent::Delayed { .. } => "delayed",
        TraceEvent::Spins { .. } => "spins",
        TraceEvent::SpuriousPending { .. } => "pending",
        TraceEvent::SpuriousWakeUp => "woken",
        TraceEvent::Adversary(_) => "adversary",
        TraceEvent::Panicked(_) => "panicked",
        TraceEvent::Broken(_) => "broken",
        TraceEvent::Failed(_) => "failed",
        TraceEvent::Network(_) => "network",
        TraceEvent::Fault(_) => "fault",
        TraceEvent::Short { .. } => "short",
        TraceEvent::Logged(_) => "logged",
        TraceEvent::Datagram(_) => "datagram",
        TraceEvent::Local(_) => "local",
        TraceEvent::Socket { .. } => "socket",
        #[cfg(all(feature = "process", not(miri)))]
        TraceEvent::Told(_) => "told",
    }
}
