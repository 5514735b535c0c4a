//! What a behaviour is given, and how it says what it saw.
//!
//! # Invariants
//!
//! - Reads and writes are judged a byte at a time, or by what they add up to: how many bytes one call moves is not
//!   specified.
//! - Waits only give the other side time; what a behaviour asserts is true however long they take in the end.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Two machines that reach each other: on Linux one and the same.
#[derive(Clone, Debug)]
pub(crate) struct World<R> {
    /// Where servers run.
    pub(crate) server: R,
    /// Where clients run.
    pub(crate) client: R,
    /// The server's address.
    pub(crate) server_ip: IpAddr,
}

impl<R> World<R> {
    /// The server's address with a port of the system's choice.
    pub(crate) fn any_port(&self) -> SocketAddr {
        SocketAddr::new(self.server_ip, 0)
    }
}

/// Checks that a timeout of the kernel was waited for. The kernel counts in ticks and poll in whole milliseconds, so
/// both may be a little early.
#[track_caller]
pub(crate) fn assert_waited(waited: Duration, timeout: Duration) {
    assert!(waited >= timeout * 8 / 10, "waited {waited:?} of {timeout:?}");
}

/// Long enough for everything on its way to arrive, and for a thread or task that was started to wait, also on a
/// machine that has much else to do.
pub(crate) const SETTLE: Duration = Duration::from_millis(200);

/// A writer that has not moved for this long is stuck.
pub(crate) const STUCK: Duration = Duration::from_millis(300);

/// Longer than any behaviour waits for something that does happen.
pub(crate) const NEVER: Duration = Duration::from_secs(10);

/// What one read or write of one byte gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A read gave this byte.
    Byte(u8),
    /// A read gave the end of the stream.
    End,
    /// A write took its byte.
    Written,
    /// It failed.
    Failed(ErrorKind),
}

/// The connection was reset, and no call had reported it yet.
pub(crate) const RESET: Seen = Seen::Failed(ErrorKind::ConnectionReset);

/// The connection is over for writers.
pub(crate) const BROKEN: Seen = Seen::Failed(ErrorKind::BrokenPipe);

impl Seen {
    /// Tells what a read into `buffer` gave.
    pub(crate) fn read(result: io::Result<usize>, buffer: [u8; 1]) -> Self {
        match result {
            Ok(0) => Self::End,
            Ok(_) => Self::Byte(buffer[0]),
            Err(error) => Self::Failed(error.kind()),
        }
    }

    /// Tells what a write of one byte gave.
    pub(crate) fn write(result: io::Result<usize>) -> Self {
        match result {
            Ok(count) => {
                assert_eq!(count, 1, "a write takes what it is given or nothing");
                Self::Written
            }
            Err(error) => Self::Failed(error.kind()),
        }
    }
}

/// The bytes of a long message from `offset`: any loss, repetition or exchange shows.
pub(crate) fn pattern(offset: usize, length: usize) -> Vec<u8> {
    (offset..offset + length).map(|index| (index % 251) as u8).collect()
}

/// Checks that `received` is the whole of a long message.
#[track_caller]
pub(crate) fn assert_pattern(received: &[u8], length: usize) {
    assert_eq!(received.len(), length, "every byte arrives once");
    let wrong = received.iter().zip(pattern(0, length)).position(|(byte, expected)| *byte != expected);
    assert_eq!(wrong, None, "the first byte out of order");
}

/// Checks how many bytes a writer sent without a reader, with both buffers given as `buffer_bytes`.
///
/// Linux doubles the sizes it is given and counts its book-keeping against them, so the numbers vary with the sizes of
/// the writes. A TCP that takes less than the larger buffer or more than four times both is not one to trust.
#[track_caller]
pub(crate) fn assert_bounded(accepted: usize, buffer_bytes: u32) {
    let buffer_bytes = buffer_bytes as usize;
    assert!(accepted >= buffer_bytes, "stuck after {accepted} B with buffers of {buffer_bytes} B");
    assert!(accepted <= 8 * buffer_bytes, "took {accepted} B with buffers of {buffer_bytes} B");
}

/// Checks how many bytes a writer sent through a Unix socket without a reader. Linux counts its book-keeping against
/// the send buffer: with 4 KiB and writes of 1000 B it takes 4000 B.
#[track_caller]
pub(crate) fn assert_bounded_locally(accepted: usize, send_buffer_bytes: u32) {
    let buffer_bytes = send_buffer_bytes as usize;
    assert!(accepted >= buffer_bytes / 2, "stuck after {accepted} B with a send buffer of {buffer_bytes} B");
    assert!(accepted <= 4 * buffer_bytes, "took {accepted} B with a send buffer of {buffer_bytes} B");
}

/// A port near that of a client, without a listener, that clients may get too: Linux gives them even ports while it
/// has any.
pub(crate) fn near_port(of_client: u16) -> SocketAddr {
    let port = if of_client < 50_000 { of_client + 64 } else { of_client - 64 };
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Linux's number of "try again", which timeouts give.
pub(crate) const EAGAIN: i32 = 11;

/// Linux's number of "message too long", which has no kind.
pub(crate) const EMSGSIZE: i32 = 90;

/// Linux's number of "destination address required", which has no kind.
pub(crate) const EDESTADDRREQ: i32 = 89;
