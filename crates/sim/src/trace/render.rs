//! Renders a trace: one event a line, stable from machine to machine, short enough to review.
//!
//! Events have a level of detail. A trace shows the finest level at which it fits into [`LINES_MAX`] lines. A shrunk
//! failure usually shows everything. If a trace does not fit even at the coarsest level, its middle is left out, and a
//! line says how much.

use std::fmt::Write;
use std::sync::Arc;

use super::{Next, Record, Trace, TraceEvent, Transfer, label_of};
use crate::net::{DatagramEvent, NetEvent};
use crate::printable;
use crate::time::{after, milliseconds};
use crate::wait::{Names, Operation, TaskId, Until, Wait};

/// A rendered trace has at most this many lines.
pub(crate) const LINES_MAX: usize = 60;

/// From what a reader must see to what completes the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Detail {
    Essential,
    Connections,
    Waits,
    Everything,
}

impl Detail {
    #[cfg(all(feature = "process", not(miri)))]
    pub(super) const ALL: [Self; 4] = [Self::Essential, Self::Connections, Self::Waits, Self::Everything];
}

impl Trace {
    /// Renders the trace in at most 60 lines.
    #[must_use]
    pub fn render(&self) -> String {
        let levels = [Detail::Everything, Detail::Waits, Detail::Connections, Detail::Essential];
        let fits = |detail: Detail| {
            self.records().filter(|record| self.detail(record) <= detail).count() <= LINES_MAX
        };
        let detail = levels.into_iter().find(|&level| fits(level)).unwrap_or(Detail::Essential);
        let (shown, above) = self.filled(detail);
        let width = shown
            .iter()
            .filter_map(|record| record.task)
            .map(|task| self.name(task).len())
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        if shown.len() <= LINES_MAX && self.dropped == 0 {
            for (index, record) in shown.iter().enumerate() {
                if let Some((place, left_out)) = above
                    && place == index
                {
                    let _ = writeln!(text, "{:>14}  … {left_out} events are left out above …", "");
                }
                self.write_line(&mut text, record, width);
            }
            return text;
        }
        // The beginning shows the set-up, the end shows the failure. The end gets more room.
        let first = (LINES_MAX / 3).min(shown.len());
        let last = (LINES_MAX - LINES_MAX / 3 - 1).min(shown.len() - first);
        shown[..first].iter().for_each(|record| self.write_line(&mut text, record, width));
        let left_out = shown.len().saturating_sub(first + last) + self.dropped;
        let _ = writeln!(text, "{:>14}  … {left_out} events …", "");
        shown[shown.len() - last..].iter().for_each(|record| self.write_line(&mut text, record, width));
        text
    }

    /// Returns the events to show at this level of detail. If they leave lines free, the last events are shown in full.
    /// Then also returns where that part begins, and how many events are left out before it.
    fn filled(&self, detail: Detail) -> (Vec<&Record>, Option<(usize, usize)>) {
        let coarse = |record: &Record| self.detail(record) <= detail;
        let all: Vec<&Record> = self.records().collect();
        let count = all.iter().filter(|record| coarse(record)).count();
        // One for the line about what is left out.
        let mut free = LINES_MAX.saturating_sub(count + 1);
        if count == all.len() || count > LINES_MAX || self.dropped > 0 || free == 0 {
            return (all.into_iter().filter(|record| coarse(record)).collect(), None);
        }
        let mut begin = all.len();
        while begin > 0 && (free > 0 || coarse(all[begin - 1])) {
            begin -= 1;
            free -= usize::from(!coarse(all[begin]));
        }
        let mut shown: Vec<&Record> = all[..begin].iter().copied().filter(|record| coarse(record)).collect();
        let place = shown.len();
        shown.extend(&all[begin..]);
        (shown, Some((place, begin - place)).filter(|(_, left_out)| *left_out > 0))
    }

    /// Whether [`render`](Self::render) leaves events out.
    pub(crate) fn is_cut(&self) -> bool {
        self.dropped > 0 || self.records().count() > LINES_MAX
    }

