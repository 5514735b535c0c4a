//! python-websockets' threaded connection: an assertion failed in `recv()` when `close()` timed out.
//!
//! # The two bugs
//!
//! A connection has a background thread, `recv_events`, which reads the socket and moves the protocol's state to
//! CLOSED when the stream has ended. `recv()`, called by the user, waits in the assembler of messages.
//!
//! - **Up to 13.0.1** (issue #1449). `close()` gave the peer `close_timeout` to answer. Then `close_socket()` shut the
//!   socket down *and* woke `recv()`. `recv()` read `close_exc`, which asserts that the state is CLOSED. This raced
//!   with `recv_events`: the same call had just woken it, and it still had to feed the end of file to the protocol.
//!   Commit `36409237`, released in 13.1, made `recv()` join `recv_events` first, and made `close_socket()` feed the
//!   end of file itself.
//! - **13.1 to 14.1** (issue #1558). `close_socket()` fed the end of file without the protocol's mutex. `receive_eof()`
//!   checks whether the end was fed, feeds it, and steps the parser. Two threads inside it could overtake each other:
//!   one found the end fed and asserted CLOSED before the other had stepped the parser. Commit `e7a098e1`, released in
//!   14.2, took the mutex.
//!
//! Both bugs need a peer that does not answer the closing handshake in time: a silent peer or a broken network.
//!
//! # How it is re-created
//!
//! One module per file of the original, with its names: [`connection`] and `messages` are `sync/connection.py`,
//! `sync/client.py` and `sync/messages.py`, `protocol`, `frames` and `handshake` are `protocol.py`, `frames.py`,
//! `client.py` and `http11.py`, `threading` is Python's module. The code was compared with the published 13.0.1, 13.1,
//! 14.1 and 14.2. A Python exception is an error value here. An `AssertionError` or `EOFError` that leaves the library
//! through a thread's end or a public method is a panic.
//!
//! In Python one access to an attribute is atomic, and a sequence of accesses is not. So one small lock guards all
//! attributes that threads share. It is held for one access, or for one call into the protocol that the original's
//! mutex makes atomic. `protocol_mutex` is a separate lock, as in the original.
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

/// The release whose order of operations a connection follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Wakes `recv()` before the state is CLOSED.
    V13_0_1,
    /// Feeds the end of file before it wakes `recv()`, but without the protocol's mutex.
    V13_1,
    /// Feeds the end of file under the protocol's mutex.
    V14_2,
}
