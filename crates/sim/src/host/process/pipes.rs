//! Event counters, pipes and pairs of sockets: channels within one program.
//!
//! Nothing here suspends but a blocking read or write that has to wait: programs make these under locks in statics.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use libc::c_int;

use super::System;
use super::call::{Answer, Call, Errno};
use super::descriptors::{File, Key, Open};

/// Bytes that a pipe holds, as on Linux.
const PIPE_BYTES: usize = 64 << 10;

/// An event counter (`eventfd(2)`).
pub(super) struct Counter {
    pub(super) number: u64,
    pub(super) count: Cell<u64>,
    /// Each read takes one (`EFD_SEMAPHORE`).
    counts_down: bool,
}

/// What has been written to one end and not yet been read from the other.
#[derive(Default)]
struct Way {
    bytes: RefCell<VecDeque<u8>>,
    /// The writing end is closed or shut down.
    is_over: Cell<bool>,
    /// The reading end is closed or shut down.
    is_abandoned: Cell<bool>,
}

/// An end of a pipe or of a pair of sockets.
pub(super) struct PipeEnd {
    pub(super) number: u64,
    peer: u64,
    reads: Option<Rc<Way>>,
    writes: Option<Rc<Way>>,
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.shut_down(true, true);
    }
}

impl PipeEnd {
    fn shut_down(&self, reading: bool, writing: bool) {
        if let Some(way) = self.reads.as_ref().filter(|_| reading) {
            way.is_abandoned.set(true);
        }
        if let Some(way) = self.writes.as_ref().filter(|_| writing) {
            way.is_over.set(true);
        }
    }

    /// The key to notify when this end closes.
    pub(super) const fn peer_key(&self) -> Key {
        Key::Own(self.peer)
    }

    pub(super) fn readiness(&self) -> c_int {
        let mut events = 0;
        if let Some(way) = &self.reads {
            if !way.bytes.borrow().is_empty() || way.is_over.get() {
                events |= libc::EPOLLIN;
            }
            if way.is_over.get() {
                events |= libc::EPOLLRDHUP | if self.writes.is_none() { libc::EPOLLHUP } else { 0 };
            }
        }
        if let Some(way) = &self.writes {
            if way.is_abandoned.get() {
                events |= libc::EPOLLOUT | libc::EPOLLERR;
            } else if way.bytes.borrow().len() < PIPE_BYTES {
                events |= libc::EPOLLOUT;
            }
        }
        events
    }

    fn read_now(&self, buffer: &mut [u8]) -> Answer {
        let way = self.reads.as_ref().ok_or(Errno(libc::EBADF))?;
        let mut bytes = way.bytes.borrow_mut();
        if bytes.is_empty() && !buffer.is_empty() {
            return if way.is_over.get() { Ok(0) } else { Err(Errno(libc::EAGAIN)) };
        }
        let count = bytes.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(bytes.drain(..count)) {
            *to = from;
        }
        Ok(count as isize)
    }

    fn write_now(&self, from: &[u8]) -> Answer {
        let way = self.writes.as_ref().ok_or(Errno(libc::EBADF))?;
        if way.is_abandoned.get() {
            return Err(Errno(libc::EPIPE));
        }
        let mut bytes = way.bytes.borrow_mut();
        let count = from.len().min(PIPE_BYTES - bytes.len());
        if count == 0 && !from.is_empty() {
            return Err(Errno(libc::EAGAIN));
        }
        bytes.extend(&from[..count]);
        Ok(count as isize)
    }
}

fn add(call: &Call, file: File, nonblocking: bool) -> c_int {
    let open = Open { file: file.into(), nonblocking: nonblocking.into(), host: call.thread.host.get() };
    call.system.table.borrow_mut().add(Rc::new(open))
}

pub(super) fn eventfd(call: &Call, count: u32, flags: c_int) -> Answer {
    let counter = Counter {
        number: call.system.number(),
        count: Cell::new(count.into()),
        counts_down: flags & libc::EFD_SEMAPHORE != 0,
    };
    Ok(add(call, File::Counter(Rc::new(counter)), flags & libc::EFD_NONBLOCK != 0) as isize)
}

