//! A GraphQL-over-WebSocket handler for any engine and any WebSocket: `graphql-transport-ws`, and the legacy
//! `graphql-ws` where it is enabled.
//!
//! # Where to begin
//!
//! - [`Server`] serves accepted transports on tasks, [`blocking::Server`] on threads.
//! - What executes operations: [`Engine`]. What an application decides and observes: [`Hooks`].
//! - What carries messages: [`MessageTransport`]. The feature `websocket` has one over this project's WebSocket;
//!   [`memory`] has one for tests.
//! - What may be set, with its default: [`Config`]. How a connection ended: [`Ended`].
//!
//! The README has a server and a client to run, and what is compared with other handlers.
//!
//! # Map
//!
//! The module list is a map of the crate. The core: [`connection`] is a connection without I/O, `message` its
//! messages. The drivers: [`server`] for tasks and [`blocking`] for threads; `registry` is what the connections of
//! a server share. What users implement: [`engine`], [`hooks`], [`transport`]. [`mock`] is a small engine for
//! tests. [`close`], [`config`] and [`error`] are the words they share.
//!
//! # Invariants
//!
//! - The core reads no clock, draws no entropy and does no I/O: `now` and a seed are arguments, output is polled.
//! - Nothing a client sends makes it panic, or hold more memory than its configuration says.
//! - A connection closes at most once, and nothing is sent or started behind that.
//! - For each operation a client gets `next* (complete | error)?`, and nothing behind its own `complete`.
//! - When a connection has ended, every operation is dropped, and every hook was called as its rules say.

#![forbid(unsafe_code)]

#[cfg(feature = "axum")]
pub mod axum;
pub mod blocking;
pub mod close;
pub mod config;
pub mod connection;
mod contained;
pub mod engine;
pub mod error;
#[cfg(feature = "graphiql")]
pub mod graphiql;
pub mod hooks;
pub mod memory;
mod message;
pub mod mock;
mod registry;
pub mod server;
pub mod transport;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use close::{CloseCode, CloseFrame, Ended};
pub use config::{Config, Keepalive, Legacy, Origins, PingKind};
pub use engine::{BoxFuture, BoxStream, Engine, Operation, Payload, Request};
pub use error::{GraphqlError, RequestErrors};
pub use hooks::{AcceptAll, Accepted, Completion, ConnectionInfo, Hooks, OperationInfo, Rejection};
pub use message::Protocol;
pub use registry::Shutdown;
pub use serde_json::value::RawValue;
pub use server::{Server, Upgrade};
pub use transport::{Incoming, MessageTransport, Progress, TransportError};

/// The README's code is compiled and run with the doc tests.
#[cfg(all(doctest, feature = "websocket"))]
#[doc = include_str!("../README.md")]
mod readme {}
