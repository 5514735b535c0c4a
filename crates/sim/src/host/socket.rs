//! A stream socket, TCP or Unix, that its handles share: streams, halves and clones of one connection.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use super::transport::{ListeningSocket, StreamSocket};
use crate::inject::{AcceptFailure, failed_accept, shortened};
use crate::net::{Direction, ListenerId, LocalId, Ready, SocketId};
use crate::time::Nanos;
use crate::time::nanos;
use crate::trace::Transfer;
use crate::wait::{Operation, Wait};
use crate::world::Run;
use crate::world::context;

/// The network's id of an end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum EndId {
    Tcp(SocketId),
    Unix(LocalId),
}

impl EndId {
    const fn object(self) -> u64 {
        match self {
            Self::Tcp(id) => id.object(),
            Self::Unix(id) => id.object(),
        }
    }
}

/// One end of a connection. Dropping it closes the end.
#[derive(Debug)]
pub struct Socket {
    run: u64,
    id: EndId,
    /// Timeouts in nanoseconds; 0 is none.
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
    /// An error that ended a blocking write after it had taken some bytes. The next call returns it.
    deferred: Mutex<Option<io::Error>>,
}

impl Socket {
    pub(super) fn new(run: &Run, id: EndId) -> Self {
        run.made(id.object());
        Self {
            run: run.number,
            id,
            read_timeout: AtomicU64::new(0),
            write_timeout: AtomicU64::new(0),
            deferred: Mutex::new(None),
        }
    }

    pub(super) fn run(&self) -> Rc<Run> {
        context::expect_run(self.run)
    }

    /// Returns the TCP socket, for operations that only TCP has.
    fn tcp(&self) -> SocketId {
        match self.id {
            EndId::Tcp(id) => id,
            EndId::Unix(_) => unreachable!("handles of Unix sockets have no such methods"),
        }
    }

    /// The number of its TCP socket, if it is one.
    #[cfg(feature = "process")]
    pub(super) const fn tcp_id(&self) -> Option<SocketId> {
        match self.id {
            EndId::Tcp(id) => Some(id),
            EndId::Unix(_) => None,
        }
    }

    /// Reads what has been received, without waiting. Never shortened.
    #[cfg(feature = "process")]
    pub(super) fn read_now(&self, run: &Run, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        run.network(|network, now, outside| network.read(now, outside, self.tcp(), buffer))
    }

    /// Writes what there is room for, without waiting. Never shortened.
    #[cfg(feature = "process")]
    pub(super) fn write_now(&self, run: &Run, bytes: &[u8]) -> Poll<io::Result<usize>> {
        run.network(|network, now, outside| network.write(now, outside, self.tcp(), bytes))
    }

    /// Tells whether a handshake has succeeded, without waiting.
    #[cfg(feature = "process")]
    pub(super) fn try_connected(&self, run: &Run) -> Poll<io::Result<()>> {
        run.network(|network, _, _| network.poll_connected(self.tcp()))
    }

    /// The timeout of reads or of writes, in nanoseconds; 0 is none.
    #[cfg(feature = "process")]
    pub(super) fn timeout(&self, of_reads: bool) -> Nanos {
        let timeout = if of_reads { &self.read_timeout } else { &self.write_timeout };
        timeout.load(Ordering::Relaxed)
    }

    #[inline]
    fn try_read(&self, run: &Run, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let buffer = self.shortened_to_content(run, buffer);
        run.network(|network, now, outside| match self.id {
            EndId::Tcp(id) => network.read(now, outside, id, buffer),
            EndId::Unix(id) => network.local_read(outside, id, buffer),
        })
    }

    /// Writes as much as there is room for. `waited` is `true` if this call has found no room before.
    #[inline]
    fn try_write(&self, run: &Run, bytes: &[u8], waited: bool) -> Poll<io::Result<usize>> {
        run.network(|network, now, outside| match self.id {
            EndId::Tcp(id) => network.write(now, outside, id, bytes),
            EndId::Unix(id) => network.local_write(outside, id, bytes, waited),
        })
    }

