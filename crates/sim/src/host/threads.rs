//! [`Threads`] for a simulated host: blocking threads.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::__private::RawLocks;
use wavetank_runtime::{
    BlockingListener, BlockingStream, Instant, JoinError, ListenOptions, SocketOptions, ThreadHandle,
    Threads, WaitOutcome,
};

use super::ending::{Ending, ending};
use super::locks::{SimCondvar, SimGuard, SimMutex};
use super::socket::Socket;
use super::transport::{ListeningSocket, StreamSocket, Transport};
use super::{Host, context};
use crate::time::nanos;
use crate::wait::{Operation, TaskId, Wait};

impl<N: Transport> Threads for Host<N> {
    type Stream = SimBlockingStream<N::Socket>;
    type Listener = SimBlockingListener<N::Listening>;
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
                // A thread that unwinds cannot wait. Sleeping shorter is the least wrong.
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
            // Moved in, so that the handle learns it if the thread is torn down before it ends.
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
        run.scheduler.after_effect_in_thread(Operation::new("spawn"));
        Ok(SimThreadHandle { run: self.run, task, ending })
    }

    fn yield_now(&self) {
        self.run().scheduler.yield_now();
    }

    fn access(&self, object: &'static str, index: usize) {
        self.run().scheduler.access(object, index);
    }

    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        N::scheduling_point(*self, "resolve")?;
        N::resolve(*self, host, port)
    }

    fn connect(
        &self,
        address: SocketAddr,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<Self::Stream> {
        Ok(SimBlockingStream { socket: Arc::new(N::connect_blocking(*self, address, options, timeout)?) })
    }

    fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<Self::Listener> {
        N::scheduling_point(*self, "listen")?;
        Ok(SimBlockingListener { listening: N::listen(*self, address, options)? })
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        self.fill(buffer);
    }
}

impl<N: Transport> RawLocks for Host<N> {
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
                // The joined thread may be alive, but a thread that unwinds cannot wait for it.
                return Err(JoinError::Cancelled);
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.ending.has_come()
    }
}

/// A listener of threads.
#[derive(Debug)]
pub struct SimBlockingListener<L> {
    listening: L,
}

impl<L> BlockingListener for SimBlockingListener<L>
where
    L: ListeningSocket<Socket: StreamSocket>,
{
    type Stream = SimBlockingStream<L::Socket>;

    fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (socket, peer) = self.listening.accept_blocking()?;
        Ok((SimBlockingStream { socket: Arc::new(socket) }, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listening.local_addr()
    }
}

/// A TCP stream of threads. Its clones share it.
#[derive(Debug)]
pub struct SimBlockingStream<S = Socket> {
    socket: Arc<S>,
}

impl<S: StreamSocket> BlockingStream for SimBlockingStream<S> {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.clone() })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.scheduling_point("shutdown");
        self.socket.shutdown(how)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_write_timeout(timeout)
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_nodelay(nodelay);
        Ok(())
    }

    fn abort(self) {
        self.socket.scheduling_point("abort");
        self.socket.linger_zero();
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

impl<S: StreamSocket> Read for SimBlockingStream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl<S: StreamSocket> Write for SimBlockingStream<S> {
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
