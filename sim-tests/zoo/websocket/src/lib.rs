//! What any WebSocket client must hold, as bodies of tests: `fn body<C: Client>(sim: &mut Sim)`.
//!
//! Each workspace of the zoo that shows a client implements [`Client`] for it and runs the bodies. The server is a
//! script over [`Peer`], which writes what it likes, byte for byte, and is strict about what it reads.
//!
//! # Invariants
//!
//! - A body knows a client by [`Client`] only, and fails in one way: what a client does wrong has one symptom, whatever
//!   error the client reports and wherever it was.
//! - The server's violations are panics of `server/main` that begin with "on the wire: ".
//! - A client is an error of the run only where the body says so; what its methods return is in the trace.

use std::fmt::{self, Debug};
use std::time::Duration;

use wavetank::Host;
use wavetank::host::SimStream;
use wavetank::runtime::{Runtime, SocketOptions};

pub use peer::Peer;

pub mod close;
pub mod opening;
mod peer;
pub mod pings;
pub mod receive;
pub mod send;
pub mod wire;

/// A WebSocket client, as the bodies use it. Its errors are texts: no body looks into one.
pub trait Client: Sized + 'static {
    /// Connects to port 80 of the host `server` over a socket with these options, and opens the WebSocket.
    ///
    /// # Errors
    ///
    /// When the connection or its opening handshake fails.
    fn open(host: Host, socket: SocketOptions) -> impl Future<Output = Result<Self, String>>;

    /// Sends a binary message, and returns when the socket has taken it.
    ///
    /// # Errors
    ///
    /// As the client says.
    fn send(&mut self, payload: &[u8]) -> impl Future<Output = Result<(), String>>;

    /// Waits for the next message. Control frames other than Close are passed over.
    ///
    /// # Errors
    ///
    /// As the client says.
    fn recv(&mut self) -> impl Future<Output = Result<Received, String>>;

    /// Starts to close with the code 1000, or the default of a client that knows no codes; returns when the client says
    /// that this is done.
    ///
    /// # Errors
    ///
    /// As the client says.
    fn close(&mut self) -> impl Future<Output = Result<(), String>>;
}

/// What a client receives.
#[derive(Clone, PartialEq, Eq)]
pub enum Received {
    /// A data message.
    Message(Vec<u8>),
    /// The end, and the client calls it no error.
    Closed,
}

impl Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(payload) => write!(f, "Message({})", wire::excerpt(payload)),
            Self::Closed => f.write_str("Closed"),
        }
    }
}

/// Connects to port 80 of the host `server`, for clients that take a stream.
///
/// # Errors
///
/// When there is no connection.
pub async fn connect(host: Host, socket: SocketOptions) -> Result<SimStream, String> {
    let server = Runtime::resolve(&host, "server", 80).await.map_err(text)?[0];
    Runtime::connect(&host, server, socket).await.map_err(text)
}

/// The text of an error.
pub fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

/// Waits for `future` no longer than `limit`, as a careful caller does: then it is dropped.
async fn within<T>(host: Host, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = Runtime::sleep(&host, limit) => None,
    }
}

/// Lets the server read, and judge, everything that the client has sent: a run ends with its clients.
async fn settle(host: Host) {
    Runtime::sleep(&host, Duration::from_secs(5)).await;
}

/// Receives until something other than a message comes, which is in the trace, or `most` messages.
async fn receive_all<C: Client>(client: &mut C, most: usize) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while messages.len() < most {
        let received = client.recv().await;
        tracing::info!("recv: {received:?}");
        let Ok(Received::Message(payload)) = received else { break };
        messages.push(payload);
    }
    messages
}

/// Little room on the way, so that a peer that does not read is felt at once.
const fn small_buffers() -> SocketOptions {
    SocketOptions::new().send_buffer_bytes(4_096).receive_buffer_bytes(4_096)
}
