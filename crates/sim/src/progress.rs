//! The progress of a run's OS thread, for the watchdog on another OS thread.

#[cfg(feature = "process")]
use std::sync::atomic::AtomicU8;
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
    /// Where another OS process reads it.
    #[cfg(feature = "process")]
    shared: Option<&'static SharedProgress>,
}

impl Progress {
    /// Notes that a step of task number `task` begins.
    pub(crate) fn step(&self, steps: u64, task: u32) {
        self.steps.store(steps, Ordering::Relaxed);
        self.running.store(task, Ordering::Relaxed);
        #[cfg(feature = "process")]
        if let Some(shared) = self.shared {
            shared.steps.store(steps, Ordering::Relaxed);
            shared.running.store(task, Ordering::Relaxed);
        }
    }

    /// The progress of a run that another OS process watches.
    #[cfg(feature = "process")]
    pub(crate) fn told_to(shared: &'static SharedProgress) -> Self {
        Self { shared: Some(shared), ..Self::default() }
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
        #[cfg(feature = "process")]
        if let Some(shared) = self.shared {
            shared.name(task, name);
        }
    }

    /// Gives task number `task` another name.
    #[cfg(feature = "process")]
    pub(crate) fn rename(&self, task: u32, name: &str) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get_mut(task as usize) {
            name.clone_into(known);
        }
        if let Some(shared) = self.shared {
            shared.name(task, name);
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

    /// Repeats what the run has noted, which another OS process does.
    #[cfg(feature = "process")]
    pub(crate) fn repeat(&self, shared: &SharedProgress) {
        self.thread.store(0, Ordering::Relaxed);
        self.ticks.store(0, Ordering::Relaxed);
        self.steps.store(shared.steps.load(Ordering::Relaxed), Ordering::Relaxed);
        self.running.store(0, Ordering::Relaxed);
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = vec![shared.running()];
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

/// The progress of a run in memory that OS processes share. Zeroes are a run that has not begun.
#[cfg(feature = "process")]
#[derive(Debug)]
pub(crate) struct SharedProgress {
    steps: AtomicU64,
    running: AtomicU32,
    /// The names of tasks, by number. Later ones take the places of earlier ones.
    names: [[AtomicU8; Self::NAME_BYTES]; Self::NAMES],
}

#[cfg(feature = "process")]
impl SharedProgress {
    const NAMES: usize = 256;
    const NAME_BYTES: usize = 64;

    fn name(&self, task: u32, name: &str) {
        let bytes = name.bytes().chain(std::iter::repeat(0));
        for (to, from) in self.names[task as usize % Self::NAMES].iter().zip(bytes) {
            to.store(from, Ordering::Relaxed);
        }
    }

    /// Forgets the run before.
    pub(crate) fn begin(&self) {
        self.steps.store(0, Ordering::Relaxed);
        self.running.store(0, Ordering::Relaxed);
        self.name(0, "");
    }

    /// Names the task that ran last.
    pub(crate) fn running(&self) -> String {
        let name = &self.names[self.running.load(Ordering::Relaxed) as usize % Self::NAMES];
        let name: Vec<u8> =
            name.iter().map(|byte| byte.load(Ordering::Relaxed)).take_while(|byte| *byte != 0).collect();
        if name.is_empty() {
            "the test's own set-up".to_owned()
        } else {
            String::from_utf8_lossy(&name).into_owned()
        }
    }
}
