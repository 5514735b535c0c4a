//! Threads for operations and hooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wavetank_runtime::Threads;

/// A pool has no thread for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no thread is free")]
pub struct Overloaded;

/// Runs jobs on threads.
pub trait Pool: Send + Sync + 'static {
    /// Runs `job` soon on a thread of its own. Does not wait until a thread is free.
    ///
    /// # Errors
    ///
    /// [`Overloaded`] if no thread is free. The job is dropped. The client gets `error` for the operation; if the job
    /// was `on_connect`, the connection is closed with 1013. A job that is dropped later is answered likewise.
    fn execute(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), Overloaded>;
}

/// A pool that starts a thread for each job, up to a number at a time.
#[derive(Debug)]
pub struct SpawnPool<W> {
    threads: W,
    running: Arc<AtomicUsize>,
    threads_max: usize,
}

impl<W: Threads> SpawnPool<W> {
    /// Makes a pool of at most `threads_max` threads.
    #[must_use]
    pub fn new(threads: W, threads_max: usize) -> Self {
        Self { threads, running: Arc::default(), threads_max }
    }
}

/// Counts a thread until it has ended.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<W: Threads> Pool for SpawnPool<W> {
    fn execute(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), Overloaded> {
        let counted = self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, |running| {
            (running < self.threads_max).then_some(running + 1)
        });
        counted.map_err(|_| Overloaded)?;
        let running = Running(Arc::clone(&self.running));
        let body = move || {
            let _running = running;
            job();
        };
        self.threads.spawn("graphql job", body).map(drop).map_err(|_| Overloaded)
    }
}
