//! Requirements on every WebSocket client, as bodies of tests: `fn body<C: Client>(sim: &mut Sim)`.
//!
//! Each workspace of the zoo with a client implements [`Client`] for it and runs the bodies. The server is a script
//! over [`Peer`], which writes any bytes and checks strictly what it reads.
//!
//! # Invariants
//!
//! - A body uses only the methods of [`Client`]. A fault of the client has one symptom, whatever error the client
//!   reports.
//! - A violation that the server sees is a panic of `server/main` that begins with "on the wire: ".
//! - The error of a client fails the run only if the body says so. The trace shows what its methods return.

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

/// A WebSocket client for the bodies. Its errors are texts, because no body inspects them.
pub trait Client: Sized + 'static {
    /// Connects to port 80 of the host `server` over a socket with these options, and opens the WebSocket.
    ///
    /// # Errors
    ///
    /// If the connection or its opening handshake fails.
    fn open(host: Host, socket: SocketOptions) -> impl Future<Output = Result<Self, String>>;

    /// Sends a binary message. Returns when the socket has taken it.
    ///
    /// # Errors
    ///
    /// The client's.
    fn send(&mut self, payload: &[u8]) -> impl Future<Output = Result<(), String>>;

    /// Waits for the next message. Skips control frames other than Close.
    ///
    /// # Errors
    ///
    /// The client's.
    fn recv(&mut self) -> impl Future<Output = Result<Received, String>>;

    /// Closes with the code 1000, or the default of a client without codes. Returns when the client's method returns.
    ///
    /// # Errors
    ///
    /// The client's.
    fn close(&mut self) -> impl Future<Output = Result<(), String>>;
}

/// What a client receives.
#[derive(Clone, PartialEq, Eq)]
pub enum Received {
    /// A data message.
    Message(Vec<u8>),
    /// The end, without an error.
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
/// If the connection fails.
pub async fn connect(host: Host, socket: SocketOptions) -> Result<SimStream, String> {
    let server = Runtime::resolve(&host, "server", 80).await.map_err(text)?[0];
    Runtime::connect(&host, server, socket).await.map_err(text)
}

/// Returns the text of an error.
pub fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

/// Waits for `future` at most for `limit`, and then drops it, as a careful caller does.
async fn within<T>(host: Host, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = Runtime::sleep(&host, limit) => None,
    }
}

/// Lets the server read and check everything that the client has sent, because a run ends with its clients.
async fn settle(host: Host) {
    Runtime::sleep(&host, Duration::from_secs(5)).await;
}

/// Receives messages until something else comes, which the trace shows, or until there are `most`.
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

/// Returns small buffers, so that a peer that does not read stops the writer at once.
const fn small_buffers() -> SocketOptions {
    SocketOptions::new().send_buffer_bytes(4_096).receive_buffer_bytes(4_096)
}
