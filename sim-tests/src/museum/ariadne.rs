//! Ariadne's GraphQL handler, whose timer for `connection_init` closed a socket that was not yet accepted.
//!
//! # The two bugs
//!
//! A client of the `graphql-transport-ws` protocol opens a WebSocket and has to send `connection_init` within a time
//! (60 seconds by default), or else it is sent away with close code 4408. A handler serves the socket, and a timer task
//! closes it when the time is up and nothing has come.
//!
//! - **Up to 0.26.0** (issues #1036, a "flaky test", and #1217). The handler started the timer *before* it accepted the
//!   socket. `accept()` first waits for the server's connect event; if the timer was faster, it closed a socket that
//!   was not open, the client was refused with HTTP 403 instead of 4408, and `accept()` raised
//!   `Cannot call "send" once a close message has been sent`. Commit `9811fe4`, released in 0.26.1, made `accept()` the
//!   first line, and changed nothing else.
//! - **0.26.1 to 1.1.1**. The timer closes with 4408 while a `connection_init` is on its way to the handler, which does
//!   not look at the socket's state before it handles a message: `on_connect` runs for a connection that is closed, the
//!   acknowledgement cannot be sent, closing again cannot either, and the same error leaves the handler uncaught. A
//!   `ping` meets the same. (Nor is the timer ever cancelled: it outlives its connection.)
//!
//! Both need a timer that beats work that is ready: short timeouts, or a slow machine. [`Version::Fixed`], which is
//! no release, accepts first, looks at the state before it handles a message, cancels the timer when `connection_init`
//! has come, and does not close what is closed.
//!
//! # How it is re-created
//!
//! `handler` is `asgi/handlers/graphql_transport_ws.py`, `websocket` is starlette's `WebSocket`, `server` is an ASGI
//! server in the manner of hypercorn: it starts the application and then puts the connect event into its queue; after
//! the application has closed, it drops what arrives, but what it had queued is delivered. A Python exception is an
//! error value; one that leaves the application uncaught is a panic of its task. `wire` stands in for HTTP and
//! WebSocket, which have no part in this.
//!
//! asyncio is one thread: between two awaits nothing else runs, and starlette's states rely on that. So the states lie
//! behind a lock that is held for one access, and on Tokio the server belongs on a current-thread runtime.
//!
//! # Not here
//!
//! Operations (a `subscribe` is closed with 4400, as any unknown message), payloads, the legacy protocol, and the other
//! ways in which the handler leaves by an exception: broken JSON, a client that completes a finished operation.

mod handler;
pub mod scenarios;
mod server;
mod websocket;
mod wire;

pub use handler::{Handler, Settings};
pub use scenarios::{Answer, PeerScript};
pub use server::serve;

/// Which release's order of operations the handler follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Starts the timer, then accepts.
    V0_26_0,
    /// Accepts, then starts the timer. The order of 1.1.1, too.
    V0_26_1,
    /// Accepts first, and handles no message on a socket that the timer has closed.
    Fixed,
}
