//! [`Runtime`] for a simulated host: async tasks.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wavetank_runtime::{
    Instant, JoinError, ListenOptions, Listener, Runtime, Sleep, SocketOptions, Stream, TaskHandle,
};

use super::ending::{Ending, ending};
use super::local::SimUnixStream;
use super::socket::Socket;
use super::transport::{ListeningSocket, StreamSocket, Transport};
use super::{Host, context};
use crate::panics;
use crate::sched::TimerKey;
use crate::wait::{HostIndex, Operation, TaskId, Wait};

impl<N: Transport> Runtime for Host<N> {
    type Stream = SimStream<N::Socket>;
    type Listener = SimListener<N::Listening>;
    type Sleep = SimSleep;
    type TaskHandle<T: Send + 'static> = SimTaskHandle<T>;

    fn now(&self) -> Instant {
        Instant::from_nanos(self.now_nanos())
    }

    fn sleep_until(&self, deadline: Instant) -> SimSleep {
        SimSleep { run: self.run, host: self.index, deadline, timer: None }
    }

    fn spawn<F>(&self, name: &str, future: F) -> SimTaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (end, ending) = ending();
        let task = async move {
            // Moved in, so that the handle learns it if the task is dropped before it ends.
            let end = end;
            let output = caught(future).await;
            if let Err(JoinError::Panicked(message)) = &output {
                report_panic(message);
            }
            end.set(output);
        };
        let run = self.run();
        let task = run.scheduler.start_task(self.index, name, false, task);
        run.scheduler.after_effect(Operation::new("spawn"));
        SimTaskHandle { run: self.run, task, ending }
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        N::resolve(*self, host, port)
    }

    async fn connect(&self, address: SocketAddr, options: SocketOptions) -> io::Result<Self::Stream> {
        Ok(SimStream { socket: Arc::new(N::connect(*self, address, options).await?) })
    }

    async fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<Self::Listener> {
        Ok(SimListener { listening: N::listen(*self, address, options)? })
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        self.fill(buffer);
    }
}

/// Polls `future` and turns a panic into an error at the poll in which it happens.
async fn caught<F: Future>(future: F) -> Result<F::Output, JoinError> {
    let mut future = Box::pin(future);
    poll_fn(move |context| {
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            // The task has killed its own host, and unwinds because of that.
            Err(payload) if context::current().is_some_and(|run| run.scheduler.being_torn_down()) => {
                std::panic::resume_unwind(payload)
            }
            Err(payload) => Poll::Ready(Err(JoinError::Panicked(panics::take_message(payload)))),
        }
    })
    .await
}

/// Fails the run because a spawned task panicked, whether or not its handle is used.
fn report_panic(message: &str) {
    let Some(run) = context::current() else { return };
    if let Some(task) = run.scheduler.current().filter(|_| !run.scheduler.being_torn_down()) {
        run.scheduler.panicked_with(task, message);
    }
}

/// A handle to a simulated task.
#[derive(Debug)]
pub struct SimTaskHandle<T> {
    run: u64,
    task: TaskId,
    ending: Ending<T>,
}

impl<T> Future for SimTaskHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(output) = self.ending.take_or_wake(Some(context.waker())) {
            return Poll::Ready(output);
        }
        context::expect_run(self.run).scheduler.note_wait(Wait::Join { task: self.task });
        Poll::Pending
    }
}

impl<T: Send + 'static> TaskHandle<T> for SimTaskHandle<T> {
    fn abort(&self) {
        context::with_run(self.run, |run| run.scheduler.abort(self.task));
    }

    fn is_finished(&self) -> bool {
        self.ending.has_come()
    }
}

/// A simulated timer.
#[derive(Debug)]
pub struct SimSleep {
    run: u64,
    host: HostIndex,
    deadline: Instant,
    timer: Option<TimerKey>,
}

impl SimSleep {
    fn disarm(&mut self) {
        if let Some(timer) = self.timer.take() {
            context::with_run(self.run, |run| run.scheduler.disarm(timer));
        }
    }

