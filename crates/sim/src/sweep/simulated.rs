//! The kinds of simulations that a test's body may set up. The type of its argument selects one, so that
//! `#[wavetank::test]` need not know it.

use super::{Found, Passed, Sweep};
use crate::sim::Sim;

/// A simulation that a test sets up: in the simulator, or inside of turmoil.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a simulation that a test can set up",
    label = "a test takes `&mut wavetank::Sim`, or with the feature `turmoil` `&mut wavetank::turmoil::TurmoilSim`"
)]
pub trait Simulated: Sized {
    /// See [`Sweep::run`].
    fn run(sweep: Sweep, body: fn(&mut Self)) -> Passed;

    /// See [`Sweep::find`].
    fn find(sweep: Sweep, body: fn(&mut Self)) -> Found;
}

impl Simulated for Sim {
    fn run(sweep: Sweep, body: fn(&mut Self)) -> Passed {
        sweep.run(body)
    }

    fn find(sweep: Sweep, body: fn(&mut Self)) -> Found {
        sweep.find(body)
    }
}

impl Sweep {
    /// Runs the test that `#[wavetank::test]` expands to.
    #[doc(hidden)]
    pub fn run_simulated<S: Simulated>(self, body: fn(&mut S)) -> Passed {
        S::run(self, body)
    }

    /// Runs the test that `#[wavetank::test]` expands to with `finds`.
    #[doc(hidden)]
    pub fn find_simulated<S: Simulated>(self, body: fn(&mut S)) -> Found {
        S::find(self, body)
    }
}
