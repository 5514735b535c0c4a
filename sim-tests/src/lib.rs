//! Simulations of the protocol crates, and the museum of historical bugs.

pub mod deterministic_tls;
pub mod graphql;
pub mod mixture;
pub mod multiplexer;
pub mod museum;
pub mod websocket;
pub mod yamux_echo;
