//! [`Runtime`] for a host inside of turmoil: async tasks.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wavetank_runtime::{Instant, ListenOptions, Listener, Runtime, SocketOptions, Stream};

use super::TurmoilHost;
use super::socket::{self, Listening, Socket};
use crate::host::{SimSleep, SimTaskHandle};

impl Runtime for TurmoilHost {
    type Stream = TurmoilStream;
    type Listener = TurmoilListener;
    type Sleep = SimSleep;
    type TaskHandle<T: Send + 'static> = SimTaskHandle<T>;

    fn now(&self) -> Instant {
        Runtime::now(&self.inner)
    }

    fn sleep_until(&self, deadline: Instant) -> SimSleep {
        self.inner.sleep_until(deadline)
    }

    fn spawn<F>(&self, name: &str, future: F) -> SimTaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Runtime::spawn(&self.inner, name, future)
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.resolve_now(host, port)
    }

    /// Connects. turmoil counts buffers in segments for all hosts at once (`Builder::tcp_capacity`): the options are
    /// accepted and without effect.
    async fn connect(&self, address: SocketAddr, _: SocketOptions) -> io::Result<TurmoilStream> {
        Ok(TurmoilStream { socket: Arc::new(socket::connect(*self, address).await?) })
    }

    /// Listens. The options are without effect, as in [`connect`](Self::connect): the backlog is turmoil's, and a SYN
    /// beyond it panics the simulation.
    async fn listen(&self, address: SocketAddr, _: ListenOptions) -> io::Result<TurmoilListener> {
        Ok(TurmoilListener { listening: Listening::new(*self, address)? })
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        Runtime::fill_random(&self.inner, buffer);
    }
}

/// A listener of tasks inside of turmoil.
#[derive(Debug)]
pub struct TurmoilListener {
    listening: Listening,
}

impl Listener for TurmoilListener {
    type Stream = TurmoilStream;

    async fn accept(&self) -> io::Result<(TurmoilStream, SocketAddr)> {
        let socket = Arc::new(self.listening.accept().await?);
        let peer = socket.peer_addr();
        Ok((TurmoilStream { socket }, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.listening.local_addr())
    }
}

/// A TCP stream of tasks inside of turmoil.
#[derive(Debug)]
pub struct TurmoilStream {
    socket: Arc<Socket>,
}

/// The reading half of a [`TurmoilStream`].
#[derive(Debug)]
pub struct TurmoilReadHalf {
    socket: Arc<Socket>,
}

/// The writing half of a [`TurmoilStream`]; dropping it half-closes the stream.
#[derive(Debug)]
pub struct TurmoilWriteHalf {
    socket: Arc<Socket>,
}

impl Stream for TurmoilStream {
    type ReadHalf = TurmoilReadHalf;
    type WriteHalf = TurmoilWriteHalf;

    fn into_split(self) -> (TurmoilReadHalf, TurmoilWriteHalf) {
        (TurmoilReadHalf { socket: self.socket.clone() }, TurmoilWriteHalf { socket: self.socket })
    }

    /// Accepted and without effect: turmoil never holds small segments back.
    fn set_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    /// Closes. turmoil resets only where unread bytes are left; otherwise the peer sees an orderly end.
    fn abort(self) {}

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.local_addr())
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.peer_addr())
    }
}

impl Drop for TurmoilWriteHalf {
    fn drop(&mut self) {
        if self.socket.is_here() {
            // Fails where the connection is gone, which is what the drop wants.
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }
}

macro_rules! reads {
    ($($stream:ty),*) => {$(
        impl AsyncRead for $stream {
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
    ($($stream:ty),*) => {$(
        impl AsyncWrite for $stream {
            fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                self.socket.poll_write(context, bytes)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.socket.shutdown(Shutdown::Write))
            }
        }
    )*};
}

reads!(TurmoilStream, TurmoilReadHalf);
writes!(TurmoilStream, TurmoilWriteHalf);