    /// Renders every event that is held, a line each.
    pub(crate) fn render_whole(&self) -> String {
        let mut text = String::new();
        self.head.iter().for_each(|record| self.write_line(&mut text, record, 0));
        if self.dropped > 0 {
            let _ = writeln!(
                text,
                "{:>14}  … {} events, which a run of this length does not keep …",
                "", self.dropped
            );
        }
        self.tail.iter().for_each(|record| self.write_line(&mut text, record, 0));
        text
    }

    /// Renders one event, for a comparison.
    pub(super) fn line(&self, record: &Record) -> String {
        let mut text = String::new();
        self.write_line(&mut text, record, 0);
        text.trim().to_owned()
    }

    fn write_line(&self, text: &mut String, record: &Record, width: usize) {
        let who = record.task.map_or("", |task| self.name(task));
        let line =
            format!("{:>12}  {who:<width$}  {}", milliseconds(record.at), self.describe(&record.event));
        let _ = writeln!(text, "{}", printable::line(line.trim_end()));
    }

    pub(super) fn name(&self, task: TaskId) -> &str {
        self.names.get(task.index()).map_or("?", |name| name)
    }

    pub(super) fn detail(&self, record: &Record) -> Detail {
        match &record.event {
            TraceEvent::Panicked(_)
            | TraceEvent::Failed(_)
            | TraceEvent::Fault(_)
            | TraceEvent::Logged(_) => Detail::Essential,
            TraceEvent::Preempted { .. } | TraceEvent::Overtakes { .. } => Detail::Essential,
            TraceEvent::DelayedAt { .. }
            | TraceEvent::DelayedAfter { .. }
            | TraceEvent::DelayedInside { .. }
            | TraceEvent::Delayed { .. } => Detail::Essential,
            TraceEvent::PreemptedInside { .. } | TraceEvent::Spins { .. } => Detail::Essential,
            TraceEvent::OutOfBudget { .. }
            | TraceEvent::SpuriousPending { .. }
            | TraceEvent::SpuriousWakeUp => Detail::Essential,
            TraceEvent::Adversary(_) => Detail::Essential,
            TraceEvent::Broken(_) | TraceEvent::Short { .. } => Detail::Essential,
            TraceEvent::Network(event) if event.is_transfer() => Detail::Everything,
            TraceEvent::Socket { transfer: true, .. } => Detail::Everything,
            TraceEvent::Socket { .. } => Detail::Connections,
            TraceEvent::Datagram(event) if event.is_transfer() => Detail::Everything,
            TraceEvent::Datagram(event) if event.is_fate() => Detail::Essential,
            TraceEvent::Local(event) if event.is_transfer() => Detail::Everything,
            TraceEvent::Local(_) => Detail::Connections,
            TraceEvent::Network(_)
            | TraceEvent::Datagram(_)
            | TraceEvent::Started { .. }
            | TraceEvent::Ended => Detail::Connections,
            TraceEvent::Waits(_) => Detail::Waits,
            #[cfg(all(feature = "process", not(miri)))]
            TraceEvent::Told(told) => told.detail,
        }
    }

