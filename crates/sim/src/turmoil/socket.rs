//! TCP sockets of turmoil that their handles share: streams, halves and clones of one connection.
//!
//! turmoil's own halves do the work. This module adds what they lack for blocking code: timeouts, clones that wait in
//! several threads, `shutdown` of the reading direction.
//!
//! # Invariants
//!
//! - turmoil acts on the host that it is running. So a socket must be used on its own host, which is checked.
//! - No lock of this module is held while code under test runs.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use ::turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use ::turmoil::net::{TcpListener, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::TurmoilHost;
use super::ports::{Bound, in_words};
use crate::host::{ListeningSocket, StreamSocket, timeout_nanos};
use crate::time::Nanos;
use crate::trace::TraceEvent;
use crate::wait::{Operation, Wait};
use crate::world::Run;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An object that tasks of a host wait for, by its name in reports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    host: TurmoilHost,
    number: u64,
}

impl Object {
    pub(super) fn new(host: TurmoilHost, label: &str) -> io::Result<Self> {
        Ok(Self { host, number: host.on_network()?.label(label.into()) })
    }

    fn wait(self, verb: &'static str, until: Option<Nanos>) -> Wait {
        Wait::Io { verb, object: self.number, until }
    }

    /// One attempt of an async task.
    pub(super) fn poll<T>(
        self,
        verb: &'static str,
        context: &mut Context<'_>,
        attempt: impl FnOnce(&Run, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let run = self.host.on_network()?;
        ready!(run.scheduler.poll_operation(context, self.wait(verb, None)));
        let polled = attempt(&run, context);
        if polled.is_pending() {
            run.scheduler.note_wait(self.wait(verb, None));
        }
        polled
    }

    /// Awaits an operation of turmoil.
    async fn wait_for<T>(
        self,
        verb: &'static str,
        operation: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let mut operation = pin!(operation);
        std::future::poll_fn(|context| {
            self.poll(verb, context, |_, context| operation.as_mut().poll(context))
        })
        .await
    }

    /// Blocks the running thread until `attempt` is ready, for at most `timeout` nanoseconds, or without limit if that
    /// is 0.
    pub(super) fn block<T>(
        self,
        verb: &'static str,
        timeout: Nanos,
        mut attempt: impl FnMut(&Run, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let run = self.host.on_network()?;
        run.scheduler.scheduling_point(Operation::new(verb));
        let until = (timeout > 0).then(|| run.scheduler.now().saturating_add(timeout));
        loop {
            let waker = run
                .scheduler
                .current()
                .map_or_else(|| Waker::noop().clone(), |task| run.scheduler.waker(task));
            if let Poll::Ready(result) = attempt(&run, &mut Context::from_waker(&waker)) {
                run.scheduler.unblocked();
                return result;
            }
            if until.is_some_and(|until| run.scheduler.now() >= until) {
                run.scheduler.unblocked();
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if !run.scheduler.block(self.wait(verb, until), until) {
                return Err(crate::host::unwinding(verb));
            }
        }
    }
}

/// The tasks and threads that wait for one direction of a socket. turmoil remembers only one waker.
#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<Vec<Waker>>);

impl Waiters {
    /// Returns a waker that wakes `waker` too.
    pub(super) fn with(self: &Arc<Self>, waker: &Waker) -> Waker {
        let mut waiting = lock(&self.0);
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
        Waker::from(Arc::clone(self))
    }

    /// Forgets all wakers but `waker`: only the most recent poller is woken, as with tokio's streams.
    fn keep_only(&self, waker: &Waker) {
        let waiting = std::mem::take(&mut *lock(&self.0));
        // Dropped without the lock: a waker may be code under test.
        let (kept, _others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|known| known.will_wake(waker));
        *lock(&self.0) = kept;
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waiting = std::mem::take(&mut *lock(&self.0));
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[derive(Debug)]
struct Reader {
    half: OwnedReadHalf,
    /// Reading was shut down. Received bytes may still be read, and no read waits.
    is_shut: bool,
}

/// One end of a connection. Dropping it closes the end.
#[derive(Debug)]
pub struct Socket {
    object: Object,
    label: String,
    local: SocketAddr,
    peer: SocketAddr,
    // In the order in which turmoil drops the halves of a stream: an end with unread bytes resets before it sends FIN.
    reader: Mutex<Reader>,
    writer: Mutex<OwnedWriteHalf>,
    readers: Arc<Waiters>,
    writers: Arc<Waiters>,
    /// Timeouts in nanoseconds; 0 is none.
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
    /// An error that ended a blocking write after it had taken some bytes. The next call returns it.
    deferred: Mutex<Option<io::Error>>,
}

impl Socket {
    pub(super) fn new(host: TurmoilHost, stream: TcpStream, verb: &str) -> io::Result<Self> {
        let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
        let label = format!("{} -> {}", host.place(local), host.place(peer));
        let (reader, writer) = stream.into_split();
        let socket = Self {
            object: Object::new(host, &label)?,
            label,
            local,
            peer,
            reader: Mutex::new(Reader { half: reader, is_shut: false }),
            writer: Mutex::new(writer),
            readers: Arc::default(),
            writers: Arc::default(),
            read_timeout: AtomicU64::new(0),
            write_timeout: AtomicU64::new(0),
            deferred: Mutex::new(None),
        };
        socket.record(&*host.on_network()?, verb, false);
        Ok(socket)
    }

    fn record(&self, run: &Run, what: &str, transfer: bool) {
        run.scheduler
            .trace_event(TraceEvent::Socket { what: format!("{} {what}", self.label).into(), transfer });
    }

    fn try_read(&self, run: &Run, context: &Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let waker = self.readers.with(context.waker());
        let mut buffer = ReadBuf::new(buffer);
        let read = {
            let mut reader = lock(&self.reader);
            match Pin::new(&mut reader.half).poll_read(&mut Context::from_waker(&waker), &mut buffer) {
                Poll::Pending if reader.is_shut => Poll::Ready(Ok(())),
                polled => polled,
            }
        };
        let result = ready!(read).map(|()| buffer.filled().len());
        match &result {
            Ok(0) if buffer.capacity() > 0 => self.record(run, "reads the end", false),
            Ok(bytes) => self.record(run, &format!("reads {bytes} B"), true),
            Err(error) => self.record(run, &format!("cannot read: {}", error.kind()), false),
        }
        Poll::Ready(result)
    }

    fn try_write(&self, run: &Run, context: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let waker = self.writers.with(context.waker());
        let mut context = Context::from_waker(&waker);
        let result = ready!(Pin::new(&mut *lock(&self.writer)).poll_write(&mut context, bytes));
        match &result {
            Ok(bytes) => self.record(run, &format!("sends {bytes} B"), true),
            Err(error) => self.record(run, &format!("cannot send: {}", error.kind()), false),
        }
        Poll::Ready(result)
    }
}

impl StreamSocket for Socket {
    fn is_vectored(&self) -> bool {
        false
    }

    fn can_act(&self) -> bool {
        self.object.host.is_here()
    }

    fn scheduling_point(&self, verb: &'static str) {
        if let Ok(run) = self.object.host.on_network() {
            run.scheduler.scheduling_point(Operation::new(verb));
        }
    }

    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.object.poll("read", context, |run, context| {
            let read = self.try_read(run, context, buffer);
            if read.is_pending() {
                self.readers.keep_only(context.waker());
            }
            read
        })
    }

    fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.object.poll("write", context, |run, context| {
            let written = self.try_write(run, context, bytes);
            if written.is_pending() {
                self.writers.keep_only(context.waker());
            }
            written
        })
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = self.read_timeout.load(Ordering::Relaxed);
        self.object.block("read", timeout, |run, context| self.try_read(run, context, buffer))
    }

    /// Writes until all bytes are taken, like a blocking `write(2)`. If something ends it before, the result is the
    /// count so far, and the next call returns the error.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = lock(&self.deferred).take() {
            return Err(error);
        }
        let timeout = self.write_timeout.load(Ordering::Relaxed);
        let written = Cell::new(0);
        let result = self.object.block("write", timeout, |run, context| {
            loop {
                let rest = &bytes[written.get()..];
                written.set(written.get() + ready!(self.try_write(run, context, rest))?);
                if written.get() == bytes.len() {
                    return Poll::Ready(Ok(()));
                }
            }
        });
        match result {
            Err(error) if written.get() == 0 => return Err(error),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => *lock(&self.deferred) = Some(error),
            _ => {}
        }
        Ok(written.get())
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout.store(timeout_nanos(timeout)?, Ordering::Relaxed);
        Ok(())
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout.store(timeout_nanos(timeout)?, Ordering::Relaxed);
        Ok(())
    }

    /// Half-closes or closes. Tasks and threads that wait for a closed direction wake up.
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let run = self.object.host.on_network()?;
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            lock(&self.reader).is_shut = true;
            self.readers.wake_by_ref();
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            let mut context = Context::from_waker(Waker::noop());
            match Pin::new(&mut *lock(&self.writer)).poll_shutdown(&mut context) {
                Poll::Ready(Ok(())) => self.record(&run, "sends FIN", false),
                // It was shut down before. That is fine as long as the peer has not closed; turmoil does not say
                // whether it has.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotConnected => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => unreachable!("turmoil's shutdown waits for nothing"),
            }
            self.writers.wake_by_ref();
        }
        Ok(())
    }

    fn set_nodelay(&self, _: bool) {}

    fn linger_zero(&self) {}

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

