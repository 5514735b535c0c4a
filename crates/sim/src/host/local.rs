//! Unix stream sockets for a simulated host: [`LocalSockets`] for tasks, [`BlockingLocalSockets`] for threads.
//!
//! Each host has its own paths and few directories: `/`, `/dev/shm`, `/run`, `/tmp`, `/var/run`, and those that
//! [`Host::create_dir_all`] makes.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use wavetank_runtime::{
    BlockingLocalSockets, BlockingUnixListener, BlockingUnixStream, ListenOptions, LocalSockets,
    SocketOptions, UnixListener, UnixStream,
};

use super::socket::{EndId, Socket, block, timeout_nanos};
use super::transport::{StreamSocket, Transport};
use super::{Host, SimReadHalf, SimWriteHalf, context};
use crate::net::{LocalListenerId, Ready};
use crate::time::Nanos;
use crate::trace::Next;
use crate::wait::{Operation, Wait};
use crate::world::Run;

/// A listening socket. Dropping it stops listening. Its path stays.
#[derive(Debug)]
struct Listening {
    run: u64,
    id: LocalListenerId,
}

impl Listening {
    fn new<N: Transport>(host: Host<N>, path: &Path, options: ListenOptions) -> io::Result<Self> {
        let run = host.acts()?;
        let id = run.network(|network, _, _| network.local_listen(host.id(), path, options));
        let id = id.map_err(|error| host.cannot("listen on", path.display(), error))?;
        run.made(id.object());
        Ok(Self { run: host.run, id })
    }

    fn run(&self) -> Rc<Run> {
        context::expect_run(self.run)
    }

    fn wait(&self) -> Wait {
        Wait::Io { verb: "accept", object: self.id.object(), until: None }
    }

    fn try_accept(&self, run: &Run) -> Poll<io::Result<Socket>> {
        let accepted = run.network(|network, _, _| network.local_accept(self.id));
        accepted.map_ok(|id| Socket::new(run, EndId::Unix(id)))
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        let run = self.run();
        ready!(run.scheduler.poll_operation(context, self.wait()));
        let accepted = self.try_accept(&run);
        if accepted.is_pending() {
            run.when_ready(Ready::LocalListener(self.id), context.waker());
            run.scheduler.note_wait(self.wait());
        } else {
            run.scheduler.after_effect(Operation::new("accept"));
        }
        accepted
    }

    fn accept(&self) -> io::Result<Socket> {
        let ready = Ready::LocalListener(self.id);
        block(&self.run(), "accept", ready, 0, |_| self.wait(), |run| self.try_accept(run))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        context::with_run(self.run, |run| {
            run.network(|network, _, outside| network.local_close_listener(outside, self.id));
            run.unmade(self.id.object());
            // Threads that wait for room in the backlog have been woken. They find it closed.
            run.forget(Ready::LocalListener(self.id));
            run.forget(Ready::LocalRoom(self.id));
        });
    }
}

impl<N: Transport> Host<N> {
    fn connect_now(self, run: &Run, path: &Path, options: SocketOptions) -> io::Result<Poll<Socket>> {
        let listener = run.network(|network, _, _| network.local_find(self.id(), path));
        let listener = listener.map_err(|error| self.cannot("connect to", path.display(), error))?;
        match run.network(|network, _, outside| network.local_connect(outside, listener, options)) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(id) => Ok(Poll::Ready(Socket::new(run, EndId::Unix(id?)))),
        }
    }

    /// Creates a directory for Unix sockets on the simulated host, with all parents, like `std::fs::create_dir_all`.
    ///
    /// Every host has the directories `/`, `/dev/shm`, `/run`, `/tmp` and `/var/run`, and a working directory for
    /// relative paths. Directories survive crashes.
    ///
    /// # Errors
    ///
    /// `NotADirectory` if a socket is at the path or at a parent. Any error on a host that has crashed.
    ///
    /// # Panics
    ///
    /// Outside of the run that the host belongs to.
    pub fn create_dir_all(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.acts()?.network(|network, _, _| network.local_make_directory(self.id(), path.as_ref()))
    }

    fn unlink_now(self, path: &Path) -> io::Result<()> {
        self.acts()?.network(|network, _, _| network.local_unlink(self.id(), path))
    }
}

impl<N: Transport> LocalSockets for Host<N> {
    type UnixStream = SimUnixStream;
    type UnixListener = SimUnixListener;

