//! The WebSocket client of threads in the simulator: what it must do beside peers that are silent, deaf, early, late,
//! cut off or too fast, on a network that fails, with its threads interleaved at every lock.
//!
//! `websocket_scenarios.md`, beside this file, says which test is which scenario, under what, and what all of them
//! assert. The server is [`wavetank_sim_tests::websocket`].

#[path = "websocket_blocking/accepting.rs"]
mod accepting;
#[path = "websocket_blocking/backpressure.rs"]
mod backpressure;
#[path = "websocket_blocking/closing.rs"]
mod closing;
#[path = "websocket_blocking/cutting.rs"]
mod cutting;
#[path = "websocket_blocking/dropping.rs"]
mod dropping;
#[path = "websocket_blocking/keeping_alive.rs"]
mod keeping_alive;
#[path = "websocket_blocking/opening.rs"]
mod opening;
#[path = "websocket_blocking/reading.rs"]
mod reading;
#[path = "websocket_blocking/receiving.rs"]
mod receiving;
#[path = "websocket_blocking/reconnecting.rs"]
mod reconnecting;
#[path = "websocket_blocking/sending.rs"]
mod sending;
#[path = "websocket_blocking/slow_links.rs"]
mod slow_links;
#[path = "websocket_blocking/world.rs"]
mod world;