    pub(super) fn describe(&self, event: &TraceEvent) -> String {
        match event {
            TraceEvent::Started { task } => format!("starts {}", self.name(*task)),
            TraceEvent::Ended => "ends".to_owned(),
            TraceEvent::Waits(wait) => format!("waits {}", wait.describe(self, Until::Shown)),
            TraceEvent::Preempted { before, by } => {
                format!("~ is preempted {} by {}", beside(*before), self.name(*by))
            }
            TraceEvent::OutOfBudget { operations, before } => {
                let plural = if *operations == 1 { "" } else { "s" };
                let before = self.describe_next(*before);
                format!("~ is preempted after {operations} operation{plural}, before {before}")
            }
            TraceEvent::Overtakes { first } => {
                format!("~ runs before {}, which was ready first", self.name(*first))
            }
            TraceEvent::DelayedAfter { after, nanos } => {
                format!("~ is delayed after `{after}` for {}", milliseconds(*nanos))
            }
            TraceEvent::DelayedAt { before, nanos } => {
                format!("~ is delayed {} for {}", beside(*before), milliseconds(*nanos))
            }
            TraceEvent::PreemptedInside { site, by } => {
                format!("~ is preempted at {} by {}", site.place(), self.name(*by))
            }
            TraceEvent::DelayedInside { site, nanos } => {
                format!("~ is delayed at {} for {}", site.place(), milliseconds(*nanos))
            }
            TraceEvent::Spins { site } => format!("spins at {}", site.place()),
            TraceEvent::Delayed { nanos } => {
                format!("~ could run, but is delayed for {}", milliseconds(*nanos))
            }
            TraceEvent::SpuriousPending { wait, nanos } => {
                format!(
                    "~ gets a spurious Pending before it can {}: woken {}",
                    self.describe_operation(*wait),
                    after(*nanos)
                )
            }
            TraceEvent::SpuriousWakeUp => "~ is woken spuriously".to_owned(),
            TraceEvent::Adversary(what) => format!("~ {what}"),
            TraceEvent::Broken(what) => format!("! broken: {what}"),
            TraceEvent::Short { transfer, could, short } => match transfer {
                Transfer::Read => format!("~ reads {short} B of {could}"),
                Transfer::Write => format!("~ writes {short} B of {could}"),
            },
            TraceEvent::Panicked(message) => format!("! panics: {}", first_line(message)),
            TraceEvent::Failed(message) => format!("! fails: {}", first_line(message)),
            TraceEvent::Network(event) => self.describe_network(event),
            TraceEvent::Socket { what, .. } => what.to_string(),
            TraceEvent::Datagram(event) => self.describe_datagram(event),
            TraceEvent::Local(event) => {
                self.network.as_ref().map_or_else(|| format!("{event:?}"), |network| event.describe(network))
            }
            TraceEvent::Fault(what) => format!("* {what}"),
            #[cfg(all(feature = "process", not(miri)))]
            TraceEvent::Told(told) => told.text.to_string(),
            TraceEvent::Logged(line) => format!("| {}", first_line(line)),
        }
    }

    fn describe_network(&self, event: &NetEvent) -> String {
        self.network.as_ref().map_or_else(|| format!("{event:?}"), |network| event.describe(network))
    }

    fn describe_datagram(&self, event: &DatagramEvent) -> String {
        let mark = if event.is_fate() { "* " } else { "" };
        let text =
            self.network.as_ref().map_or_else(|| format!("{event:?}"), |network| event.describe(network));
        format!("{mark}{text}")
    }

    fn describe_next(&self, next: Next) -> String {
        match next {
            Next::Wait(wait) => format!("it can {}", self.describe_operation(wait)),
            Next::Operation(operation) => format!("it can {operation}"),
            Next::OfTokio => "the next one on a tokio channel, lock, timer or socket".to_owned(),
        }
    }

    fn describe_operation(&self, wait: Wait) -> String {
        match wait {
            Wait::Sleep { until } => format!("see whether it is {}", milliseconds(until)),
            other => other.describe(self, Until::Shown).trim_start_matches("to ").to_owned(),
        }
    }
}

impl Names for Trace {
    fn task(&self, task: TaskId) -> Arc<str> {
        self.names.get(task.index()).cloned().unwrap_or_else(|| "?".into())
    }

    fn object(&self, object: u64) -> String {
        match (label_of(&self.labels, object), &self.network) {
            (Some(label), _) => label.to_string(),
            (None, Some(network)) => network.describe_object(object),
            (None, None) => String::new(),
        }
    }
}

/// Describes where a thread stopped at an operation. It releases a lock before others may run.
fn beside(operation: Operation) -> String {
    let order = if operation.verb == "unlock" { "after" } else { "before" };
    format!("{order} `{operation}`")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}