    /// Returns the part of `buffer` that a read may fill, at most what has been received. Unix sockets are not
    /// shortened.
    fn shortened_to_content<'a>(&self, run: &Run, buffer: &'a mut [u8]) -> &'a mut [u8] {
        if let Some(id) = self.shortened_tcp(run)
            && let Some((host, could @ 1..)) = run.network(|network, _, _| network.readable(id))
        {
            let length = shortened(run, Transfer::Read, host, buffer.len().min(saturated(could)));
            return &mut buffer[..length];
        }
        buffer
    }

    /// Returns the part of `bytes` that a write may take, at most what the send buffer has room for.
    fn shortened_to_room<'a>(&self, run: &Run, bytes: &'a [u8]) -> &'a [u8] {
        if let Some(id) = self.shortened_tcp(run)
            && let Some((host, room @ 1..)) = run.network(|network, _, _| network.writable(id))
        {
            return &bytes[..shortened(run, Transfer::Write, host, bytes.len().min(saturated(room)))];
        }
        bytes
    }

    /// Returns the part of `bytes` after which a write that waits for room may return, as if a signal had interrupted
    /// it.
    fn shortened<'a>(&self, run: &Run, bytes: &'a [u8]) -> &'a [u8] {
        if let Some(id) = self.shortened_tcp(run)
            && let Some((host, _)) = run.network(|network, _, _| network.writable(id))
        {
            return &bytes[..shortened(run, Transfer::Write, host, bytes.len())];
        }
        bytes
    }

    /// Returns the TCP socket, if this is one and the run may shorten transfers.
    fn shortened_tcp(&self, run: &Run) -> Option<SocketId> {
        match self.id {
            EndId::Tcp(id) if run.may_shorten() => Some(id),
            _ => None,
        }
    }

    fn ready(&self, direction: Direction) -> Ready {
        match self.id {
            EndId::Tcp(id) => Ready::Socket(id, direction),
            EndId::Unix(id) => Ready::Local(id, direction),
        }
    }

    fn wait(&self, direction: Direction, until: Option<Nanos>) -> Wait {
        let verb = match direction {
            Direction::Read => "read",
            Direction::Write => "write",
            Direction::Connect => "connect",
        };
        Wait::Io { verb, object: self.id.object(), until }
    }

    // Async.

    /// Returns `true` if a write found no room and the socket has not become writable since. Tokio does not try again
    /// before that, even where there is some room.
    fn awaits_room(&self, run: &Run) -> bool {
        run.network(|network, _, _| match self.id {
            EndId::Tcp(id) => network.awaits_room(id),
            EndId::Unix(id) => network.local_awaits_room(id),
        })
    }

    pub(super) fn poll_connected(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let id = self.tcp();
        self.poll(context, Direction::Connect, |run| run.network(|network, _, _| network.poll_connected(id)))
    }

    fn poll<T>(
        &self,
        context: &mut Context<'_>,
        direction: Direction,
        attempt: impl FnOnce(&Run) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let run = self.run();
        let wait = self.wait(direction, None);
        std::task::ready!(run.scheduler.poll_operation(context, wait));
        let polled = attempt(&run);
        if polled.is_pending() {
            run.when_ready_only(self.ready(direction), context.waker());
            run.scheduler.note_wait(wait);
        } else {
            run.scheduler.after_effect(Operation::new(wait.verb()));
        }
        polled
    }

    // Blocking.

    fn is_empty_timeout(&self, error: &io::Error, buffer: &[u8]) -> bool {
        let is_tcp = matches!(self.id, EndId::Tcp(_));
        is_tcp && buffer.is_empty() && error.kind() == io::ErrorKind::WouldBlock
    }

    fn take_deferred(&self) -> Option<io::Error> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the handshake for at most `timeout` nanoseconds, or without limit if that is 0.
    pub(super) fn connected(&self, timeout: Nanos) -> io::Result<()> {
        let id = self.tcp();
        let connected = self.block("connect", Direction::Connect, timeout, |run| {
            run.network(|network, _, _| network.poll_connected(id))
        });
        connected.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "connection timed out"),
            _ => error,
        })
    }

    fn block<T>(
        &self,
        verb: &'static str,
        direction: Direction,
        timeout: Nanos,
        attempt: impl FnMut(&Run) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let run = self.run();
        block(&run, verb, self.ready(direction), timeout, |until| self.wait(direction, until), attempt)
    }
}

