//! Scripted servers for simulations of WebSocket clients. They send plain bytes, and check strictly what they receive.
//!
//! [`serve`] opens connections ([`Opening`]: late, cut off after a number of bytes, with frames right after the
//! answer). It hands each connection, as a [`Peer`], to a script. [`scripts`] has the scripts that many tests share.
//! [`wire`] checks the client's bytes, and [`frames`] makes the server's.
//!
//! # Invariants
//!
//! - [`Wire`] checks everything that a script reads. The request asks for a WebSocket. The client sends nothing
//!   before the answer. Every frame is masked and in order. At most one Close comes, and nothing after it. A violation
//!   panics, which fails the run.
//! - A lost connection is not a failure. The script then ends with the error of its stream.
//!
//! # Not here
//!
//! Compression (nothing is negotiated, so no reserved bit may be set) and TLS.

pub mod clients;
pub mod conversation;
pub mod cut;
pub mod frames;
pub mod log;
pub mod numbered;
pub mod opening;
pub mod peer;
pub mod scripts;
pub mod slow_link;
pub mod two_addresses;
pub mod wire;

pub use cut::{Cut, End};
pub use frames::Frame;
pub use log::Log;
pub use opening::{Opening, serve, serve_each};
pub use peer::{Input, Output, Peer};
pub use two_addresses::TwoAddresses;
pub use wire::Wire;
