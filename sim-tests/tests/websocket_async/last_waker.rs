//! A stream that wakes only the task that polled it last, as those of tokio do. The tank's own wake every task that has
//! polled them, so that code which forgets one would not be found.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Remembers one waker for reading. Writing is passed through.
#[derive(Debug)]
pub(crate) struct LastWaker<S> {
    stream: S,
    reader: Arc<Reader>,
}

#[derive(Debug, Default)]
struct Reader(Mutex<Option<Waker>>);

impl Reader {
    fn replace(&self, waker: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), waker)
    }
}

impl Wake for Reader {
    fn wake(self: Arc<Self>) {
        if let Some(waker) = self.replace(None) {
            waker.wake();
        }
    }
}

impl<S> LastWaker<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, reader: Arc::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LastWaker<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        drop(self.reader.replace(Some(context.waker().clone())));
        let waker = Waker::from(Arc::clone(&self.reader));
        Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(&waker), buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LastWaker<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
