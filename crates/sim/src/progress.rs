//! The progress of a run's OS thread, for the watchdog on another OS thread.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The number of every task that tokio runs by itself.
const OF_TOKIO: u32 = u32::MAX;

/// The progress of a run, and the task that runs.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    steps: AtomicU64,
    ticks: AtomicU64,
    running: AtomicU32,
    /// The system's number of the OS thread, or 0.
    thread: AtomicI32,
    /// The watchdog has given the run up.
    is_given_up: AtomicBool,
    names: Mutex<Vec<String>>,
    /// Where another OS process reads the steps.
    #[cfg(feature = "process")]
    watched: Option<&'static AtomicU64>,
}

impl Progress {
    /// Notes that a step of task number `task` begins.
    pub(crate) fn step(&self, steps: u64, task: u32) {
        self.steps.store(steps, Ordering::Relaxed);
        self.running.store(task, Ordering::Relaxed);
        #[cfg(feature = "process")]
        if let Some(watched) = self.watched {
            watched.store(steps, Ordering::Relaxed);
        }
    }

    /// The progress of a run that another OS process watches, by its steps in memory that both share.
    #[cfg(feature = "process")]
    pub(crate) fn told_to(steps: &'static AtomicU64) -> Self {
        Self { watched: Some(steps), ..Self::default() }
    }

    /// Notes that a step of a task begins that tokio runs by itself.
    pub(crate) fn step_of_tokio(&self, steps: u64) {
        self.step(steps, OF_TOKIO);
    }

    /// Names task number `task`. Tasks are named in the order of their numbers.
    pub(crate) fn name(&self, task: u32, name: &str) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        debug_assert_eq!(names.len(), task as usize, "tasks are named in order");
        names.push(name.to_owned());
    }

    /// Gives task number `task` another name.
    #[cfg(feature = "process")]
    pub(crate) fn rename(&self, task: u32, name: &str) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get_mut(task as usize) {
            name.clone_into(known);
        }
    }

    /// Notes a step of the one task of a toy.
    #[cfg(test)]
    pub(crate) fn note(&self, running: &str) {
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = vec![running.to_owned()];
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the steps so far. If the number does not change for seconds of real time, code under test waits for
    /// something real, or loops.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed).wrapping_add(self.ticks.load(Ordering::Relaxed))
    }

    /// Notes progress without a task: a host is set up, or a simulation in ticks idles.
    pub(crate) fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the run is on this OS thread.
    #[cfg_attr(target_os = "linux", expect(unsafe_code, reason = "std does not tell the system's number"))]
    pub(crate) fn runs_here(&self) {
        // SAFETY: the call takes nothing and never fails.
        #[cfg(target_os = "linux")]
        self.thread.store(unsafe { libc::gettid() }, Ordering::Relaxed);
    }

    /// The system's number of the run's OS thread, or 0.
    pub(crate) fn thread(&self) -> i32 {
        self.thread.load(Ordering::Relaxed)
    }

    /// Notes that the watchdog has given the run up.
    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    /// Whether the watchdog has given the run up.
    #[cfg(feature = "process")]
    pub(crate) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// Repeats what the run has noted, which another OS process does. `running` names the task that runs there.
    #[cfg(feature = "process")]
    pub(crate) fn repeat(&self, steps: u64, running: &str) {
        self.thread.store(0, Ordering::Relaxed);
        self.ticks.store(0, Ordering::Relaxed);
        self.steps.store(steps, Ordering::Relaxed);
        self.running.store(0, Ordering::Relaxed);
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = vec![running.to_owned()];
    }

    /// Names the task that ran last.
    pub(crate) fn running(&self) -> String {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.running.load(Ordering::Relaxed);
        if running == OF_TOKIO {
            return "a task that tokio runs by itself".to_owned();
        }
        names.get(running as usize).cloned().unwrap_or_else(|| "the test's own set-up".to_owned())
    }
}
