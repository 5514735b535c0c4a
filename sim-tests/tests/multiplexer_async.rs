//! The multiplexer of tasks in the simulator: what it must do beside peers that leave, stall, reset, flood
//! or are another implementation, on a network that fails, wherever it is cancelled.
//!
//! `multiplexer_scenarios.md`, beside this file, says which test is which scenario. Every session is watched by a
//! [`Monitor`](wavetank_sim_tests::multiplexer::Monitor), which checks each frame against the rules of the protocol.

#[path = "multiplexer_async/contrast.rs"]
mod contrast;
#[path = "multiplexer_async/crossing.rs"]
mod crossing;
#[path = "multiplexer_async/ending.rs"]
mod ending;
#[path = "multiplexer_async/failing.rs"]
mod failing;
#[path = "multiplexer_async/foreign.rs"]
mod foreign;
#[path = "multiplexer_async/hostile.rs"]
mod hostile;
#[path = "multiplexer_async/issue_133.rs"]
mod issue_133;
#[path = "multiplexer_async/loading.rs"]
mod loading;
#[path = "multiplexer_async/opening.rs"]
mod opening;
#[path = "multiplexer_async/world.rs"]
mod world;
