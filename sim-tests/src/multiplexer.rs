//! What the simulations of the multiplexer share: one interface for sessions of ours and of the two published crates,
//! and a [`Monitor`]. The monitor reads both directions of the wire and checks the rules of the protocol at every
//! step.
//!
//! Nothing here uses the core of the crate. [`frames`] is written from the protocol's text, so an error of the core is
//! not repeated here.

pub mod body;
pub mod broken;
pub mod foreign;
pub mod frames;
pub mod half_closed;
pub mod interoperability;
pub mod monitor;
pub mod network;
mod outcome;
pub mod scripts;
pub mod tap;
pub mod websocket;

pub use foreign::{Foreign, ForeignStream, Kind};
pub use monitor::Monitor;
pub use outcome::{Cell, read_error, write_error};
pub use tap::{BlockingTap, Tap};

/// Returns a configuration that differs from the default by what `set` sets.
pub fn configured(set: impl FnOnce(&mut wavetank_multiplexer::Config)) -> wavetank_multiplexer::Config {
    let mut config = wavetank_multiplexer::Config::default();
    set(&mut config);
    config
}