/// A listening socket. Dropping it stops listening.
pub struct Listening {
    object: Object,
    inner: Bound<TcpListener>,
    local: SocketAddr,
}

impl Listening {
    pub(super) fn new(host: TurmoilHost, address: SocketAddr) -> io::Result<Self> {
        let inner = Bound::new(host, "listen on", address, TcpListener::bind)?;
        let local = SocketAddr::new(address.ip(), inner.local_addr()?.port());
        let object = Object::new(host, &host.place(local))?;
        Ok(Self { object, inner, local })
    }

    fn accepted(&self, stream: TcpStream) -> io::Result<(Socket, SocketAddr)> {
        let socket = Socket::new(self.object.host, stream, "is accepted")?;
        let peer = socket.peer;
        Ok((socket, peer))
    }
}

impl ListeningSocket for Listening {
    type Socket = Socket;

    async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        let (stream, _) = self.object.wait_for("accept", self.inner.accept()).await?;
        self.accepted(stream)
    }

    fn accept_blocking(&self) -> io::Result<(Socket, SocketAddr)> {
        let mut accept = pin!(self.inner.accept());
        let (stream, _) = self.object.block("accept", 0, |_, context| accept.as_mut().poll(context))?;
        self.accepted(stream)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening")
            .field("host", &self.object.host)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// Connects an async task.
pub(super) async fn connect(host: TurmoilHost, address: SocketAddr) -> io::Result<Socket> {
    let (object, label) = connecting(host, address)?;
    let stream = object.wait_for("connect", TcpStream::connect(address)).await;
    Socket::new(host, stream.map_err(|error| not_connected(host, &label, error))?, "connected")
}

/// Connects a thread, within `timeout` nanoseconds or without limit if that is 0.
pub(super) fn connect_blocking(host: TurmoilHost, address: SocketAddr, timeout: Nanos) -> io::Result<Socket> {
    let (object, label) = connecting(host, address)?;
    let mut connect = pin!(TcpStream::connect(address));
    let stream = object.block("connect", timeout, |_, context| connect.as_mut().poll(context));
    let stream = stream.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "connection timed out"),
        _ => not_connected(host, &label, error),
    })?;
    Socket::new(host, stream, "connected")
}

fn connecting(host: TurmoilHost, address: SocketAddr) -> io::Result<(Object, String)> {
    // turmoil chooses the port of this end. It is not known before the connection is.
    let label = format!("{} -> {}", host.name(), host.place(address));
    let what = format!("{label} connects").into();
    host.on_network()?.scheduler.trace_event(TraceEvent::Socket { what, transfer: false });
    Ok((Object::new(host, &label)?, label))
}

fn not_connected(host: TurmoilHost, label: &str, error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        let what = format!("{label} refused").into();
        host.run().scheduler.trace_event(TraceEvent::Socket { what, transfer: false });
    }
    in_words(error)
}
