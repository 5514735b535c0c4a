//! Where contenders read and write: memory, a pipe within the thread, TCP over loopback.

use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// How much is read at once at most, by every contender that lets it be set, and what memory gives at once.
pub const READ_BUFFER: usize = 64 * 1024;

/// A stream that contenders work on, and how it is cut in halves where a contender needs that.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The cheapest half to read from.
    type Reader: AsyncRead + Unpin;
    /// The cheapest half to write to.
    type Writer: AsyncWrite + Unpin;

    /// Cuts it.
    fn halves(self) -> (Self::Reader, Self::Writer);
}

impl Transport for DuplexStream {
    type Reader = ReadHalf<Self>;
    type Writer = WriteHalf<Self>;

    fn halves(self) -> (Self::Reader, Self::Writer) {
        tokio::io::split(self)
    }
}

impl Transport for TcpStream {
    type Reader = OwnedReadHalf;
    type Writer = OwnedWriteHalf;

    fn halves(self) -> (Self::Reader, Self::Writer) {
        self.into_split()
    }
}

/// Gives the same bytes again and again, and throws away what is written. Never blocks.
#[derive(Debug)]
pub struct Memory {
    bytes: Bytes,
    position: usize,
    /// What is given from the second time on.
    every: Option<Bytes>,
}

impl Memory {
    /// Gives `bytes` for ever.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, position: 0, every: None }
    }

    /// Gives `first` once, then `every` for ever.
    pub fn after(first: Vec<u8>, every: Vec<u8>) -> Self {
        Self { bytes: first.into(), position: 0, every: Some(every.into()) }
    }

    fn next(&mut self, room: usize) -> &[u8] {
        if self.position == self.bytes.len() {
            self.position = 0;
            if let Some(every) = self.every.take() {
                self.bytes = every;
            }
        }
        let start = self.position;
        self.position = self.bytes.len().min(start + room.min(READ_BUFFER));
        &self.bytes[start..self.position]
    }
}

impl Transport for Memory {
    type Reader = Self;
    type Writer = tokio::io::Sink;

    fn halves(self) -> (Self::Reader, Self::Writer) {
        (self, tokio::io::sink())
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next(buffer.len());
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(std::hint::black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = self.next(buffer.remaining());
        buffer.put_slice(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(std::hint::black_box(bytes).len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(std::hint::black_box(pieces).iter().map(|piece| piece.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
