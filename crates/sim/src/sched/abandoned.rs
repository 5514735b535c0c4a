//! Destructors that panic while their stack unwinds. The run fails, and the process continues.
//!
//! Rust ends a process in which that happens. Here threads, and everything that is torn down, have stacks of their
//! own. Such a stack is abandoned (`coroutine`), and the panic fails the run.

use std::sync::Arc;

use super::coroutine::{is_on_own_stack, on_own_stack};
use super::lifecycle::{Panic, caught, is_from_teardown};
use super::{Body, Scheduler, Symptom, SymptomKind};
use crate::interpose;
use crate::panics::LastPanic;

/// The size of an OS thread's stack, on which destructors run otherwise.
const STACK_BYTES: usize = 2 << 20;

/// The remedy for a panic that no real process would have.
const KILLED: &str = "a killed process runs no destructors; those of a simulated one run, cut off from the simulation, \
                      because its memory is shared. Let this one not panic while its thread unwinds \
                      (`std::thread::panicking`)";

impl Scheduler {
    /// Returns `true` if the running stack can be abandoned.
    pub(crate) fn can_abandon(&self) -> bool {
        interpose::CATCHES_ABORT && is_on_own_stack()
    }

    /// Fails the run, unless it has a verdict: a destructor has panicked with `then` while the running stack unwound.
    /// `first` is the panic that unwinds it, unless it is torn down. The caller then abandons the stack.
    pub(crate) fn fail_by_abandoning(&self, first: Option<LastPanic>, then: LastPanic) {
        let who = self.running_name().unwrap_or_else(|| Arc::from("what is left of the test"));
        let is_at_the_end = self.is_at_the_end();
        let is_torn_down = self.tearing_down.get() || self.being_torn_down();
        if is_torn_down && is_from_teardown(&then.message) {
            return;
        }
        let (detail, place) = match first.filter(|_| !is_torn_down) {
            _ if is_at_the_end => {
                (format!("{who}, when it was dropped at the end of the run: {}", then.message), then.place)
            }
            Some(first) => {
                let detail = format!(
                    "{who}: {}\nwhile that panic unwound the stack a destructor panicked, for which Rust ends a \
                     process: {}",
                    first.message, then.whole
                );
                (detail, first.place)
            }
            None => (format!("{who}, when its host was killed: {}\n{KILLED}", then.message), then.place),
        };
        self.fail_anyway(Symptom::new(SymptomKind::Panic, detail), Some(place));
        crate::trace::set_formatting(false);
    }

    /// Drops the future or coroutine of a task that has not ended.
    pub(super) fn drop_unfinished(&self, body: Body) -> Result<(), Panic> {
        match body {
            Body::Task(task) => self.drop_apart(task),
            thread @ Body::Thread(_) => interpose::as_code_under_test(|| caught(|| drop(thread))),
            #[cfg(all(feature = "process", not(miri)))]
            Body::User(thread) => caught(|| drop(thread)),
        }
    }

    /// Drops `value` on a stack of its own.
    pub(super) fn drop_apart<T: 'static>(&self, value: T) -> Result<(), Panic> {
        let drop_it = move || {
            on_own_stack(STACK_BYTES, move || drop(value));
        };
        interpose::as_code_under_test(|| caught(drop_it))
    }

    /// Drops `value`, which holds values of code under test, after the run has ended.
    pub(crate) fn drop_at_the_end<T: 'static>(&self, what: &str, value: T) {
        if let Err(panic) = self.drop_apart(value) {
            let detail = format!("{what}, when it was dropped at the end of the run: {}", panic.message());
            self.fail_at_the_end(Symptom::new(SymptomKind::Panic, detail));
        }
    }

    /// Returns `true` if the whole run is torn down, and not only a host of turmoil that crashes.
    pub(super) fn is_at_the_end(&self) -> bool {
        #[cfg(feature = "turmoil")]
        let is_crash = self.entered_host().is_some();
        #[cfg(not(feature = "turmoil"))]
        let is_crash = false;
        self.tearing_down.get() && !is_crash
    }
}