    /// Sets the deadline to `duration` from now.
    #[cfg(any(feature = "hyper", feature = "quinn"))]
    pub(crate) fn reset_after(self: Pin<&mut Self>, duration: std::time::Duration) {
        let now = Instant::from_nanos(context::expect_run(self.run).scheduler.now());
        self.reset(now + duration);
    }
}

impl Future for SimSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let run = context::expect_run(self.run);
        let deadline = self.deadline.as_nanos();
        let wait = Wait::Sleep { until: deadline };
        ready!(run.scheduler.poll_operation(context, wait));
        if run.scheduler.now() >= deadline {
            self.disarm();
            return Poll::Ready(());
        }
        let armed = self.timer.is_some_and(|timer| run.scheduler.rearm(timer, context.waker()));
        if !armed {
            self.timer = Some(run.scheduler.arm(deadline, self.host, context.waker().clone()));
        }
        run.scheduler.note_wait(wait);
        Poll::Pending
    }
}

impl Sleep for SimSleep {
    fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Keeps the waker of the last poll. As with tokio's, the task is woken at the new time without another poll.
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        let armed = self.timer.take();
        self.timer = armed.and_then(|timer| {
            context::with_run(self.run, |run| run.scheduler.move_timer(timer, deadline.as_nanos()))?
        });
        self.deadline = deadline;
    }
}

impl Drop for SimSleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// A listener of tasks.
#[derive(Debug)]
pub struct SimListener<L> {
    listening: L,
}

impl<L> Listener for SimListener<L>
where
    L: ListeningSocket<Socket: StreamSocket>,
{
    type Stream = SimStream<L::Socket>;

    async fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (socket, peer) = self.listening.accept().await?;
        Ok((SimStream { socket: Arc::new(socket) }, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listening.local_addr()
    }
}

/// A TCP stream of tasks.
#[derive(Debug)]
pub struct SimStream<S = Socket> {
    socket: Arc<S>,
}

/// The reading half of a [`SimStream`] or a [`SimUnixStream`].
#[derive(Debug)]
pub struct SimReadHalf<S = Socket> {
    pub(super) socket: Arc<S>,
}

/// The writing half of a [`SimStream`] or a [`SimUnixStream`]. Dropping it half-closes the stream.
#[derive(Debug)]
pub struct SimWriteHalf<S: StreamSocket = Socket> {
    pub(super) socket: Arc<S>,
}

impl<S: StreamSocket> Stream for SimStream<S> {
    type ReadHalf = SimReadHalf<S>;
    type WriteHalf = SimWriteHalf<S>;

    fn into_split(self) -> (SimReadHalf<S>, SimWriteHalf<S>) {
        (SimReadHalf { socket: self.socket.clone() }, SimWriteHalf { socket: self.socket })
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.set_nodelay(nodelay);
        Ok(())
    }

    fn abort(self) {
        self.socket.linger_zero();
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

impl<S: StreamSocket> Drop for SimWriteHalf<S> {
    fn drop(&mut self) {
        if self.socket.can_act() {
            // Fails if the connection is gone. Then there is nothing to close.
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }
}

macro_rules! reads {
    ($([$($socket:ident)?] $stream:ty),*) => {$(
        impl$(<$socket: StreamSocket>)? AsyncRead for $stream {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let read = ready!(self.socket.poll_read(context, buffer.initialize_unfilled()))?;
                buffer.advance(read);
                Poll::Ready(Ok(()))
            }
        }
    )*};
}

macro_rules! writes {
    ($([$($socket:ident)?] $stream:ty),*) => {$(
        impl$(<$socket: StreamSocket>)? AsyncWrite for $stream {
            fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                self.socket.poll_write(context, bytes)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.socket.poll_write_vectored(context, slices)
            }

            fn is_write_vectored(&self) -> bool {
                self.socket.is_vectored()
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(match self.socket.shutdown(Shutdown::Write) {
                    // Closing a closed stream succeeds, as with tokio's streams.
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                    result => result,
                })
            }
        }
    )*};
}

reads!([S] SimStream<S>, [S] SimReadHalf<S>, [] SimUnixStream);
writes!([S] SimStream<S>, [S] SimWriteHalf<S>, [] SimUnixStream);