    async fn connect_unix(&self, path: &Path, options: SocketOptions) -> io::Result<SimUnixStream> {
        let turn = Next::Operation(Operation::new("connect to a Unix socket"));
        poll_fn(|context| self.run().scheduler.poll_turn(context, turn)).await;
        match self.connect_now(&*self.acts()?, path, options)? {
            Poll::Ready(socket) => Ok(SimUnixStream { socket: Arc::new(socket) }),
            Poll::Pending => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
        }
    }

    async fn listen_unix(&self, path: &Path, options: ListenOptions) -> io::Result<SimUnixListener> {
        Ok(SimUnixListener { listening: Listening::new(*self, path, options)? })
    }

    fn unlink_unix(&self, path: &Path) -> io::Result<()> {
        self.unlink_now(path)
    }
}

/// A simulated Unix listener of tasks.
#[derive(Debug)]
pub struct SimUnixListener {
    listening: Listening,
}

impl UnixListener for SimUnixListener {
    type Stream = SimUnixStream;

    async fn accept(&self) -> io::Result<SimUnixStream> {
        let socket = poll_fn(|context| self.listening.poll_accept(context)).await?;
        Ok(SimUnixStream { socket: Arc::new(socket) })
    }
}

/// A simulated Unix stream of tasks.
#[derive(Debug)]
pub struct SimUnixStream {
    pub(super) socket: Arc<Socket>,
}

impl UnixStream for SimUnixStream {
    type ReadHalf = SimReadHalf;
    type WriteHalf = SimWriteHalf;

    fn into_split(self) -> (SimReadHalf, SimWriteHalf) {
        (SimReadHalf { socket: self.socket.clone() }, SimWriteHalf { socket: self.socket })
    }
}

impl<N: Transport> BlockingLocalSockets for Host<N> {
    type UnixStream = SimBlockingUnixStream;
    type UnixListener = SimBlockingUnixListener;

    fn connect_unix(
        &self,
        path: &Path,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<SimBlockingUnixStream> {
        let timeout = timeout_nanos(timeout)?;
        let run = self.acts()?;
        run.scheduler.scheduling_point(Operation::new("connect"));
        let until = (timeout > 0).then(|| run.scheduler.now().saturating_add(timeout));
        loop {
            // Looks the path up each time, because another listener may have it by now.
            if let Poll::Ready(socket) = self.connect_now(&run, path, options)? {
                run.scheduler.unblocked();
                return Ok(SimBlockingUnixStream { socket: Arc::new(socket) });
            }
            if until.is_some_and(|until| run.scheduler.now() >= until) {
                run.scheduler.unblocked();
                return Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out"));
            }
            let listener = run.network(|network, _, _| network.local_find(self.id(), path))?;
            self.wait_for_room(&run, listener, until)?;
        }
    }

    fn listen_unix(&self, path: &Path, options: ListenOptions) -> io::Result<SimBlockingUnixListener> {
        self.run().scheduler.scheduling_point(Operation::new("listen"));
        Ok(SimBlockingUnixListener { listening: Listening::new(*self, path, options)? })
    }

    fn unlink_unix(&self, path: &Path) -> io::Result<()> {
        self.run().scheduler.scheduling_point(Operation::new("unlink"));
        self.unlink_now(path)
    }
}

impl<N: Transport> Host<N> {
    fn wait_for_room(self, run: &Run, listener: LocalListenerId, until: Option<Nanos>) -> io::Result<()> {
        if let Some(task) = run.scheduler.current() {
            run.when_ready(Ready::LocalRoom(listener), &run.scheduler.waker(task));
        }
        let wait = Wait::Io { verb: "connect", object: listener.object(), until };
        if run.scheduler.block(wait, until) { Ok(()) } else { Err(super::unwinding("connect")) }
    }
}

/// A simulated Unix listener of threads.
#[derive(Debug)]
pub struct SimBlockingUnixListener {
    listening: Listening,
}

impl BlockingUnixListener for SimBlockingUnixListener {
    type Stream = SimBlockingUnixStream;

    fn accept(&self) -> io::Result<SimBlockingUnixStream> {
        Ok(SimBlockingUnixStream { socket: Arc::new(self.listening.accept()?) })
    }
}

/// A simulated Unix stream of threads. Its clones share it.
#[derive(Debug)]
pub struct SimBlockingUnixStream {
    socket: Arc<Socket>,
}

impl BlockingUnixStream for SimBlockingUnixStream {
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
}

impl Read for SimBlockingUnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for SimBlockingUnixStream {
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