impl StreamSocket for Socket {
    fn is_vectored(&self) -> bool {
        true
    }

    fn can_act(&self) -> bool {
        context::with_run(self.run, |_| ()).is_some()
    }

    fn scheduling_point(&self, verb: &'static str) {
        self.run().scheduler.scheduling_point(Operation::new(verb));
    }

    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(context, Direction::Read, |run| self.try_read(run, buffer))
    }

    fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(context, Direction::Write, |run| {
            if !run.writes_early && self.awaits_room(run) {
                return Poll::Pending;
            }
            self.try_write(run, self.shortened_to_room(run, bytes), false)
        })
    }

    fn poll_write_vectored(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(context, &gathered(slices))
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = self.read_timeout.load(Ordering::Relaxed);
        match self.block("read", Direction::Read, timeout, |run| self.try_read(run, buffer)) {
            // `tcp_recvmsg` waits once for an empty buffer, and then has read everything it was asked for.
            Err(error) if self.is_empty_timeout(&error, buffer) => Ok(0),
            // Received bytes come first, then the error, then the end.
            Ok(0) if !buffer.is_empty() => self.take_deferred().map_or(Ok(0), Err),
            result => result,
        }
    }

    /// Writes until all bytes are taken, like a blocking `write(2)`. If something ends it before, the result is the
    /// count so far, and the next call returns the error.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = self.take_deferred() {
            return Err(error);
        }
        let bytes = self.shortened(&self.run(), bytes);
        let timeout = self.write_timeout.load(Ordering::Relaxed);
        let (mut written, mut waited) = (0, false);
        let result = self.block("write", Direction::Write, timeout, |run| {
            loop {
                let Poll::Ready(count) = self.try_write(run, &bytes[written..], waited) else {
                    waited = true;
                    return Poll::Pending;
                };
                written += count?;
                if written == bytes.len() {
                    return Poll::Ready(Ok(()));
                }
            }
        });
        match result {
            Ok(()) => Ok(written),
            Err(error) if written == 0 => Err(error),
            Err(error) => {
                // Linux's Unix sockets forget the error, and the next write is a broken pipe.
                let kept = matches!(self.id, EndId::Tcp(_));
                if kept && error.kind() != io::ErrorKind::WouldBlock {
                    *self.deferred.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
                Ok(written)
            }
        }
    }

    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(&gathered(slices))
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout.store(timeout_nanos(timeout)?, Ordering::Relaxed);
        Ok(())
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout.store(timeout_nanos(timeout)?, Ordering::Relaxed);
        Ok(())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        let id = self.tcp();
        self.run().network(|network, _, _| network.local_addr(id))
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        let id = self.tcp();
        self.run().network(|network, _, _| network.peer_addr(id))
    }

    fn linger_zero(&self) {
        let id = self.tcp();
        self.run().network(|network, _, _| network.set_linger_zero(id));
    }

    fn set_nodelay(&self, nodelay: bool) {
        let id = self.tcp();
        self.run().network(|network, now, outside| network.set_nodelay(now, outside, id, nodelay));
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.run().network(|network, now, outside| match self.id {
            EndId::Tcp(id) => network.shutdown(now, outside, id, how),
            EndId::Unix(id) => {
                network.local_shutdown(outside, id, how);
                Ok(())
            }
        })
    }
}