/// Makes a pipe, as the descriptors to read from and to write to.
pub(super) fn pipe(call: &Call, flags: c_int) -> [c_int; 2] {
    let way = Rc::<Way>::default();
    let [reader, writer] = [call.system.number(), call.system.number()];
    let ends = [
        PipeEnd { number: reader, peer: writer, reads: Some(Rc::clone(&way)), writes: None },
        PipeEnd { number: writer, peer: reader, reads: None, writes: Some(way) },
    ];
    ends.map(|end| add(call, File::Pipe(Rc::new(end)), flags & libc::O_NONBLOCK != 0))
}

/// Makes a pair of connected stream sockets.
pub(super) fn pair(call: &Call, kind: c_int) -> [c_int; 2] {
    let ways = [Rc::<Way>::default(), Rc::<Way>::default()];
    let numbers = [call.system.number(), call.system.number()];
    [0, 1].map(|side| {
        let end = PipeEnd {
            number: numbers[side],
            peer: numbers[1 - side],
            reads: Some(Rc::clone(&ways[1 - side])),
            writes: Some(Rc::clone(&ways[side])),
        };
        add(call, File::Pipe(Rc::new(end)), kind & libc::SOCK_NONBLOCK != 0)
    })
}

pub(super) fn read_counter(call: &Call, counter: &Counter, nonblocking: bool, buffer: &mut [u8]) -> Answer {
    let Some(buffer) = buffer.first_chunk_mut::<8>() else { return Err(Errno(libc::EINVAL)) };
    loop {
        let count = counter.count.get();
        if count > 0 {
            let taken = if counter.counts_down { 1 } else { count };
            counter.count.set(count - taken);
            *buffer = taken.to_ne_bytes();
            call.system.mark(&call.run, Key::Own(counter.number));
            return Ok(8);
        }
        if nonblocking {
            return Err(Errno(libc::EAGAIN));
        }
        call.wait_for(vec![Key::Own(counter.number)], None)?;
    }
}

pub(super) fn write_counter(call: &Call, counter: &Counter, nonblocking: bool, bytes: &[u8]) -> Answer {
    let Some(added) = bytes.first_chunk::<8>() else { return Err(Errno(libc::EINVAL)) };
    let added = u64::from_ne_bytes(*added);
    if added == u64::MAX {
        return Err(Errno(libc::EINVAL));
    }
    loop {
        if let Some(count) = counter.count.get().checked_add(added).filter(|count| *count < u64::MAX) {
            counter.count.set(count);
            call.system.mark(&call.run, Key::Own(counter.number));
            return Ok(8);
        }
        if nonblocking {
            return Err(Errno(libc::EAGAIN));
        }
        call.wait_for(vec![Key::Own(counter.number)], None)?;
    }
}

pub(super) fn read(call: &Call, end: &PipeEnd, nonblocking: bool, buffer: &mut [u8]) -> Answer {
    transfer(call, end, nonblocking, |end| end.read_now(buffer))
}

pub(super) fn write(call: &Call, end: &PipeEnd, nonblocking: bool, bytes: &[u8]) -> Answer {
    let mut written = 0;
    loop {
        let answer = transfer(call, end, nonblocking, |end| end.write_now(&bytes[written..]));
        match answer {
            Ok(count) => written += count as usize,
            Err(_) if written > 0 => return Ok(written as isize),
            Err(errno) => return Err(errno),
        }
        if nonblocking || written == bytes.len() {
            return Ok(written as isize);
        }
    }
}

fn transfer(
    call: &Call,
    end: &PipeEnd,
    nonblocking: bool,
    mut attempt: impl FnMut(&PipeEnd) -> Answer,
) -> Answer {
    loop {
        match attempt(end) {
            Err(Errno(libc::EAGAIN)) if !nonblocking => {
                call.wait_for(vec![Key::Own(end.number)], None)?;
            }
            answer => {
                call.system.mark(&call.run, Key::Own(end.peer));
                return answer;
            }
        }
    }
}

pub(super) fn shut_down(call: &Call, end: &PipeEnd, how: c_int) -> Answer {
    end.shut_down(how != libc::SHUT_WR, how != libc::SHUT_RD);
    closed(&call.system, call, end);
    Ok(0)
}

/// Tells both ends that one has changed.
pub(super) fn closed(system: &System, call: &Call, end: &PipeEnd) {
    system.mark(&call.run, Key::Own(end.peer));
    system.mark(&call.run, Key::Own(end.number));
}
