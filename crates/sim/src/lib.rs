//! Deterministic simulation testing of network protocol code.

mod choices;
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

pub use sim::Sim;
pub use symptom::{Symptom, SymptomKind};
pub use trace::Trace;
