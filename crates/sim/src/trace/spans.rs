//! The `tracing` spans of threads, and a flag for code under test that formats a field.
//!
//! Threads of a run share an OS thread, and so `tracing`'s stack of entered spans. A thread that suspends leaves its
//! spans, and enters them again when it resumes ([`leave_spans`], [`reenter_spans`]). The scheduler keeps the list.
//!
//! Formatting a field runs code under test, and meanwhile `tracing` drops all other events of the OS thread. So a
//! thread is not preempted there. If the formatter has to wait, for a lock for example, other threads do run. Their
//! events until then are missing from the trace (in every replay alike).

use std::cell::Cell;
use std::sync::OnceLock;

use tracing::Dispatch;
use tracing::span::Id;
use tracing::subscriber::NoSubscriber;

thread_local! {
    /// Set while spans change because another thread of the simulation runs, not because code entered or left them.
    static SWITCHING: Cell<bool> = const { Cell::new(false) };
    /// Set while code under test formats a field: `tracing` drops all other events meanwhile.
    static FORMATTING: Cell<bool> = const { Cell::new(false) };
}

/// The subscriber of all runs, and a second one.
///
/// With one dispatcher only, `tracing` asks that of the first thread at a call site, once. A thread that simulates
/// nothing has none, and the call site would be off in every later run. With two dispatchers `tracing` asks both.
static DISPATCH: OnceLock<(Dispatch, Dispatch)> = OnceLock::new();

/// Returns the process's subscriber for runs. The first call makes it.
pub(crate) fn dispatch_or_init(make: impl FnOnce() -> Dispatch) -> &'static Dispatch {
    &DISPATCH.get_or_init(|| (make(), Dispatch::new(NoSubscriber::new()))).0
}

/// Returns `true` if code under test formats a field now.
pub(crate) fn is_formatting() -> bool {
    FORMATTING.get()
}

/// Sets whether code under test formats a field. Returns the previous value.
pub(crate) fn set_formatting(formatting: bool) -> bool {
    FORMATTING.replace(formatting)
}

/// Returns `true` while the scheduler switches spans.
pub(crate) fn is_switching() -> bool {
    SWITCHING.get()
}

/// Leaves `spans`, the innermost first: their thread suspends.
pub(crate) fn leave_spans(spans: &[Id]) {
    switch(spans.iter().rev(), |dispatch, span| dispatch.exit(span));
}

/// Enters `spans` again, the outermost first: their thread resumes.
pub(crate) fn reenter_spans(spans: &[Id]) {
    switch(spans.iter(), |dispatch, span| dispatch.enter(span));
}

fn switch<'a>(spans: impl ExactSizeIterator<Item = &'a Id>, f: impl Fn(&Dispatch, &Id)) {
    if spans.len() == 0 {
        return;
    }
    SWITCHING.set(true);
    if let Some((dispatch, _)) = DISPATCH.get() {
        spans.for_each(|span| f(dispatch, span));
    }
    SWITCHING.set(false);
}
