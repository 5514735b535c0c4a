//! Scripted servers for simulations of WebSocket clients: they speak in bytes, and are strict with what they hear.
//!
//! [`serve`] opens connections ([`Opening`]: late, cut off after a number of bytes, with frames glued to the answer)
//! and hands each, as a [`Peer`], to a script; [`scripts`] has the scripts that many tests share. [`wire`] judges the
//! client's bytes, [`frames`] makes the server's.
//!
//! # Invariants
//!
//! - Whatever a script does with what it reads, [`Wire`] has judged it: the request is one for a WebSocket, nothing
//!   precedes the answer, every frame is masked and in order, at most one Close comes, and nothing after it. A
//!   violation panics, which fails the run.
//! - That a connection is lost is no failure: scripts end with an error of their stream, and that is fine.
//!
//! # Not here
//!
//! Compression (nothing is negotiated, so no reserved bit may be set) and TLS.

pub mod conversation;
pub mod cut;
pub mod frames;
pub mod log;
pub mod numbered;
pub mod opening;
pub mod peer;
pub mod scripts;
pub mod slow_link;
pub mod wire;

pub use cut::{Cut, End};
pub use frames::Frame;
pub use log::Log;
pub use opening::{Opening, serve, serve_each};
pub use peer::{Input, Output, Peer};
pub use wire::Wire;