/// Blocks the running thread until `attempt` has a result, for at most `timeout` nanoseconds, or without limit if that
/// is 0. After the timeout the result is `WouldBlock`.
pub(super) fn block<T>(
    run: &Run,
    verb: &'static str,
    ready: Ready,
    timeout: Nanos,
    wait: impl Fn(Option<Nanos>) -> Wait,
    mut attempt: impl FnMut(&Run) -> Poll<io::Result<T>>,
) -> io::Result<T> {
    run.scheduler.scheduling_point_at(Operation::new(verb), |host| wait(None).object(host));
    let until = (timeout > 0).then(|| run.scheduler.now().saturating_add(timeout));
    loop {
        if let Poll::Ready(result) = attempt(run) {
            run.scheduler.unblocked();
            run.scheduler.after_effect_in_thread(Operation::new(verb));
            return result;
        }
        if until.is_some_and(|until| run.scheduler.now() >= until) {
            run.scheduler.unblocked();
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        if let Some(task) = run.scheduler.current() {
            run.when_ready(ready, &run.scheduler.waker(task));
        }
        if !run.scheduler.block(wait(until), until) {
            return Err(super::unwinding(verb));
        }
    }
}

/// Converts a timeout to the form of sockets: in nanoseconds, 0 is none.
pub(crate) fn timeout_nanos(timeout: Option<Duration>) -> io::Result<Nanos> {
    match timeout {
        None => Ok(0),
        Some(Duration::ZERO) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "a timeout of zero: use None for no timeout"))
        }
        Some(timeout) => Ok(nanos(timeout)),
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A socket may outlive its run, in a destructor of the test's own. Then there is nothing left to close.
        context::with_run(self.run, |run| {
            run.network(|network, now, outside| match self.id {
                EndId::Tcp(id) => network.close(now, outside, id),
                EndId::Unix(id) => network.local_close(outside, id),
            });
            run.unmade(self.id.object());
            for direction in [Direction::Read, Direction::Write, Direction::Connect] {
                run.forget(self.ready(direction));
            }
        });
    }
}

/// Returns the bytes of several slices as one. Copies only if more than one has bytes.
fn gathered<'a>(slices: &'a [IoSlice<'_>]) -> Cow<'a, [u8]> {
    let mut filled = slices.iter().filter(|slice| !slice.is_empty());
    match (filled.next(), filled.next()) {
        (None, _) => Cow::Borrowed(&[]),
        (Some(only), None) => Cow::Borrowed(only),
        _ => Cow::Owned(slices.iter().flat_map(|slice| slice.iter().copied()).collect()),
    }
}

fn saturated(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// A listening socket. Dropping it stops listening.
#[derive(Debug)]
pub struct Listening {
    run: u64,
    pub(super) id: ListenerId,
}

impl Listening {
    pub(super) fn new(run: &Run, id: ListenerId) -> Self {
        run.made(id.object());
        Self { run: run.number, id }
    }

    fn run(&self) -> Rc<Run> {
        context::expect_run(self.run)
    }

    fn wait(&self) -> Wait {
        Wait::Io { verb: "accept", object: self.id.object(), until: None }
    }

    pub(super) fn try_accept(&self, run: &Run) -> Poll<io::Result<(Socket, SocketAddr)>> {
        let host = run.network(|network, _, _| network.could_accept(self.id));
        let failure = host.and_then(|host| failed_accept(run, host));
        if failure == Some(AcceptFailure::NoDescriptor) {
            return Poll::Ready(Err(AcceptFailure::NoDescriptor.into()));
        }
        let accepted = run.network(|network, _, _| network.accept(self.id));
        if let (Some(failure), Poll::Ready(Ok((id, _)))) = (failure, &accepted) {
            run.network(|network, _, _| network.set_linger_zero(*id));
            // Dropping it resets the connection.
            drop(Socket::new(run, EndId::Tcp(*id)));
            return Poll::Ready(Err(failure.into()));
        }
        accepted.map_ok(|(id, peer)| (Socket::new(run, EndId::Tcp(id)), peer))
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>> {
        let run = self.run();
        std::task::ready!(run.scheduler.poll_operation(context, self.wait()));
        let accepted = self.try_accept(&run);
        if accepted.is_pending() {
            run.when_ready(Ready::Listener(self.id), context.waker());
            run.scheduler.note_wait(self.wait());
        } else {
            run.scheduler.after_effect(Operation::new("accept"));
        }
        accepted
    }
}

impl ListeningSocket for Listening {
    type Socket = Socket;

    async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    fn accept_blocking(&self) -> io::Result<(Socket, SocketAddr)> {
        let run = self.run();
        block(&run, "accept", Ready::Listener(self.id), 0, |_| self.wait(), |run| self.try_accept(run))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.run().network(|network, _, _| network.listener_addr(self.id))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        context::with_run(self.run, |run| {
            run.network(|network, now, outside| network.close_listener(now, outside, self.id));
            run.unmade(self.id.object());
            run.forget(Ready::Listener(self.id));
        });
    }
}
