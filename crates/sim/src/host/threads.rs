//! [`Threads`] for a simulated host: blocking threads.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{
    BlockingListener, BlockingStream, Instant, JoinError, ListenOptions, RawLocks, SocketOptions,
    ThreadHandle, Threads, WaitOutcome,
};

use super::ending::{Ending, ending};
use super::locks::{SimCondvar, SimGuard, SimMutex};
use super::socket::{Listening, Socket, timeout_nanos};
use super::{Host, context};
use crate::net::Direction;
use crate::time::nanos;
use crate::wait::{Operation, TaskId, Wait};

impl Threads for Host {
    type Stream = SimBlockingStream;
    type Listener = SimBlockingListener;
    type ThreadHandle<T: Send + 'static> = SimThreadHandle<T>;

    fn now(&self) -> Instant {
        Instant::from_nanos(self.now_nanos())
    }

    #[track_caller]
    fn sleep(&self, duration: Duration) {
        let run = self.run();
        run.scheduler.scheduling_point(Operation::new("sleep"));
        let until = run.scheduler.now().saturating_add(nanos(duration));
        while run.scheduler.now() < until {
            if !run.scheduler.block(Wait::Sleep { until }, Some(until)) {
                // A thread that unwinds cannot wait; sleeping shorter is the least wrong.
                return;
            }
        }
        run.scheduler.unblocked();
    }

    fn spawn<T, F>(&self, name: &str, body: F) -> io::Result<SimThreadHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let run = self.run();
        run.scheduler.scheduling_point(Operation::new("spawn"));
        let (end, ending) = ending();
        let number = self.run;
        let entry = move || {
            // Moved in, so that tearing the thread down before it ends tells the handle.
            let end = end;
            match catch_unwind(AssertUnwindSafe(body)) {
                Ok(value) => end.set(Ok(value)),
                Err(payload) => {
                    let message = context::expect_run(number).scheduler.thread_panicked(payload);
                    end.set(Err(JoinError::Panicked(message)));
                }
            }
        };
        let task = run.scheduler.start_thread(self.index, name, false, entry)?;
        Ok(SimThreadHandle { run: self.run, task, ending })
    }

    fn yield_now(&self) {
        self.run().scheduler.yield_now();
    }

    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.run().scheduler.scheduling_point(Operation::new("resolve"));
        self.resolve_now(host, port)
    }

    fn connect(
        &self,
        address: SocketAddr,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<SimBlockingStream> {
        let timeout = timeout_nanos(timeout)?;
        let socket = self.begin_connect(address, options)?;
        socket.connected(timeout)?;
        Ok(SimBlockingStream { socket: Arc::new(socket) })
    }

    fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<SimBlockingListener> {
        let run = self.acts()?;
        run.scheduler.scheduling_point(Operation::new("listen"));
        let id = run.network(|network, now, _| network.listen(now, self.id(), address, options));
        let id = id.map_err(|error| self.cannot("listen on", address, error))?;
        Ok(SimBlockingListener { listening: Listening::new(&run, id) })
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        self.fill(buffer);
    }
}

impl RawLocks for Host {
    type RawMutex<T: Send> = SimMutex<T>;
    type RawGuard<'a, T: Send + 'a> = SimGuard<'a, T>;
    type RawCondvar = SimCondvar;

    fn raw_mutex<T: Send>(&self, name: &'static str, value: T) -> SimMutex<T> {
        SimMutex::new(self.run, name, value)
    }

    #[track_caller]
    fn raw_lock<T: Send>(mutex: &SimMutex<T>) -> SimGuard<'_, T> {
        mutex.lock()
    }

    fn raw_try_lock<T: Send>(mutex: &SimMutex<T>) -> Option<SimGuard<'_, T>> {
        mutex.try_lock()
    }

    fn raw_into_inner<T: Send>(mutex: SimMutex<T>) -> T {
        mutex.into_inner()
    }

    fn raw_condvar(&self, name: &'static str) -> SimCondvar {
        SimCondvar::new(self.run, name)
    }

    fn raw_wait<'a, T: Send + 'a>(condvar: &SimCondvar, guard: SimGuard<'a, T>) -> SimGuard<'a, T> {
        condvar.wait(guard, None).0
    }

    fn raw_wait_timeout<'a, T: Send + 'a>(
        condvar: &SimCondvar,
        guard: SimGuard<'a, T>,
        timeout: Duration,
    ) -> (SimGuard<'a, T>, WaitOutcome) {
        condvar.wait(guard, Some(nanos(timeout)))
    }

    fn raw_notify_one(condvar: &SimCondvar) {
        condvar.notify_one();
    }

    fn raw_notify_all(condvar: &SimCondvar) {
        condvar.notify_all();
    }
}

/// A handle to a simulated thread.
#[derive(Debug)]
pub struct SimThreadHandle<T> {
    run: u64,
    task: TaskId,
    ending: Ending<T>,
}

impl<T: Send + 'static> ThreadHandle<T> for SimThreadHandle<T> {
    fn join(self) -> Result<T, JoinError> {
        let run = context::expect_run(self.run);
        run.scheduler.scheduling_point(Operation::new("join"));
        loop {
            let waker = run.scheduler.current().map(|task| run.scheduler.waker(task));
            if let Some(output) = self.ending.take_or_wake(waker.as_ref()) {
                run.scheduler.unblocked();
                return output;
            }
            if !run.scheduler.block(Wait::Join { task: self.task }, None) {
                // The joined thread may well be alive, but a thread that unwinds cannot wait for it.
                return Err(JoinError::Cancelled);
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.ending.has_come()
    }
}

/// A simulated listener of threads.
#[derive(Debug)]
pub struct SimBlockingListener {
    listening: Listening,
}

impl BlockingListener for SimBlockingListener {
    type Stream = SimBlockingStream;

    fn accept(&self) -> io::Result<(SimBlockingStream, SocketAddr)> {
        let (socket, peer) = self.listening.accept()?;
        Ok((SimBlockingStream { socket: Arc::new(socket) }, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listening.local_addr()
    }
}

/// A simulated TCP stream of threads. Its clones share it.
#[derive(Debug)]
pub struct SimBlockingStream {
    socket: Arc<Socket>,
}

impl SimBlockingStream {
    fn point(&self, verb: &'static str) {
        self.socket.run().scheduler.scheduling_point(Operation::new(verb));
    }
}

impl BlockingStream for SimBlockingStream {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.clone() })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.point("shutdown");
        self.socket.shutdown(how)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_timeout(Direction::Read, timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_timeout(Direction::Write, timeout)
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_nodelay(nodelay);
        Ok(())
    }

    fn abort(self) {
        self.point("abort");
        self.socket.linger_zero();
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

impl Read for SimBlockingStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for SimBlockingStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
