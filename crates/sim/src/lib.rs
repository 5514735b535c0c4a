//! Deterministic simulation testing of network protocol code.

mod choices;
#[expect(dead_code, reason = "the executor is wired to it next")]
mod net;
