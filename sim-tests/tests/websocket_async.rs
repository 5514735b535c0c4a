//! The WebSocket client of tasks in the simulator: what it must do beside peers that are silent, deaf, early, late,
//! cut off or too fast, on a network that fails, wherever it is cancelled.
//!
//! `websocket_scenarios.md`, beside this file, says which test is which scenario, under what, and what all of them
//! assert. The server is [`wavetank_sim_tests::websocket`].

#[path = "websocket_async/accepting.rs"]
mod accepting;
#[path = "websocket_async/backpressure.rs"]
mod backpressure;
#[path = "websocket_async/cancelling.rs"]
mod cancelling;
#[path = "websocket_async/closing.rs"]
mod closing;
#[path = "websocket_async/cutting.rs"]
mod cutting;
#[path = "websocket_async/dropping.rs"]
mod dropping;
#[path = "websocket_async/fairness.rs"]
mod fairness;
#[path = "websocket_async/keeping_alive.rs"]
mod keeping_alive;
#[path = "websocket_async/opening.rs"]
mod opening;
#[path = "websocket_async/reading.rs"]
mod reading;
#[path = "websocket_async/receiving.rs"]
mod receiving;
#[path = "websocket_async/reconnecting.rs"]
mod reconnecting;
#[path = "websocket_async/slow_links.rs"]
mod slow_links;
#[path = "websocket_async/streaming.rs"]
mod streaming;
#[path = "websocket_async/world.rs"]
mod world;
