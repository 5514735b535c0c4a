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
mod recording;
mod run;
mod settings;
mod shrink;
mod sim;
mod symptom;
#[cfg(test)]
mod test_folder;
mod trace;
mod wall_clock;

pub use executor::Strategy;
pub use faults::Faults;
pub use host::Host;
pub use sim::{MainResult, Sim};
pub use symptom::{Symptom, SymptomKind};
pub use trace::Trace;
pub use wavetank_runtime as runtime;
