//! [`Threads`] for a host inside of turmoil: blocking threads, each blocked while its operation is pending.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{
    BlockingListener, BlockingStream, Instant, ListenOptions, RawLocks, SocketOptions, Threads, WaitOutcome,
};

use super::TurmoilHost;
use super::socket::{self, Listening, Socket, refuse_zero};
use crate::host::{Host, SimCondvar, SimGuard, SimMutex, SimThreadHandle};
use crate::net::Direction;
use crate::time::nanos;
use crate::wait::Operation;

impl Threads for TurmoilHost {
    type Stream = TurmoilBlockingStream;
    type Listener = TurmoilBlockingListener;
    type ThreadHandle<T: Send + 'static> = SimThreadHandle<T>;

    fn now(&self) -> Instant {
        Threads::now(&self.inner)
    }

    fn sleep(&self, duration: Duration) {
        Threads::sleep(&self.inner, duration);
    }

    fn spawn<T, F>(&self, name: &str, body: F) -> io::Result<SimThreadHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Threads::spawn(&self.inner, name, body)
    }

    fn yield_now(&self) {
        self.inner.yield_now();
    }

    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.acts()?.scheduler.scheduling_point(Operation::new("resolve"));
        self.resolve_now(host, port)
    }

    /// Connects. turmoil counts buffers in segments for all hosts at once (`Builder::tcp_capacity`): the options are
    /// accepted and without effect.
    fn connect(
        &self,
        address: SocketAddr,
        _: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<TurmoilBlockingStream> {
        refuse_zero(timeout)?;
        let socket = socket::connect_blocking(*self, address, timeout.map_or(0, nanos))?;
        Ok(TurmoilBlockingStream { socket: Arc::new(socket) })
    }

    /// Listens. The options are without effect, as in [`connect`](Self::connect): the backlog is turmoil's, and a SYN
    /// beyond it panics the simulation.
    fn listen(&self, address: SocketAddr, _: ListenOptions) -> io::Result<TurmoilBlockingListener> {
        self.acts()?.scheduler.scheduling_point(Operation::new("listen"));
        Ok(TurmoilBlockingListener { listening: Listening::new(*self, address)? })
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        Threads::fill_random(&self.inner, buffer);
    }
}

impl RawLocks for TurmoilHost {
    type RawMutex<T: Send> = SimMutex<T>;
    type RawGuard<'a, T: Send + 'a> = SimGuard<'a, T>;
    type RawCondvar = SimCondvar;

    fn raw_mutex<T: Send>(&self, name: &'static str, value: T) -> SimMutex<T> {
        self.inner.raw_mutex(name, value)
    }

    fn raw_lock<T: Send>(mutex: &SimMutex<T>) -> SimGuard<'_, T> {
        Host::raw_lock(mutex)
    }

    fn raw_try_lock<T: Send>(mutex: &SimMutex<T>) -> Option<SimGuard<'_, T>> {
        Host::raw_try_lock(mutex)
    }

    fn raw_into_inner<T: Send>(mutex: SimMutex<T>) -> T {
        Host::raw_into_inner(mutex)
    }

    fn raw_condvar(&self, name: &'static str) -> SimCondvar {
        self.inner.raw_condvar(name)
    }

    fn raw_wait<'a, T: Send + 'a>(condvar: &SimCondvar, guard: SimGuard<'a, T>) -> SimGuard<'a, T> {
        Host::raw_wait(condvar, guard)
    }

    fn raw_wait_timeout<'a, T: Send + 'a>(
        condvar: &SimCondvar,
        guard: SimGuard<'a, T>,
        timeout: Duration,
    ) -> (SimGuard<'a, T>, WaitOutcome) {
        Host::raw_wait_timeout(condvar, guard, timeout)
    }

    fn raw_notify_one(condvar: &SimCondvar) {
        Host::raw_notify_one(condvar);
    }

    fn raw_notify_all(condvar: &SimCondvar) {
        Host::raw_notify_all(condvar);
    }
}

/// A listener of threads inside of turmoil.
#[derive(Debug)]
pub struct TurmoilBlockingListener {
    listening: Listening,
}

impl BlockingListener for TurmoilBlockingListener {
    type Stream = TurmoilBlockingStream;

    fn accept(&self) -> io::Result<(TurmoilBlockingStream, SocketAddr)> {
        let socket = Arc::new(self.listening.accept_blocking()?);
        let peer = socket.peer_addr();
        Ok((TurmoilBlockingStream { socket }, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.listening.local_addr())
    }
}

/// A TCP stream of threads inside of turmoil. Its clones share it.
#[derive(Debug)]
pub struct TurmoilBlockingStream {
    socket: Arc<Socket>,
}

impl BlockingStream for TurmoilBlockingStream {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.clone() })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.point("shutdown");
        self.socket.shutdown(how)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_timeout(Direction::Read, timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_timeout(Direction::Write, timeout)
    }

    /// Accepted and without effect: turmoil never holds small segments back.
    fn set_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    /// Drops this handle. turmoil resets only where unread bytes are left when the last clone is dropped; otherwise the
    /// peer sees an orderly end.
    fn abort(self) {
        self.socket.point("abort");
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.local_addr())
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.peer_addr())
    }
}

impl Read for TurmoilBlockingStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for TurmoilBlockingStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
