//! A GraphQL-over-WebSocket handler for any engine and any WebSocket. It speaks `graphql-transport-ws`, and the legacy
//! `graphql-ws` if that is enabled.
//!
//! # Where to begin
//!
//! - [`Server`] serves accepted transports on tasks, [`blocking::Server`] on threads.
//! - An [`Engine`] executes operations. The features `async-graphql` and `juniper` have one each; [`mock`] is one for
//!   tests.
//! - [`Hooks`] let an application decide and observe.
//! - A [`MessageTransport`] carries messages. The features `axum` and `websocket` have one each; [`memory`] is one for
//!   tests.
//! - [`Config`] lists every setting with its default. [`Ended`] says how a connection ended.
//! - The feature `graphiql` has a page for browsers.
//!
//! The README has a server and a client to run, and a table that compares the features of other handlers.
//!
//! # Map
//!
//! - Core: [`connection`] is a connection without I/O, and `message` has its messages.
//! - Drivers: `server` for tasks, and [`blocking`] for threads. `registry` is what the connections of a server share.
//! - What users implement: [`engine`], `hooks`, `transport`.
//! - Types that all of them use: `close`, `config`, `error`.
//!
//! # Invariants
//!
//! - The core reads no clock, draws no entropy and does no I/O: `now` and a seed are arguments, output is polled.
//! - Nothing a client sends makes it panic, or hold more memory than its configuration says.
//! - A connection closes at most once. After that nothing is sent and nothing is started.
//! - For each operation a client gets `next* (complete | error)?`, and nothing after its own `complete`.
//! - When a connection has ended, every operation is dropped, and every hook was called as its rules say.

#![forbid(unsafe_code)]

#[cfg(feature = "axum")]
pub mod axum;
pub mod blocking;
mod close;
mod config;
pub mod connection;
mod contained;
pub mod engine;
mod error;
#[cfg(feature = "graphiql")]
pub mod graphiql;
mod hooks;
pub mod memory;
mod message;
pub mod mock;
mod registry;
mod server;
mod transport;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use close::{CloseCode, CloseFrame, Ended};
pub use config::{Config, Keepalive, Legacy, Origins, PingKind};
pub use engine::{BoxFuture, BoxStream, Engine, Operation, Payload, Request};
pub use error::{GraphqlError, Location, PathSegment, RequestErrors};
pub use hooks::{AcceptAll, Accepted, Completion, ConnectionInfo, Hooks, OperationInfo, Rejection};
pub use message::Protocol;
pub use registry::Shutdown;
pub use serde_json::value::RawValue;
pub use server::{Server, Upgrade};
pub use transport::{Incoming, MessageTransport, Progress, TransportError};

/// The README's code is compiled and run with the doc tests.
#[cfg(all(doctest, feature = "websocket", feature = "axum", feature = "async-graphql"))]
#[doc = include_str!("../README.md")]
mod readme {}
