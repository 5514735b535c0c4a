//! How much CPU time a cell of the table may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use cpu_time::ProcessTime;

/// A budget of CPU time of this process, from when it is made.
#[derive(Clone, Debug)]
pub struct Budget {
    begin: ProcessTime,
    limit: Duration,
    was_spent: Arc<AtomicBool>,
}

impl Budget {
    /// Begins to count.
    pub fn new(limit: Duration) -> Self {
        Self { begin: ProcessTime::now(), limit, was_spent: Arc::new(AtomicBool::new(false)) }
    }

    /// Returns the CPU time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Looks at the clock: returns `true` if the budget is spent.
    pub fn is_spent(&self) -> bool {
        let is_spent = self.elapsed() >= self.limit;
        self.was_spent.fetch_or(is_spent, Relaxed);
        is_spent
    }

    /// Returns `true` if a look at the clock found the budget spent.
    pub fn was_spent(&self) -> bool {
        self.was_spent.load(Relaxed)
    }
}
