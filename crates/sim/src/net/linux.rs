//! What Linux does, one test for each behaviour. Each was observed on a Linux 6.18 loopback with the same calls.
//!
//! `client` is the end that is observed, and `server` is the other end.
//!
//! `opening` has ports, listeners and connecting. `sending` has buffers and Nagle's algorithm. `ending` has shutdowns
//! and resets.

mod ending;
mod opening;
mod sending;

use std::io::ErrorKind::{BrokenPipe, NotConnected};
use std::net::Shutdown;

use super::SocketId;
use super::harness::{Harness, fails, gives, outcome};

/// Checks what every call on an ended connection returns.
fn check_is_over(harness: &mut Harness, socket: SocketId) {
    for _ in 0..2 {
        assert_eq!(outcome(harness.read(socket, 9)), gives(b""));
        assert_eq!(outcome(harness.write(socket, b"x")), fails(BrokenPipe));
        assert_eq!(outcome(harness.write(socket, b"")), fails(BrokenPipe));
    }
    assert_eq!(harness.network.peer_addr(socket).unwrap_err().kind(), NotConnected);
    assert!(harness.network.local_addr(socket).is_ok());
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        assert_eq!(harness.shutdown(socket, how).unwrap_err().kind(), NotConnected);
    }
}
