//! [`Adversary`] as a stream.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wavetank_runtime::Stream;

use super::{Adversary, tricks};

impl<S: AsyncRead> AsyncRead for Adversary<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut this = self.project();
        ready!(tricks::let_go_on(this.tricks, context, "read"));
        let limit = tricks::limit(this.tricks, "read", buffer.remaining());
        if limit == buffer.remaining() {
            let inner = |context: &mut Context<'_>| this.inner.as_mut().poll_read(context, buffer);
            return tricks::with_decoy(this.tricks, context, "read", inner);
        }
        let mut short = ReadBuf::new(buffer.initialize_unfilled_to(limit));
        let inner = |context: &mut Context<'_>| this.inner.as_mut().poll_read(context, &mut short);
        ready!(tricks::with_decoy(this.tricks, context, "read", inner))?;
        let read = short.filled().len();
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite> AsyncWrite for Adversary<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut this = self.project();
        ready!(tricks::let_go_on(this.tricks, context, "write"));
        let bytes = &bytes[..tricks::limit(this.tricks, "write", bytes.len())];
        let inner = |context: &mut Context<'_>| this.inner.as_mut().poll_write(context, bytes);
        tricks::with_decoy(this.tricks, context, "write", inner)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        ready!(tricks::let_go_on(this.tricks, context, "flush"));
        tricks::with_decoy(this.tricks, context, "flush", |context| this.inner.as_mut().poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        ready!(tricks::let_go_on(this.tricks, context, "shutdown"));
        let inner = |context: &mut Context<'_>| this.inner.as_mut().poll_shutdown(context);
        tricks::with_decoy(this.tricks, context, "shutdown", inner)
    }
}

/// Lets code that takes a [`Stream`] take a wrapped one. Both halves do what the whole would have done.
impl<S: Stream> Stream for Adversary<S> {
    type ReadHalf = Adversary<S::ReadHalf>;
    type WriteHalf = Adversary<S::WriteHalf>;

    fn into_split(self) -> (Self::ReadHalf, Self::WriteHalf) {
        let (reader, writer) = self.inner.into_split();
        let tricks = self.tricks;
        (Adversary { inner: reader, tricks: tricks.clone() }, Adversary { inner: writer, tricks })
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.inner.set_nodelay(nodelay)
    }

    fn abort(self) {
        self.inner.abort();
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}
