//! Simulations of the protocol crates, and the museum of historical bugs.

pub mod mixture;
pub mod museum;
pub mod yamux_echo;
