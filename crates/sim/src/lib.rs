//! Deterministic simulation testing of network protocol code.

mod choices;
