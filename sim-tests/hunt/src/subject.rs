//! What is swept: a crate under a workload.

use wavetank::Sim;

/// A crate under one workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    /// The crate, as in the lock file.
    pub(crate) package: &'static str,
    /// The name of the sweep, after that of the crate.
    pub(crate) name: &'static str,
    /// The workload in one line.
    pub(crate) workload: &'static str,
    /// The failures that were followed to their cause.
    pub(crate) known: &'static [Known],
    /// Builds the hosts.
    pub(crate) body: fn(&mut Sim),
}

/// A failure that was followed to its cause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// A part of its symptom, numbers aside.
    pub(crate) symptom: &'static str,
    /// What it is, for the table.
    pub(crate) verdict: &'static str,
}
