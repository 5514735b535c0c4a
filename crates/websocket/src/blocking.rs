//! WebSockets for threads: callers on any thread, a reader and a writer thread behind them.
//!
//! [`Client`] opens connections, [`Server`] accepts them, and both give the same handle, a [`WebSocket`]. It is cheap
//! to clone, and all its methods take `&self`: receive in one thread, send and close in others.
//!
//! # Threads
//!
//! Every connection has two. The *reader* reads while no caller of `recv` does, and never writes; the *writer*
//! sends what no caller sends itself (pings, pongs, Close frames, what callers left in the write buffer) and keeps
//! the time. Both end with the connection, however it ends: the stream is shut down, which frees them, and callers,
//! from any read or write.
//!
//! After a caller has received something, no thread reads for up to 5 ms, because the caller may come back for more,
//! unless a thread waits for a pong or the end. A ping or a Close frame may be answered 5 ms later.
//!
//! Dropping the last handle closes the connection in the background, with code 1001 ("going away"): it, its threads and
//! its descriptors are gone after the [close timeout](crate::Config::close_timeout) at the latest. Call
//! [`close`](WebSocket::close) first where the outcome matters, or where the process is about to end.
//!
//! # What blocks, and until when
//!
//! - [`recv`](WebSocket::recv) until there is a message or the connection is over. That a peer has gone is found out by
//!   [keepalive](crate::Keepalive).
//! - [`send`](WebSocket::send) while the peer reads more slowly than we write, until the connection is over at most.
//! - [`close`](WebSocket::close) at most for the close timeout, whatever the peer or other callers do.
//!
//! # Not here
//!
//! The protocol: [`protocol`](crate::protocol). Which thread reads and writes: `reading`, `reader`, `writer`; what
//! they share: `shared`.

mod accept;
mod dial;
mod open;
mod reader;
mod reading;
mod reconnect;
mod send;
mod shared;
mod socket;
mod stop;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub use crate::handshake::Opened;
pub use crate::outgoing::Outgoing;
pub use crate::reconnect::{Failure, Reason, Retry};
pub use accept::{Answer, Server};
pub use open::Client;
pub use reconnect::Reconnect;
pub use send::MessageWriter;
pub use socket::WebSocket;
pub use stop::Stopper;

pub use crate::protocol::State as ConnectionState;
