//! One connection of Unix sockets: two ends, each with a queue of the bytes that it has not read.
//!
//! # Invariants
//!
//! - End 0 has connected, end 1 was or will be accepted.
//! - What an end has written and its peer has not read counts against the end's send buffer; the peer has no buffer of
//!   its own.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::task::Poll;

use wavetank_runtime::SocketOptions;

use super::super::connection::Errno;
use super::super::{Direction, Ready};
use super::{LocalId, errno};

/// The default size of a send buffer.
const BUFFER_BYTES: u32 = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Kernel,
    /// Waits to be accepted.
    Listener,
    Application,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) owner: Owner,
    unread: VecDeque<u8>,
    send_buffer_bytes: usize,
    read_shut: bool,
    write_shut: bool,
    /// Linux's `sk_err`: the first call to see it takes it.
    error: Option<Errno>,
    /// Readiness that was reported and not yet taken, by [`Direction`].
    pub(super) reported: [bool; 3],
}

impl End {
    fn new(owner: Owner, options: SocketOptions) -> Self {
        Self {
            owner,
            unread: VecDeque::new(),
            send_buffer_bytes: options.send_buffer_bytes.unwrap_or(BUFFER_BYTES).max(1) as usize,
            read_shut: false,
            write_shut: false,
            error: None,
            reported: [false; 3],
        }
    }

    fn take_error(&mut self) -> Option<io::Error> {
        self.error.take().map(errno)
    }
}

#[derive(Debug)]
pub(super) struct Pair {
    index: u32,
    pub(super) ends: [End; 2],
}

impl Pair {
    pub(super) fn new(index: u32, [connecter, accepted]: [SocketOptions; 2]) -> Self {
        Self { index, ends: [End::new(Owner::Application, connecter), End::new(Owner::Listener, accepted)] }
    }

    /// `unix_stream_read_generic`: bytes, then the error, then the end.
    pub(super) fn read(
        &mut self,
        side: usize,
        buffer: &mut [u8],
        ready: &mut Vec<Ready>,
    ) -> Poll<io::Result<usize>> {
        let end = &mut self.ends[side];
        if !end.unread.is_empty() {
            let count = buffer.len().min(end.unread.len());
            for (byte, unread) in buffer.iter_mut().zip(end.unread.drain(..count)) {
                *byte = unread;
            }
            self.report(1 - side, Direction::Write, ready);
            return Poll::Ready(Ok(count));
        }
        if let Some(error) = end.take_error() {
            return Poll::Ready(Err(error));
        }
        if end.read_shut { Poll::Ready(Ok(0)) } else { Poll::Pending }
    }

    /// `unix_stream_sendmsg`: only a call that waits for room looks at the error.
    pub(super) fn write(
        &mut self,
        side: usize,
        bytes: &[u8],
        waited: bool,
        ready: &mut Vec<Ready>,
    ) -> Poll<io::Result<usize>> {
        let end = &mut self.ends[side];
        if waited && let Some(error) = end.take_error() {
            return Poll::Ready(Err(error));
        }
        if end.write_shut {
            return Poll::Ready(Err(errno(libc::EPIPE)));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = end.send_buffer_bytes.saturating_sub(self.ends[1 - side].unread.len());
        let count = bytes.len().min(room);
        if count == 0 {
            return Poll::Pending;
        }
        self.ends[1 - side].unread.extend(&bytes[..count]);
        self.report(1 - side, Direction::Read, ready);
        Poll::Ready(Ok(count))
    }

    /// `unix_shutdown`: each direction has one state, which both ends share.
    pub(super) fn shutdown(&mut self, side: usize, how: Shutdown, ready: &mut Vec<Ready>) {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.ends[side].read_shut = true;
            self.ends[1 - side].write_shut = true;
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.ends[side].write_shut = true;
            self.ends[1 - side].read_shut = true;
        }
        self.report_all(ready);
    }

    /// `unix_release_sock`. Returns whether the peer was reset, or `None` if the end was closed before.
    pub(super) fn close(&mut self, side: usize, ready: &mut Vec<Ready>) -> Option<bool> {
        let end = &mut self.ends[side];
        if end.owner == Owner::Kernel {
            return None;
        }
        let reset = !end.unread.is_empty() || end.owner == Owner::Listener;
        self.report_all(ready);
        let end = &mut self.ends[side];
        end.owner = Owner::Kernel;
        end.unread.clear();
        if reset {
            self.ends[1 - side].error = Some(libc::ECONNRESET);
        }
        self.shutdown(side, Shutdown::Both, ready);
        Some(reset && self.ends[1 - side].owner != Owner::Kernel)
    }

    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(|end| end.owner == Owner::Kernel)
    }

    fn report(&mut self, side: usize, direction: Direction, ready: &mut Vec<Ready>) {
        let end = &mut self.ends[side];
        if end.owner == Owner::Application && !end.reported[direction as usize] {
            end.reported[direction as usize] = true;
            ready.push(Ready::Local(LocalId::new(self.index, side), direction));
        }
    }

    fn report_all(&mut self, ready: &mut Vec<Ready>) {
        for side in [0, 1] {
            for direction in [Direction::Read, Direction::Write] {
                self.report(side, direction, ready);
            }
        }
    }
}
