//! A GraphQL-over-WebSocket handler for any engine and any WebSocket.

pub mod blocking;
#[cfg(feature = "axum")]
pub mod axum;
pub mod close;
pub mod config;
pub mod connection;
mod contained;
mod driver;
pub mod engine;
pub mod error;
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
