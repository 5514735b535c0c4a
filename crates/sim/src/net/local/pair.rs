//! One connection of Unix sockets: two ends, each with a queue of the bytes that it has not read.
//!
//! # Invariants
//!
//! - End 0 has connected, end 1 was or will be accepted.
//! - Messages that an end has written and its peer has not read count against the end's send buffer (module `buffers`).
//!   The peer has no buffer of its own.
//! - A message counts until all of it is read. A full buffer has room again as soon as one does not count, but a
//!   writer that
//!   waits is woken when three quarters of the buffer are free (`unix_writable`).

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::task::Poll;

use wavetank_runtime::SocketOptions;

use super::super::connection::Errno;
use super::super::{Direction, Ready, buffers};
use super::{LocalId, errno};

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
    /// Bytes of each message in `unread` that are not read yet, and the memory that it takes of the peer's buffer.
    messages: VecDeque<(usize, u64)>,
    /// Memory of the messages that this end has written and its peer has not read.
    memory: u64,
    send_buffer: u64,
    /// A write found no room, and the writer was not woken since.
    pub(super) writer_waits: bool,
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
            messages: VecDeque::new(),
            memory: 0,
            send_buffer: buffers::send_buffer(options.send_buffer_bytes),
            writer_waits: false,
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
            self.free(side, count, ready);
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
        let count = self.put_messages(side, bytes);
        self.ends[side].writer_waits = count < bytes.len();
        if count == 0 {
            return Poll::Pending;
        }
        self.report(1 - side, Direction::Read, ready);
        Poll::Ready(Ok(count))
    }

    /// Puts messages into the peer's queue while the send buffer of `side` is not full. Returns the bytes that it put.
    fn put_messages(&mut self, side: usize, bytes: &[u8]) -> usize {
        let [end, peer] = self.ends.get_disjoint_mut([side, 1 - side]).expect("two ends");
        let message_max = usize::try_from(buffers::unix_message_max(end.send_buffer)).unwrap_or(usize::MAX);
        let mut count = 0;
        for message in bytes.chunks(message_max) {
            if end.memory >= end.send_buffer {
                break;
            }
            let memory = buffers::unix_message(message.len() as u64);
            end.memory += memory;
            peer.unread.extend(message);
            peer.messages.push_back((message.len(), memory));
            count += message.len();
        }
        count
    }

    /// Notes that `side` has read `count` bytes. Messages that it has read whole no longer count.
    fn free(&mut self, side: usize, mut count: usize, ready: &mut Vec<Ready>) {
        let [end, peer] = self.ends.get_disjoint_mut([side, 1 - side]).expect("two ends");
        while count > 0
            && let Some((unread, memory)) = end.messages.front_mut()
        {
            let read = count.min(*unread);
            count -= read;
            *unread -= read;
            if *unread == 0 {
                peer.memory -= *memory;
                end.messages.pop_front();
            }
        }
        if peer.memory * 4 <= peer.send_buffer {
            peer.writer_waits = false;
            self.report(1 - side, Direction::Write, ready);
        }
    }

    /// `unix_shutdown`: each direction has one state, which both ends share.
    pub(super) fn shutdown(&mut self, side: usize, how: Shutdown, ready: &mut Vec<Ready>) {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.ends[side].read_shut = true;
            self.ends[1 - side].write_shut = true;
            self.ends[1 - side].writer_waits = false;
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.ends[side].write_shut = true;
            self.ends[side].writer_waits = false;
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
        end.messages.clear();
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
