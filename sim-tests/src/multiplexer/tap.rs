//! Transports that tell a [`Monitor`] what passes.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wavetank_multiplexer::blocking::Transport;

use super::monitor::Monitor;

/// A transport of tasks, with a [`Monitor`].
#[derive(Debug)]
pub struct Tap<S> {
    inner: S,
    monitor: Monitor,
}

impl<S> Tap<S> {
    /// Wraps a transport.
    pub const fn new(inner: S, monitor: Monitor) -> Self {
        Self { inner, monitor }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.monitor.received(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.monitor.sent(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, slices))?;
        let mut left = count;
        for slice in slices {
            let taken = left.min(slice.len());
            self.monitor.sent(&slice[..taken]);
            left -= taken;
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// A transport of threads, with a [`Monitor`].
#[derive(Debug)]
pub struct BlockingTap<S> {
    inner: S,
    monitor: Monitor,
}

impl<S> BlockingTap<S> {
    /// Wraps a transport.
    pub const fn new(inner: S, monitor: Monitor) -> Self {
        Self { inner, monitor }
    }
}

impl<S: Read> Read for BlockingTap<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.monitor.received(&buffer[..count]);
        Ok(count)
    }
}

impl<S: Write> Write for BlockingTap<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.monitor.promise(bytes);
        let result = self.inner.write(bytes);
        self.monitor.sent(&bytes[..*result.as_ref().unwrap_or(&0)]);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S: Transport> Transport for BlockingTap<S> {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { inner: self.inner.try_clone()?, monitor: self.monitor.clone() })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_write_timeout(timeout)
    }
}
