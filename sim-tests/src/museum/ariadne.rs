//! Ariadne's GraphQL handler: its timer for `connection_init` closed a socket that was not yet accepted.
//!
//! # The two bugs
//!
//! A client of the `graphql-transport-ws` protocol opens a WebSocket and must send `connection_init` within a timeout
//! (60 seconds by default). Otherwise the server closes with code 4408. A handler serves the socket. A timer task
//! closes it if the timeout passes without `connection_init`.
//!
//! - **Up to 0.26.0** (issues #1036, a "flaky test", and #1217). The handler started the timer *before* it accepted the
//!   socket. `accept()` first waits for the server's connect event. If the timer was faster, it closed a socket that
//!   was not open: the client was refused with HTTP 403 instead of 4408, and `accept()` raised
//!   `Cannot call "send" once a close message has been sent`. Commit `9811fe4`, released in 0.26.1, made `accept()` the
//!   first line and changed nothing else.
//! - **0.26.1 to 1.1.1**. The timer closes with 4408 while a `connection_init` is on its way to the handler. The
//!   handler does not check the socket's state before it handles the message, so `on_connect` runs for a closed
//!   connection. Sending the acknowledgement raises the error above, closing again raises it too, and it leaves the
//!   handler uncaught. A `ping` has the same effect. (The timer is also never cancelled, so it outlives its
//!   connection.)
//!
//! Both bugs need a timer that is faster than work that is ready: a short timeout or a slow machine.
//! [`Version::Fixed`], which is not a release, accepts first, checks the state before it handles a message, cancels the
//! timer after `connection_init`, and does not close a closed socket.
//!
//! # How it is re-created
//!
//! `handler` is `asgi/handlers/graphql_transport_ws.py`. `websocket` is starlette's `WebSocket`. `server` is an ASGI
//! server that works like hypercorn: it starts the application and then puts the connect event into its queue. After
//! the application has closed, the server drops new messages but delivers those it had queued. A Python exception is an
//! error value here. An exception that leaves the application uncaught is a panic of its task. `wire` replaces HTTP and
//! WebSocket frames, which play no part in the bugs.
//!
//! asyncio has one thread: nothing else runs between two awaits, and starlette's states rely on that. Here a lock
//! guards the states and is held for one access only. On Tokio, run the server on a current-thread runtime.
//!
//! # Not here
//!
//! Operations (`subscribe` is closed with 4400, like any unknown message), payloads, the legacy protocol, and the other
//! exceptions that end the handler: broken JSON, and a client that completes a finished operation.

mod handler;
pub mod scenarios;
mod server;
mod websocket;
mod wire;

pub use handler::{Handler, Settings};
pub use scenarios::{Answer, PeerScript};
pub use server::serve;

/// The release whose order of operations the handler follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Starts the timer, then accepts.
    V0_26_0,
    /// Accepts, then starts the timer. Version 1.1.1 has the same order.
    V0_26_1,
    /// Accepts first, and handles no message on a socket that the timer has closed.
    Fixed,
}
