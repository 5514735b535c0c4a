//! The `tracing-subscriber` layer that brings the events of code under test into the trace.
//!
//! One subscriber serves all runs of the process. With one per run, `tracing` would re-examine every call site under a
//! global lock. It finds the run of its OS thread by itself.

use std::fmt::{self, Write};
use std::rc::Rc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::{Run, context};
use crate::trace::{TraceEvent, dispatch_or_init, is_switching, set_formatting};

/// Runs code under test that formats fields. It may call the runtime traits, and is not preempted.
fn formatting(format: impl FnOnce(&mut Fields)) -> Fields {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            set_formatting(self.0);
        }
    }
    let _reset = Reset(set_formatting(true));
    let mut fields = Fields::default();
    format(&mut fields);
    fields
}

/// The run that this thread is in, also in the code of an unmodified program.
fn current() -> Option<Rc<Run>> {
    #[cfg(all(feature = "process", not(miri)))]
    return crate::interpose::user::in_kernel(context::current);
    #[cfg(not(all(feature = "process", not(miri))))]
    context::current()
}

/// The process's subscriber for runs.
pub(crate) fn dispatch() -> &'static Dispatch {
    dispatch_or_init(|| Dispatch::new(tracing_subscriber::registry().with(TraceLayer)))
}

struct TraceLayer;

/// The text of a span in front of its events: `name{field=value}`.
struct Label(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TraceLayer {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // `tracing` asks once per process, perhaps on a thread that simulates nothing. `enabled` must be asked each
        // time.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let asked_for = current().is_some_and(|run| *metadata.level() <= run.trace_level);
        asked_for && !is_tick_of_turmoil(metadata)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let fields = formatting(|fields| attributes.record(fields));
        let mut label = attributes.metadata().name().to_owned();
        if !fields.others.is_empty() {
            let _ = write!(label, "{{{}}}", fields.others.trim_start());
        }
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Label(label));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let fields = formatting(|fields| values.record(fields));
        if let Some(span) = context.span(id)
            && let Some(Label(label)) = span.extensions_mut().get_mut::<Label>()
        {
            label.push_str(&fields.others);
        }
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if !is_switching()
            && let Some(run) = context::current()
        {
            run.scheduler.with_spans(|spans| spans.push(id.clone()));
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if !is_switching()
            && let Some(run) = context::current()
        {
            run.scheduler.with_spans(|spans| {
                if let Some(index) = spans.iter().rposition(|entered| entered == id) {
                    spans.remove(index);
                }
            });
        }
    }

    fn on_event(&self, event: &Event<'_>, scope: Context<'_, S>) {
        let Some(run) = current() else { return };
        let mut line = String::new();
        for span in scope.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            // turmoil's own span names the host, and so does the task. Code outside of our tasks needs the span.
            if span.metadata().target() == "turmoil::sim" && run.scheduler.current().is_some() {
                continue;
            }
            if let Some(Label(label)) = span.extensions().get::<Label>() {
                let _ = write!(line, "{label}: ");
            }
        }
        let fields = formatting(|fields| event.record(fields));
        line.push_str(&fields.message);
        line.push_str(&fields.others);
        if *event.metadata().level() < tracing::Level::INFO {
            line.insert_str(0, &format!("{}: ", event.metadata().level()));
        }
        run.scheduler.trace_event(TraceEvent::Logged(line.into_boxed_str()));
    }
}

/// Returns `true` for turmoil's event of each step: a line per millisecond, which would bury its events about messages.
fn is_tick_of_turmoil(metadata: &Metadata<'_>) -> bool {
    *metadata.level() == tracing::Level::TRACE
        && metadata.target() == "turmoil"
        && metadata.module_path() == Some("turmoil::sim")
        && metadata.fields().len() == 1
}

/// Formats fields: the message separately, the others as ` name=value`.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            let _ = write!(self.others, " {}={value}", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            let _ = write!(self.others, " {}={value:?}", field.name());
        }
    }
}
