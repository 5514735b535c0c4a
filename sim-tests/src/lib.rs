//! Simulations of the protocol crates, and the museum of historical bugs.

pub mod museum;
