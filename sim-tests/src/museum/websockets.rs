//! python-websockets' threaded connection, whose `recv()` met an assertion when `close()` gave up waiting.
//!
//! # The two bugs
//!
//! A connection has a background thread, `recv_events`, which reads the socket and moves the protocol's state to
//! CLOSED when the stream has ended. `recv()`, called by the user, waits in the assembler of messages.
//!
//! - **Up to 13.0.1** (issue #1449). `close()` gave the peer `close_timeout` to answer; then `close_socket()` shut the
//!   socket down *and* woke `recv()`. `recv()` read `close_exc`, which asserts that the state is CLOSED. That was a
//!   race with `recv_events`, which had only just been woken by the same call and had yet to feed the end of file to
//!   the protocol. Commit `36409237`, released in 13.1, made `recv()` join `recv_events` first, and made
//!   `close_socket()` feed the end of file itself.
//! - **13.1 to 14.1** (issue #1558). `close_socket()` did so without the protocol's mutex. Two threads inside
//!   `receive_eof()`, which looks whether the end was fed, feeds it, and steps the parser, could overtake each other,
//!   and the one that found the end fed asserted CLOSED before the other had stepped the parser. Commit `e7a098e1`,
//!   released in 14.2, took the mutex.
//!
//! Both need a peer that does not answer the closing handshake in time: a silent one, or a network that breaks.
//!
//! # How it is re-created
//!
//! One module per file of the original, with its names: [`connection`] and `messages` are `sync/connection.py`,
//! `sync/client.py` and `sync/messages.py`, `protocol`, `frames` and `handshake` are `protocol.py`, `frames.py`,
//! `client.py` and `http11.py`, `threading` is Python's module. Read against the published 13.0.1, 13.1, 14.1, 14.2.
//! A Python exception is an error value here, except for an `AssertionError` or `EOFError` that leaves the library
//! through a thread's end or a public method: that is a panic.
//!
//! In Python a single access to an attribute is atomic and a sequence of them is not. So all attributes that threads
//! share lie behind one small lock that is held for one access (or one call into the protocol that the original's
//! mutex makes atomic for all that matters), and `protocol_mutex` is a lock of its own, as in the original.
//!
//! # Not here
//!
//! Binary messages (answered with 1003), sending fragments, `ping()`, `recv_streaming()`, extensions, TLS, proxies,
//! the server side beyond what a [`Peer`] needs, and the queue with which 14.0 replaced the latch in the assembler.

pub mod connection;
mod exceptions;
mod frames;
mod handshake;
mod messages;
mod peers;
mod protocol;
pub mod scenarios;
mod threading;

pub use connection::{Connection, Settings};
pub use exceptions::{Cause, ConnectionClosed, InternalError, OpenError, RecvError, Violation};
pub use frames::Close;
pub use handshake::HandshakeError;
pub use peers::{Peer, PeerScript, echo_peer, silent_peer};

/// Which release's order of operations a connection follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Wakes `recv()` before the state is CLOSED.
    V13_0_1,
    /// Feeds the end of file before it wakes `recv()`, but without the protocol's mutex.
    V13_1,
    /// Feeds the end of file under the protocol's mutex.
    V14_2,
}
