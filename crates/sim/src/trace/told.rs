//! A trace that another OS process tells: each event as its text, and what a viewer needs beside it.
//!
//! Only the process of a run knows the names of its hosts and sockets, so it renders. The hash is that of its events.

#![cfg(all(feature = "process", not(miri)))]

use super::render::Detail;
use super::{Record, StableHasher, Trace, TraceEvent};
use crate::wait::TaskId;
use crate::wire::{Reader, Writer};

/// An event of another process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Told {
    pub(super) detail: Detail,
    /// As in JSON lines.
    pub(super) kind: &'static str,
    pub(super) text: Box<str>,
    /// The members of a JSON line that belong to the kind.
    pub(super) members: Box<str>,
    /// The length of a delay, if it is one.
    pub(super) delay: Option<u64>,
}

impl Trace {
    /// Writes the trace, with its events if they are asked for.
    pub(crate) fn tell(&self, to: &mut Writer, with_events: bool) {
        to.number(self.hasher.0).number(self.preempted as u64);
        to.number(if with_events { self.dropped } else { self.counts().0 } as u64);
        to.small(u32::from(self.stopped));
        to.all(self.names.iter(), |to, name| {
            to.text(name);
        });
        to.all(self.hosts().collect::<Vec<_>>().into_iter(), |to, (name, address)| {
            to.text(name).text(&address);
        });
        let count = if with_events { usize::MAX } else { 0 };
        to.all(self.head.iter().take(count), |to, record| self.tell_event(to, record));
        to.all(self.tail.iter().take(count), |to, record| self.tell_event(to, record));
    }

    fn tell_event(&self, to: &mut Writer, record: &Record) {
        to.number(record.at).maybe(record.task, |to, task| {
            to.small(task.index() as u32);
        });
        to.small(self.detail(record) as u32)
            .text(self.kind(&record.event))
            .text(&self.describe(&record.event));
        to.text(&self.members(&record.event)).maybe(record.event.delay(), |to, nanos| {
            to.number(nanos);
        });
    }

    /// Reads a trace that was told.
    pub(crate) fn told(from: &mut Reader<'_>) -> Self {
        let mut trace = Self::new();
        trace.hasher = StableHasher(from.number());
        trace.preempted = from.number() as usize;
        trace.dropped = from.number() as usize;
        trace.stopped = from.small() == 1;
        trace.names = from.all(|from| from.text().into());
        trace.told_hosts = from.all(|from| (from.text(), from.text()));
        trace.head = from.all(told_event);
        trace.tail = from.all(told_event);
        trace.closed = true;
        trace
    }
}

fn told_event(from: &mut Reader<'_>) -> Record {
    let (at, task) = (from.number(), from.maybe(|from| TaskId::new(from.small() as usize)));
    let detail = Detail::ALL[from.small() as usize];
    let told = Told {
        detail,
        kind: from.name(),
        text: from.text().into(),
        members: from.text().into(),
        delay: from.maybe(Reader::number),
    };
    Record { at, task, event: TraceEvent::Told(Box::new(told)) }
}
