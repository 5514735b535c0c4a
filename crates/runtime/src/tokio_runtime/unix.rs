//! Tokio's Unix streams and listeners, with the options of the runtime traits.

use std::io::{self, IoSlice};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixSocket;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::local::check_path;
use crate::std_threads::unix::unlink;
use crate::{ListenOptions, LocalSockets, SocketOptions, Tokio};

/// A Unix stream of Tokio.
#[derive(Debug)]
pub struct UnixStream {
    inner: tokio::net::UnixStream,
}

/// A Unix listener of Tokio.
#[derive(Debug)]
pub struct UnixListener {
    inner: tokio::net::UnixListener,
    accepted: SocketOptions,
}

impl LocalSockets for Tokio {
    type UnixStream = UnixStream;
    type UnixListener = UnixListener;

    async fn connect_unix(&self, path: &Path, options: SocketOptions) -> io::Result<UnixStream> {
        check_path(path)?;
        UnixStream::with(tokio::net::UnixStream::connect(path).await?, options)
    }

    async fn listen_unix(&self, path: &Path, options: ListenOptions) -> io::Result<UnixListener> {
        check_path(path)?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        Ok(UnixListener { inner: socket.listen(options.backlog)?, accepted: options.accepted })
    }

    fn unlink_unix(&self, path: &Path) -> io::Result<()> {
        unlink(path)
    }
}

impl UnixStream {
    fn with(inner: tokio::net::UnixStream, options: SocketOptions) -> io::Result<Self> {
        if let Some(bytes) = options.send_buffer_bytes {
            SockRef::from(&inner).set_send_buffer_size(bytes as usize)?;
        }
        Ok(Self { inner })
    }
}

impl crate::UnixStream for UnixStream {
    type ReadHalf = OwnedReadHalf;
    type WriteHalf = OwnedWriteHalf;

    fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        self.inner.into_split()
    }
}

impl AsyncRead for UnixStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for UnixStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
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

impl crate::UnixListener for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        let (inner, _unnamed) = self.inner.accept().await?;
        UnixStream::with(inner, self.accepted)
    }
}
