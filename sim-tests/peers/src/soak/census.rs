//! Counts this process's descriptors, threads and memory, as Linux reports them.

use std::{fmt, fs, io};

/// One count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Census {
    descriptors: usize,
    threads: usize,
    resident_kib: usize,
}

impl Census {
    /// Counts now. Every count includes the descriptor that it uses.
    pub(super) fn take() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        Ok(Self {
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            threads: fs::read_dir("/proc/self/task")?.count(),
            resident_kib: resident.and_then(|kib| kib.parse().ok()).unwrap_or(0),
        })
    }

    /// Returns the larger number of each kind.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
            resident_kib: self.resident_kib.max(other.resident_kib),
        }
    }

    /// Returns `true` if there are more descriptors or threads than in `other`.
    pub(super) fn exceeds(self, other: Self) -> bool {
        self.descriptors > other.descriptors || self.threads > other.threads
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, threads, resident_kib } = self;
        write!(f, "{descriptors} descriptors, {threads} threads, {} MiB", resident_kib >> 10)
    }
}
