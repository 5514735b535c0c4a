//! A WebSocket client (RFC 6455) with compression (RFC 7692), async and blocking, and the accept side, over one core
//! that does no I/O.
//!
//! # Where to begin
//!
//! - On Tokio: [`client::Client`] connects, [`server::Server`] accepts, and both give a [`client::WebSocket`].
//! - On threads: [`blocking::Client`], [`blocking::Server`], [`blocking::WebSocket`].
//! - The request (headers, subprotocols, TLS, proxies, Unix sockets): [`handshake::ClientRequest`], which an address
//!   parses to. The settings of a connection, with their defaults: [`Config`].
//! - Why an opening failed: [`OpenError`]. The errors of calls on an open connection: [`Error`]. How it ended:
//!   [`Closed`]. Each says whose fault it is ([`Fault`]).
//! - One connection after another: [`client::Reconnect`], [`blocking::Reconnect`].
//! - A stream that another HTTP stack has upgraded: [`client::WebSocket::from_upgraded`],
//!   [`blocking::WebSocket::from_upgraded`]; for hyper and axum there are modules, with the features of these names.
//!
//! Each client and server runs on a runtime: `Tokio` or `Std` of `wavetank-runtime` in production, a simulated host in
//! tests.
//!
//! # Map
//!
//! The modules are a map of the crate. The core: [`protocol`] is a connection once it is open (frames, messages,
//! closing, keepalive), [`deflate`] its compression, [`handshake`] how it is opened from either side, [`session`] a
//! connection on its wire (TLS or not). The drivers: [`client`] for tasks, [`blocking`] for threads; [`server`]
//! accepts for both. The types that they share are in the root.
//!
//! # Invariants
//!
//! - The core reads no clock, draws no entropy and does no I/O: `now` and a seed are arguments, output is polled.
//! - Nothing a peer sends makes the core panic, or take more memory than its configuration says.
//! - A connection has one outcome ([`Closed`]): every caller sees the same one, and it can be seen before any task or
//!   thread that waits for it wakes up.

#[cfg(feature = "axum")]
pub mod axum;
pub mod blocking;
pub mod client;
mod close;
mod config;
pub mod deflate;
mod error;
mod fault;
pub mod handshake;
#[cfg(feature = "hyper")]
pub mod hyper;
mod message;
mod outgoing;
pub mod protocol;
mod reconnect;
mod role;
pub mod server;
pub mod session;

pub use close::{Cause, CloseCode, CloseFrame, Closed, Limit, Violation};
pub use config::{Compression, Config, Keepalive, Limits};
pub use error::{Error, OpenError};
pub use error::{Fault, HandshakeError, ProxyError, RedirectError, Rejection, RequestError, Stage};
pub use message::{Fragment, Kind, Message, Text};
pub use reconnect::{Backoff, BackoffPolicy, Failure, HookError, Reason, Retry};

/// The README's code is compiled and run with the doc tests.
#[cfg(all(doctest, feature = "proxies"))]
#[doc = include_str!("../README.md")]
mod readme {}
