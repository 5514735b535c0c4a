//! Names runs, for the last message of a process that a run ends: no report will print it then.

use std::sync::Arc;

use crate::panics;
use crate::pool::Runner;
use crate::report::Identity;
use crate::run::{Outcome, Plan, Progress};

/// Runs a test that has a name.
pub(super) struct Named {
    pub(super) test: String,
    pub(super) command: String,
    pub(super) runner: Arc<dyn Runner>,
}

impl Named {
    pub(super) fn new(identity: &Identity, runner: Arc<dyn Runner>) -> Arc<Self> {
        Arc::new(Self { test: identity.test.clone(), command: identity.cargo_test(), runner })
    }
}

impl Runner for Named {
    fn run(&self, plan: &Plan<'_>, progress: &Arc<Progress>) -> Outcome {
        let Self { test, command, runner } = self;
        panics::name_run(match plan {
            Plan::Seed { seed, .. } => {
                format!("test:  {test}, seed {seed:#x}\nto see it again:\nWAVETANK_SEED={seed:#x} {command}")
            }
            // What a sweep begins with, so it needs no seed to be seen again.
            Plan::WarmUp => {
                format!(
                    "test:  {test}, in its warm-up: the default run, which comes before all seeds\nto see \
                    it again:\n{command}"
                )
            }
            // A sweep is the same every time.
            Plan::Deviate { .. } | Plan::Redraw { .. } => {
                format!("test:  {test}, in a run that follows from others\nto see it again:\n{command}")
            }
            // Both are on disk by then.
            Plan::Replay { .. } => {
                format!("test:  {test}, in the replay of a recording\nto see it again:\n{command}")
            }
        });
        runner.run(plan, progress)
    }
}
