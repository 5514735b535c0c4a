//! Deterministic simulation testing of network protocol code.

mod choices;
mod context;
mod executor;
mod faults;
mod host;
mod interpose;
mod net;
mod panics;
mod progress;
mod run;
mod sim;
mod symptom;
mod trace;

pub use executor::Strategy;
pub use faults::Faults;
pub use host::Host;
pub use sim::{MainResult, Sim};
pub use wavetank_runtime as runtime;
