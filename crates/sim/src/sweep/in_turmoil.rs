//! Sweeps of tests that run inside of turmoil.

use std::sync::Arc;

use super::simulated::Simulated;
use super::{Found, Passed, Sweep};
use crate::pool::Runner;
use crate::run::{Outcome, Plan, Progress};
use crate::turmoil::{self, TurmoilSim};

/// Runs a test's body in turmoil.
struct TurmoilRunner(Box<turmoil::Body>);

impl Runner for TurmoilRunner {
    fn run(&self, plan: &Plan<'_>, progress: &Arc<Progress>) -> Outcome {
        turmoil::simulate(&*self.0, plan, progress)
    }
}

impl Sweep {
    /// Runs a test inside of turmoil that is to pass, as [`run`](Self::run) does in the simulator.
    ///
    /// # Panics
    ///
    /// Those of [`run`](Self::run).
    pub fn run_turmoil(self, body: impl Fn(&mut TurmoilSim) + Send + Sync + 'static) -> Passed {
        self.in_process(Arc::new(TurmoilRunner(Box::new(body))), |session| session.verify())
    }

    /// Runs a test inside of turmoil that must find a bug, as [`find`](Self::find) does in the simulator.
    ///
    /// # Panics
    ///
    /// Those of [`find`](Self::find).
    pub fn find_turmoil(self, body: impl Fn(&mut TurmoilSim) + Send + Sync + 'static) -> Found {
        self.in_process(Arc::new(TurmoilRunner(Box::new(body))), |session| session.find())
    }
}

impl Simulated for TurmoilSim {
    fn run(sweep: Sweep, body: fn(&mut Self)) -> Passed {
        sweep.run_turmoil(body)
    }

    fn find(sweep: Sweep, body: fn(&mut Self)) -> Found {
        sweep.find_turmoil(body)
    }
}
