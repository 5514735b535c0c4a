//! A WebSocket as the transport of a session. Binary messages carry the stream of bytes. That is how sessions pass
//! proxies.
//!
//! A write becomes one message of at most [`MESSAGE_BYTES`]. The borders of messages mean nothing. The end of writing
//! is the Close frame, so it ends both directions, as for other users of WebSockets.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wavetank_runtime::Runtime;
use wavetank_websocket::client::WebSocket;
use wavetank_websocket::{CloseCode, Closed, Error, Kind, Message};

/// The most bytes of a message. A longer one would delay pings for too long.
pub const MESSAGE_BYTES: usize = 64 * 1024;

type Receiving = Pin<Box<dyn Future<Output = Result<Message, Error>> + Send>>;
type Sending = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;
type Closing = Pin<Box<dyn Future<Output = Closed> + Send>>;

/// A WebSocket as a stream of bytes.
pub struct ByteStream<R: Runtime, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    socket: WebSocket<R, S>,
    /// What is left of the last message.
    received: Bytes,
    receiving: Option<Receiving>,
    sending: Option<Sending>,
    closing: Option<Closing>,
}

impl<R: Runtime, S> ByteStream<R, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Wraps a connection, whose handle must be the only one that receives and sends.
    #[must_use]
    pub const fn new(socket: WebSocket<R, S>) -> Self {
        Self { socket, received: Bytes::new(), receiving: None, sending: None, closing: None }
    }
}

impl<R: Runtime, S> std::fmt::Debug for ByteStream<R, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByteStream").finish_non_exhaustive()
    }
}

/// An end that both sides agreed on is the end of the stream. Any other end is an error.
fn end(error: Error) -> io::Result<()> {
    match error {
        Error::Closed(closed) if closed.is_clean() => Ok(()),
        other => Err(io::Error::new(io::ErrorKind::ConnectionAborted, other.to_string())),
    }
}

impl<R: Runtime, S> AsyncRead for ByteStream<R, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A message that waits to go out continues, whatever the owner calls. The next write returns its failure.
        if self.sending.is_some() && self.poll_sent(context).is_ready() {
            self.sending = None;
        }
        let this = &mut *self;
        while this.received.is_empty() {
            let socket = &this.socket;
            let receiving = this.receiving.get_or_insert_with(|| {
                let socket = socket.clone();
                Box::pin(async move { socket.recv().await })
            });
            let result = ready!(receiving.as_mut().poll(context));
            this.receiving = None;
            match result {
                Ok(message) if message.kind() == Kind::Binary => this.received = message.into_bytes(),
                Ok(_) => {
                    let text = "a text message, where only binary ones carry bytes";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
                Err(error) => return Poll::Ready(end(error)),
            }
        }
        let count = this.received.len().min(buffer.remaining());
        buffer.put_slice(&this.received.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<R: Runtime, S> ByteStream<R, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Waits until the previous message has gone out.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(sending) = &mut self.sending {
            let result = ready!(sending.as_mut().poll(context));
            self.sending = None;
            // After a clean end, writes have no effect, and reads return the end.
            return Poll::Ready(result.or_else(end));
        }
        Poll::Ready(Ok(()))
    }
}

impl<R: Runtime, S> AsyncWrite for ByteStream<R, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_sent(context))?;
        let count = bytes.len().min(MESSAGE_BYTES);
        let (socket, message) = (self.socket.clone(), Message::binary(bytes[..count].to_vec()));
        let mut sending: Sending = Box::pin(async move { socket.send(&message).await });
        // The failure of this message belongs to the next call, because these bytes are taken.
        if sending.as_mut().poll(context).is_pending() {
            self.sending = Some(sending);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_sent(context))?;
        let this = &mut *self;
        let socket = &this.socket;
        let closing = this.closing.get_or_insert_with(|| {
            let socket = socket.clone();
            Box::pin(async move { socket.close(CloseCode::NORMAL, "").await })
        });
        let closed = ready!(closing.as_mut().poll(context));
        this.closing = Some(Box::pin(std::future::ready(closed)));
        Poll::Ready(Ok(()))
    }
}
