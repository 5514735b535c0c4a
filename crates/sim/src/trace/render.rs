//! Renders a trace: one event a line, stable from machine to machine, short enough to review.
//!
//! Events have a level of detail. A trace shows the finest level at which it fits into [`LINES_MAX`] lines; a failure that
//! has been shrunk usually shows everything. What does not fit even at the coarsest level is cut from the middle, and
//! the cut says how much.

use std::fmt::Write;

use super::{Event, Fact, Next, Trace, label_of};
use crate::executor::{Operation, TaskId, Wait};
use crate::faults::Transfer;
use crate::net::{DatagramEvent, Nanos, NetEvent};
use crate::plain;

/// A rendered trace has at most this many lines.
pub(crate) const LINES_MAX: usize = 60;

/// From what a reader must see to what completes the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    Essential,
    Connections,
    Waits,
    Everything,
}

impl Trace {
    /// Renders the trace in at most 60 lines.
    #[must_use]
    pub fn render(&self) -> String {
        let levels = [Detail::Everything, Detail::Waits, Detail::Connections, Detail::Essential];
        let fits =
            |detail: Detail| self.events().filter(|event| self.detail(event) <= detail).count() <= LINES_MAX;
        let detail = levels.into_iter().find(|&level| fits(level)).unwrap_or(Detail::Essential);
        let shown: Vec<&Event> = self.events().filter(|event| self.detail(event) <= detail).collect();
        let width =
            shown.iter().filter_map(|event| event.task).map(|task| self.name(task).len()).max().unwrap_or(0);
        let mut text = String::new();
        if shown.len() <= LINES_MAX && self.dropped == 0 {
            shown.iter().for_each(|event| self.write_line(&mut text, event, width));
            return text;
        }
        // The beginning says what the scene is, the end how it failed: the end gets more room.
        let (first, last) = (LINES_MAX / 3, LINES_MAX - LINES_MAX / 3 - 1);
        shown[..first].iter().for_each(|event| self.write_line(&mut text, event, width));
        let left_out = shown.len().saturating_sub(first + last) + self.dropped;
        let _ = writeln!(text, "{:>14}  … {left_out} events …", "");
        shown[shown.len() - last..].iter().for_each(|event| self.write_line(&mut text, event, width));
        text
    }

    /// Renders one event, for a comparison.
    pub(super) fn line(&self, event: &Event) -> String {
        let mut text = String::new();
        self.write_line(&mut text, event, 0);
        text.trim().to_owned()
    }

    fn write_line(&self, text: &mut String, event: &Event, width: usize) {
        let who = event.task.map_or("", |task| self.name(task));
        let line = format!("{:>12}  {who:<width$}  {}", milliseconds(event.at), self.describe(&event.fact));
        let _ = writeln!(text, "{}", plain::line(line.trim_end()));
    }

    pub(super) fn name(&self, task: TaskId) -> &str {
        self.names.get(task.index()).map_or("?", |name| name)
    }

    fn detail(&self, event: &Event) -> Detail {
        match &event.fact {
            Fact::Panicked(_) | Fact::Failed(_) | Fact::Fault(_) | Fact::Logged(_) => Detail::Essential,
            Fact::Preempted { .. } | Fact::Overtakes { .. } => Detail::Essential,
            Fact::HeldBack { .. } | Fact::Withheld { .. } => Detail::Essential,
            Fact::OutOfBudget { .. } | Fact::Deferred { .. } | Fact::WokenForNothing => Detail::Essential,
            Fact::Adversary(_) => Detail::Essential,
            Fact::Broken(_) | Fact::Short { .. } => Detail::Essential,
            Fact::Network(event) if event.is_transfer() => Detail::Everything,
            #[cfg(feature = "turmoil")]
            Fact::Socket { transfer: true, .. } => Detail::Everything,
            #[cfg(feature = "turmoil")]
            Fact::Socket { .. } => Detail::Connections,
            Fact::Datagram(event) if event.is_transfer() => Detail::Everything,
            Fact::Datagram(event) if event.is_fate() => Detail::Essential,
            Fact::Local(event) if event.is_transfer() => Detail::Everything,
            Fact::Local(_) => Detail::Connections,
            Fact::Network(_) | Fact::Datagram(_) | Fact::Started { .. } | Fact::Ended => Detail::Connections,
            Fact::Waits(_) => Detail::Waits,
        }
    }

