//! How a process ends: by returning from its main, by `exit`, by a panic, an abort or a signal.

use std::panic::resume_unwind;

use super::call::Call;
use crate::interpose::user;
use crate::net::HostId;
use crate::symptom::{Symptom, SymptomKind};
use crate::trace::TraceEvent;

/// Why a process ends.
pub(super) enum End {
    /// By its exit status.
    Exit(i32),
    /// Its main returned an error.
    Failed(String),
    /// Its main panicked.
    Panicked(String),
    /// It aborted.
    Aborted,
}

/// Ends the process of the thread that runs now, in user mode: all its threads, and all that it has open.
pub(super) fn end_process(end: End) -> ! {
    let Some(thread) = user::user() else { resume_unwind(Box::new("a process ends on a thread of its own")) };
    user::kernel(thread, || {
        let call = Call::of(thread);
        let (run, host) = (&call.run, thread.host.get());
        match end {
            End::Exit(0) => {}
            End::Exit(status) => {
                call.host().main_ended(Err::<(), _>(format!("it exited with status {status}")))
            }
            End::Failed(failure) => call.host().main_ended(Err::<(), _>(failure)),
            End::Panicked(message) => run.scheduler.panicked_with(call.task(), &message),
            End::Aborted => fail(&call, "the process aborted"),
        }
        run.scheduler.trace_event(TraceEvent::Ended);
        run.network(|network, now, outside| network.kill(now, outside, HostId::new(host)));
        call.system.forget_host(host);
        // Does not return to a thread of the host.
        run.scheduler.kill_host(host);
    });
    thread.leave()
}

/// Fails the run, because something ended the process that runs now.
fn fail(call: &Call, how: &str) {
    let detail = format!("{}: {how}", call.run.who_runs());
    call.run.scheduler.trace_event(TraceEvent::Panicked(how.into()));
    call.run.scheduler.fail(Symptom::new(SymptomKind::Panic, detail));
}

/// A thread in user mode has made a fault, which would end its process.
pub(crate) fn fault(how: &str) -> ! {
    match user::user() {
        Some(thread) => {
            user::kernel(thread, || fail(&Call::of(thread), how));
            thread.leave()
        }
        None => std::process::abort(),
    }
}
