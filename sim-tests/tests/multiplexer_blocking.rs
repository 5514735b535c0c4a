//! The multiplexer of threads in the simulator: the scenarios of `multiplexer_async`, with blocking calls.
//!
//! `multiplexer_scenarios.md`, beside this file, says which test is which scenario. Every session is watched by a
//! [`Monitor`](wavetank_sim_tests::multiplexer::Monitor), which checks each frame against the rules of the protocol.

#[path = "multiplexer_blocking/crossing.rs"]
mod crossing;
#[path = "multiplexer_blocking/ending.rs"]
mod ending;
#[path = "multiplexer_blocking/failing.rs"]
mod failing;
#[path = "multiplexer_blocking/foreign.rs"]
mod foreign;
#[path = "multiplexer_blocking/hostile.rs"]
mod hostile;
#[path = "multiplexer_blocking/issue_133.rs"]
mod issue_133;
#[path = "multiplexer_blocking/loading.rs"]
mod loading;
#[path = "multiplexer_blocking/opening.rs"]
mod opening;
#[path = "multiplexer_blocking/world.rs"]
mod world;