    fn describe(&self, fact: &Fact) -> String {
        match fact {
            Fact::Started { task } => format!("starts {}", self.name(*task)),
            Fact::Ended => "ends".to_owned(),
            Fact::Waits(wait) => format!("waits {}", self.describe_wait(*wait)),
            Fact::Preempted { before, by } => {
                format!("~ is preempted {} by {}", beside(*before), self.name(*by))
            }
            Fact::OutOfBudget { operations, before } => {
                let plural = if *operations == 1 { "" } else { "s" };
                let before = self.describe_next(*before);
                format!("~ is preempted after {operations} operation{plural}, before {before}")
            }
            Fact::Overtakes { first } => {
                format!("~ runs before {}, which was ready first", self.name(*first))
            }
            Fact::HeldBack { before, nanos } => {
                format!("~ is held back {} for {}", beside(*before), milliseconds(*nanos))
            }
            Fact::Withheld { nanos } => format!("~ could run, but is held back for {}", milliseconds(*nanos)),
            Fact::Deferred { wait, nanos } => {
                format!("~ is not let {} yet: woken {}", self.describe_deferred(*wait), after(*nanos))
            }
            Fact::WokenForNothing => "~ is woken for nothing".to_owned(),
            Fact::Adversary(what) => format!("~ {what}"),
            Fact::Broken(what) => format!("! broken: {what}"),
            Fact::Short { transfer, could, short } => match transfer {
                Transfer::Read => format!("~ reads {short} B of {could}"),
                Transfer::Write => format!("~ writes {short} B of {could}"),
            },
            Fact::Panicked(message) => format!("! panics: {}", first_line(message)),
            Fact::Failed(message) => format!("! fails: {}", first_line(message)),
            Fact::Network(event) => self.describe_network(event),
            #[cfg(feature = "turmoil")]
            Fact::Socket { what, .. } => what.to_string(),
            Fact::Datagram(event) => self.describe_datagram(event),
            Fact::Local(event) => {
                self.network.as_ref().map_or_else(|| format!("{event:?}"), |network| event.describe(network))
            }
            Fact::Fault(what) => format!("* {what}"),
            Fact::Logged(line) => format!("| {}", first_line(line)),
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
            Next::Wait(wait) => format!("it can {}", self.describe_deferred(wait)),
            Next::Operation(operation) => format!("it can {operation}"),
            Next::OfTokio => "the next one on a tokio channel, lock, timer or socket".to_owned(),
        }
    }

    fn describe_deferred(&self, wait: Wait) -> String {
        match wait {
            Wait::Sleep { until } => format!("see whether it is {}", milliseconds(until)),
            other => self.describe_wait(other).trim_start_matches("to ").to_owned(),
        }
    }

    fn describe_object(&self, object: u64) -> String {
        match (label_of(&self.labels, object), &self.network) {
            (Some(label), _) => label.to_string(),
            (None, Some(network)) => network.describe_object(object),
            (None, None) => String::new(),
        }
    }

    fn describe_wait(&self, wait: Wait) -> String {
        match wait {
            Wait::Lock { name, holder } => format!("for the lock `{name}`, held by {}", self.name(holder)),
            Wait::Condvar { name, until: None } => format!("for a notification on `{name}`"),
            Wait::Condvar { name, until: Some(until) } => {
                format!("for a notification on `{name}`, until {}", milliseconds(until))
            }
            Wait::Sleep { until } => format!("until {}", milliseconds(until)),
            Wait::Join { task } => format!("for the end of {}", self.name(task)),
            Wait::Outside { verb, object, until } => {
                let object = self.describe_object(object);
                match until {
                    None => format!("to {verb} {object}"),
                    Some(until) => format!("to {verb} {object}, until {}", milliseconds(until)),
                }
            }
        }
    }
}

/// A time as milliseconds, exact to the microsecond, as all reports show it.
pub(crate) fn milliseconds(nanos: Nanos) -> String {
    format!("{}.{:03}ms", nanos / 1_000_000, nanos % 1_000_000 / 1_000)
}

/// Where a thread stopped at an operation, in words: it gives a lock back before others may run.
fn beside(operation: Operation) -> String {
    let order = if operation.verb == "unlock" { "after" } else { "before" };
    format!("{order} `{operation}`")
}

/// How long after now, in words.
pub(crate) fn after(nanos: Nanos) -> String {
    if nanos == 0 { "at once".to_owned() } else { format!("after {}", milliseconds(nanos)) }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}
