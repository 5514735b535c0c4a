//! A stream that ends after a number of bytes was written to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wavetank_runtime::Stream;

/// When and how a server's stream ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// After how many bytes it ends. 0: before the first byte.
    pub after: u64,
    /// How it ends.
    pub how: End,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With FIN. The server continues to read.
    Finish,
    /// The server closes both directions: with FIN, or with RST if it has not read everything.
    Close,
    /// With RST.
    Reset,
    /// In silence. The server continues to read, and nothing that it writes goes out any more.
    Silence,
}

/// A stream that may be cut.
#[derive(Debug)]
pub struct CutStream<S> {
    stream: Option<S>,
    cut: Option<Cut>,
    cut_reading: Option<Cut>,
    finished: bool,
    silent: bool,
}

impl<S: Stream> CutStream<S> {
    /// Wraps `stream`, to end it after a number of bytes written (`cut`) or read (`cut_reading`).
    pub const fn new(stream: S, cut: Option<Cut>, cut_reading: Option<Cut>) -> Self {
        Self { stream: Some(stream), cut, cut_reading, finished: false, silent: false }
    }

    /// Ends the stream now.
    pub fn end(&mut self, how: End) {
        self.finished = how != End::Silence;
        match how {
            End::Silence => self.silent = true,
            End::Finish => {
                if let Some(stream) = &mut self.stream {
                    // A TCP stream shuts down at once; that it is gone already is as well.
                    let _ = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
                }
            }
            End::Close => self.stream = None,
            End::Reset => {
                if let Some(stream) = self.stream.take() {
                    stream.abort();
                }
            }
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the script has cut the stream")
}

impl<S: Stream> AsyncRead for CutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else { return Poll::Ready(Err(gone())) };
        let Some(Cut { after, how }) = this.cut_reading else {
            return Pin::new(stream).poll_read(context, buffer);
        };
        let mut bytes = [0; 256];
        let room = bytes.len().min(buffer.remaining()).min(usize::try_from(after).unwrap_or(usize::MAX));
        let mut part = ReadBuf::new(&mut bytes[..room]);
        if after > 0 {
            ready!(Pin::new(stream).poll_read(context, &mut part))?;
        }
        let count = part.filled().len();
        buffer.put_slice(part.filled());
        let left = after - count as u64;
        this.cut_reading = (left > 0).then_some(Cut { after: left, how });
        if left == 0 {
            this.end(how);
        }
        match (after, how) {
            (0, End::Silence) => self.poll_read(context, buffer),
            (0, _) => Poll::Ready(Err(gone())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<S: Stream> AsyncWrite for CutStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let (Some(stream), false) = (&mut this.stream, this.finished) else {
            return Poll::Ready(Err(gone()));
        };
        if this.silent {
            return Poll::Ready(Ok(bytes.len()));
        }
        let Some(Cut { after, how }) = this.cut else { return Pin::new(stream).poll_write(context, bytes) };
        let allowed = bytes.len().min(usize::try_from(after).unwrap_or(usize::MAX));
        let mut written = 0;
        if allowed > 0 {
            written = ready!(Pin::new(stream).poll_write(context, &bytes[..allowed]))?;
        }
        let left = after - written as u64;
        this.cut = Some(Cut { after: left, how });
        if left == 0 {
            this.end(how);
        }
        match (written, how) {
            (0, End::Silence) => Poll::Ready(Ok(bytes.len())),
            (0, _) => Poll::Ready(Err(gone())),
            _ => Poll::Ready(Ok(written)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_flush(context),
            None => Poll::Ready(Err(gone())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finished = true;
        let silent = self.silent;
        match &mut self.stream {
            Some(_) if silent => Poll::Ready(Ok(())),
            Some(stream) => Pin::new(stream).poll_shutdown(context),
            None => Poll::Ready(Err(gone())),
        }
    }
}
