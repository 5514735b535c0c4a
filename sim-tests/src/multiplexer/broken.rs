//! Transports that fail to write, or take little at a time. Reading goes on.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wavetank_multiplexer::blocking::Transport;
use wavetank_runtime::Threads;

/// A transport that takes some bytes, and then fails each write with `BrokenPipe`.
#[derive(Debug)]
pub struct Unwritable<S> {
    inner: S,
    left: usize,
}

impl<S> Unwritable<S> {
    /// Wraps a transport, which takes `count` more bytes.
    pub const fn after(count: usize, inner: S) -> Self {
        Self { inner, left: count }
    }

    /// The part of `bytes` that is still taken.
    fn taken<'a>(&self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        if self.left == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(&bytes[..bytes.len().min(self.left)])
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unwritable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unwritable<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = self.taken(bytes)?;
        let written = Pin::new(&mut self.inner).poll_write(context, taken);
        if let Poll::Ready(Ok(count)) = written {
            self.left -= count;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<S: Read> Read for Unwritable<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<S: Write> Write for Unwritable<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(self.taken(bytes)?)?;
        self.left -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S: Transport> Transport for Unwritable<S> {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { inner: self.inner.try_clone()?, left: self.left })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_write_timeout(timeout)
    }
}

/// A transport of threads of which each write waits for some time, and then takes a few bytes.
#[derive(Debug)]
pub struct Trickle<T, S> {
    threads: T,
    inner: S,
    pause: Duration,
    bytes_max: usize,
}

impl<T, S> Trickle<T, S> {
    /// Wraps a transport, whose writes wait for `pause` and take up to `bytes_max` bytes.
    pub const fn new(threads: T, inner: S, pause: Duration, bytes_max: usize) -> Self {
        Self { threads, inner, pause, bytes_max }
    }
}

impl<T, S: Read> Read for Trickle<T, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<T: Threads, S: Write> Write for Trickle<T, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.threads.sleep(self.pause);
        self.inner.write(&bytes[..bytes.len().min(self.bytes_max)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Threads, S: Transport> Transport for Trickle<T, S> {
    fn try_clone(&self) -> io::Result<Self> {
        let inner = self.inner.try_clone()?;
        Ok(Self { threads: self.threads.clone(), inner, pause: self.pause, bytes_max: self.bytes_max })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_write_timeout(timeout)
    }
}
