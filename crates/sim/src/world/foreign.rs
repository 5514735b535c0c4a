//! Tasks of `tokio::spawn`, in code under test or in a crate that it uses.
//!
//! The scheduler neither steps nor schedules them. But they sleep on tokio's clock, use the network, arm timers and
//! panic. So hooks of tokio's runtime tell the run about each of their polls.
//!
//! # Invariants
//!
//! - While such a task is polled, the clock shows the time at which tokio polls it, also during a long jump.
//! - The root future runs again after every batch of such polls, before time passes.
//! - An uncaught panic ends the run with the name of its task.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::task::Id;

use super::{Run, context};
use crate::symptom::{Symptom, SymptomKind};
use crate::time::Nanos;
use crate::wait::HostIndex;
use crate::{interpose, panics};

/// How often in a row tokio may run tasks at one moment before time passes anyway. A task that yields in a loop until
/// something has happened must not stop the clock.
pub(crate) const ROUNDS_MAX: u32 = 200;

/// The state of tokio's own tasks in a run.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    names: RefCell<BTreeMap<Id, (HostIndex, Arc<str>)>>,
    polls: Cell<u64>,
    polled: Cell<Option<Id>>,
    /// The task that was polled last.
    last: Cell<Option<Id>>,
    /// The message of a panic that tokio swallowed after the end of the run.
    swallowed: RefCell<Option<String>>,
    /// tokio's instant at virtual time zero, while tokio moves the clock.
    clock: Cell<Option<tokio::time::Instant>>,
}

/// Makes the runtime report what it does by itself.
#[cfg(tokio_unstable)]
pub(crate) fn watch(builder: &mut Builder, tolerate_panics: bool) {
    builder.on_task_spawn(|meta| {
        // It may arm timers at any time, and the scheduler does not know them.
        interpose::observe();
        if let Some(run) = context::current() {
            run.spawned_by_tokio(meta.id());
        }
    });
    builder.on_before_task_poll(|meta| {
        if let Some(run) = context::current() {
            run.before_poll(meta.id());
        }
    });
    builder.on_after_task_poll(|_| {
        if let Some(run) = context::current() {
            run.after_poll();
        }
    });
    if !tolerate_panics {
        builder.unhandled_panic(tokio::runtime::UnhandledPanic::ShutdownRuntime);
    }
}

#[cfg(not(tokio_unstable))]
pub(crate) fn watch(_: &mut Builder, _: bool) {
    unreachable!("sweeps look at the build first, see `settings::problem_of_build`");
}

impl Foreign {
    /// Counts the polls of tokio's own tasks so far.
    pub(crate) const fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Notes that tokio moves the clock from now on, or no longer.
    pub(crate) fn set_clock(&self, start: Option<tokio::time::Instant>) {
        self.clock.set(start);
    }
}

impl Run {
    /// Names a task after the host whose code has spawned it.
    #[cfg_attr(not(tokio_unstable), expect(dead_code, reason = "sweeps refuse such a build"))]
    fn spawned_by_tokio(&self, id: Id) {
        let host = self.scheduler.running_host().or_else(|| {
            let polled = self.foreign.polled.get()?;
            self.foreign.names.borrow().get(&polled).map(|(host, _)| *host)
        });
        if let Some(host) = host {
            let name = self.scheduler.numbered(&format!("{}/tokio-task", self.hosts[host].name));
            self.foreign.names.borrow_mut().insert(id, (host, name.into()));
        }
    }

    #[cfg_attr(not(tokio_unstable), expect(dead_code, reason = "sweeps refuse such a build"))]
    fn before_poll(&self, id: Id) {
        if let Some(start) = self.foreign.clock.get() {
            let now = tokio::time::Instant::now() - start;
            self.scheduler.set_now(Nanos::try_from(now.as_nanos()).unwrap_or(Nanos::MAX));
        }
        self.foreign.polled.set(Some(id));
        self.foreign.last.set(Some(id));
        self.scheduler.count_foreign_step();
        interpose::set_polling(true);
    }

    #[cfg_attr(not(tokio_unstable), expect(dead_code, reason = "sweeps refuse such a build"))]
    fn after_poll(&self) {
        self.foreign.polled.set(None);
        interpose::set_polling(false);
        self.foreign.polls.set(self.foreign.polls.get() + 1);
        // The poll may have changed the next event.
        self.scheduler.wake_root();
    }

    /// Returns tokio's task that is polled now.
    pub(crate) fn polled_name(&self) -> Option<Arc<str>> {
        self.foreign.polled.get().map(|id| self.name_of(id))
    }

    fn name_of(&self, id: Id) -> Arc<str> {
        let names = self.foreign.names.borrow();
        names.get(&id).map_or_else(|| "a task of tokio's".into(), |(_, name)| name.clone())
    }

    /// Describes what runs now.
    pub(crate) fn who_runs(&self) -> Arc<str> {
        let running = self.scheduler.running_name().or_else(|| self.polled_name());
        running.unwrap_or_else(|| "code outside of all tasks".into())
    }

    /// Ends the run with a panic after which tokio has shut its runtime down.
    pub(crate) fn fail_by_foreign_panic(&self) {
        let who = self.foreign.last.get().map_or_else(|| "a task of tokio's".into(), |id| self.name_of(id));
        let message = panics::last_message().unwrap_or_else(|| "a panic without a message".to_owned());
        self.scheduler.fail_by_panic(&who, &message);
    }

    /// Fails the run, because of a panic that tokio catches without reporting it.
    pub(super) fn swallowed_by_tokio(&self, message: &str) {
        if self.scheduler.is_tearing_down() {
            self.foreign.swallowed.replace(Some(message.to_owned()));
        } else if !self.scheduler.tolerates_panics()
            && !self.scheduler.being_torn_down()
            && self.has_runtime()
        {
            self.scheduler.fail_by_panic(&self.who_runs(), message);
        }
    }

    /// Returns `false` for a panic outside of all tasks where no task was spawned on the run's own runtime: turmoil's
    /// runtimes shut down, and report it.
    fn has_runtime(&self) -> bool {
        self.scheduler.current().is_some() || !self.foreign.names.borrow().is_empty()
    }

    /// Ends the run with a panic that tokio swallowed when it dropped its tasks at the end.
    pub(crate) fn fail_by_panic_at_the_end(&self) {
        // Without symbols any panic that has begun since then counts, also one that was caught.
        let unknown =
            || panics::last_message().filter(|_| !interpose::as_simulator(panics::catcher::can_tell));
        let Some(message) = self.foreign.swallowed.take().or_else(unknown) else { return };
        let detail = format!("a task of tokio's, when it was dropped at the end of the run: {message}");
        self.scheduler.fail_at_the_end(Symptom::new(SymptomKind::Panic, detail));
    }
}
