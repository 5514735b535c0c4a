//! The WebSocket client of tasks in the tank: what it must do beside peers that are silent, deaf, early, late, cut off or
//! too fast, on a network that fails, wherever it is cancelled.
//!
//! In all of these: every operation ends within its own deadline or the connection's; a connection has one outcome, the
//! same for every caller, which can be seen before anybody hears of it; messages arrive once and in order; the server
//! ([`wavetank_sim_tests::websocket`]) panics at a byte that no client may send, above all one behind a Close frame; and
//! nothing is left behind.

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
#[path = "websocket_async/world.rs"]
mod world;
